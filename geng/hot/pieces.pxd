# What pieces.py is in C: types only, no code.
cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.string cimport memcpy

cdef extern from "Python.h":
    char* NULL

cdef bint PLAIN

@cython.locals(size=Py_ssize_t, made=bytes, at="char*")
cpdef bytes join(list pieces)
