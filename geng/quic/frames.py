"""Frames: their bytes, and what each one says.   nginx: ngx_event_quic_transport.c; RFC 9000, section 19"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

# ---- RFC 9000, 20.1

(
    NO_ERROR, INTERNAL_ERROR, CONNECTION_REFUSED, FLOW_CONTROL_ERROR, STREAM_LIMIT_ERROR, STREAM_STATE_ERROR,
    FINAL_SIZE_ERROR, FRAME_ENCODING_ERROR, TRANSPORT_PARAMETER_ERROR, CONNECTION_ID_LIMIT_ERROR, PROTOCOL_VIOLATION,
    INVALID_TOKEN, APPLICATION_ERROR, CRYPTO_BUFFER_EXCEEDED, KEY_UPDATE_ERROR, AEAD_LIMIT_REACHED, NO_VIABLE_PATH,
) = range(17)  # fmt: skip
CRYPTO_ERROR = 0x100

INITIAL, EARLY, HANDSHAKE, APPLICATION = range(4)

# where a frame may stand (RFC 9000, 12.4, table 3)
_I, _H, _0, _1 = 1, 2, 4, 8
_ANY = _I | _H | _0 | _1
_BIT = {INITIAL: _I, HANDSHAKE: _H, EARLY: _0, APPLICATION: _1}

MAX_CID = 20
RESET_TOKEN = 16


class BadFrame(Exception):
    """A frame that cannot be; *code*: the connection error, *message*: what the log says."""

    def __init__(self, message: str, code: int = FRAME_ENCODING_ERROR, kind: int = 0) -> None:
        super().__init__(message)
        self.message, self.code, self.kind = message, code, kind


# ---- numbers (RFC 9000, 16)


def varint(value: int) -> bytes:
    """*value* as a variable-length integer."""
    if value < 0x40:
        return bytes((value,))
    if value < 0x4000:
        return (value | 0x4000).to_bytes(2, "big")
    if value < 0x4000_0000:
        return (value | 0x8000_0000).to_bytes(4, "big")
    return (value | 0xC000_0000_0000_0000).to_bytes(8, "big")


def varint_size(value: int) -> int:
    """How many bytes varint(value) has."""
    return 1 if value < 0x40 else 2 if value < 0x4000 else 4 if value < 0x4000_0000 else 8


class Reader:
    """Bytes that are read one field after the other; what is missing raises BadFrame."""

    __slots__ = ("at", "data", "end")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at
        self.end = len(data)

    def varint(self) -> int:
        at = self.at
        if at >= self.end:
            raise BadFrame("quic truncated number")
        first = self.data[at]
        size = 1 << (first >> 6)
        if size == 1:
            self.at = at + 1
            return first
        if at + size > self.end:
            raise BadFrame("quic truncated number")
        self.at = at + size
        return int.from_bytes(self.data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1)

    def take(self, n: int) -> bytes:
        at = self.at
        if n > self.end - at:
            raise BadFrame("quic truncated field")
        self.at = at + n
        return self.data[at : at + n]

    def byte(self) -> int:
        return self.take(1)[0]

    def rest(self) -> bytes:
        return self.take(self.end - self.at)


# ---- the frames


class Frame:
    """One frame; while it is under way also when it was sent, and in which packet.

    level: of its packets; need_ack: it asks for an acknowledgment; first_pn, plen: of the packet that it begins, else -1, 0.
    """

    __slots__ = ("ignore_congestion", "ignore_loss", "level", "path", "plen", "pn", "pkt_need_ack", "send_time")

    type: ClassVar[int] = 0
    need_ack: ClassVar[bool] = True
    name: ClassVar[str] = ""

    def __init__(self) -> None:
        self.level = APPLICATION
        self.pn = -1
        self.plen = 0
        self.send_time = 0
        self.pkt_need_ack = False
        self.ignore_loss = self.ignore_congestion = False

    def encode(self) -> bytes:
        """Its bytes."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(f'{name}={getattr(self, name)!r}' for name in type(self).__slots__)}>"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(self, n) == getattr(other, n) for n in type(self).__slots__)

    __hash__ = object.__hash__


