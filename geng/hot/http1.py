"""The heads of HTTP/1 messages as spans into the received bytes, and the chunked coding.

nginx: ngx_http_parse.c, ngx_http_request.c, ngx_http_upstream.c, ngx_http_proxy_module.c.   RFC 9112.

A request:

    options = RequestOptions(underscores_in_headers=False, …)     # once per server {}
    head = parse_request(buf, pos, end, options)                  # buf: bytes; one pass
    while head.rc == NEED_MORE:
        buf += more                                               # what came before stays where it was
        head.feed(buf)
    head.rc                 DONE, or HOST_KNOWN (see RequestOptions.stop_at_host: set head.options, call feed() again),
                            or the status to answer with: 400 405 414 494 501 505
    head.message            then says what to log at level info; 494 also asks for a lingering close
    head.notes              what to log at level info besides: header lines that were ignored
    head.end, head.size     first byte behind the head; bytes from the request line on (nginx: request_length)
    head.room, head.busy    what is left of nginx's current header buffer, and large buffers taken; give them to
                            parse_request() for a request that was pipelined behind this one

    method method_id request_line unparsed_uri valid_unparsed_uri uri args exten schema protocol
    complex_uri quoted_uri plus_in_uri http_version http_major http_minor
    server port             the host asked for, lower case, from the request line or Host; what Host said: host
    content_length_n        -1 when absent;  chunked
    connection_type         0, CLOSE or KEEP_ALIVE
    if_modified_since …     one property per header that nginx indexes: the first one's value or None
    browser                 MSIE | MSIE6 | …, from User-Agent

Both heads (names in lower case):

    head.get(name)          value of the first, or None          head.getall(name)      list of all values
    head.joined(name, sep)  all values in one, or None           head.variable(name)    the same; "_" matches "-"
    head.items()            [(name as sent, value)]              head.count             header lines kept

    skip = NameSet([b"host", b"connection"])                     # once per location
    head.write_upstream(out, skip)                               # request: all other lines, "Name: value\r\n"
    head.write_client(out, hidden)                               # response: likewise. out: list of bytes or bytearray

A response:

    head = parse_response(buf, pos, end, HTTP)                   # or CGI (no status line), EITHER
    head.rc                 NEED_MORE, DONE, EARLY_HINTS (a whole 103; parse the next at head.end), INVALID (502)
    head.message            with INVALID, and with DONE when http_version is 9 (no status line: the body begins at
                            head.end, status is 0): to log at level error
    head.notes              to log at level warn: duplicates that were dropped
    status status_line reason http_version content_length_n chunked connection_close and properties per header

A chunked body: see Chunked.

Compiled (CPython 3.11, one core): the head of a browser's GET, 10 headers and 518 bytes, 0.50 us; a response head of
12 headers, 418 bytes, 0.50 us; write_upstream 0.08 us, write_client 0.17 us; get() 0.06 us; 16 chunks of 4 KB 0.8 us.
Plain: 33, 29, 2.9, 3.4, 0.25 and 17 us. What made the difference: every constant a C integer (2.8 to 1.5 us), no
Python call for a plain Host and no `in` on bytes, which formats an exception each time (1.5 to 0.5 us).
"""

from __future__ import annotations

from collections.abc import Iterable

from geng.hot import uri as uris
from geng.hot.uri import validate_host

PLAIN = __file__.endswith((".py", ".pyc"))
"""Whether this module runs as Python; compiled, the arrays below are C arrays and need no making."""

NEED_MORE, DONE, HOST_KNOWN, EARLY_HINTS, INVALID = range(5)
"""What a parse came to (head.rc); a request's is a status when it is 400 or more."""

HTTP, CGI, EITHER = range(3)
"""What a response begins with: a status line; header lines; whichever comes (ngx_http_uwsgi_module.c)."""

CLOSE, KEEP_ALIVE = 1, 2
"""RequestHead.connection_type."""

# The same for this file: compiled, these are C integers, which nobody else can see.
_MORE, _DONE, _HOST_KNOWN, _EARLY_HINTS, _INVALID = range(5)
_CGI, _EITHER = CGI, EITHER
_CLOSE, _KEEP_ALIVE = CLOSE, KEEP_ALIVE

MSIE, MSIE6, OPERA, GECKO, CHROME, SAFARI, KONQUEROR = 1, 2, 4, 8, 16, 32, 64
"""RequestHead.browser."""

UNKNOWN, GET, HEAD, POST, PUT, DELETE, MKCOL, COPY, MOVE = (1 << n for n in range(9))
OPTIONS, PROPFIND, PROPPATCH, LOCK, UNLOCK, PATCH, TRACE, CONNECT = (1 << n for n in range(9, 17))

_GET, _TRACE, _CONNECT = GET, TRACE, CONNECT

METHODS = {
    b"GET": GET,
    b"HEAD": HEAD,
    b"POST": POST,
    b"PUT": PUT,
    b"DELETE": DELETE,
    b"MKCOL": MKCOL,
    b"COPY": COPY,
    b"MOVE": MOVE,
    b"OPTIONS": OPTIONS,
    b"PROPFIND": PROPFIND,
    b"PROPPATCH": PROPPATCH,
    b"LOCK": LOCK,
    b"UNLOCK": UNLOCK,
    b"PATCH": PATCH,
    b"TRACE": TRACE,
    b"CONNECT": CONNECT,
}

MAX_LOGGED = 2048 - 300  # of a header line that is too long (NGX_MAX_ERROR_STR - 300)
MAX_OFF = (1 << 63) - 1

# --- tables of bytes ------------------------------------------------------------------------------------------------

LOWER = bytes(range(256)).lower()

N_OTHER, N_TOKEN, N_COLON, N_CR, N_LF, N_BAD = range(6)
"""Classes of bytes in a header's name: N_OTHER makes the line invalid, N_BAD makes the head invalid."""


def _name_kinds(tokens: bytes) -> bytes:
    kinds = bytearray(256)
    for ch in range(0x21):
        kinds[ch] = N_BAD
    kinds[0x7F] = N_BAD
    for ch in tokens:
        kinds[ch] = N_TOKEN
    kinds[58] = N_COLON
    kinds[13] = N_CR
    kinds[10] = N_LF
    return bytes(kinds)


_TOKENS = b"-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
NAME_KIND = _name_kinds(_TOKENS)
NAME_KIND_UNDERSCORES = _name_kinds(_TOKENS + b"_")
VALUE_STOP = bytes(int(ch in b"\0\r\n") for ch in range(256))
URI_KIND = uris.URI_KIND
QUERY_STOP = bytes(int(ch <= 0x20 or ch in b"#\x7f") for ch in range(256))
# 1: stands in a host name as it is; 2: a dot, which must follow and be followed by a 1 (the general rule is in uri.py)
HOST_KIND = bytes(1 if c in b"abcdefghijklmnopqrstuvwxyz0123456789-_" else 2 if c == 46 else 0 for c in range(256))

# --- the headers that nginx indexes ---------------------------------------------------------------------------------

REQUEST_NAMES = (
    b"",
    b"host",
    b"connection",
    b"if-modified-since",
    b"if-unmodified-since",
    b"if-match",
    b"if-none-match",
    b"user-agent",
    b"referer",
    b"content-length",
    b"content-range",
    b"content-type",
    b"range",
    b"if-range",
    b"transfer-encoding",
    b"te",
    b"expect",
    b"upgrade",
    b"accept-encoding",
    b"via",
    b"authorization",
    b"proxy-authorization",
    b"keep-alive",
    b"x-forwarded-for",
    b"x-real-ip",
    b"accept",
    b"accept-language",
    b"depth",
    b"destination",
    b"overwrite",
    b"date",
    b"cookie",
)
_REQUEST_UNIQUE = (
    b"if-modified-since if-unmodified-since if-match if-none-match content-length content-range if-range "
    b"transfer-encoding expect authorization proxy-authorization"
).split()

RESPONSE_NAMES = (
    b"",
    b"status",
    b"content-type",
    b"content-length",
    b"date",
    b"last-modified",
    b"etag",
    b"server",
    b"www-authenticate",
    b"location",
    b"refresh",
    b"set-cookie",
    b"content-disposition",
    b"cache-control",
    b"expires",
    b"accept-ranges",
    b"upgrade",
    b"content-range",
    b"connection",
    b"keep-alive",
    b"vary",
    b"link",
    b"x-accel-expires",
    b"x-accel-redirect",
    b"x-accel-limit-rate",
    b"x-accel-buffering",
    b"x-accel-charset",
    b"transfer-encoding",
    b"content-encoding",
    b"trailer",
)
_RESPONSE_FIRST_ONLY = (
    b"status content-type date last-modified etag server location refresh expires x-accel-expires x-accel-redirect "
    b"x-accel-limit-rate"
).split()


