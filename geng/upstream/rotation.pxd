# What rotation.py is in C: types only, no code. What may be negative stays Python's: its remainders are not C's.

cdef class Rotation:
    cdef public list members, order, heaps
    cdef public object total
    cdef public long at, period, until

    cpdef peer(self, long at)
    cpdef _following(self)
