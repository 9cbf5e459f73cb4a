# What rewrite.py is in C: types only, no code.
cimport cython
from geng.http.request cimport Request as CRequest
from geng.http.script cimport Value as CValue

cdef class Answer:
    cdef public long status
    cdef public bint redirects
    cdef public CValue text

    @cython.locals(text=CValue, body=bytes)
    cpdef handle(self, CRequest r)
