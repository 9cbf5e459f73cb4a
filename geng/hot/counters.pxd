# What counters.py is in C: types only, no code.

cdef class Counters:
    cdef long long[::1] _slots

    cpdef add(self, Py_ssize_t i, long long n)
    cpdef put(self, Py_ssize_t i, long long value)