def frame_class(number: int, name: str, *fields: str, need_ack: bool = True) -> Any:
    """A frame that is nothing but numbers, one after the other."""

    class Numbers(Frame):
        __slots__ = fields
        type = number

        def __init__(self, *values: int) -> None:
            Frame.__init__(self)
            for key, value in zip(fields, values, strict=True):
                setattr(self, key, value)

        def encode(self) -> bytes:
            return b"".join([varint(number), *[varint(getattr(self, key)) for key in fields]])

    Numbers.name = name
    Numbers.need_ack = need_ack
    Numbers.__name__ = Numbers.__qualname__ = "".join(word.capitalize() for word in name.split("_"))
    return Numbers


Ping = frame_class(0x01, "PING")
ResetStream = frame_class(0x04, "RESET_STREAM", "id", "code", "final_size")
StopSending = frame_class(0x05, "STOP_SENDING", "id", "code")
MaxData = frame_class(0x10, "MAX_DATA", "limit")
MaxStreamData = frame_class(0x11, "MAX_STREAM_DATA", "id", "limit")
MaxStreamsBidi = frame_class(0x12, "MAX_STREAMS", "limit")
MaxStreamsUni = frame_class(0x13, "MAX_STREAMS", "limit")
DataBlocked = frame_class(0x14, "DATA_BLOCKED", "limit")
StreamDataBlocked = frame_class(0x15, "STREAM_DATA_BLOCKED", "id", "limit")
StreamsBlockedBidi = frame_class(0x16, "STREAMS_BLOCKED", "limit")
StreamsBlockedUni = frame_class(0x17, "STREAMS_BLOCKED", "limit")
RetireConnectionId = frame_class(0x19, "RETIRE_CONNECTION_ID", "seqnum")
HandshakeDone = frame_class(0x1E, "HANDSHAKE_DONE")


class Padding(Frame):
    """*n* bytes of nothing."""

    __slots__ = ("n",)
    need_ack = False
    name = "PADDING"

    def __init__(self, n: int) -> None:
        Frame.__init__(self)
        self.n = n

    def encode(self) -> bytes:
        return bytes(self.n)


class Ack(Frame):
    """Packets that arrived: *ranges* of (first, last), the latest first; *delay* as it is on the wire."""

    __slots__ = ("delay", "ecn", "ranges")
    type = 0x02
    need_ack = False
    name = "ACK"

    def __init__(self, ranges: list[tuple[int, int]], delay: int, ecn: tuple[int, int, int] | None = None) -> None:
        Frame.__init__(self)
        self.ranges, self.delay, self.ecn = ranges, delay, ecn

    @property
    def largest(self) -> int:
        return self.ranges[0][1]

    def encode(self) -> bytes:
        first, last = self.ranges[0]
        parts = [b"\x02" if self.ecn is None else b"\x03", varint(last), varint(self.delay), varint(len(self.ranges) - 1)]
        parts.append(varint(last - first))
        for start, end in self.ranges[1:]:
            parts += (varint(first - end - 2), varint(end - start))
            first = start
        parts += map(varint, self.ecn or ())
        return b"".join(parts)


class Crypto(Frame):
    """A part of the TLS handshake."""

    __slots__ = ("data", "offset")
    type = 0x06
    name = "CRYPTO"

    def __init__(self, offset: int, data: bytes) -> None:
        Frame.__init__(self)
        self.offset, self.data = offset, data

    def encode(self) -> bytes:
        return b"\x06%b%b%b" % (varint(self.offset), varint(len(self.data)), self.data)

    def split(self, size: int) -> Crypto | None:
        """Keep what fits into a frame of *size* bytes; the rest, or None if not even a byte fits."""
        room = size - 1 - varint_size(self.offset) - varint_size(len(self.data))
        if room < 1:
            return None
        rest = Crypto(self.offset + room, self.data[room:])
        rest.level = self.level
        self.data = self.data[:room]
        return rest


class NewToken(Frame):
    """A token for the client's next connection."""

    __slots__ = ("token",)
    type = 0x07
    name = "NEW_TOKEN"

    def __init__(self, token: bytes) -> None:
        Frame.__init__(self)
        self.token = token

    def encode(self) -> bytes:
        return b"\x07%b%b" % (varint(len(self.token)), self.token)


