# What output.py is in C: types only, no code.
cimport cython
from geng.hot.connection cimport Link as CLink
from geng.http.filters cimport Writer
from geng.http.linked cimport Linked as CLinked
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut

from geng.core.clock cimport seconds
from geng.hot.decimal cimport decimal
from geng.hot.pieces cimport join

cdef dict _LINES
cdef long _HEAD, _CONNECT
cdef bytes CRLF, KEEP_ALIVE_LINE, CLOSE_LINE, CHUNKED_LINE

cdef class Output

cpdef bytes server_and_date(CLinked hot)

cdef add(list lines, bytes name, value)

@cython.locals(out=CResponseOut, plain=Output, hot=CLinked, status=long, version=long, method=long, chunked=bint, head=bytes)
cpdef output(CRequest r)

@cython.locals(lines=list)
cdef bytes _head(CRequest r, CResponseOut out, CLinked hot, long status, bint chunked)

cdef class Output(Writer):
    cdef public CRequest r
    cdef public CLink c
    cdef public object loc
    cdef public CLinked hot
    cdef public list held
    cdef public Py_ssize_t held_size

    cpdef begin(self, CRequest r, bytes head)

    @cython.locals(held=list, size=Py_ssize_t, n=Py_ssize_t)
    cpdef write(self, parts, bint flush=*)

    @cython.locals(held=list)
    cpdef end(self)

    cpdef rate(self)
    cpdef send(self, list parts)

cdef class ChunkedOutput(Output):
    pass

cdef class HeadOnly(Output):
    pass
