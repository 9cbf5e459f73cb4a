# What response.py is in C: types only, no code.
cimport cython
from geng.hot.http1 cimport NameSet as CNameSet, ResponseHead as CResponseHead

@cython.freelist(64)
cdef class ResponseOut:
    cdef public long status
    cdef public long long content_length, last_modified
    cdef public bint vary, chunked
    cdef public object line, content_type, charset, last_modified_text, etag, location, content_encoding
    cdef public object server, date
    cdef public CResponseHead passed
    cdef public CNameSet hidden
    cdef public bint headless, expect_trailers
    cdef public list headers, trailers
    cdef dict __dict__

    cdef begin(self)


@cython.locals(out=ResponseOut)
cpdef ResponseOut new_response()
