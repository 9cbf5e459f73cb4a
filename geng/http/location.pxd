# What location.py is in C: types only, no code.
cimport cython
from geng.http.request cimport Request as CRequest

cdef class LocationTree:
    cdef public dict exact, redirects
    cdef public list names, locs, outer
    cdef public tuple regexes

    @cython.locals(i=Py_ssize_t, names=list, name=bytes)
    cpdef prefix(self, bytes uri)

@cython.locals(outcome=long, uri=bytes, regexes=tuple)
cpdef long find(CRequest r, LocationTree tree) except -1
