# What not_modified.py is in C: types only, no code.
cimport cython
from geng.hot.http1 cimport RequestHead as CRequestHead
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut

cdef int _UNMODIFIED_SINCE, _MATCH, _MODIFIED_SINCE, _NONE_MATCH

@cython.locals(out=CResponseOut, head=CRequestHead)
cpdef not_modified(CRequest r, next)
