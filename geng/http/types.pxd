# What types.py is in C: types only, no code.

cdef class KnownTypes:
    cdef public object types
    cdef public dict found

    cpdef bint has(self, content_type) except -1