def _mask(names: Iterable[bytes], known: tuple[bytes, ...]) -> int:
    """A bit for the number of each name that *known* has."""
    return sum(1 << known.index(name) for name in names if name in known)


REQUEST_UNIQUE = _mask(_REQUEST_UNIQUE, REQUEST_NAMES)
"""Headers that a request may have once: a second one is a 400."""
RESPONSE_FIRST_ONLY = _mask(_RESPONSE_FIRST_ONLY, RESPONSE_NAMES)
"""Headers of which a response's first one counts; the others are dropped with a warning."""

_REQUEST_IDS = {name: number for number, name in enumerate(REQUEST_NAMES) if name}
_RESPONSE_IDS = {name: number for number, name in enumerate(RESPONSE_NAMES) if name}


def request_number(name: bytes) -> int:
    """Which of the headers that nginx indexes *name* is, for RequestHead.first(); 0 for others."""
    return _REQUEST_IDS.get(name, 0)


def response_number(name: bytes) -> int:
    """Which of the headers that nginx indexes *name* is, for ResponseHead.first(); 0 for others."""
    return _RESPONSE_IDS.get(name, 0)


def _slot(name: bytes, seed: int) -> int:
    """Where a name stands in a table of 256: from its length and its first, middle and last byte."""
    size = len(name)
    return (size * 5 + name[0] * seed + name[size >> 1] * 3 + name[size - 1] * 7) & 255


def _perfect(names: tuple[bytes, ...]) -> tuple[int, bytes]:
    """(seed, table): a table in which no two names share a slot. A few dozen tries."""
    for seed in range(1, 100_000):
        slots = {_slot(name, seed): number for number, name in enumerate(names) if number}
        if len(slots) == len(names) - 1:
            return seed, bytes(slots.get(slot, 0) for slot in range(256))
    raise AssertionError("no seed keeps the names apart")


REQUEST_SEED, REQUEST_SLOTS = _perfect(REQUEST_NAMES)
RESPONSE_SEED, RESPONSE_SLOTS = _perfect(RESPONSE_NAMES)

# --- numbers of the headers that the parsers themselves look at -----------------------------------------------------

Q_HOST = _REQUEST_IDS[b"host"]
Q_CONNECTION = _REQUEST_IDS[b"connection"]
Q_CONTENT_LENGTH = _REQUEST_IDS[b"content-length"]
Q_TRANSFER_ENCODING = _REQUEST_IDS[b"transfer-encoding"]
A_STATUS = _RESPONSE_IDS[b"status"]
A_LOCATION = _RESPONSE_IDS[b"location"]
A_CONNECTION = _RESPONSE_IDS[b"connection"]
A_CONTENT_LENGTH = _RESPONSE_IDS[b"content-length"]
A_TRANSFER_ENCODING = _RESPONSE_IDS[b"transfer-encoding"]

# --- the table of lines ---------------------------------------------------------------------------------------------

INLINE = 32  # header lines held in the head itself; those beyond are in a list
FIELDS = 5
NAME, NAME_END, VALUE, VALUE_END, MARKS = range(FIELDS)
"""A line's fields: four offsets into the buffer, and its header's number with two marks."""

ID_MASK, AS_SENT, DROPPED = 0xFF, 0x100, 0x200
"""In MARKS. AS_SENT: the line is exactly "name: value\\r\\n" already. DROPPED: counts as not sent."""

LINE, END, BAD = 1, 2, 3  # what _line() found; NEED_MORE is 0


def _zeros(size: int) -> list[int]:
    return [0] * size


def text(data: bytes) -> str:
    """Bytes from the wire as a log line holds them."""
    return data.decode("utf-8", "surrogateescape")


def length_of(value: bytes) -> int:
    """The number in Content-Length, -1 when it is none (ngx_atoof)."""
    if not value or not value.isdigit():
        return -1
    number = int(value)
    return number if number <= MAX_OFF else -1


class NameSet:
    """A set of header names in lower case, made once and asked for each line of each head."""

    __slots__ = ("lengths", "names", "request", "response")

    def __init__(self, names: Iterable[bytes] = ()) -> None:
        self.names = frozenset(names)
        self.request = _mask(self.names, REQUEST_NAMES)
        self.response = _mask(self.names, RESPONSE_NAMES)
        self.lengths = 0
        for name in self.names:
            self.lengths |= 1 << (len(name) & 31)

    def __contains__(self, name: bytes) -> bool:
        return name in self.names

    def __repr__(self) -> str:
        return f"<NameSet {b' '.join(sorted(self.names)).decode('latin-1')}>"


