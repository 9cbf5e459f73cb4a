# What body.py is in C: types only, no code.
cimport cython
from geng.hot.connection cimport Link as CLink
from geng.http.request cimport Request as CRequest

cdef class RequestBody:
    cdef public list memory
    cdef public object file
    cdef public long long length

    cpdef list parts(self)

cdef class BodyReader:
    cdef public CRequest r
    cdef public CLink c
    cdef public object chunked
    cdef public bint done
    cdef public long long limit, received, rest

    @cython.locals(rest=cython.longlong, size=cython.longlong)
    cpdef tuple take(self, bytes data)
    @cython.locals(parts=list)
    cpdef list preread(self)
    @cython.locals(parts=list)
    cpdef list read(self, long long size, ms)

cpdef test_expect(CRequest r)

cpdef bint has_body(CRequest r)

@cython.locals(body=RequestBody, reader=BodyReader)
cpdef long read_body(CRequest r) except? -1

@cython.locals(buffer_size=cython.longlong, in_memory=cython.longlong, room=cython.longlong, with_head=cython.longlong)
@cython.locals(held=cython.longlong, plain=bint, whole=bint, parts=list, part=bytes)
cdef _collect(CRequest r, BodyReader reader, RequestBody body)

cdef long long _header_buffer(CRequest r) except? -1
