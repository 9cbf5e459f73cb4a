# What escape.py is in C: types only, no code.
cimport cython
from libc.errno cimport errno

cdef extern from "<unistd.h>" nogil:
    ssize_t c_write "write"(int fd, const void* data, size_t n)

cdef bint PLAIN

@cython.locals(data=bytes, start="const unsigned char*", table="const unsigned char*", size=Py_ssize_t, i=Py_ssize_t)
cpdef bytes shown(value)

@cython.locals(start="const char*", written=Py_ssize_t, error=int)
cpdef Py_ssize_t append(int fd, bytes line) except -1
