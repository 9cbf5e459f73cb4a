# What tls.py is in C: types, and the calls through pointers that Python has no words for.
cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.errno cimport errno

ctypedef int (*read_function)(void* ssl, void* buffer, int n) noexcept
ctypedef int (*write_function)(void* ssl, const void* data, int n) noexcept
ctypedef int (*error_function)(void* ssl, int rc) noexcept
ctypedef int (*pending_function)(void* ssl) noexcept
ctypedef void (*clear_function)() noexcept

# what load() has found
cdef struct Functions:
    read_function read
    write_function write
    error_function error
    pending_function pending
    clear_function clear

cdef Functions c[1]
cdef char room[65536]

cdef bint PLAIN
cdef Py_ssize_t _ROOM
cdef long _errno

cdef inline take_functions(size_t read, size_t write, size_t error, size_t pending, size_t clear):
    c[0].read = <read_function> read
    c[0].write = <write_function> write
    c[0].error = <error_function> error
    c[0].pending = <pending_function> pending
    c[0].clear = <clear_function> clear

cdef inline int ssl_read(size_t ssl, char* buffer, Py_ssize_t n) noexcept:
    return c[0].read(<void*> ssl, buffer, <int> n)

cdef inline int get_error(size_t ssl, int rc) noexcept:
    return c[0].error(<void*> ssl, rc)

cdef inline int has_pending(size_t ssl) noexcept:
    return c[0].pending(<void*> ssl)

cdef inline void clear_errors() noexcept:
    c[0].clear()

cdef inline long failed(size_t ssl, int rc) noexcept:
    global _errno
    _errno = errno
    return -c[0].error(<void*> ssl, rc)

cdef inline long fill(size_t ssl, object view) except? -99:
    cdef Py_buffer buffer
    cdef Py_ssize_t total = 0
    cdef int got = 1
    PyObject_GetBuffer(view, &buffer, PyBUF_WRITABLE)
    c[0].clear()
    while total < buffer.len:
        got = c[0].read(<void*> ssl, <char*> buffer.buf + total, <int> min(buffer.len - total, 1 << 30))
        if got <= 0:
            break
        total += got
        if not c[0].pending(<void*> ssl):
            break
    PyBuffer_Release(&buffer)
    return total if total else failed(ssl, got)

cdef inline long transmit(size_t ssl, object data, Py_ssize_t offset, Py_ssize_t n) except? -99:
    cdef Py_buffer buffer
    cdef int sent
    PyObject_GetBuffer(data, &buffer, PyBUF_SIMPLE)
    c[0].clear()
    sent = c[0].write(<void*> ssl, <char*> buffer.buf + offset, <int> n)
    PyBuffer_Release(&buffer)
    return sent if sent > 0 else failed(ssl, sent)

cpdef bint pending(size_t ssl)

@cython.locals(total=Py_ssize_t, got=int)
cpdef read(size_t ssl, Py_ssize_t n)

cpdef read_into(size_t ssl, view)

cpdef long write(size_t ssl, data, Py_ssize_t offset, Py_ssize_t n) except? -99
