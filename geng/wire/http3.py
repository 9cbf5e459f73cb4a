"""HTTP/3 as bytes: numbers, frames, and what a client's streams say.   RFC 9114; nginx: ngx_http_v3_parse.c, …_encode.c

Each reader is fed what comes and keeps what is not complete; it raises Http3Error when a rule is broken.
"""

from __future__ import annotations

from geng.errors import GengError

# frames
DATA, HEADERS, CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID = 0, 1, 3, 4, 5, 7, 0x0D

#: HTTP/2's frames that HTTP/3 has not and forbids.
OF_HTTP2 = frozenset((2, 6, 8, 9))
NOT_IN_REQUESTS = OF_HTTP2 | {CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY, MAX_PUSH_ID}
NOT_IN_CONTROL = OF_HTTP2 | {DATA, HEADERS, PUSH_PROMISE}

# unidirectional streams
CONTROL_STREAM, PUSH_STREAM, ENCODER_STREAM, DECODER_STREAM = range(4)

# settings
MAX_TABLE_CAPACITY, MAX_FIELD_SECTION_SIZE, BLOCKED_STREAMS = 1, 6, 7

# error codes
NO_ERROR = 0x100
GENERAL_PROTOCOL_ERROR = 0x101
INTERNAL_ERROR = 0x102
STREAM_CREATION_ERROR = 0x103
CLOSED_CRITICAL_STREAM = 0x104
FRAME_UNEXPECTED = 0x105
FRAME_ERROR = 0x106
EXCESSIVE_LOAD = 0x107
ID_ERROR = 0x108
SETTINGS_ERROR = 0x109
MISSING_SETTINGS = 0x10A
REQUEST_REJECTED = 0x10B
REQUEST_CANCELLED = 0x10C
REQUEST_INCOMPLETE = 0x10D
DECOMPRESSION_FAILED = 0x200
ENCODER_STREAM_ERROR = 0x201
DECODER_STREAM_ERROR = 0x202

NOT_YET = -1


class Http3Error(GengError):
    """The client broke a rule: *code* of HTTP/3 or QPACK, 0 where nginx has none and gives up. *message* is for the log,
    *level* loud."""

    def __init__(self, code: int, message: str = "", level: str = "info") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.level = level


def varint(value: int) -> bytes:
    """RFC 9000 16"""
    if value < 0x40:
        return bytes((value,))
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 0x40000000:
        return (value | 0x80000000).to_bytes(4, "big")
    return (value | 0xC000000000000000).to_bytes(8, "big")


def read_varint(p: bytes, i: int, end: int) -> tuple[int, int]:
    """The number at *i* and where it ends: NOT_YET when it is not all there."""
    if i >= end:
        return 0, NOT_YET
    first = p[i]
    if first < 0x40:
        return first, i + 1
    stop = i + (1 << (first >> 6))
    if stop > end:
        return 0, NOT_YET
    return int.from_bytes(p[i:stop], "big") & ((1 << ((stop - i) * 8 - 2)) - 1), stop


def frame(kind: int, payload: bytes) -> bytes:
    return varint(kind) + varint(len(payload)) + payload


def data_header(size: int) -> bytes:
    """What stands before *size* bytes of a body."""
    return b"\0" + varint(size)


def settings(pairs: tuple[tuple[int, int], ...]) -> bytes:
    return frame(SETTINGS, b"".join(varint(name) + varint(value) for name, value in pairs))


def goaway(sid: int) -> bytes:
    return frame(GOAWAY, varint(sid))


class FrameReader:
    """Cuts a request stream into frames; unknown ones are skipped.

    kind, rest: of the frame that goes on, and its bytes to come; in_head: HEADERS have not come, so DATA must not.
    """

    __slots__ = ("buffer", "in_head", "kind", "rest")

    def __init__(self) -> None:
        self.buffer = b""
        self.in_head = True
        self.kind = -1
        self.rest = 0

    def __repr__(self) -> str:
        return f"<FrameReader frame {self.kind}, {self.rest} to come, {len(self.buffer)} held>"

    def feed(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data

    def take(self) -> bytes:
        """What is here of the frame that goes on."""
        data, n = self.buffer, self.rest
        if len(data) <= n:
            self.buffer = b""
            self.rest = n - len(data)
            return data
        self.buffer = data[n:]
        self.rest = 0
        return data[:n]

    def header(self) -> bool:
        """Go to the next DATA or HEADERS; False: more must come. Of HEADERS behind a body (trailers) nothing is read.

        Raises Http3Error.
        """
        p, end, i = self.buffer, len(self.buffer), 0
        found = False
        while not found:
            if self.rest:  # of a frame that nobody knows
                n = min(self.rest, end - i)
                self.rest -= n
                i += n
            kind, at = read_varint(p, i, end)
            if at < 0:
                break
            if kind in NOT_IN_REQUESTS or (kind == DATA and self.in_head):
                raise Http3Error(FRAME_UNEXPECTED)
            if kind == HEADERS and not self.in_head:
                self.kind = kind
                break
            size, stop = read_varint(p, at, end)
            if stop < 0:
                break
            i = stop
            self.kind, self.rest = kind, size
            found = kind in (DATA, HEADERS)
        self.buffer = p[i:]
        if found and self.in_head and not self.rest:
            raise Http3Error(FRAME_ERROR)
        return found or (self.kind == HEADERS and not self.in_head)


class ControlReader:
    """The client's control stream."""

    __slots__ = ("buffer", "first", "in_settings", "settings", "skip")

    def __init__(self) -> None:
        self.buffer = b""
        self.first = True
        self.skip = 0
        self.in_settings = 0  # bytes of SETTINGS to come
        self.settings: dict[int, int] = {}

    def feed(self, data: bytes) -> None:
        """Raises Http3Error."""
        p = self.buffer + data
        i, end = 0, len(p)
        while True:
            if self.skip:
                n = min(self.skip, end - i)
                self.skip -= n
                i += n
                if self.skip:
                    break
            at = self._setting(p, i, end) if self.in_settings else self._frame(p, i, end)
            if at < 0:
                break
            i = at
        self.buffer = p[i:]

    def _frame(self, p: bytes, i: int, end: int) -> int:
        kind, at = read_varint(p, i, end)
        if at < 0:
            return NOT_YET
        if self.first and kind != SETTINGS:
            raise Http3Error(MISSING_SETTINGS)
        if kind in NOT_IN_CONTROL or (kind == SETTINGS and not self.first):
            raise Http3Error(FRAME_UNEXPECTED)
        if kind == CANCEL_PUSH:
            raise Http3Error(ID_ERROR)
        size, stop = read_varint(p, at, end)
        if stop < 0:
            return NOT_YET
        self.first = False
        if kind == SETTINGS:
            self.in_settings = size
        else:
            self.skip = size
        return stop

    def _setting(self, p: bytes, i: int, end: int) -> int:
        complete = end - i >= self.in_settings
        stop = i + self.in_settings if complete else end
        name, at = read_varint(p, i, stop)
        if at > 0:
            value, at = read_varint(p, at, stop)
        if at < 0:
            if complete:
                raise Http3Error(SETTINGS_ERROR)
            return NOT_YET
        self.settings[name] = value
        self.in_settings -= at - i
        return at
