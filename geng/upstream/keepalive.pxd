# What keepalive.py is in C: types only, no code.
cimport cython
from geng.core.clock cimport msec
from geng.hot.connection cimport Link as CLink

cdef class KeepaliveCache:
    cdef public object _close, _stirred
    cdef public dict idle, stacks
    cdef public long size, requests, lifetime, timeout
    cdef public bint exiting, local

    @cython.locals(c=CLink, stack=list)
    cpdef take(self, sockaddr, tag)

    @cython.locals(stack=list)
    cpdef bint store(self, CLink c, sockaddr, tag) except -1

    cpdef close(self, c)
