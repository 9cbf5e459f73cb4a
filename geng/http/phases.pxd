# What phases.py is in C: types only, no code.
cimport cython
from geng.hot.connection cimport Link as CLink
from geng.http.linked cimport Linked as CLinked
from geng.http.request cimport Request as CRequest

from geng.http.location cimport find

cdef long _OK, _DONE, _DECLINED, _REDIRECT

@cython.locals(rc=long)
cpdef run(CRequest r)

@cython.locals(found=long, hot=CLinked)
cpdef long find_config(CRequest r) except -99

cpdef bint body_too_large(CRequest r) except -1

@cython.locals(rc=long)
cpdef rewrite_location(CRequest r)

@cython.locals(rc=long, hot=CLinked)
cpdef long after_rewrite(CRequest r) except -99

cpdef use_location(CRequest r, loc)

cpdef enter(CRequest r, CLinked hot)

@cython.locals(disabled=long, c=CLink)
cdef _limit_keepalive(CRequest r, CLinked hot)

cpdef finalize(CRequest r, rc)
