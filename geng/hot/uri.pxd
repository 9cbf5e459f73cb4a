# What uri.py is in C: types only, no code.
cimport cython

cdef bytes HEX, HOST_KIND, _KINDS, _XDIGITS
cdef tuple ESCAPED
cdef int _PLAIN, _AFTER_SLASH, _AFTER_DOT, _AFTER_DOT_DOT
cdef int _SLASH, _DOT, _PERCENT, _QUERY, _HASH, _PLUS
cdef int _H_BAD, _H_PLAIN, _H_UPPER, _H_DOT, _H_COLON, _H_OPEN, _H_CLOSE, _H_PERCENT
cdef int _MAIL_XTEXT, _ALL, _REDIRECT


@cython.locals(p="const unsigned char*", escaped="const unsigned char*", hex="const unsigned char*", size=Py_ssize_t,
               i=Py_ssize_t, mark=int, ch=int, out=bytearray)
cpdef bytes escape_uri(bytes text, int kind=*)

@cython.locals(p="const unsigned char*", escaped="const unsigned char*", size=Py_ssize_t, i=Py_ssize_t, n=Py_ssize_t)
cpdef Py_ssize_t escaped_length(bytes text, int kind=*) except -1

@cython.locals(p="const unsigned char*", xdigit="const unsigned char*", size=Py_ssize_t, i=Py_ssize_t, ch=int,
               out=bytearray)
cpdef bytes unescape_uri(bytes text, int mode=*)

@cython.locals(slash=Py_ssize_t)
cdef bint _climb(bytearray out) except -1


@cython.final
cdef class ParsedUri:
    cdef readonly bytes path, args, exten
    cdef readonly bint plus, quoted


@cython.locals(p="const unsigned char*", kinds="const unsigned char*", xdigit="const unsigned char*", size=Py_ssize_t,
               out=bytearray, state=int, ext=Py_ssize_t, plus=bint, quoted=bint, args=bytes, i=Py_ssize_t, ch=int,
               kind=int, hash_at=Py_ssize_t)
cpdef ParsedUri parse_uri(bytes text, bint merge_slashes=*, bint empty_path=*)

@cython.locals(p="const unsigned char*", low=bytes, key=bytes, at=Py_ssize_t, start=Py_ssize_t, stop=Py_ssize_t)
cpdef bytes arg(bytes args, bytes name)

@cython.locals(dot=Py_ssize_t)
cpdef bytes exten(bytes uri)

@cython.locals(p="const unsigned char*", kinds="const unsigned char*", size=Py_ssize_t, upper=bint, dot=Py_ssize_t,
               i=Py_ssize_t, literal=bint, kind=int, stop=Py_ssize_t, port=int, digit=int, name=bytes)
cpdef tuple validate_host(bytes host)
