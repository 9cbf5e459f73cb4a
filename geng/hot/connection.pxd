# What connection.py is in C: types only, no code. The same names in the .py are the program.
cimport cython
from libc.errno cimport errno
from geng.hot.counters cimport Counters
from geng.hot.greenlets cimport Greenlets, current, switch

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_recv "recv"(int fd, void* buffer, size_t n, int flags)
    ssize_t c_send "send"(int fd, const void* data, size_t n, int flags)
    int c_setsockopt "setsockopt"(int fd, int level, int option, const void* value, unsigned int size)
    int MSG_DONTWAIT, MSG_NOSIGNAL

cdef extern from "<netinet/tcp.h>" nogil:
    int TCP_NODELAY

cdef extern from "<netinet/in.h>" nogil:
    int IPPROTO_TCP

cdef extern from "<time.h>" nogil:
    struct timespec:
        long tv_sec
        long tv_nsec
    int CLOCK_MONOTONIC
    int clock_gettime(int clock, timespec* at)

cdef bint PLAIN
cdef int _EAGAIN, _WAITING
cdef Py_ssize_t _ROOM, _JOIN_MAX, _IOV_MAX


# Where the kernel puts its answers; nothing else runs between the call and the copy, for the GIL is held.
cdef timespec at[1]
cdef char room[16384]

cdef double _now() noexcept

@cython.locals(got=Py_ssize_t, error=int)
cdef bytes _receive(int fd, Py_ssize_t n)

@cython.locals(start="const char*", size=Py_ssize_t, sent=Py_ssize_t, error=int)
cdef Py_ssize_t _transmit(int fd, bytes data) except? -2


cdef inline bint tcp_nodelay(int fd) noexcept:
    cdef int on = 1
    return not c_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))

cpdef bint no_delay(int fd) except -1


cdef class Timer:
    cdef public double deadline
    cdef public object due, callback, arg


cdef class Link:
    cdef public int fd, port, error
    cdef public long long sent, requests, start_msec
    cdef public bint eof, timedout, closed, ready, idle
    cdef public Greenlets hub
    cdef public Counters stat
    cdef public dict queue
    cdef public object number, pool, timers, listening, addr_text, buffer, data, context, on_drain, on_timeout
    cdef public Timer timer
    cdef public bint _watching, _reusable, _nodelay, _cork
    cdef public object _on_read, _waiter, _write_waiter, _reader, _writer, _wtimer, _sock, _local, _sockaddr

    cpdef reusable(self, bint flag)
    cpdef listen(self, handler)
    cpdef set_timeout(self, ms)

    cpdef _watch(self)
    cpdef _mute(self)

    @cython.locals(timer=Timer)
    cdef _set_deadline(self, ms)

    cpdef bint wait_read(self, ms) except *

    @cython.locals(size=Py_ssize_t, data=bytes)
    cpdef recv(self, Py_ssize_t n)

    @cython.locals(count=Py_ssize_t, single=bint, sent=Py_ssize_t)
    cpdef try_send(self, parts)

    @cython.locals(total=Py_ssize_t, sent=Py_ssize_t)
    cpdef send(self, parts, ms)
