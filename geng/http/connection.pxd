# What connection.py is in C: types only, no code.
cimport cython
from geng.core.clock cimport msec
from geng.hot.counters cimport Counters
from geng.hot.http1 cimport parse_request
from geng.http.phases cimport run

cdef long _DONE, _CLOSE, _CONNECT, _REQUESTS, _WRITING
from geng.hot.connection cimport Link as CLink
from geng.hot.http1 cimport RequestHead as CRequestHead
from geng.http.linked cimport Linked as CLinked
from geng.http.request cimport Request as CRequest

cdef class HttpConnection:
    cdef public CLink c
    cdef public CLinked default_hot, keepalive_hot
    cdef public object default, options
    cdef public bint named
    cdef public object action, address, discarding, keepalive_rest, proxy_protocol, request, srv, ssl
    cdef public object worker
    cdef public bytes buffer
    cdef public long long request_start
    cdef public long busy, room
    cdef public bint broken, detects, pipelined, reading_body, served, timed_out, wants_proxy_protocol

    cpdef bytes take_buffer(self)
    cpdef give_back(self, bytes data)

@cython.locals(hc=HttpConnection)
cpdef _readable(CLink c)

@cython.locals(c=CLink)
cpdef serve(HttpConnection hc)

@cython.locals(c=CLink, buf=bytes, head=CRequestHead, r=CRequest, stat=Counters)
cdef bint _serve_one(HttpConnection hc) except -1

@cython.locals(hc=HttpConnection)
cpdef choose_server(CRequest r, CRequestHead head)

@cython.locals(connection=long)
cdef _process(CRequest r, CRequestHead head)

@cython.locals(hot=CLinked)
cpdef process_request(CRequest r)

cpdef free_request(HttpConnection hc, CRequest r)

@cython.locals(c=CLink, hot=CLinked)
cdef bint _finish(HttpConnection hc, CRequest r) except -1

@cython.locals(c=CLink, hot=CLinked, timeout=cython.longlong, least=cython.longlong)
cdef _go_idle(HttpConnection hc)
