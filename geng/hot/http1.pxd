# What http1.py is in C: types only, no code. The same names in the .py are the program.
cimport cython
from geng.hot.uri cimport validate_host

cdef bint PLAIN

cdef bytes LOWER, NAME_KIND, NAME_KIND_UNDERSCORES, VALUE_STOP, URI_KIND, QUERY_STOP, HOST_KIND, XDIGIT, LEAST
cdef tuple REQUEST_NAMES, RESPONSE_NAMES
cdef dict _REQUEST_IDS, _RESPONSE_IDS

cdef int _MORE, _DONE, _HOST_KNOWN, _EARLY_HINTS, _INVALID, _CGI, _EITHER, _CLOSE, _KEEP_ALIVE, _GET, _TRACE, _CONNECT
cdef int N_OTHER, N_TOKEN, N_COLON, N_CR, N_LF, N_BAD
cdef int Q_HOST, Q_CONNECTION, Q_CONTENT_LENGTH, Q_TRANSFER_ENCODING
cdef int A_STATUS, A_LOCATION, A_CONNECTION, A_CONTENT_LENGTH, A_TRANSFER_ENCODING
cdef Py_ssize_t INLINE, FIELDS
cdef int NAME, NAME_END, VALUE, VALUE_END, MARKS
cdef int ID_MASK, AS_SENT, DROPPED
cdef int LINE, END, BAD
cdef Py_ssize_t BAD_METHOD, BAD_REQUEST, BAD_VERSION, BAD_09_METHOD, NOT_YET
cdef Py_ssize_t MAX_LOGGED
cdef long long MAX_OFF
cdef int C_START, C_SIZE, C_EXTENSION, C_EXTENSION_CR, C_DATA, C_AFTER_DATA, C_AFTER_DATA_CR, C_LAST_EXTENSION
cdef int C_LAST_EXTENSION_CR, C_TRAILER, C_TRAILER_CR, C_TRAILER_LINE, C_TRAILER_LINE_CR, C_KEPT_TRAILERS
cdef bytes REQUEST_SLOTS, RESPONSE_SLOTS
cdef unsigned int REQUEST_SEED, RESPONSE_SEED
cdef unsigned long long REQUEST_UNIQUE, RESPONSE_FIRST_ONLY


cpdef str text(bytes data)
cpdef long long length_of(bytes value) except -2


@cython.final
cdef class NameSet:
    cdef readonly frozenset names
    cdef readonly unsigned long long request, response
    cdef readonly unsigned int lengths


cdef class Head:
    cdef bytes _buf, _slots
    cdef unsigned int _spans[160]
    cdef unsigned short _first[64]
    cdef list _more
    cdef Py_ssize_t _name, _name_end, _value, _value_end, _next
    cdef int _mark
    cdef unsigned int _seed
    cdef readonly int count, rc
    cdef readonly Py_ssize_t end
    cdef readonly str message
    cdef readonly list notes

    cdef _begin_head(self)

    @cython.locals(p="const unsigned char*", kinds="const unsigned char*", stops="const unsigned char*",
                   kind=int, last=Py_ssize_t)
    cdef int _line(self, Py_ssize_t i, Py_ssize_t end, bint underscores, bint upstream) except -1

    @cython.locals(p="const unsigned char*")
    cdef int _no_name(self, Py_ssize_t i, Py_ssize_t end, int kind) except -1

    @cython.locals(newline=Py_ssize_t)
    cdef int _ignore_line(self, Py_ssize_t i, Py_ssize_t end) except -1

    @cython.locals(p="const unsigned char*", lower="const unsigned char*", slots="const unsigned char*",
                   i=Py_ssize_t, size=Py_ssize_t, mark=int, marks=int, k=Py_ssize_t)
    cdef int _keep(self) except -1

    cdef bytes _known(self, int number)

    @cython.locals(p="const unsigned char*", lower="const unsigned char*", q="const unsigned char*", i=Py_ssize_t)
    cdef bint _is(self, Py_ssize_t at, Py_ssize_t size, bytes name) except -1

    @cython.locals(at=Py_ssize_t, size=Py_ssize_t, last=Py_ssize_t)
    cdef bint _has(self, Py_ssize_t k, bytes word) except -1

    @cython.locals(k=int)
    cdef int _drop(self) except -1

    cdef inline Py_ssize_t _at(self, Py_ssize_t k, int field) except -1

    @cython.locals(p="const unsigned char*")
    cdef bytes _name_of(self, Py_ssize_t k)

    @cython.locals(p="const unsigned char*")
    cdef bytes _value_of(self, Py_ssize_t k)

    @cython.locals(k=Py_ssize_t)
    cdef bytes _first_value(self, int number)

    cpdef bytes first(self, int number)

    @cython.locals(p="const unsigned char*")
    cdef str _bad_line(self, str who)

    @cython.locals(last=Py_ssize_t)
    cdef str _duplicate(self, Py_ssize_t first)

    cdef int _note(self, str message) except -1

    cdef int _number(self, bytes name) except -1

    @cython.locals(size=Py_ssize_t, count=Py_ssize_t, at=Py_ssize_t)
    cdef Py_ssize_t _find(self, bytes name, Py_ssize_t k) except -2

    @cython.locals(number=int, k=Py_ssize_t)
    cpdef bytes get(self, bytes name)

    @cython.locals(k=Py_ssize_t, values=list)
    cpdef list getall(self, bytes name)

    @cython.locals(values=list)
    cpdef bytes joined(self, bytes name, bytes separator=*)

    @cython.locals(p="const unsigned char*", lower="const unsigned char*", q="const unsigned char*",
                   size=Py_ssize_t, found=bytes, k=Py_ssize_t, at=Py_ssize_t, i=Py_ssize_t, ch=int)
    cpdef bytes variable(self, bytes name)

    @cython.locals(k=Py_ssize_t)
    cpdef list items(self)

    @cython.locals(p="const unsigned char*", lengths="unsigned int", start=Py_ssize_t, stop=Py_ssize_t, k=Py_ssize_t,
                   name=Py_ssize_t, name_end=Py_ssize_t, marks=int, number=int, skip=int)
    cdef int _write(self, object out, unsigned long long known, NameSet names) except -1


