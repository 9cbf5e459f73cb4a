# What escape.py is in C: types only, no code.
cimport cython

cdef bint PLAIN

@cython.locals(data=bytes, start="const unsigned char*", table="const unsigned char*", size=Py_ssize_t, i=Py_ssize_t)
cpdef bytes shown(value)