class Head:
    """What requests and responses share: the received bytes, and the table of header lines in them."""

    __slots__ = (
        "_buf",
        "_first",
        "_mark",
        "_more",
        "_name",
        "_name_end",
        "_next",
        "_seed",
        "_slots",
        "_spans",
        "_value",
        "_value_end",
        "count",
        "end",
        "message",
        "notes",
        "rc",
    )

    def _begin_head(self) -> None:
        if PLAIN:
            self._spans = _zeros(INLINE * FIELDS)
            self._first = _zeros(64)
            self._name = self._name_end = self._value = self._value_end = self._next = self._mark = 0
            self._seed = self.count = self.rc = self.end = 0
        self._buf = b""
        self._slots = b""
        self._more: list[int] | None = None
        self.message = ""
        self.notes: list[str] | None = None

    # -- reading one line

    def _line(self, i: int, end: int, underscores: bool, upstream: bool) -> int:
        """One header line at *i*: NEED_MORE, LINE (its spans set), END (of the head) or BAD.

        With BAD, _name to _value_end is what nginx logs, and the byte at _value_end is the culprit.
        nginx: ngx_http_parse_header_line
        """
        p = self._buf
        kinds = NAME_KIND_UNDERSCORES if underscores else NAME_KIND
        stops = VALUE_STOP
        self._name = i
        self._mark = 0
        if i >= end:
            return _MORE
        kind = kinds[p[i]]
        if kind >= N_COLON:
            return self._no_name(i, end, kind)

        # the name
        while True:
            while i < end and kinds[p[i]] == N_TOKEN:
                i += 1
            if i == end:
                return _MORE
            kind = kinds[p[i]]
            if kind != N_OTHER:
                break
            if upstream and p[i] == 47 and i - self._name == 4 and p[i - 4 : i] == b"HTTP":
                return self._ignore_line(i, end)
            self._mark = 1
            i += 1
        self._name_end = i
        if kind == N_BAD:
            self._value_end = i
            return BAD

        # the value
        if kind == N_COLON:
            i += 1
            while i < end and p[i] == 32:
                i += 1
            self._value = i
            while i < end and not stops[p[i]]:
                i += 1
            if i == end:
                return _MORE
            if p[i] == 0:
                self._value_end = i
                return BAD
            last = i
            while last > self._value and p[last - 1] == 32:
                last -= 1
            self._value_end = last
        else:
            self._value = i
            self._value_end = i

        # its end: LF, or any number of CRs and LF
        while i < end and p[i] == 13:
            i += 1
        if i == end:
            return _MORE
        if p[i] != 10:
            return BAD
        self._next = i + 1
        return LINE

    def _no_name(self, i: int, end: int, kind: int) -> int:
        """A line that does not begin with a name: the head's end, or a fault."""
        p = self._buf
        self._value_end = i
        if kind == N_LF:
            self._next = i + 1
            return END
        if kind != N_CR:
            return BAD
        if i + 1 >= end:
            return _MORE
        if p[i + 1] != 10:
            return BAD
        self._next = i + 2
        return END

    def _ignore_line(self, i: int, end: int) -> int:
        """A second "HTTP/1.1 …" line among the headers, which IIS may send, is skipped."""
        newline = self._buf.find(b"\n", i, end)
        if newline < 0:
            return _MORE
        return self._line(newline + 1, end, True, True)

    def _keep(self) -> int:
        """Enter the line just read into the table; its header's number, 0 when nobody indexes it."""
        p = self._buf
        lower = LOWER
        slots = self._slots
        i = self._name
        size = self._name_end - i
        mark = slots[
            (size * 5 + lower[p[i]] * self._seed + lower[p[i + (size >> 1)]] * 3 + lower[p[self._name_end - 1]] * 7) & 255
        ]
        if mark and not self._is(i, size, self._known(mark)):
            mark = 0
        marks = mark
        if (
            self._value == self._name_end + 2
            and self._next == self._value_end + 2
            and p[self._name_end] == 58
            and p[self._value_end] == 13
        ):
            marks |= AS_SENT
        if self.count < INLINE:
            k = self.count * FIELDS
            self._spans[k] = i
            self._spans[k + 1] = self._name_end
            self._spans[k + 2] = self._value
            self._spans[k + 3] = self._value_end
            self._spans[k + 4] = marks
        else:
            if self._more is None:
                self._more = []
            self._more += [i, self._name_end, self._value, self._value_end, marks]
        self.count += 1
        if mark and self._first[mark] == 0:
            self._first[mark] = self.count
        return mark

    def _known(self, number: int) -> bytes:
        raise NotImplementedError

    def _is(self, at: int, size: int, name: bytes) -> bool:
        """Whether the *size* bytes at *at* are *name*, which is in lower case."""
        p = self._buf
        lower = LOWER
        if size != len(name):
            return False
        q = name
        i = 0
        while i < size:
            if lower[p[at + i]] != q[i]:
                return False
            i += 1
        return True

    def _has(self, k: int, word: bytes) -> bool:
        """Whether *word*, in lower case, is somewhere in the value of line *k*, whatever its case."""
        at = self._at(k, VALUE)
        size = len(word)
        last = self._at(k, VALUE_END) - size
        while at <= last:
            if self._is(at, size, word):
                return True
            at += 1
        return False

    def _drop(self) -> None:
        """Mark the line entered last as not sent."""
        k = self.count - 1
        if k < INLINE:
            self._spans[k * FIELDS + MARKS] |= DROPPED
        else:
            assert self._more is not None
            self._more[(k - INLINE) * FIELDS + MARKS] |= DROPPED

    def _at(self, k: int, field: int) -> int:
        """A field of line *k*."""
        if k < INLINE:
            return self._spans[k * FIELDS + field]
        assert self._more is not None
        return self._more[(k - INLINE) * FIELDS + field]

    def _name_of(self, k: int) -> bytes:
        p = self._buf
        return p[self._at(k, NAME) : self._at(k, NAME_END)]

    def _value_of(self, k: int) -> bytes:
        p = self._buf
        return p[self._at(k, VALUE) : self._at(k, VALUE_END)]

    def _first_value(self, number: int) -> bytes | None:
        """The value of the first line of the header *number*."""
        k = self._first[number]
        return self._value_of(k - 1) if k else None

    def first(self, number: int) -> bytes | None:
        """The value of the first header of this number (response_number())."""
        return self._first_value(number)

    def _bad_line(self, who: str) -> str:
        """nginx's words for a BAD line."""
        p = self._buf
        said = text(p[self._name : self._value_end])
        return f'{who}: "{said}\\x{p[self._value_end]:02x}..."'

    def _duplicate(self, first: int) -> str:
        """nginx's words for the line entered last, when line *first* has the same header."""
        last = self.count - 1
        return (
            f'duplicate header line: "{text(self._name_of(last))}: {text(self._value_of(last))}", '
            f'previous value: "{text(self._name_of(first))}: {text(self._value_of(first))}"'
        )

    def _note(self, message: str) -> None:
        if self.notes is None:
            self.notes = []
        self.notes.append(message)

    # -- asking

    def _number(self, name: bytes) -> int:
        raise NotImplementedError

    def _find(self, name: bytes, k: int) -> int:
        """The first line from *k* on whose header is *name*, -1 without."""
        size = len(name)
        count = self.count
        while k < count:
            at = self._at(k, NAME)
            if self._at(k, NAME_END) - at == size and self._is(at, size, name) and not self._at(k, MARKS) & DROPPED:
                return k
            k += 1
        return -1

    def get(self, name: bytes) -> bytes | None:
        """The value of the first header *name* (lower case), or None."""
        number = self._number(name)
        if number:
            return self._first_value(number)
        k = self._find(name, 0)
        return self._value_of(k) if k >= 0 else None

    def getall(self, name: bytes) -> list[bytes]:
        """The values of all headers *name* (lower case), in the order they came."""
        values: list[bytes] = []
        k = self._find(name, 0)
        while k >= 0:
            values.append(self._value_of(k))
            k = self._find(name, k + 1)
        return values

    def joined(self, name: bytes, separator: bytes = b", ") -> bytes | None:
        """The values of all headers *name* in one, or None (nginx: ngx_http_variable_headers_internal)."""
        values = self.getall(name)
        if not values:
            return None
        return values[0] if len(values) == 1 else separator.join(values)

    def variable(self, name: bytes) -> bytes | None:
        """All values of the headers that match a variable's *name*, where "_" stands for "-" (ngx_http_variable_
        unknown_header): b"x_a" finds X-A and, when it was let in, X_A; joined with ", "."""
        p = self._buf
        lower = LOWER
        q = name
        size = len(name)
        found: bytes | None = None
        k = 0
        while k < self.count:
            at = self._at(k, NAME)
            if self._at(k, NAME_END) - at == size and not self._at(k, MARKS) & DROPPED:
                i = 0
                while i < size:
                    ch = lower[p[at + i]]
                    if ch == 45:
                        ch = 95
                    if ch != q[i]:
                        break
                    i += 1
                if i == size:
                    found = self._value_of(k) if found is None else found + b", " + self._value_of(k)
            k += 1
        return found

    def items(self) -> list[tuple[bytes, bytes]]:
        """(name as sent, value) of each line."""
        return [(self._name_of(k), self._value_of(k)) for k in range(self.count) if not self._at(k, MARKS) & DROPPED]

    def _write(self, out: list[bytes] | bytearray, known: int, names: NameSet) -> None:
        """All lines but those in *names* to *out*; neighbours that are as they should be go in one piece."""
        p = self._buf
        lengths = names.lengths
        start = -1
        stop = -1
        k = 0
        while k < self.count:
            name = self._at(k, NAME)
            name_end = self._at(k, NAME_END)
            marks = self._at(k, MARKS)
            number = marks & ID_MASK
            if number:
                skip = (known >> number) & 1
            elif (lengths >> ((name_end - name) & 31)) & 1:
                skip = p[name:name_end].lower() in names.names
            else:
                skip = 0
            if skip or marks & DROPPED:
                k += 1
                continue
            if marks & AS_SENT and stop == name:
                stop = self._at(k, VALUE_END) + 2
            else:
                if start >= 0:
                    _put(out, p[start:stop])
                if marks & AS_SENT:
                    start = name
                    stop = self._at(k, VALUE_END) + 2
                else:
                    start = stop = -1
                    _put(out, p[name:name_end] + b": " + self._value_of(k) + b"\r\n")
            k += 1
        if start >= 0:
            _put(out, p[start:stop])


def _put(out: list[bytes] | bytearray, piece: bytes) -> None:
    if isinstance(out, list):
        out.append(piece)
    else:
        out += piece


# --- requests -------------------------------------------------------------------------------------------------------

BAD_METHOD, BAD_REQUEST, BAD_VERSION, BAD_09_METHOD = -2, -3, -4, -5
NOT_YET = -1
"""What a step of the request line's scan returns instead of a position."""

CLIENT_ERRORS = {
    BAD_METHOD: (400, "client sent invalid method"),
    BAD_REQUEST: (400, "client sent invalid request"),
    BAD_VERSION: (505, "client sent invalid version"),
    BAD_09_METHOD: (400, "client sent invalid method in HTTP/0.9 request"),
}


class RequestOptions:
    """What server {} says about request heads; the names are the directives'. Sizes in bytes.

    *stop_at_host*: feed() returns HOST_KNOWN as soon as the server asked for is known (head.server), so that the
    caller can put that server's options into head.options before it goes on, as nginx does. Only needed where
    servers on one address differ in these options.
    *major*: 2 or 3 where the heads are made of the fields of that HTTP and say so; sizes have been looked at already.
    """

    __slots__ = (
        "allow_connect",
        "ignore_invalid_headers",
        "large",
        "major",
        "max_headers",
        "merge_slashes",
        "number",
        "small",
        "stop_at_host",
        "underscores_in_headers",
    )

    def __init__(
        self,
        *,
        underscores_in_headers: bool = False,
        ignore_invalid_headers: bool = True,
        merge_slashes: bool = True,
        allow_connect: bool = False,
        max_headers: int = 1000,
        client_header_buffer_size: int = 1024,
        large_client_header_buffers: tuple[int, int] = (4, 8192),
        stop_at_host: bool = False,
        major: int = 1,
    ) -> None:
        self.underscores_in_headers = underscores_in_headers
        self.ignore_invalid_headers = ignore_invalid_headers
        self.merge_slashes = merge_slashes
        self.allow_connect = allow_connect
        self.max_headers = max_headers
        self.small = client_header_buffer_size
        self.number, self.large = large_client_header_buffers
        self.stop_at_host = stop_at_host
        self.major = major


