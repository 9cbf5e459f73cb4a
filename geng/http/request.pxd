# What request.py is in C: types only, no code. What is not here is kept in the request's dictionary.

cimport cython

# Under names of their own: the program imports the same ones.
from geng.hot.http1 cimport RequestHead as CRequestHead
from geng.http.linked cimport Linked as CLinked
from geng.http.response cimport ResponseOut as CResponseOut, new_response

cdef int _EXPECT

@cython.freelist(64)
cdef class Request:
    cdef public object c, hc, log, main, current, srv, loc
    cdef public CRequestHead head
    cdef public CResponseOut out
    cdef public CLinked hot
    cdef public dict vars, ctx
    cdef public object uri, args, cleanups, method_name, body, captures, upstream, upstream_states, sink, limit_rate
    cdef public object memory
    cdef public long long start_msec, content_length_n, request_length, header_size
    cdef public long uri_changes, err_status, backgrounds, method_id
    cdef public bint chunked_body, discarded, internal, uri_changed, header_sent, header_only, pushing, keepalive
    cdef public bint lingering, allow_ranges, post_action, logged, background, valid_unparsed_uri, valid_location
    cdef public bint single_range, disable_not_modified
    cdef dict __dict__

    cdef begin(self, c, hc, CRequestHead head, CLinked hot, long long start)
    cpdef discard_body(self)
    cpdef set_content_type(self)

    @cython.locals(hot=CLinked)
    cpdef bytes type_of_uri(self)

    @cython.locals(out=CResponseOut)
    cpdef respond(self, long status, bytes body=*, content_type=*)
