"""FastCGI records: how a request is written in them, and how a response is read from them.

FastCGI Specification 1.0 (3.3 records, 3.4 name-value pairs, 5 record types).   nginx: ngx_http_fastcgi_module.c

One request per connection at a time, as nginx has it: its id is always 1.

    records = Records()
    kind = records.step(data)     # MORE: all of *data* is read; records.pos is 0 again before the next piece
                                  # STDOUT, STDERR: data[records.start:records.stop]; empty: an empty record
                                  # END_REQUEST: that record has begun;  ENDED: it is complete, and so the response
                                  # FAULT: records.fault says what is wrong
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct

BEGIN_REQUEST, ABORT_REQUEST, END_REQUEST, PARAMS, STDIN, STDOUT, STDERR = range(1, 8)
"""Types of records."""

MORE, FAULT, ENDED = 0, -1, -2
"""What step() returns besides a type."""

RESPONDER = 1
KEEP_CONN = 1
HEADER = 8  # bytes
MOST_CONTENT = 65535
BODY_CONTENT = 32768  # of a request's body in one record, as nginx cuts it
ALIGNMENT = 8

_HEADER = Struct(">BBHHBx")
_READ = frozenset((STDOUT, STDERR, END_REQUEST))


# --- writing


def header(kind: int, length: int, padding: int = 0) -> bytes:
    """The header of a record with *length* bytes of content."""
    return _HEADER.pack(1, kind, 1, length, padding)


def padding_of(length: int) -> int:
    """How many bytes fill a record up to a multiple of eight."""
    return -length % ALIGNMENT


def record(kind: int, content: bytes) -> bytes:
    """A whole record."""
    padding = padding_of(len(content))
    return header(kind, len(content), padding) + content + bytes(padding)


def begin(keep: bool) -> bytes:
    """The record that begins a request; *keep*: the application shall not close the connection afterwards."""
    return header(BEGIN_REQUEST, 8) + bytes((0, RESPONDER, KEEP_CONN if keep else 0, 0, 0, 0, 0, 0))


def size(n: int) -> bytes:
    """A length in a name-value pair: one byte up to 127, else four."""
    return bytes((n,)) if n < 128 else (n | 0x80000000).to_bytes(4, "big")


def pair(name: bytes, value: bytes) -> bytes:
    """One parameter."""
    return size(len(name)) + size(len(value)) + name + value


def params(content: bytes) -> bytes:
    """All parameters (pairs, joined, at most MOST_CONTENT bytes) and the empty record behind them."""
    return record(PARAMS, content) + header(PARAMS, 0)


END_OF_BODY = header(STDIN, 0)


def body_cuts(length: int) -> Iterable[tuple[int, int]]:
    """(offset, length) of the records that *length* bytes of body go in."""
    return ((offset, min(BODY_CONTENT, length - offset)) for offset in range(0, length, BODY_CONTENT))


# --- reading


class Records:
    """The records of one response, read as they come.

    kind: of the record that is being read; length, padding: what is left of it; head: of a header that is not complete.
    """

    __slots__ = ("ending", "fault", "head", "kind", "length", "padding", "pos", "start", "stop")

    def __init__(self) -> None:
        self.pos = 0
        self.kind = 0
        self.length = 0
        self.padding = 0
        self.head = b""
        self.start = 0
        self.stop = 0
        self.ending = False
        self.fault = ""

    def __repr__(self) -> str:
        return f"<Records at {self.pos}, type {self.kind} with {self.length}+{self.padding} to come>"

    def step(self, data: bytes) -> int:
        """Read on at self.pos; see above."""
        while True:
            if self.length:
                kind = self._content(data)
                if kind:
                    return kind
                if self.length:
                    return MORE
            if self.padding and not self._skip_padding(data):
                return MORE
            if self.ending:
                return ENDED
            kind = self._header(data)
            if kind <= 0 or not self.length or kind == END_REQUEST:
                return kind

    def _content(self, data: bytes) -> int:
        """The next piece of the record's content: its type; 0 without, or where nobody wants it."""
        start = self.pos
        stop = min(start + self.length, len(data))
        self.length -= stop - start
        self.start, self.stop = start, stop
        self.pos = stop
        return self.kind if stop > start and not self.ending else 0

    def _skip_padding(self, data: bytes) -> bool:
        """Whether all of it is gone."""
        n = min(self.padding, len(data) - self.pos)
        self.pos += n
        self.padding -= n
        return not self.padding

    def _header(self, data: bytes) -> int:
        """Read a record's header: its type, MORE, or FAULT."""
        pos = self.pos
        head = data[pos : pos + HEADER - len(self.head)]
        self.pos = self.start = self.stop = pos + len(head)
        head = self.head + head
        self.fault = _fault_in(head)
        if self.fault:
            return FAULT
        if len(head) < HEADER:
            self.head = head
            return MORE
        self.head = b""
        _, self.kind, _, self.length, self.padding = _HEADER.unpack(head)
        self.ending = self.kind == END_REQUEST
        return self.kind

    def rest(self) -> bytes:
        """Bytes from whose end reading goes on as from here: what came before may be forgotten then."""
        if self.head or not (self.length or self.padding):
            return self.head
        return header(self.kind, self.length, self.padding)


def _fault_in(head: bytes) -> str:
    """What nginx says about a header of which *head* is here; "" when all is well."""
    if head[:1] not in (b"\x01", b""):
        return f"upstream sent unsupported FastCGI protocol version: {head[0]}"
    if len(head) > 1 and head[1] not in _READ:
        return f"upstream sent invalid FastCGI record type: {head[1]}"
    if len(head) > 2 and head[2]:
        return f"upstream sent unexpected FastCGI request id high byte: {head[2]}"
    if len(head) > 3 and head[3] != 1:
        return f"upstream sent unexpected FastCGI request id low byte: {head[3]}"
    return ""
