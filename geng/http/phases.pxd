# What phases.py is in C: types only, no code.
cimport cython
from geng.http.request cimport Request as CRequest

@cython.locals(rc=long)
cpdef run(CRequest r)

@cython.locals(found=long)
cpdef find_config(CRequest r)

cpdef bint body_too_large(CRequest r) except -1

@cython.locals(rc=long)
cpdef rewrite_location(CRequest r)

@cython.locals(rc=long)
cpdef after_rewrite(CRequest r)

cpdef use_location(CRequest r, loc)

@cython.locals(disabled=long)
cdef _limit_keepalive(CRequest r, loc)

cpdef finalize(CRequest r, rc)