class RequestHead(Head):
    """A request's head; made by parse_request(), filled by it and by feed()."""

    __slots__ = (
        "_args",
        "_args_start",
        "_exten",
        "_exten_start",
        "_host_end",
        "_host_start",
        "_limit",
        "_line_end",
        "_method_end",
        "_protocol",
        "_schema_end",
        "_schema_start",
        "_stage",
        "_start",
        "_uri",
        "_uri_end",
        "_uri_known",
        "_uri_start",
        "busy",
        "chunked",
        "complex_uri",
        "connection_type",
        "content_length_n",
        "empty_path",
        "http_major",
        "http_minor",
        "http_version",
        "method_id",
        "options",
        "plus_in_uri",
        "port",
        "quoted_uri",
        "server",
    )

    def __init__(self, options: RequestOptions) -> None:
        self._begin(options)

    def _begin(self, options: RequestOptions) -> None:
        self._begin_head()
        if PLAIN:
            self._args_start = self._exten_start = self._host_end = self._host_start = self._line_end = 0
            self._method_end = self._protocol = self._schema_end = self._schema_start = self._stage = self._start = 0
            self._uri_end = self._uri_start = self.http_major = self.http_minor = self.busy = 0
            self.port = self.connection_type = 0
            self._uri_known = self.complex_uri = self.empty_path = self.plus_in_uri = self.quoted_uri = False
            self.chunked = False
        self._limit = 0
        self._slots = REQUEST_SLOTS
        self._seed = REQUEST_SEED
        self.options = options
        self.method_id = UNKNOWN
        self.http_version = 1000
        self.content_length_n = -1
        self.server: bytes | None = None
        self._uri: bytes | None = None
        self._args: bytes | None = None
        self._exten: bytes | None = None

    def __repr__(self) -> str:
        return f"<RequestHead {self.rc} {self.request_line!r} {self.count} headers>"

    def _known(self, number: int) -> bytes:
        return REQUEST_NAMES[number]

    def _number(self, name: bytes) -> int:
        return _REQUEST_IDS.get(name, 0)

    def feed(self, buf: bytes, end: int = -1) -> int:
        """Go on with *buf*, which begins with what it began with before; returns and sets rc."""
        size = len(buf)
        if size < len(self._buf):
            raise ValueError("feed() needs what it had before and what came after")
        self._buf = buf
        if end < 0 or end > size:
            end = size
        if end <= self._start:
            return self.rc
        if self._stage == 0:
            self.rc = self._request_line(end)
            if self.rc != _DONE:
                return self.rc
            self._stage = 1
            if self.http_version == 9:
                self._stage = 2
                self.end = self._next
                return self.rc
            self.end = self._next
            if self.server is not None and self.options.stop_at_host:
                self.rc = _HOST_KNOWN
                return self.rc
        if self._stage == 1:
            self.rc = self._headers(end)
            if self.rc == _DONE:
                self._stage = 2
        return self.rc

    def _fail(self, status: int, message: str) -> int:
        self.message = message
        return status

    # -- nginx's buffers: a line is copied from a full buffer into a large one, and must fit that

    def _cap(self, start: int) -> int:
        """Where the line at *start* must end at the latest."""
        options = self.options
        if self._limit - start >= options.large or self.busy >= options.number:
            return self._limit
        return start + options.large

    def _took(self, start: int, stop: int) -> None:
        """The line from *start* to *stop* is complete; if it did not fit the current buffer it took a large one."""
        if stop > self._limit:
            self.busy += 1
            self._limit = start + self.options.large

    @property
    def room(self) -> int:
        """Bytes left in nginx's current header buffer behind this head."""
        return self._limit - self.end

    # -- the request line

    def _request_line(self, end: int) -> int:
        p = self._buf
        i = self._start
        while i < end and (p[i] == 13 or p[i] == 10):
            i += 1
        while i >= self._limit:  # a buffer full of empty lines is used again
            self._limit += self.options.small
        self._start = i
        cap = self._cap(i)
        stop = end if end < cap else cap
        i = self._target(self._method(i, stop), stop)
        if i == NOT_YET:
            if stop == cap:
                self._line_end = cap
                return self._fail(414, "client sent too long URI")
            return _MORE
        if i >= 0:
            self._took(self._start, i)
            self._next = i
            self.http_version = self.http_major * 1000 + self.http_minor  # 9 also in an error: answered without a head
            if self.http_version == 9 and self.method_id != _GET:
                i = BAD_09_METHOD
        if i < 0:
            status, message = CLIENT_ERRORS[i]
            self._line_end = 0
            return self._fail(status, message)
        return self._use_request_line()

    def _use_request_line(self) -> int:
        """The request line is good: its URI and host (nginx: ngx_http_process_request_uri)."""
        p = self._buf
        if self.complex_uri or self.quoted_uri or self.empty_path:
            parsed = uris.parse_uri(p[self._uri_start : self._uri_end], self.options.merge_slashes, self.empty_path)
            if parsed is None:
                return self._fail(400, "client sent invalid request")
            self._uri = parsed.path
            self._args = parsed.args
            self._exten = parsed.exten
            if parsed.plus:
                self.plus_in_uri = True
        self._uri_known = True
        if self._host_end:
            host = uris.validate_host(p[self._host_start : self._host_end])
            if host is None:
                return self._fail(400, "client sent invalid host in request line")
            self.server, self.port = host
        return _DONE

    def _method(self, i: int, end: int) -> int:
        p = self._buf
        start = i
        while i < end and (65 <= p[i] <= 90 or p[i] == 95 or p[i] == 45):
            i += 1
        if i == end:
            return NOT_YET
        if p[i] != 32 or i == start:
            return BAD_METHOD
        self._method_end = i
        if i - start == 3 and p[start] == 71 and p[start + 1] == 69 and p[start + 2] == 84:
            self.method_id = _GET
        else:
            self.method_id = METHODS.get(p[start:i], UNKNOWN)
        return i + 1

    def _target(self, i: int, end: int) -> int:
        """From behind the method to behind the line's LF."""
        p = self._buf
        if i < 0:
            return i
        self._args_start = self._exten_start = self._host_end = self._protocol = 0
        self._schema_start = self._schema_end = 0
        self.complex_uri = self.quoted_uri = self.plus_in_uri = self.empty_path = False
        self.http_major = self.http_minor = 0
        while i < end and p[i] == 32:
            i += 1
        if i == end:
            return NOT_YET
        if self.method_id == _CONNECT and self.options.major == 1:
            return self._authority(i, end)
        if p[i] == 47:
            self._uri_start = i
            return self._path(i + 1, end)
        if not 97 <= p[i] | 32 <= 122:
            return BAD_REQUEST

        self._schema_start = i
        while i < end and (97 <= p[i] | 32 <= 122 or 48 <= p[i] <= 57 or p[i] == 43 or p[i] == 45 or p[i] == 46):
            i += 1
        if i == end:
            return NOT_YET
        if p[i] != 58:
            return BAD_REQUEST
        self._schema_end = i
        i += 1
        if i < end and p[i] != 47:
            return BAD_REQUEST
        i += 1
        if i < end and p[i] != 47:
            return BAD_REQUEST
        i += 1
        return self._authority(i, end) if i < end else NOT_YET

    def _authority(self, i: int, end: int) -> int:
        """host, "[" IP literal "]", and a port, which CONNECT needs."""
        p = self._buf
        self._host_start = i
        if p[i] == 91:
            i += 1
            while i < end and (97 <= p[i] | 32 <= 122 or 48 <= p[i] <= 57 or p[i] in b":-._~!$&'()*+,;="):
                i += 1
            if i == end:
                return NOT_YET
            if p[i] != 93:
                return BAD_REQUEST
            i += 1
        else:
            while i < end and (97 <= p[i] | 32 <= 122 or 48 <= p[i] <= 57 or p[i] == 46 or p[i] == 45):
                i += 1
        if i == end:
            return NOT_YET
        connect = self.method_id == _CONNECT
        if p[i] == 58:
            i += 1
            if i == end:
                return NOT_YET
            if connect and not 48 <= p[i] <= 57:
                return BAD_REQUEST
            while i < end and 48 <= p[i] <= 57:
                i += 1
            if i == end:
                return NOT_YET
        elif connect:
            return BAD_REQUEST
        self._host_end = i
        if connect:
            return self._version(i + 1, end) if p[i] == 32 else BAD_REQUEST
        if p[i] == 47:
            self._uri_start = i
            return self._path(i + 1, end)
        if p[i] == 63:
            self._uri_start = i
            self._args_start = i + 1
            self.empty_path = True
            return self._query(i + 1, end)
        if p[i] == 32:
            # no path: the "/" of "://" serves as one
            self._uri_start = self._schema_end + 1
            self._uri_end = self._schema_end + 2
            return self._version(i + 1, end)
        return BAD_REQUEST

    def _path(self, i: int, end: int) -> int:
        """From behind the first slash; notices what makes normalising necessary."""
        p = self._buf
        kinds = URI_KIND
        after_slash = True
        while i < end:
            kind = kinds[p[i]]
            if kind == 0:  # USUAL
                i += 1
                while i < end and kinds[p[i]] == 0:
                    i += 1
                after_slash = False
                continue
            i += 1
            if kind == 1:  # SLASH
                if after_slash:
                    self.complex_uri = True
                    return self._query(i, end)
                self._exten_start = 0
                after_slash = True
            elif kind == 2:  # DOT
                if after_slash:
                    self.complex_uri = True
                    return self._query(i, end)
                self._exten_start = i
            elif kind == 3:  # PERCENT
                self.quoted_uri = True
                return self._query(i, end)
            elif kind == 4:  # QUERY
                self._args_start = i
                return self._query(i, end)
            elif kind == 5:  # HASH
                self.complex_uri = True
                return self._query(i, end)
            elif kind == 6:  # PLUS, which leaves after_slash as it is
                self.plus_in_uri = True
            elif kind == 10:  # BAD
                return BAD_REQUEST
            else:
                return self._after_target(i - 1, end)
        return NOT_YET

    def _query(self, i: int, end: int) -> int:
        """The rest of the target, where only its end and a "#" matter."""
        p = self._buf
        stops = QUERY_STOP
        while True:
            while i < end and not stops[p[i]]:
                i += 1
            if i == end:
                return NOT_YET
            if p[i] != 35:
                break
            self.complex_uri = True
            i += 1
        if p[i] == 32 or p[i] == 13 or p[i] == 10:
            return self._after_target(i, end)
        return BAD_REQUEST

    def _after_target(self, i: int, end: int) -> int:
        """At the byte that ended the target: space, CR or LF."""
        p = self._buf
        self._uri_end = i
        if p[i] == 32:
            return self._version(i + 1, end)
        self.http_minor = 9
        return self._line_done(i, end)

    def _line_done(self, i: int, end: int) -> int:
        """At the CR or LF that ends the request line."""
        p = self._buf
        self._line_end = i
        if p[i] == 10:
            return i + 1
        if i + 1 == end:
            return NOT_YET
        return i + 2 if p[i + 1] == 10 else BAD_REQUEST

    def _version(self, i: int, end: int) -> int:
        p = self._buf
        while i < end and p[i] == 32:
            i += 1
        if i == end:
            return NOT_YET
        if p[i] == 13 or p[i] == 10:
            self.http_minor = 9
            return self._line_done(i, end)
        self._protocol = i
        left = end - i
        if left < 5:
            return NOT_YET if p[i:end] == b"HTTP/"[:left] else BAD_REQUEST
        if p[i] != 72 or p[i + 1] != 84 or p[i + 2] != 84 or p[i + 3] != 80 or p[i + 4] != 47:
            return BAD_REQUEST
        i += 5
        if self.method_id == _CONNECT and self.options.major == 1:  # no path: the "/" of "HTTP/" serves as one
            self._uri_start = i - 1
            self._uri_end = i
        if i == end:
            return NOT_YET
        if not 49 <= p[i] <= 57:
            return BAD_REQUEST
        while i < end and 48 <= p[i] <= 57:
            self.http_major = self.http_major * 10 + p[i] - 48
            if self.http_major > 1 and self.http_major != self.options.major:
                return BAD_VERSION
            i += 1
        if i == end:
            return NOT_YET
        if p[i] != 46:
            return BAD_REQUEST
        i += 1
        if i == end:
            return NOT_YET
        if not 48 <= p[i] <= 57:
            return BAD_REQUEST
        while i < end and 48 <= p[i] <= 57:
            if self.http_minor > 99:
                return BAD_REQUEST
            self.http_minor = self.http_minor * 10 + p[i] - 48
            i += 1
        while i < end and p[i] == 32:
            i += 1
        if i == end:
            return NOT_YET
        return self._line_done(i, end) if p[i] == 13 or p[i] == 10 else BAD_REQUEST

    # -- the header lines

    def _headers(self, end: int) -> int:
        """Header lines from self.end on (nginx: ngx_http_process_request_headers)."""
        p = self._buf
        i = self.end
        while True:
            options = self.options
            cap = self._limit if end <= self._limit else self._cap(i)
            stop = end if end < cap else cap
            found = self._line(i, stop, options.underscores_in_headers, False)
            if found == LINE:
                i = self._next
                self._took(self._name, i)
                if self._mark and options.ignore_invalid_headers:
                    self.end = i
                    if options.major > 1:
                        self._note(f'client sent invalid header: "{text(p[self._name : self._name_end])}"')
                        continue
                    said = text(p[self._name : self._value_end])
                    self._note(f'client sent invalid header line: "{said}"')
                    continue
                if self.count >= options.max_headers:
                    return self._fail(494, "client sent too many header lines")
                self.end = i
                number = self._keep()
                if number:
                    rc = self._use(number)
                    if rc:
                        return rc
                continue
            if found == END:
                self._took(i, self._next)
                self.end = self._next
                self._stage = 2
                return self._finish()
            if found == BAD:
                return self._fail(400, self._bad_line("client sent invalid header line"))
            if stop == self._cap(i):
                return self._too_large(i, stop)
            return _MORE

    def _too_large(self, i: int, stop: int) -> int:
        p = self._buf
        if stop == i:  # no buffer left at a line's end: nginx names the line before
            if not self.count and not self.notes:
                return self._fail(494, "client sent too large request")
            if self.count:
                i = self._at(self.count - 1, NAME)
        length = stop - i
        if length > MAX_LOGGED:
            length = MAX_LOGGED
        return self._fail(494, f'client sent too long header line: "{text(p[i : i + length])}..."')

    def _use(self, number: int) -> int:
        """What a header line that nginx looks at at once means; 0 to go on."""
        k = self.count - 1
        first = self._first[number] - 1
        if number == Q_HOST:
            return self._use_host(k, first)
        if first != k:
            if (REQUEST_UNIQUE >> number) & 1:
                return self._fail(400, "client sent " + self._duplicate(first))
        if number == Q_CONNECTION:
            if self._has(k, b"close"):
                self.connection_type = _CLOSE
            elif self._has(k, b"keep-alive"):
                self.connection_type = _KEEP_ALIVE
        return 0

    def _use_host(self, k: int, first: int) -> int:
        if first != k:
            return self._fail(400, "client sent " + self._duplicate(first).replace("header line", "host header", 1))
        if not self._plain_host(self._value, self._value_end):
            host = validate_host(self._value_of(k))
            if host is None:
                return self._fail(400, "client sent invalid host header")
            if self.server is not None:
                return 0
            self.server, self.port = host
        return _HOST_KNOWN if self.options.stop_at_host else 0

    def _plain_host(self, i: int, end: int) -> bool:
        """A name in lower case without port, taken as it is: the common case of what validate_host() does."""
        p = self._buf
        kinds = HOST_KIND
        start = i
        kind = 2
        last = 2
        while i < end:
            kind = kinds[p[i]]
            if kind == 0 or kind + last == 4:
                return False
            last = kind
            i += 1
        if last == 2 or self.server is not None:
            return False
        self.server = p[start:end]
        return True

    def _finish(self) -> int:
        """All lines are there: what they say together (nginx: ngx_http_process_request_header)."""
        if self._first[Q_HOST] == 0 and self.http_version > 1000:
            return self._fail(400, 'client sent HTTP/1.1 request without "Host" header')
        if self._first[Q_CONTENT_LENGTH]:
            self.content_length_n = length_of(self._value_of(self._first[Q_CONTENT_LENGTH] - 1))
            if self.content_length_n < 0:
                return self._fail(400, 'client sent invalid "Content-Length" header')
        if self._first[Q_TRANSFER_ENCODING]:
            rc = self._use_transfer_encoding(self._value_of(self._first[Q_TRANSFER_ENCODING] - 1))
            if rc:
                return rc
        if self.method_id == _CONNECT:
            if self.http_version != 1001 or not self.options.allow_connect:
                return self._fail(405, "client sent CONNECT method")
            if self.content_length_n > 0 or self.chunked:
                return self._fail(400, "client sent CONNECT request with body")
        if self.method_id == _TRACE:
            return self._fail(405, "client sent TRACE method")
        return _DONE

    def _use_transfer_encoding(self, value: bytes) -> int:
        if self.http_version < 1001:
            return self._fail(400, 'client sent HTTP/1.0 request with "Transfer-Encoding" header')
        if value.lower() != b"chunked":
            return self._fail(501, f'client sent unknown "Transfer-Encoding": "{text(value)}"')
        if self._first[Q_CONTENT_LENGTH]:
            return self._fail(400, 'client sent "Content-Length" and "Transfer-Encoding" headers at the same time')
        self.chunked = True
        return 0

    def as_fields(self) -> None:
        """What cannot be parsed is still HTTP/2 or HTTP/3, and answered so."""
        self.http_version = self.options.major * 1000

    def write_upstream(self, out: list[bytes] | bytearray, skip: NameSet) -> None:
        """The header lines whose names are not in *skip*, each `Name: value\\r\\n`."""
        self._write(out, skip.request, skip)

    # -- the request line's parts

    @property
    def start(self) -> int:
        """Where the request line begins."""
        return self._start

    @property
    def size(self) -> int:
        """Bytes of the head from the request line on (nginx: r->request_length)."""
        return self.end - self._start if self._stage else 0

    @property
    def line_done(self) -> bool:
        """Whether the request line is complete and good."""
        return self._stage > 0

    @property
    def complete(self) -> bool:
        """Whether all of it was read, be it good or not."""
        return self._stage == 2

    @property
    def request_line(self) -> bytes:
        """Without its line end; of a line that is not complete, what there is of it up to a CR or LF."""
        return self.read_line()

    def read_line(self) -> bytes:
        """`request_line`, for compiled callers; so are read_target(), read_uri() and read_args()."""
        p = self._buf
        if self._line_end:
            return p[self._start : self._line_end]
        return self._buf[self._start :].partition(b"\n")[0].partition(b"\r")[0]

    @property
    def method(self) -> bytes:
        """As sent; b"" before the request line is complete and in one that is refused (nginx: r->method_name)."""
        p = self._buf
        if not self._line_end or self.rc == 414:
            return b""
        return b"GET" if self.method_id == _GET else p[self._start : self._method_end]

    @property
    def unparsed_uri(self) -> bytes:
        """The target from the path on, as sent."""
        return self.read_target()

    def read_target(self) -> bytes:
        p = self._buf
        return p[self._uri_start : self._uri_end] if self._uri_known else b""

    @property
    def valid_unparsed_uri(self) -> bool:
        """False for "http://host?args", whose path is not in the request."""
        return not self.empty_path

    @property
    def uri(self) -> bytes:
        """The path, decoded and normalised."""
        return self.read_uri()

    def read_uri(self) -> bytes:
        p = self._buf
        if self._uri is None:
            if not self._uri_known:
                return b""
            self._uri = p[self._uri_start : self._args_start - 1 if self._args_start else self._uri_end]
        return self._uri

    @property
    def args(self) -> bytes:
        """What follows the `?`, as sent; b"" without."""
        return self.read_args()

    def read_args(self) -> bytes:
        p = self._buf
        if self._args is None:
            if not self._args_start or not self._uri_known:
                return b""
            self._args = p[self._args_start : self._uri_end]
        return self._args

    @property
    def exten(self) -> bytes:
        """What follows the last dot of the path; b"" without."""
        p = self._buf
        if self._exten is None:
            if not self._exten_start or not self._uri_known:
                return b""
            self._exten = p[self._exten_start : self._args_start - 1 if self._args_start else self._uri_end]
        return self._exten

    @property
    def schema(self) -> bytes:
        """Of an absolute URI; b"" without."""
        p = self._buf
        return p[self._schema_start : self._schema_end] if self._schema_end and self._uri_known else b""

    @property
    def protocol(self) -> bytes:
        """b"HTTP/1.1"; b"" for HTTP/0.9."""
        p = self._buf
        return p[self._protocol : self._line_end] if self._protocol and self._line_end else b""

    @property
    def protocol_begun(self) -> bool:
        """Whether the request line came to the H of HTTP/."""
        return self._protocol > 0 and self._buf[self._protocol] == 72

    @property
    def browser(self) -> int:
        """Flags, from User-Agent (nginx: ngx_http_process_user_agent)."""
        agent = self.user_agent
        return browser_of(agent) if agent else 0

    # -- the headers that nginx indexes

    @property
    def host(self) -> bytes | None:
        return self._first_value(1)

    @property
    def connection(self) -> bytes | None:
        return self._first_value(2)

    @property
    def if_modified_since(self) -> bytes | None:
        return self._first_value(3)

    @property
    def if_unmodified_since(self) -> bytes | None:
        return self._first_value(4)

    @property
    def if_match(self) -> bytes | None:
        return self._first_value(5)

    @property
    def if_none_match(self) -> bytes | None:
        return self._first_value(6)

    @property
    def user_agent(self) -> bytes | None:
        return self._first_value(7)

    @property
    def referer(self) -> bytes | None:
        return self._first_value(8)

    @property
    def content_length(self) -> bytes | None:
        return self._first_value(9)

    @property
    def content_range(self) -> bytes | None:
        return self._first_value(10)

    @property
    def content_type(self) -> bytes | None:
        return self._first_value(11)

    @property
    def range(self) -> bytes | None:
        return self._first_value(12)

    @property
    def if_range(self) -> bytes | None:
        return self._first_value(13)

    @property
    def transfer_encoding(self) -> bytes | None:
        return self._first_value(14)

    @property
    def te(self) -> bytes | None:
        return self._first_value(15)

    @property
    def expect(self) -> bytes | None:
        return self._first_value(16)

    @property
    def upgrade(self) -> bytes | None:
        return self._first_value(17)

    @property
    def accept_encoding(self) -> bytes | None:
        return self._first_value(18)

    @property
    def via(self) -> bytes | None:
        return self._first_value(19)

    @property
    def authorization(self) -> bytes | None:
        return self._first_value(20)

    @property
    def proxy_authorization(self) -> bytes | None:
        return self._first_value(21)

    @property
    def keep_alive(self) -> bytes | None:
        return self._first_value(22)

    @property
    def x_forwarded_for(self) -> bytes | None:
        return self._first_value(23)

    @property
    def x_real_ip(self) -> bytes | None:
        return self._first_value(24)

    @property
    def accept(self) -> bytes | None:
        return self._first_value(25)

    @property
    def accept_language(self) -> bytes | None:
        return self._first_value(26)

    @property
    def depth(self) -> bytes | None:
        return self._first_value(27)

    @property
    def destination(self) -> bytes | None:
        return self._first_value(28)

    @property
    def overwrite(self) -> bytes | None:
        return self._first_value(29)

    @property
    def date(self) -> bytes | None:
        return self._first_value(30)

    @property
    def cookie(self) -> bytes | None:
        return self._first_value(31)


