# What peers.py is in C: types only, no code. A Peer stays as it is: those in shared memory have properties instead.
cimport cython
from geng.upstream.keepalive cimport KeepaliveCache as CCache
from geng.upstream.rotation cimport Rotation

cdef class Peers:
    cdef public object name, next, clock, lock, version, list, ranges
    cdef public Rotation rotation
    cdef public long number, total_weight, tries, guarded, patience
    cdef public bint backup, many, single

    cpdef candidates(self, tried, now)

    @cython.locals(rotation=Rotation, at=long)
    cpdef turn(self, long now)
    cpdef prepare(self, long now)
    cpdef settle(self)

cdef class Picker:
    cdef public Peers peers
    cdef public object upstream, r, tag, peer, name, sockaddr, connection, tried, version
    cdef public long tries
    cdef public bint cached, notifies

    @cython.locals(backup=Peers)
    cdef _begin(self, upstream, Peers peers, r, tag)

    cpdef choose(self)

    @cython.locals(cache=CCache)
    cpdef get(self)

    @cython.locals(taken=bint, cache=CCache)
    cpdef bint free(self, pick, long state, connection=*, bint keepalive=*) except -1

    cdef _leave(self, long state)
    cdef _failed(self, peer)
    cpdef _watch(self, peer, bint guarded)
