# What filters.py is in C: types only, no code.
cimport cython
from geng.http.linked cimport Linked as CLinked
from geng.http.request cimport Request as CRequest

cdef class FileSlice:
    cdef public long fd
    cdef public long long offset, length
    cpdef bytes read(self)

cdef class Writer:
    cdef public Writer inner
    cpdef write(self, parts, bint flush=*)
    cpdef end(self)
    cpdef abort(self)
    cpdef splice_target(self)
    cpdef spliced(self, n)

cdef class Discard(Writer):
    pass

cdef class Memory(Writer):
    cdef public object sub
    cdef public list kept
    cdef public long long room

cdef class Joint(Writer):
    pass

cdef class Postpone(Writer):
    cdef public object sub

@cython.locals(hot=CLinked)
cpdef Writer send_head(CRequest r)