class StreamFrame(Frame):
    """Bytes of a stream from *offset* on; *fin*: they are its last."""

    __slots__ = ("data", "fin", "id", "offset")
    type = 0x08
    name = "STREAM"

    def __init__(self, sid: int, offset: int, data: bytes, fin: bool) -> None:
        Frame.__init__(self)
        self.id, self.offset, self.data, self.fin = sid, offset, data, fin

    def encode(self) -> bytes:
        data = self.data
        kind = 0x0F if self.fin else 0x0E
        return b"%c%b%b%b%b" % (kind, varint(self.id), varint(self.offset), varint(len(data)), data)

    def split(self, size: int) -> StreamFrame | None:
        """Keep what fits into a frame of *size* bytes; the rest, or None if not even a byte fits."""
        room = size - 1 - varint_size(self.id) - varint_size(self.offset) - varint_size(len(self.data))
        if room < 1:
            return None
        rest = StreamFrame(self.id, self.offset + room, self.data[room:], self.fin)
        rest.level = self.level
        self.data, self.fin = self.data[:room], False
        return rest


class NewConnectionId(Frame):
    """Another name for this connection."""

    __slots__ = ("cid", "retire", "seqnum", "token")
    type = 0x18
    name = "NEW_CONNECTION_ID"

    def __init__(self, seqnum: int, retire: int, cid: bytes, token: bytes) -> None:
        Frame.__init__(self)
        self.seqnum, self.retire, self.cid, self.token = seqnum, retire, cid, token

    def encode(self) -> bytes:
        return b"\x18%b%b%c%b%b" % (varint(self.seqnum), varint(self.retire), len(self.cid), self.cid, self.token)


class PathChallenge(Frame):
    """Prove that you are there."""

    __slots__ = ("data",)
    type = 0x1A
    name = "PATH_CHALLENGE"

    def __init__(self, data: bytes) -> None:
        Frame.__init__(self)
        self.data = data

    def encode(self) -> bytes:
        return b"%c%b" % (self.type, self.data)


class PathResponse(PathChallenge):
    """The answer to a challenge."""

    __slots__ = ()
    type = 0x1B
    name = "PATH_RESPONSE"

    def __eq__(self, other: object) -> bool:
        return type(other) is PathResponse and other.data == self.data

    __hash__ = object.__hash__


class ConnectionClose(Frame):
    """The end. *app*: *code* is the application's; *frame_type* that is to blame."""

    __slots__ = ("app", "code", "frame_type", "reason")
    type = 0x1C
    need_ack = False
    name = "CONNECTION_CLOSE"

    def __init__(self, code: int, reason: bytes = b"", frame_type: int = 0, app: bool = False) -> None:
        Frame.__init__(self)
        self.code, self.reason, self.frame_type, self.app = code, reason, frame_type, app

    def encode(self) -> bytes:
        middle = b"" if self.app else varint(self.frame_type)
        head = b"\x1d" if self.app else b"\x1c"
        return b"".join((head, varint(self.code), middle, varint(len(self.reason)), self.reason))


# ---- reading


def _numbers(cls: Any) -> Callable[[int, Reader], Frame]:
    count = len(cls.__slots__)

    def read(kind: int, r: Reader) -> Frame:
        return cls(*[r.varint() for _ in range(count)])

    return read


def _padding(kind: int, r: Reader) -> Frame:
    start = r.at - 1
    rest = r.data[start:]
    n = len(rest) - len(rest.lstrip(b"\0"))
    r.at = start + n
    return Padding(n)


def _ack(kind: int, r: Reader) -> Frame:
    largest, delay, count, first = r.varint(), r.varint(), r.varint(), r.varint()
    if first > largest:
        raise BadFrame("quic invalid first ack range in ack frame")
    ranges = [(largest - first, largest)]
    smallest = largest - first
    if count > r.end - r.at:
        raise BadFrame("quic truncated ack ranges")
    for _ in range(count):
        gap, size = r.varint(), r.varint()
        last = smallest - gap - 2
        if last - size < 0:
            raise BadFrame("quic invalid range in ack frame")
        smallest = last - size
        ranges.append((smallest, last))
    ecn = (r.varint(), r.varint(), r.varint()) if kind == 3 else None
    return Ack(ranges, delay, ecn)