def browser_of(agent: bytes) -> int:
    """What a User-Agent claims to be, as far as nginx cares."""
    flags = 0
    at = agent.find(b"MSIE ")
    if at >= 0 and at + 7 < len(agent):
        flags = MSIE
        if agent[at + 6] == 46:
            version = agent[at + 5]
            if version in b"45" or (version == 54 and b"SV1" not in agent[at + 8 :]):
                flags |= MSIE6
    if b"Opera" in agent:
        return OPERA
    if flags:
        return flags
    if b"Gecko/" in agent:
        return GECKO
    if b"Chrome/" in agent:
        return CHROME
    if b"Safari/" in agent and b"Mac OS X" in agent:
        return SAFARI
    return KONQUEROR if b"Konqueror" in agent else 0


DEFAULTS = RequestOptions()


def parse_request(
    buf: bytes,
    pos: int = 0,
    end: int = -1,
    options: RequestOptions = DEFAULTS,
    room: int = -1,
    busy: int = 0,
) -> RequestHead:
    """The request head at buf[pos:end]; see the top of this file.

    *room*, *busy*: of the head before, for a pipelined request; without, a fresh client_header_buffer_size.
    """
    if pos < 0:
        raise ValueError("negative position")
    head = RequestHead.__new__(RequestHead)  # compiled: no call of a type, no arguments to parse
    head._begin(options)
    head._start = pos
    head.busy = busy
    head._limit = pos + (room if room >= 0 else options.small)
    head.feed(buf if isinstance(buf, bytes) else bytes(buf), end)
    return head


