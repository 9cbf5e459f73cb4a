# What hpack.py is in C: types only, no code.
cimport cython

cdef bytes FOLLOWING, SYMBOLS, FOUND, ENDS, LENGTHS
cdef tuple STATIC, CODES
cdef Py_ssize_t _OVERHEAD, _TABLE_SIZE, _INT_OCTETS, _NOT_YET, _STATIC_SIZE

@cython.final
cdef class Decoder:
    cdef list _entries
    cdef Py_ssize_t _free, _left, _n, _size
    cdef bint _complete
    cdef public Py_ssize_t field_limit, total_limit

    @cython.locals(fields=list)
    cpdef list decode(self, bytes block)

    cpdef begin(self)

    @cython.locals(p="const unsigned char*", i=Py_ssize_t, ch=int, field=tuple, name=bytes)
    cpdef Py_ssize_t go_on(
        self, bytes block, Py_ssize_t start, Py_ssize_t end, bint complete, list fields) except -1

    @cython.locals(value=Py_ssize_t, start=Py_ssize_t, stop=Py_ssize_t, shift=int, octet=int)
    cdef Py_ssize_t _integer(self, const unsigned char* p, Py_ssize_t i, Py_ssize_t end, int prefix, str what) except -1

    @cython.locals(coded=int)
    cdef Py_ssize_t _length(self, const unsigned char* p, Py_ssize_t i, Py_ssize_t end) except -1

    @cython.locals(n=Py_ssize_t)
    cdef bytes _text(self, const unsigned char* p, Py_ssize_t i)

    @cython.locals(count=Py_ssize_t)
    cdef tuple _entry(self, Py_ssize_t index)

    @cython.locals(size=Py_ssize_t)
    cdef _add(self, tuple field)

    @cython.locals(first=Py_ssize_t, name=bytes, value=bytes)
    cdef _evict(self, Py_ssize_t wanted)

    @cython.locals(less=Py_ssize_t)
    cdef _resize(self, Py_ssize_t size)


@cython.locals(following="const unsigned char*", symbols="const unsigned char*", found="const unsigned char*",
               out=bytearray, state=Py_ssize_t, end=Py_ssize_t, at=Py_ssize_t, ch=int)
cdef bytes _huffman_decode(const unsigned char* p, Py_ssize_t i, Py_ssize_t n)

@cython.locals(out=bytearray)
cpdef bytes integer(int first, int prefix, Py_ssize_t value)

cpdef bytes huffman_decode(bytes data)

cpdef bytes text(bytes data)

@cython.locals(lengths="const unsigned char*", size=Py_ssize_t, bits=Py_ssize_t, short=Py_ssize_t, out=bytearray,
               held="unsigned long long", count=int, ch="unsigned char")
cpdef bytes coded(bytes data, int first, int prefix)

cpdef bytes field(bytes name, bytes value)
