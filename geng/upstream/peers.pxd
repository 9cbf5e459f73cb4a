# What peers.py is in C: types only, no code. Peers and their groups stay as they are: those in shared memory differ.
cimport cython

cdef class Picker:
    cdef public object upstream, r, tag, peers, peer, name, sockaddr, connection, tried, version
    cdef public long tries
    cdef public bint cached

    cpdef choose(self)
    cpdef get(self)

    @cython.locals(taken=bint)
    cpdef bint free(self, pick, long state, connection=*, bint keepalive=*) except -1

    cdef _leave(self, long state)
    cdef _failed(self, peer)
    cpdef _watch(self, peer, bint guarded)