cdef int _put(object out, bytes piece) except -1


@cython.final
cdef class RequestOptions:
    cdef public bint underscores_in_headers, ignore_invalid_headers, merge_slashes, allow_connect, stop_at_host
    cdef public Py_ssize_t max_headers, small, large, number
    cdef public long major


@cython.final
cdef class RequestHead(Head):
    cdef public RequestOptions options
    cdef Py_ssize_t _args_start, _exten_start, _host_end, _host_start, _limit, _line_end, _method_end, _protocol
    cdef Py_ssize_t _schema_end, _schema_start, _start, _uri_end, _uri_start
    cdef int _stage
    cdef bint _uri_known
    cdef bytes _args, _exten, _uri
    cdef readonly int busy, connection_type, http_major, http_minor, http_version, method_id, port
    cdef readonly bint chunked, complex_uri, empty_path, plus_in_uri, quoted_uri
    cdef readonly long long content_length_n
    cdef readonly bytes server

    cdef _begin(self, RequestOptions options)

    @cython.locals(size=Py_ssize_t)
    cpdef int feed(self, bytes buf, Py_ssize_t end=*) except -1

    cdef int _fail(self, int status, str message) except -1
    cdef Py_ssize_t _cap(self, Py_ssize_t start) except -1
    cdef int _took(self, Py_ssize_t start, Py_ssize_t stop) except -1

    @cython.locals(p="const unsigned char*", i=Py_ssize_t, cap=Py_ssize_t, stop=Py_ssize_t)
    cdef int _request_line(self, Py_ssize_t end) except -1

    @cython.locals(p="const unsigned char*")
    cdef int _use_request_line(self) except -1

    @cython.locals(p="const unsigned char*", start=Py_ssize_t)
    cdef Py_ssize_t _method(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*")
    cdef Py_ssize_t _target(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*", connect=bint)
    cdef Py_ssize_t _authority(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*", kinds="const unsigned char*", kind=int, after_slash=bint)
    cdef Py_ssize_t _path(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*", stops="const unsigned char*")
    cdef Py_ssize_t _query(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*")
    cdef Py_ssize_t _after_target(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*")
    cdef Py_ssize_t _line_done(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*", left=Py_ssize_t)
    cdef Py_ssize_t _version(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*", i=Py_ssize_t, cap=Py_ssize_t, stop=Py_ssize_t, found=int, number=int,
                   rc=int, options=RequestOptions)
    cdef int _headers(self, Py_ssize_t end) except -1

    @cython.locals(p="const unsigned char*", length=Py_ssize_t)
    cdef int _too_large(self, Py_ssize_t i, Py_ssize_t stop) except -1

    @cython.locals(k=Py_ssize_t, first=Py_ssize_t, value=bytes)
    cdef int _use(self, int number) except -1

    @cython.locals(p="const unsigned char*", kinds="const unsigned char*", start=Py_ssize_t, kind=int, last=int)
    cdef bint _plain_host(self, Py_ssize_t i, Py_ssize_t end) except -1

    cdef int _use_host(self, Py_ssize_t k, Py_ssize_t first) except -1
    @cython.locals(rc=int)
    cdef int _finish(self) except -1
    cdef int _use_transfer_encoding(self, bytes value) except -1

    cpdef as_fields(self)
    cpdef write_upstream(self, object out, NameSet skip)

    @cython.locals(p="const unsigned char*")
    cpdef bytes read_line(self)

    @cython.locals(p="const unsigned char*")
    cpdef bytes read_target(self)

    @cython.locals(p="const unsigned char*")
    cpdef bytes read_uri(self)
    cpdef bytes read_args(self)


cpdef int browser_of(bytes agent) except -1

@cython.locals(head=RequestHead)
cpdef RequestHead parse_request(
    object buf, Py_ssize_t pos=*, Py_ssize_t end=*, RequestOptions options=*, Py_ssize_t room=*, int busy=*)


@cython.final
cdef class ResponseHead(Head):
    cdef int _stage
    cdef Py_ssize_t _start, _status_end, _status_start
    cdef bytes _status_text
    cdef readonly bint chunked, connection_close
    cdef readonly long long content_length_n
    cdef readonly int http_version, kind, status

    cdef _begin(self, int kind)

    @cython.locals(size=Py_ssize_t)
    cpdef int feed(self, bytes buf, Py_ssize_t end=*) except -1

    @cython.locals(i=Py_ssize_t)
    cdef int _status_line(self, Py_ssize_t end) except -1

    @cython.locals(p="const unsigned char*", left=Py_ssize_t, major=int, minor=int)
    cdef Py_ssize_t _scan_status_line(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(p="const unsigned char*", status=int, digits=int, ch=int)
    cdef Py_ssize_t _scan_status(self, Py_ssize_t i, Py_ssize_t end) except -9

    @cython.locals(i=Py_ssize_t, found=int, number=int, rc=int)
    cdef int _headers(self, Py_ssize_t end) except -1

    @cython.locals(p="const unsigned char*", kinds="const unsigned char*", i=Py_ssize_t)
    cdef bint _is_nameless(self) except -1

    @cython.locals(k=Py_ssize_t, first=Py_ssize_t)
    cdef int _use(self, int number) except -1

    cdef int _invalid(self, str message) except -1
    cdef int _use_content_length(self, Py_ssize_t k) except -1
    @cython.locals(value=bytes)
    cdef int _use_transfer_encoding(self, Py_ssize_t k) except -1
    cdef int _finish(self) except -1
    @cython.locals(value=bytes, digits=bytes)
    cdef int _finish_cgi(self) except -1

    @cython.locals(i=Py_ssize_t, found=int)
    cpdef int read_lines(self, bytes buf) except -1

    cpdef write_client(self, object out, NameSet hidden)

    @cython.locals(p="const unsigned char*")
    cpdef bytes read_status_line(self)


@cython.locals(head=ResponseHead)
cpdef ResponseHead parse_response(object buf, Py_ssize_t pos=*, Py_ssize_t end=*, int kind=*)


@cython.final
cdef class Chunked:
    cdef int _state
    cdef bytes _tail
    cdef public bint keep_trailers
    cdef public Py_ssize_t trailer_limit
    cdef readonly long long size, length
    cdef readonly str message
    cdef readonly Py_ssize_t pos
    cdef readonly int rc
    cdef readonly list trailers

    @cython.locals(i=Py_ssize_t, stop=Py_ssize_t, spans=list)
    cpdef list feed(self, object buf, Py_ssize_t pos=*, Py_ssize_t end=*)

    cdef int _measure(self) except -1

    @cython.locals(p="const unsigned char*", xdigit="const unsigned char*", state=int, ch=int, digit=int)
    cdef Py_ssize_t _scan(self, bytes buf, Py_ssize_t i, Py_ssize_t end) except -1

    cdef Py_ssize_t _fail(self, Py_ssize_t i) except -1

    @cython.locals(before=Py_ssize_t, taken=Py_ssize_t, tail=bytes, head=ResponseHead)
    cdef Py_ssize_t _read_trailers(self, bytes buf, Py_ssize_t i, Py_ssize_t end) except -1


cpdef bytes chunk_header(object size)
