# What state.py is in C: types only, no code.
cimport cython

@cython.freelist(64)
cdef class UpstreamState:
    cdef public long long start, connect_time, header_time, response_time, response_length, bytes_received, bytes_sent
    cdef public long status
    cdef public object peer

    cpdef begin(self, long long start)
