# What compressing.py is in C: types only, no code.
cimport cython
from geng.http.filters cimport Writer
from geng.http.request cimport Request as CRequest
from geng.http.response cimport ResponseOut as CResponseOut
from geng.http.types cimport KnownTypes as CKnownTypes

@cython.locals(out=CResponseOut)
cpdef bint worthwhile(CRequest r, CKnownTypes types, long long least) except -1

cdef class Compressor(Writer):
    cdef public object deflate, kept, postpone, r, start, sync
    cdef public list made
    cdef public long long size, total_in, total_out

    cpdef take(self, data)
    cpdef begin(self)
