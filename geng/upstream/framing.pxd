# What framing.py is in C: types only, no code.
cimport cython

cdef class Framing:
    cdef public long long left
    cdef public bint done, over
    cdef public object warning, error, trailers

    cpdef feed(self, bytes data)
    cpdef skipped(self, long long n)

cdef class Sized(Framing):
    @cython.locals(left=cython.longlong, size=cython.longlong)
    cpdef feed(self, bytes data)

cdef class Chunks(Framing):
    cdef public object chunked
