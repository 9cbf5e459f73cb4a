# What headers.py is in C: types only, no code.
cimport cython
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut

cdef class Added:
    cdef public object always, make, name, value

cdef class Lines:
    cdef public tuple in_safe, in_any

    @cython.locals(out=CResponseOut)
    cpdef send(self, CRequest r, next)