# --- responses ------------------------------------------------------------------------------------------------------


class ResponseHead(Head):
    """An upstream's response head; made by parse_response(), filled by it and by feed()."""

    __slots__ = (
        "_stage",
        "_start",
        "_status_end",
        "_status_start",
        "_status_text",
        "chunked",
        "connection_close",
        "content_length_n",
        "http_version",
        "kind",
        "status",
    )

    def __init__(self, kind: int) -> None:
        self._begin(kind)

    def _begin(self, kind: int) -> None:
        self._begin_head()
        if PLAIN:
            self._stage = self._start = self._status_end = self._status_start = self.status = 0
            self.chunked = self.connection_close = False
        self.kind = kind
        self.http_version = 1000
        self.content_length_n = -1
        self._slots = RESPONSE_SLOTS
        self._seed = RESPONSE_SEED
        self._status_text: bytes | None = None

    def __repr__(self) -> str:
        return f"<ResponseHead {self.rc} {self.status_line!r} {self.count} headers>"

    def _known(self, number: int) -> bytes:
        return RESPONSE_NAMES[number]

    def _number(self, name: bytes) -> int:
        return _RESPONSE_IDS.get(name, 0)

    def feed(self, buf: bytes, end: int = -1) -> int:
        """Go on with *buf*, which begins with what it began with before; returns and sets rc."""
        size = len(buf)
        if size < len(self._buf):
            raise ValueError("feed() needs what it had before and what came after")
        self._buf = buf
        if end < 0 or end > size:
            end = size
        if end <= self._start:
            return self.rc
        if self._stage == 0:
            if self.kind == _CGI:
                self.end = self._start
                self._stage = 1
            else:
                self.rc = self._status_line(end)
                if self.rc != _DONE or self.http_version == 9:
                    return self.rc
                self._stage = 1
        if self._stage == 1:
            self.rc = self._headers(end)
            if self.rc != _MORE:
                self._stage = 2
        return self.rc

    def _status_line(self, end: int) -> int:
        i = self._scan_status_line(self._start, end)
        if i == NOT_YET:
            return _MORE
        if i >= 0:
            self.end = i
            if self.http_version < 1001:
                if self.status == 103:
                    self.message = "upstream sent HTTP/1.0 response with early hints"
                    return _INVALID
                self.connection_close = True
            return _DONE
        self.end = self._start
        self._status_start = self._status_end = self.status = 0
        if self.kind == _EITHER:
            self.kind = _CGI
            return _DONE
        # what follows is a body without a head
        self.http_version = 9
        self.connection_close = True
        self.message = "upstream sent no valid HTTP/1.0 header"
        self._stage = 2
        return _DONE

    def _scan_status_line(self, i: int, end: int) -> int:
        """Where the status line ends; NOT_YET, BAD_REQUEST (nginx: ngx_http_parse_status_line)."""
        p = self._buf
        left = end - i
        if left < 5:
            return NOT_YET if p[i:end] == b"HTTP/"[:left] else BAD_REQUEST
        if p[i] != 72 or p[i + 1] != 84 or p[i + 2] != 84 or p[i + 3] != 80 or p[i + 4] != 47:
            return BAD_REQUEST
        i += 5
        if i < end and not 49 <= p[i] <= 57:
            return BAD_REQUEST
        major = 0
        while i < end and 48 <= p[i] <= 57:
            if major > 99:
                return BAD_REQUEST
            major = major * 10 + p[i] - 48
            i += 1
        if i == end:
            return NOT_YET
        if p[i] != 46:
            return BAD_REQUEST
        i += 1
        if i < end and not 48 <= p[i] <= 57:
            return BAD_REQUEST
        minor = 0
        while i < end and 48 <= p[i] <= 57:
            if minor > 99:
                return BAD_REQUEST
            minor = minor * 10 + p[i] - 48
            i += 1
        if i == end:
            return NOT_YET
        if p[i] != 32:
            return BAD_REQUEST
        self.http_version = major * 1000 + minor
        return self._scan_status(i + 1, end)

    def _scan_status(self, i: int, end: int) -> int:
        """Three digits, which nginx lets spaces part, and a text."""
        p = self._buf
        status = 0
        digits = 0
        while digits < 3:
            if i == end:
                return NOT_YET
            ch = p[i]
            if 48 <= ch <= 57:
                status = status * 10 + ch - 48
                digits += 1
            elif ch != 32:
                return BAD_REQUEST
            i += 1
        if i == end:
            return NOT_YET
        self._status_start = i - 3
        if p[i] == 32 or p[i] == 46:  # IIS may send 403.1
            while i < end and p[i] != 13 and p[i] != 10:
                i += 1
            if i == end:
                return NOT_YET
        self._status_end = i
        if p[i] == 13:
            i += 1
            if i == end:
                return NOT_YET
        if p[i] != 10:
            return BAD_REQUEST
        self.status = status
        return i + 1

    def _headers(self, end: int) -> int:
        """Header lines from self.end on (nginx: ngx_http_proxy_process_header)."""
        i = self.end
        while True:
            found = self._line(i, end, True, True)
            if found == LINE:
                i = self._next
                self.end = i
                number = self._keep()
                if number and self.status != 103:
                    rc = self._use(number)
                    if rc:
                        return rc
                elif self._mark and self._name_end - self._name < 64 and self._is_nameless():
                    self._drop()
                continue
            if found == _MORE:
                return _MORE
            if found == BAD:
                self.message = self._bad_line("upstream sent invalid header")
                return _INVALID
            self.end = self._next
            return self._finish()

    def _is_nameless(self) -> bool:
        """A name without one letter, digit, "-" or "_" has hash 0 in nginx, which means: not sent."""
        p = self._buf
        kinds = NAME_KIND_UNDERSCORES
        i = self._name
        while i < self._name_end:
            if kinds[p[i]] == N_TOKEN:
                return False
            i += 1
        return True

    def _use(self, number: int) -> int:
        """What a header line that nginx looks at means; 0 to go on."""
        k = self.count - 1
        first = self._first[number] - 1
        if first != k:
            if (RESPONSE_FIRST_ONLY >> number) & 1:
                self._note("upstream sent " + self._duplicate(first) + ", ignored")
                self._drop()
                return 0
            if number == A_CONTENT_LENGTH or number == A_TRANSFER_ENCODING:
                return self._invalid("upstream sent " + self._duplicate(first))
        if number == A_CONTENT_LENGTH:
            return self._use_content_length(k)
        if number == A_TRANSFER_ENCODING:
            return self._use_transfer_encoding(k)
        if number == A_CONNECTION:
            if self._has(k, b"close"):
                self.connection_close = True
        return 0

    def _invalid(self, message: str) -> int:
        self.message = message
        return _INVALID

    def _use_content_length(self, k: int) -> int:
        if self._first[A_TRANSFER_ENCODING]:
            return self._invalid('upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time')
        self.content_length_n = length_of(self._value_of(k))
        if self.content_length_n < 0:
            said = f"{text(self._name_of(k))}: {text(self._value_of(k))}"
            return self._invalid(f'upstream sent invalid "Content-Length" header: "{said}"')
        return 0

    def _use_transfer_encoding(self, k: int) -> int:
        if self._first[A_CONTENT_LENGTH]:
            return self._invalid('upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time')
        value = self._value_of(k)
        if value.lower() != b"chunked":
            return self._invalid(f'upstream sent unknown "Transfer-Encoding": "{text(value)}"')
        self.chunked = True
        return 0

    def _finish(self) -> int:
        if self.status == 103:
            return _EARLY_HINTS
        if self.kind == _CGI:
            return self._finish_cgi()
        return _DONE

    def _finish_cgi(self) -> int:
        """The status of a response without status line (nginx: ngx_http_fastcgi_process_header)."""
        value = self._first_value(A_STATUS)
        if value is not None:
            digits = value[:3]
            if len(digits) < 3 or not digits.isdigit():
                return self._invalid(f'upstream sent invalid status "{text(value)}"')
            self.status = int(digits)
            self._status_text = value if len(value) > 3 else b""
        elif self._first[A_LOCATION]:
            self.status = 302
            self._status_text = b"302 Moved Temporarily"
        else:
            self.status = 200
            self._status_text = b"200 OK"
        return _DONE

    def read_lines(self, buf: bytes) -> int:
        """Only lines, whose meaning is left alone: trailers. Sets rc."""
        self._buf = buf
        i = 0
        while True:
            found = self._line(i, len(buf), True, True)
            if found == LINE:
                i = self._next
                self._keep()
                continue
            self.end = self._next if found == END else i
            self.rc = _DONE if found == END else _MORE
            if found == BAD:
                self.message = self._bad_line("upstream sent invalid trailer")
                self.rc = _INVALID
            return self.rc

    def write_client(self, out: list[bytes] | bytearray, hidden: NameSet) -> None:
        """The header lines whose names are not in *hidden*, each `Name: value\\r\\n`."""
        self._write(out, hidden.response, hidden)

    @property
    def start(self) -> int:
        """Where the head begins."""
        return self._start

    @property
    def size(self) -> int:
        """Bytes of the head."""
        return self.end - self._start

    @property
    def status_line(self) -> bytes:
        """b"200 OK"; b"" when only a status is known."""
        return self.read_status_line()

    def read_status_line(self) -> bytes:
        """`status_line`, for compiled callers."""
        p = self._buf
        if self._status_text is None:
            return p[self._status_start : self._status_end]
        return self._status_text

    @property
    def reason(self) -> bytes:
        """What follows the status."""
        return self.status_line[4:]

    # -- the headers that nginx indexes

    @property
    def content_type(self) -> bytes | None:
        return self._first_value(2)

    @property
    def content_length(self) -> bytes | None:
        return self._first_value(3)

    @property
    def date(self) -> bytes | None:
        return self._first_value(4)

    @property
    def last_modified(self) -> bytes | None:
        return self._first_value(5)

    @property
    def etag(self) -> bytes | None:
        return self._first_value(6)

    @property
    def server(self) -> bytes | None:
        return self._first_value(7)

    @property
    def www_authenticate(self) -> bytes | None:
        return self._first_value(8)

    @property
    def location(self) -> bytes | None:
        return self._first_value(9)

    @property
    def refresh(self) -> bytes | None:
        return self._first_value(10)

    @property
    def set_cookie(self) -> bytes | None:
        return self._first_value(11)

    @property
    def content_disposition(self) -> bytes | None:
        return self._first_value(12)

    @property
    def cache_control(self) -> bytes | None:
        return self._first_value(13)

    @property
    def expires(self) -> bytes | None:
        return self._first_value(14)

    @property
    def accept_ranges(self) -> bytes | None:
        return self._first_value(15)

    @property
    def upgrade(self) -> bytes | None:
        return self._first_value(16)

    @property
    def content_range(self) -> bytes | None:
        return self._first_value(17)

    @property
    def connection(self) -> bytes | None:
        return self._first_value(18)

    @property
    def keep_alive(self) -> bytes | None:
        return self._first_value(19)

    @property
    def vary(self) -> bytes | None:
        return self._first_value(20)

    @property
    def link(self) -> bytes | None:
        return self._first_value(21)

    @property
    def x_accel_expires(self) -> bytes | None:
        return self._first_value(22)

    @property
    def x_accel_redirect(self) -> bytes | None:
        return self._first_value(23)

    @property
    def x_accel_limit_rate(self) -> bytes | None:
        return self._first_value(24)

    @property
    def x_accel_buffering(self) -> bytes | None:
        return self._first_value(25)

    @property
    def x_accel_charset(self) -> bytes | None:
        return self._first_value(26)

    @property
    def transfer_encoding(self) -> bytes | None:
        return self._first_value(27)

    @property
    def content_encoding(self) -> bytes | None:
        return self._first_value(28)

    @property
    def trailer(self) -> bytes | None:
        return self._first_value(29)


