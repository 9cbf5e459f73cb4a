# What response.py is in C: types only, no code.

cdef class ResponseOut:
    cdef public long status
    cdef public long long content_length, last_modified
    cdef public bint vary, chunked
    cdef public object line, content_type, charset, last_modified_text, etag, location, content_encoding
    cdef public object server, date, passed, hidden
    cdef public list headers, trailers
    cdef dict __dict__
