"""Frames of HTTP/2: their numbers, and the bytes of those that are sent.   RFC 9113 4, 6, 7; nginx: ngx_http_v2.h"""

from __future__ import annotations

from struct import Struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEADER = 9

# types
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

# flags
END_STREAM = ACK = 0x01
END_HEADERS = 0x04
PADDED = 0x08
HAS_PRIORITY = 0x20

# settings
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = range(1, 6)

# error codes
NO_ERROR = 0
PROTOCOL_ERROR = 1
INTERNAL_ERROR = 2
FLOW_CONTROL_ERROR = 3
STREAM_CLOSED = 5
FRAME_SIZE_ERROR = 6
REFUSED_STREAM = 7
CANCEL = 8
COMPRESSION_ERROR = 9
ENHANCE_YOUR_CALM = 11

MAX_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65535
SMALLEST_FRAME_SIZE = 16384
LARGEST_FRAME_SIZE = 2**24 - 1

_header = Struct(">IBI").pack  # length and type share the first four bytes
_setting = Struct(">HI").pack
_number = Struct(">I").pack
_two_numbers = Struct(">II").pack

SETTINGS_ACK = _header(SETTINGS, ACK, 0)


def frame_header(length: int, kind: int, flags: int, sid: int) -> bytes:
    """The nine bytes before *length* bytes of payload."""
    return _header(length << 8 | kind, flags, sid)


def settings(pairs: tuple[tuple[int, int], ...]) -> bytes:
    """A SETTINGS frame."""
    return _header(len(pairs) * 6 << 8 | SETTINGS, 0, 0) + b"".join([_setting(*pair) for pair in pairs])


def window_update(sid: int, size: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return _header(4 << 8 | WINDOW_UPDATE, 0, sid) + _number(size)


def rst_stream(sid: int, code: int) -> bytes:
    """An RST_STREAM frame."""
    return _header(4 << 8 | RST_STREAM, 0, sid) + _number(code)


def goaway(last_sid: int, code: int) -> bytes:
    """A GOAWAY frame."""
    return _header(8 << 8 | GOAWAY, 0, 0) + _two_numbers(last_sid, code)


def ping_ack(data: bytes) -> bytes:
    """The answer to a PING."""
    return _header(8 << 8 | PING, ACK, 0) + data


def headers(sid: int, block: bytes, end: bool, frame_size: int) -> bytes:
    """A header block as a HEADERS frame and as many CONTINUATION frames as it needs."""
    size = len(block)
    if size <= frame_size:
        return _header(size << 8 | HEADERS, END_HEADERS | end, sid) + block
    made = [_header(frame_size << 8 | HEADERS, int(end), sid), block[:frame_size]]
    at = frame_size
    while at < size:
        piece = block[at : at + frame_size]
        at += len(piece)
        made += (_header(len(piece) << 8 | CONTINUATION, END_HEADERS if at == size else 0, sid), piece)
    return b"".join(made)
