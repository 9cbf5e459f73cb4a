# What headers.py is in C: types only, no code.
cimport cython
from geng.hot.http1 cimport NameSet as CNameSet, ResponseHead as CResponseHead
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut

cdef int _CONTENT_TYPE, _LAST_MODIFIED, _ETAG, _CONTENT_ENCODING, _LOCATION, _REDIRECT, _LIMIT_RATE, _BUFFERING, _CHARSET
cdef int _SET_COOKIE, _REFRESH, _UPGRADE, _SERVER, _DATE

cdef class HeaderRules:
    cdef public object cookie, redirect
    cdef public CNameSet hides
    cdef public frozenset hidden_names
    cdef public tuple hidden
    cdef public long ignored
    cdef public bint bare, change_buffering, force_ranges, passes_date, passes_server

    cpdef redirected_to(self, CResponseHead head)

    @cython.locals(r=CRequest, out=CResponseOut, hides=frozenset, status=long, fields=long)
    cpdef apply(self, u, CResponseHead head)

    cpdef accelerate(self, u, CResponseHead head)
