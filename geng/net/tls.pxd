# What tls.py is in C: types, and the calls that Python has no words for.
cimport cython
from cpython.exc cimport PyErr_SetFromErrno
from geng.hot.connection cimport Link as CLink
from geng.hot.tls cimport pending, read, write

cdef extern from "<sys/socket.h>" nogil:
    ssize_t c_recv "recv"(int fd, void* buffer, size_t n, int flags)
    int c_setsockopt "setsockopt"(int fd, int level, int name, const void* value, unsigned int size)
    int MSG_DONTWAIT, MSG_PEEK

cdef extern from "<netinet/in.h>" nogil:
    int IPPROTO_TCP

cdef extern from "<netinet/tcp.h>" nogil:
    int TCP_NODELAY

cdef bint PLAIN

cdef inline bytes peek_byte(int fd):
    cdef char byte
    cdef ssize_t got = c_recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT)
    if got < 0:
        PyErr_SetFromErrno(OSError)
    return (&byte)[:got]

cdef inline bint tcp_nodelay(int fd) noexcept:
    cdef int on = 1
    c_setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))
    return True

cdef class Tls:
    cdef public size_t pointer
    cdef public Py_ssize_t buffer_size, credit
    cdef public long long session_start, session_timeout
    cdef public bint handshaked, accepted, rejected, misdirected, early, wants_read, wants_write, unclean
    cdef public bint no_send_shutdown
    cdef public object library, connection, context, servername, regex, early_byte, revoked, on_session, data, blocked

cdef _receive(CLink c, Tls tls, Py_ssize_t n)

@cython.locals(taken=Py_ssize_t, skip=Py_ssize_t, room=Py_ssize_t, offset=Py_ssize_t, n=Py_ssize_t, done=Py_ssize_t,
               sent=Py_ssize_t)
cdef Py_ssize_t _send(CLink c, Tls tls, parts) except -1

@cython.locals(sent=Py_ssize_t)
cdef Py_ssize_t _write(CLink c, Tls tls, data, Py_ssize_t offset, Py_ssize_t n) except -1

@cython.locals(n=Py_ssize_t)
cdef _record(data, Py_ssize_t room)

@cython.locals(size=Py_ssize_t, n=Py_ssize_t, start=Py_ssize_t, taken=Py_ssize_t)
cdef list _records(parts, Py_ssize_t room)
