# What logline.py is in C: types only, no code.
cimport cython
from geng.core.clock cimport http_log_time
from geng.hot.connection cimport Link as CLink
from geng.hot.decimal cimport decimal
from geng.hot.pieces cimport join
from geng.hot.escape cimport append, shown
from geng.hot.http1 cimport RequestHead as CRequestHead
from geng.http.request cimport Request as CRequest

cdef int _LITERAL, _GET, _SAFE, _SHOWN, _ADDRESS, _TIME, _REQUEST, _STATUS, _SENT, _REFERER, _AGENT, _CONNECT
cdef int _N_REFERER, _N_AGENT, _N_AUTHORIZATION

cdef class LogLine:
    cdef public bytes kinds
    cdef public tuple items

    @cython.locals(out=list, kinds=bytes, items=tuple, head=CRequestHead, i=Py_ssize_t, kind=int, c=CLink,
                   sent="long long")
    cpdef bytes make(self, CRequest r)

@cython.locals(status=long)
cpdef bytes status_of(CRequest r)

cdef class FileLog:
    cdef public LogLine line
    cdef public object file, complain

    @cython.locals(data=bytes, n=Py_ssize_t)
    cpdef write(self, CRequest r)
