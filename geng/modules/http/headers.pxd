# What headers.py is in C: types only, no code.
cimport cython
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut
from geng.http.script cimport Value as CValue

cdef class Added:
    cdef public object always, name
    cdef public CValue value

cdef class Lines:
    cdef public tuple in_safe, in_any

    @cython.locals(out=CResponseOut, one=Added)
    cpdef send(self, CRequest r, next)
