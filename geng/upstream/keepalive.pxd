# What keepalive.py is in C: types only, no code.

cdef class KeepaliveCache:
    cdef public object clock
    cdef public dict idle, stacks
    cdef public long size, requests, lifetime, timeout
    cdef public bint exiting, local

    cpdef take(self, sockaddr, tag)
    cpdef bint store(self, c, sockaddr, tag) except -1
    cpdef close(self, c)
