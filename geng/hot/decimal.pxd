# What decimal.py is in C: types only, no code.
cimport cython

cdef bint PLAIN
cdef tuple _known
cdef int SMALL
cdef char digits[20]

@cython.locals(i=cython.int)
cpdef bytes decimal(long long n)
