# What round_robin.py is in C: types only, no code.
cimport cython
from geng.upstream.peers cimport Picker

@cython.locals(total=long, top=long, weight=long, current=long)
cpdef smooth(candidates)

cdef class RoundRobin(Picker):
    cpdef choose(self)
    cpdef choose_in_turn(self)
    cpdef to_backup(self)
    cpdef mark(self, peer, now)