def _crypto(kind: int, r: Reader) -> Frame:
    offset = r.varint()
    return Crypto(offset, r.take(r.varint()))


def _new_token(kind: int, r: Reader) -> Frame:
    token = r.take(r.varint())
    if not token:
        raise BadFrame("quic empty token")
    return NewToken(token)


def _stream(kind: int, r: Reader) -> Frame:
    sid = r.varint()
    offset = r.varint() if kind & 4 else 0
    data = r.take(r.varint()) if kind & 2 else r.rest()
    return StreamFrame(sid, offset, data, bool(kind & 1))


def _new_connection_id(kind: int, r: Reader) -> Frame:
    seqnum, retire = r.varint(), r.varint()
    if retire > seqnum:
        raise BadFrame("quic new connection id retires later ones")
    size = r.byte()
    if not 1 <= size <= MAX_CID:
        raise BadFrame("quic new connection id with an invalid length")
    return NewConnectionId(seqnum, retire, r.take(size), r.take(RESET_TOKEN))


def _challenge(kind: int, r: Reader) -> Frame:
    return (PathChallenge if kind == 0x1A else PathResponse)(r.take(8))


def _close(kind: int, r: Reader) -> Frame:
    code = r.varint()
    blamed = r.varint() if kind == 0x1C else 0
    return ConnectionClose(code, r.take(r.varint()), blamed, kind == 0x1D)


def _max_streams(cls: Any) -> Callable[[int, Reader], Frame]:
    def read(kind: int, r: Reader) -> Frame:
        limit = r.varint()
        if limit > 1 << 60:
            raise BadFrame("quic too many streams")
        return cls(limit)

    return read


#: type -> (where it may stand, what reads it); RFC 9000, table 3
READERS: dict[int, tuple[int, Callable[[int, Reader], Frame]]] = {
    0x00: (_ANY, _padding),
    0x01: (_ANY, _numbers(Ping)),
    0x02: (_I | _H | _1, _ack),
    0x03: (_I | _H | _1, _ack),
    0x04: (_0 | _1, _numbers(ResetStream)),
    0x05: (_0 | _1, _numbers(StopSending)),
    0x06: (_I | _H | _1, _crypto),
    0x07: (0, _new_token),  # only servers send it
    **{kind: (_0 | _1, _stream) for kind in range(0x08, 0x10)},
    0x10: (_0 | _1, _numbers(MaxData)),
    0x11: (_0 | _1, _numbers(MaxStreamData)),
    0x12: (_0 | _1, _max_streams(MaxStreamsBidi)),
    0x13: (_0 | _1, _max_streams(MaxStreamsUni)),
    0x14: (_0 | _1, _numbers(DataBlocked)),
    0x15: (_0 | _1, _numbers(StreamDataBlocked)),
    0x16: (_0 | _1, _max_streams(StreamsBlockedBidi)),
    0x17: (_0 | _1, _max_streams(StreamsBlockedUni)),
    0x18: (_0 | _1, _new_connection_id),
    0x19: (_0 | _1, _numbers(RetireConnectionId)),
    0x1A: (_0 | _1, _challenge),
    0x1B: (_1, _challenge),
    0x1C: (_ANY, _close),
    0x1D: (_0 | _1, _close),
    0x1E: (0, _numbers(HandshakeDone)),  # only servers send it
}


def parse(payload: bytes, level: int) -> Iterator[Frame]:
    """The frames of a packet's *payload*; raises BadFrame where there is none.   nginx: ngx_quic_parse_frame"""
    r = Reader(payload)
    bit = _BIT[level]
    while r.at < r.end:
        start = r.at
        kind = r.varint()
        if r.at - start != varint_size(kind):
            raise BadFrame("quic frame type is not in its shortest form", PROTOCOL_VIOLATION, kind)
        allowed, read = READERS.get(kind, (-1, _padding))
        if allowed < 0:
            raise BadFrame(f"quic unknown frame type 0x{kind:x}", FRAME_ENCODING_ERROR, kind)
        if not allowed & bit:
            raise BadFrame(f"quic frame type 0x{kind:x} is not allowed in packet", PROTOCOL_VIOLATION, kind)
        try:
            frame = read(kind, r)
        except BadFrame as bad:
            bad.kind = kind
            raise
        frame.level = level
        yield frame
