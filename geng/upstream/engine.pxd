# What engine.py is in C: types only, no code. What is not here is kept in the exchange's dictionary.
cimport cython
from geng.hot.connection cimport Link as CLink
from geng.hot.http1 cimport ResponseHead as CResponseHead
from geng.hot.greenlets cimport current
from geng.http.filters cimport Writer as CWriter, send_head
from geng.http.request cimport Request as CRequest
from geng.upstream.framing cimport Framing as CFraming
from geng.upstream.headers cimport HeaderRules as CHeaderRules
from geng.upstream.peers cimport Picker as CPicker
from geng.upstream.state cimport UpstreamState as CState

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* at)

cdef bint PLAIN
cdef long _AGAIN, _DONE, _ANSWERED, _FREED
cdef timespec at[1]

cdef long long _now() noexcept

cdef class Exchange

cdef class Adapter:
    cdef public object conf, upstream, upstreams, schema, tls
    cdef public CHeaderRules rules
    cdef public Py_ssize_t receive, buffer_size
    cdef public long read_timeout, tries
    cdef public bint watches, buffering, cached, stores, keeps, silent, framed
    cdef dict __dict__

    cpdef create_request(self, Exchange u)
    cpdef parse(self, Exchange u, bytes data)
    cpdef headed(self, Exchange u, CResponseHead head)
    cpdef framing(self, Exchange u, CResponseHead head)

@cython.freelist(64)
cdef class Exchange:
    cdef public CRequest r
    cdef public Adapter adapter
    cdef public CLink connection
    cdef public CPicker picker
    cdef public CResponseHead head
    cdef public CState state
    cdef public object conf, schema, uri, name, vars, sender, request, greenlet, aim, redirect, stream, access, tls
    cdef public bint buffering, picked, request_sent, keepalive, header_sent, head_method, upgrade, acted, chunked, as_get
    cdef public object trailers, cache_status, fault, framed
    cdef public bint cached
    cdef public long long body_length, began, hints_length

    cdef begin(self, CRequest r, Adapter adapter)

    @cython.locals(r=CRequest, client=CLink, watch=bint, rc=long)
    cpdef run(self)

    @cython.locals(r=CRequest, adapter=Adapter, picker=CPicker)
    cpdef long start(self) except -99

    @cython.locals(r=CRequest, adapter=Adapter, picker=CPicker, state=CState, c=CLink, head=CResponseHead, data=bytes)
    cpdef long attempt(self) except -99

    @cython.locals(state=CState, adapter=Adapter, status=long)
    cpdef long answered(self, CLink c, CResponseHead head, bytes data) except -99

    @cython.locals(r=CRequest, adapter=Adapter, framing=CFraming, w=CWriter)
    cpdef long respond(self, CLink c, CResponseHead head, bytes data) except -99

    @cython.locals(r=CRequest, state=CState, size=Py_ssize_t)
    cpdef long pass_response(self, CLink c, CResponseHead head, bytes data, CFraming framing, CWriter w) except -99

    cpdef finish(self, CWriter w, CFraming framing, parts)

    @cython.locals(c=CLink, state=CState, picker=CPicker, kept=bint)
    cpdef release(self, bint keepalive)

cpdef exchange(CRequest r, Adapter adapter, begin)
cpdef serve(Exchange u, CRequest r, Adapter adapter, begin)
