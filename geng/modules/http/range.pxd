# What range.py is in C: types only, no code.
cimport cython
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut

cdef int _RANGE

@cython.locals(out=CResponseOut)
cpdef ranged(CRequest r, next)
