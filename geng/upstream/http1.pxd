# What http1.py is in C: types only, no code.
cimport cython
from geng.hot.http1 cimport ResponseHead as CResponseHead
from geng.http.request cimport Request as CRequest
from geng.upstream.engine cimport Adapter, Exchange

cdef class Http1Adapter(Adapter):
    cdef public object assemble, assemble_cached
    cdef public bint pass_body, keep_trailers
    cdef public long version

    @cython.locals(r=CRequest)
    cpdef create_request(self, Exchange u)

    cpdef parse(self, Exchange u, bytes data)

    @cython.locals(status=long)
    cpdef headed(self, Exchange u, CResponseHead head)

    @cython.locals(n=cython.longlong)
    cpdef framing(self, Exchange u, CResponseHead head)