def parse_response(buf: bytes, pos: int = 0, end: int = -1, kind: int = HTTP) -> ResponseHead:
    """The response head at buf[pos:end]; see the top of this file."""
    if pos < 0:
        raise ValueError("negative position")
    head = ResponseHead.__new__(ResponseHead)
    head._begin(kind)
    head._start = pos
    head.feed(buf if isinstance(buf, bytes) else bytes(buf), end)
    return head


# --- the chunked coding ---------------------------------------------------------------------------------------------

(
    C_START,
    C_SIZE,
    C_EXTENSION,
    C_EXTENSION_CR,
    C_DATA,
    C_AFTER_DATA,
    C_AFTER_DATA_CR,
    C_LAST_EXTENSION,
    C_LAST_EXTENSION_CR,
    C_TRAILER,
    C_TRAILER_CR,
    C_TRAILER_LINE,
    C_TRAILER_LINE_CR,
    C_KEPT_TRAILERS,
) = range(14)

XDIGIT = uris.XDIGIT

# the least that must still come, in each state, besides the rest of the chunk: up to CRLF "0" CRLF CRLF
LEAST = bytes([5, 2, 9, 8, 7, 7, 6, 4, 3, 2, 1, 4, 3, 1])


class Chunked:
    """A body in the chunked coding, decoded where it lies (nginx: ngx_http_parse_chunked; RFC 9112 7.1).

    body = Chunked(keep_trailers=False)
    for start, stop in body.feed(buf, pos, end):      # spans of buf that are data
        …
    body.rc       NEED_MORE, DONE or INVALID
    body.pos      first byte of buf not consumed (after DONE: what follows the body)
    body.length   the least number of bytes that must still come
    body.trailers [(name, value)], with keep_trailers: read with a header's rules, within trailer_limit bytes
    body.message  with INVALID: why, when it was a trailer; "" when it was the coding itself (the caller logs
                  "client sent invalid chunked body", "upstream sent invalid chunked response")
    """

    __slots__ = (
        "_state",
        "_tail",
        "keep_trailers",
        "length",
        "message",
        "pos",
        "rc",
        "size",
        "trailer_limit",
        "trailers",
    )

    def __init__(self, keep_trailers: bool = False, trailer_limit: int = 4096) -> None:
        self._state = C_START
        self._tail = b""
        self.keep_trailers = keep_trailers
        self.trailer_limit = trailer_limit
        self.length = 5
        self.message = ""
        self.pos = 0
        self.rc = _MORE
        self.size = 0
        self.trailers: list[tuple[bytes, bytes]] = []

    def __repr__(self) -> str:
        return f"<Chunked rc={self.rc} state={self._state} size={self.size}>"

    def feed(self, buf: bytes, pos: int = 0, end: int = -1) -> list[tuple[int, int]]:
        """Spans of *buf* that are data. After DONE or INVALID nothing more is consumed."""
        if not isinstance(buf, bytes):
            buf = bytes(buf)
        if end < 0 or end > len(buf):
            end = len(buf)
        if pos < 0:
            raise ValueError("negative position")
        spans: list[tuple[int, int]] = []
        i = pos
        while self.rc == _MORE and i < end:
            if self._state == C_DATA:
                stop = end if end - i < self.size else i + self.size
                spans.append((i, stop))
                self.size -= stop - i
                i = stop
                if self.size == 0:
                    self._state = C_AFTER_DATA
            elif self._state == C_KEPT_TRAILERS:
                i = self._read_trailers(buf, i, end)
            else:
                i = self._scan(buf, i, end)
        self.pos = i
        self._measure()
        return spans

    def _measure(self) -> None:
        if self.rc != _MORE:
            self.length = 0
        elif self._state == C_SIZE:
            self.length = self.size + 9 if self.size else 4
        else:
            self.length = LEAST[self._state] + self.size

    def _scan(self, buf: bytes, i: int, end: int) -> int:
        """Everything that is not data, up to the next data, the end of the body or of *buf*."""
        p = buf
        xdigit = XDIGIT
        state = self._state
        while i < end:
            ch = p[i]
            if state == C_SIZE or state == C_START:
                digit = xdigit[ch]
                if state == C_SIZE and self.size > MAX_OFF // 16:
                    return self._fail(i)
                if digit < 16:
                    self.size = digit if state == C_START else self.size * 16 + digit
                    if self.size > MAX_OFF - 9:
                        return self._fail(i)
                    state = C_SIZE
                elif state == C_START:
                    return self._fail(i)
                elif ch == 13:
                    state = C_EXTENSION_CR if self.size else C_LAST_EXTENSION_CR
                elif ch == 59 or ch == 32 or ch == 9:
                    state = C_EXTENSION if self.size else C_LAST_EXTENSION
                else:
                    return self._fail(i)
            elif state == C_EXTENSION or state == C_LAST_EXTENSION or state == C_TRAILER_LINE:
                if ch == 13:
                    state += 1
                elif ch == 10:
                    return self._fail(i)
            elif state == C_EXTENSION_CR:
                if ch != 10:
                    return self._fail(i)
                self._state = C_DATA
                return i + 1
            elif state == C_AFTER_DATA:
                if ch != 13:
                    return self._fail(i)
                state = C_AFTER_DATA_CR
            elif state == C_AFTER_DATA_CR:
                if ch != 10:
                    return self._fail(i)
                state = C_START
            elif state == C_LAST_EXTENSION_CR:
                if ch != 10:
                    return self._fail(i)
                if self.keep_trailers:
                    self._state = C_KEPT_TRAILERS
                    return i + 1
                state = C_TRAILER
            elif state == C_TRAILER:
                if ch == 10:
                    return self._fail(i)
                state = C_TRAILER_CR if ch == 13 else C_TRAILER_LINE
            elif state == C_TRAILER_CR:
                if ch != 10:
                    return self._fail(i)
                self.rc = _DONE
                return i + 1
            else:  # C_TRAILER_LINE_CR
                if ch != 10:
                    return self._fail(i)
                state = C_TRAILER
            i += 1
        self._state = state
        return i

    def _fail(self, i: int) -> int:
        self.rc = _INVALID
        return i

    def _read_trailers(self, buf: bytes, i: int, end: int) -> int:
        """Trailer lines, which are read like an upstream's header lines (nginx: ngx_http_proxy_process_trailer)."""
        before = len(self._tail)
        taken = min(end - i, self.trailer_limit - before)
        tail = self._tail + buf[i : i + taken]
        head = ResponseHead(_CGI)
        head.read_lines(tail)
        if head.rc == _DONE:
            self.trailers = head.items()
            self.rc = _DONE
            return i + head.end - before
        if head.rc == _INVALID:
            self.message = head.message
            self.rc = _INVALID
        elif len(tail) == self.trailer_limit:
            self.message = "upstream sent too big trailers"
            self.rc = _INVALID
        self._tail = tail
        return i + taken


def chunk_header(size: int) -> bytes:
    """What stands before a chunk of *size* bytes."""
    return b"%x\r\n" % size
