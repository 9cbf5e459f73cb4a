"""HTTP/2 as the one who asks sees it: what a server's frames mean for one stream, and requests as header blocks.

RFC 9113; nginx: ngx_http_grpc_module.c, ngx_http_proxy_v2_module.c (…_process_header, …_filter, …_parse_…)

A connection carries one stream at a time, as nginx's do; `Peer` is what it keeps between them. Messages are nginx's.
"""

from __future__ import annotations

from struct import Struct

from geng.errors import GengError
from geng.hot.hpack import FRAME_SIZE_ERROR, Decoder, HpackError, text
from geng.wire import http2 as wire
from geng.wire.http2 import DEFAULT_WINDOW, FRAME_HEADER, MAX_WINDOW, SMALLEST_FRAME_SIZE

Lines = list[tuple[bytes, bytes]]

_read_header = Struct(">IBI").unpack_from
_read_number = Struct(">I").unpack_from
_read_two_numbers = Struct(">II").unpack_from
_read_setting = Struct(">HI").unpack_from

SID = 0x7FFFFFFF
MOST_CONTROL = 1000  # SETTINGS frames, or PINGs, that one response may come with
STATIC_ENTRIES = 61
MOST_FIELD = 127 + (1 << 21) - 1

START = (
    wire.PREFACE
    + wire.settings(((wire.HEADER_TABLE_SIZE, 0), (wire.ENABLE_PUSH, 0), (wire.INITIAL_WINDOW_SIZE, MAX_WINDOW)))
    + wire.window_update(0, MAX_WINDOW - DEFAULT_WINDOW)
)
"""What a connection begins with."""

NO_TABLE = b"\x20"

#: Frames of one length only, and what they are called.
FIXED = {wire.RST_STREAM: (4, "rst stream"), wire.WINDOW_UPDATE: (4, "window update"), wire.PING: (8, "ping")}

#: Frames of the connection, not of a stream, where that is checked.
STREAMLESS = {wire.SETTINGS: "settings", wire.PING: "ping", wire.GOAWAY: "goaway"}


class Broken(GengError):
    """The server broke the rules, or refused: the lines for the log."""

    def __init__(self, *messages: str) -> None:
        super().__init__(*messages)
        self.messages = messages


class Peer:
    """What one connection keeps from one stream to the next: windows, the last stream's number."""

    __slots__ = ("decoder", "init_window", "last_sid", "recv_window", "send_window")

    def __init__(self) -> None:
        self.last_sid = -1
        self.init_window = DEFAULT_WINDOW
        self.send_window = DEFAULT_WINDOW
        self.recv_window = MAX_WINDOW
        self.decoder = Decoder(MOST_FIELD, 0)
        self.decoder.decode(NO_TABLE)

    def __repr__(self) -> str:
        return f"<Peer stream {self.last_sid}, may send {self.send_window}>"

    def begin(self) -> int:
        """The number of a new stream."""
        self.last_sid += 2
        return self.last_sid


class Reader:
    """What comes for one stream: a head, a body, trailers; frames of the connection are answered into *control*.

    ended: END_STREAM came; done: so did all of the frame that said so; left: of the body's length, -1 unknown;
    in_block: a header block goes on in the next frame; rest, padding: of the DATA frame that is being read.
    """

    __slots__ = ("_at", "_buffer", "_flags", "_in_body", "_in_frame", "_kind", "_pings", "_rst", "_settings", "_sid",
                 "block", "control", "done", "ended", "goaway", "in_block", "left", "limit", "padding", "peer",
                 "recv_window", "rest", "send_window", "sid", "trailers")  # fmt: skip

    def __init__(self, peer: Peer, limit: int) -> None:
        """*limit*: bytes of the names and values of a header block."""
        self.peer = peer
        self.limit = limit
        self.sid = peer.begin()
        self.send_window = peer.init_window
        self.recv_window = MAX_WINDOW
        self.control: list[bytes] = []
        self.trailers: Lines = []
        self.ended = self.done = self.goaway = self.in_block = False
        self.left = -1
        self.block = b""
        self.rest = self.padding = 0
        self._buffer = b""
        self._at = 0
        self._in_frame = self._in_body = self._rst = False
        self._kind = self._flags = self._sid = 0
        self._pings = self._settings = 0

    def __repr__(self) -> str:
        return f"<Reader stream {self.sid}{' done' if self.done else ''}>"

    @property
    def clean(self) -> bool:
        """Whether nothing speaks against another stream on this connection."""
        return not (self.goaway or self._in_frame or self.control or self.held)

    @property
    def held(self) -> bytes:
        """What came and is not read yet."""
        return self._buffer[self._at :]

    # ---- the two phases

    def head(self, data: bytes) -> Lines | None:
        """The fields of the next head, once they are all here. Raises Broken."""
        self._add(data)
        while self._begin_frame():
            if len(self._buffer) - self._at < self.rest:
                return None
            if self._kind == wire.RST_STREAM:
                code = _read_number(self._buffer, self._at)[0]
                raise Broken(f"upstream rejected request with error {code}")
            if self._kind in (wire.HEADERS, wire.CONTINUATION):
                fields = self._fragment()
                if fields is not None:
                    return fields
            else:
                self._do()
        return None

    def begin_body(self, length: int) -> None:
        """The head was the response's: what follows is *length* bytes of body (-1: unknown). Raises Broken."""
        self._in_body = True
        self.left = length
        if self.ended:
            self._finish()

    def body(self, data: bytes) -> list[bytes]:
        """Parts of the body; sets done and trailers. Raises Broken."""
        self._add(data)
        parts: list[bytes] = []
        while self._begin_frame():
            if self._kind == wire.DATA:
                if not self._data(parts):
                    return parts
            elif len(self._buffer) - self._at < self.rest:
                return parts
            elif self._kind in (wire.HEADERS, wire.CONTINUATION):
                self._trailer()
            elif self._kind == wire.RST_STREAM:
                self._reset()
            else:
                self._do()
        if self.ended and not self.in_block:
            self._finish()
        return parts

    def take_held(self) -> bytes:
        """What came and is not read yet; it is given to body() again."""
        held = self.held
        self._buffer = b""
        self._at = 0
        return held

    def _finish(self) -> None:
        if self.left > 0:
            raise Broken("upstream prematurely closed stream")
        self.done = True

    # ---- frames

    def _add(self, data: bytes) -> None:
        self._buffer = self.held + data
        self._at = 0

    def _begin_frame(self) -> bool:
        """Whether there is a frame to go on with."""
        if self._in_frame:
            return True
        if len(self._buffer) - self._at < FRAME_HEADER:
            return False
        head, self._flags, sid = _read_header(self._buffer, self._at)
        self._at += FRAME_HEADER
        self.rest, self._kind, self._sid = head >> 8, head & 255, sid & SID
        self._in_frame = True
        self.padding = 0
        if self.rest > SMALLEST_FRAME_SIZE:
            raise Broken(f"upstream sent too large http2 frame: {self.rest}")
        kind = self._kind
        if (kind == wire.CONTINUATION) != self.in_block or (kind == wire.DATA and not self._in_body):
            raise Broken(f"upstream sent unexpected http2 frame: {kind}")
        if kind == wire.DATA:
            self._count()
        if self._sid and self._sid != self.sid:
            raise Broken(f"upstream sent frame for unknown stream {self._sid}")
        if self._in_body and self._sid and self.ended and not self.in_block:
            if kind not in (wire.RST_STREAM, wire.WINDOW_UPDATE):
                raise Broken(f"upstream sent frame for closed stream {self._sid}")
        self._check()
        return True

    def _check(self) -> None:
        """What a frame's head says about itself."""
        kind, size = self._kind, self.rest
        name = STREAMLESS.get(kind)
        if name is not None and self._sid:
            raise Broken(f"upstream sent {name} frame with non-zero stream id: {self._sid}")
        fixed = FIXED.get(kind)
        if fixed is not None and size != fixed[0]:
            raise Broken(f"upstream sent {fixed[1]} frame with invalid length: {size}")
        if kind == wire.PUSH_PROMISE:
            raise Broken("upstream sent unexpected push promise frame")
        if kind == wire.GOAWAY and size < 8:
            raise Broken(f"upstream sent goaway frame with invalid length: {size}")
        if kind == wire.PING:
            if self._flags & wire.ACK:
                raise Broken("upstream sent ping frame with ack flag")
            self._pings += 1
            if self._pings > MOST_CONTROL:
                raise Broken("upstream sent too many ping frames")
        elif kind == wire.SETTINGS:
            self._check_settings(size)

    def _check_settings(self, size: int) -> None:
        if self._flags & wire.ACK:
            if size:
                raise Broken(f"upstream sent settings frame with ack flag and non-zero length: {size}")
            return
        if size % 6:
            raise Broken(f"upstream sent settings frame with invalid length: {size}")
        self._settings += 1
        if self._settings > MOST_CONTROL:
            raise Broken("upstream sent too many settings frames")

    def _payload(self) -> bytes:
        """All of this frame; the next one begins behind it."""
        start = self._at
        self._at += self.rest
        self._in_frame = False
        return self._buffer[start : self._at]

    # ---- frames of the connection, and those that nobody knows

    def _do(self) -> None:
        """What is neither data nor a header block."""
        kind, flags = self._kind, self._flags
        payload = self._payload()
        if kind == wire.PING:
            self.control.append(wire.ping_ack(payload))
        elif kind == wire.WINDOW_UPDATE:
            self._widen(_read_number(payload)[0] & SID)
        elif kind == wire.SETTINGS:
            if not flags & wire.ACK:
                self._set(payload)
        elif kind == wire.GOAWAY:
            last, code = _read_two_numbers(payload)
            if last & SID < self.sid:
                raise Broken(f"upstream sent goaway with error {code}")
            self.goaway = True

    def _widen(self, size: int) -> None:
        if not size:
            raise Broken("upstream sent zero window update")
        if size > MAX_WINDOW - (self.send_window if self._sid else self.peer.send_window):
            raise Broken("upstream sent too large window update")
        if self._sid:
            self.send_window += size
        else:
            self.peer.send_window += size

    def _set(self, payload: bytes) -> None:
        for at in range(0, len(payload), 6):
            number, value = _read_setting(payload, at)
            if number != wire.INITIAL_WINDOW_SIZE:
                continue
            more = value - self.peer.init_window
            if value > MAX_WINDOW or (self.send_window > 0 and more > MAX_WINDOW - self.send_window):
                raise Broken(f"upstream sent settings frame with too large initial window size: {value}")
            self.peer.init_window = value
            self.send_window += more
        self.control.append(wire.SETTINGS_ACK)

    def _reset(self) -> None:
        """RST_STREAM behind the head: only after the end, once, and without an error is it no failure."""
        code = _read_number(self._payload())[0]
        if code or not self.ended:
            raise Broken(f"upstream rejected request with error {code}")
        if self._rst:
            raise Broken(f"upstream sent frame for closed stream {self._sid}")
        self._rst = True

    # ---- DATA

    def _count(self) -> None:
        """Flow control."""
        size = self.rest
        peer = self.peer
        if self._sid != self.sid:
            raise Broken(f"upstream sent data frame for unknown stream {self._sid}")
        for what, window in (("stream", self.recv_window), ("connection", peer.recv_window)):
            if size > window:
                raise Broken(f"upstream violated {what} flow control, received {size} data frame with window {window}")
        self.recv_window -= size
        peer.recv_window -= size
        if min(self.recv_window, peer.recv_window) < MAX_WINDOW // 4:
            self.control.append(wire.window_update(0, MAX_WINDOW - peer.recv_window))
            self.control.append(wire.window_update(self.sid, MAX_WINDOW - self.recv_window))
            self.recv_window = peer.recv_window = MAX_WINDOW

    def _data(self, parts: list[bytes]) -> bool:
        """Go on with a DATA frame; False when more must come."""
        here = len(self._buffer) - self._at
        if self._flags & wire.PADDED:
            if not self.rest:
                raise Broken("upstream sent too short http2 frame")
            if not here:
                return False
            self._flags &= ~wire.PADDED
            self.padding = self._buffer[self._at]
            self._at += 1
            self.rest -= 1
            here -= 1
            if self.padding > self.rest:
                raise too_much_padding(self.padding, self.rest)
        n = min(here, self.rest - self.padding)
        if n > 0:
            parts.append(self._buffer[self._at : self._at + n])
            self._at += n
            self.rest -= n
            here -= n
            if self.left >= 0:
                if n > self.left:
                    raise Broken("upstream sent response body larger than indicated content length")
                self.left -= n
        if here < self.rest:
            if self.rest <= self.padding:  # the padding as it comes
                self._at += here
                self.rest -= here
                self.padding = self.rest
            return False
        self._at += self.rest
        self._in_frame = False
        if self._flags & wire.END_STREAM:
            self.ended = True
        return True

    # ---- header blocks

    def _fragment(self) -> Lines | None:
        """A frame of a header block: the fields, when it was the last. Raises Broken."""
        flags = self._flags
        size = self.rest
        first = self._kind == wire.HEADERS
        piece = self._payload()
        if first:
            if flags & wire.END_STREAM:
                self.ended = True
            piece = unpadded(piece, flags, size)
        self.in_block = True
        self.block += piece
        if len(self.block) > self.limit:
            raise Broken("upstream sent too large http2 header", self._invalid())
        if not flags & wire.END_HEADERS:
            return None
        block, self.block = self.block, b""
        self.in_block = False
        try:
            return decode(self.peer.decoder, block, self.limit)
        except Broken as broken:
            raise Broken(*broken.messages, self._invalid()) from None

    def _invalid(self) -> str:
        return "upstream sent invalid trailer" if self._in_body else "upstream sent invalid header"

    def _trailer(self) -> None:
        fields = self._fragment()
        if fields is None:
            return
        for name, value in fields:
            if name[:1] == b":":
                raise Broken(f'upstream sent invalid trailer "{shown(name)}: {shown(value)}"')
        if not self.ended:
            raise Broken("upstream sent trailer without end stream flag")
        self.trailers += fields


def too_much_padding(padding: int, rest: int) -> Broken:
    return Broken(f"upstream sent http2 frame with too long padding: {padding} in frame {rest}")


def shown(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def unpadded(piece: bytes, flags: int, size: int) -> bytes:
    """What of a HEADERS frame is header block. Raises Broken."""
    at = (1 if flags & wire.PADDED else 0) + (5 if flags & wire.HAS_PRIORITY else 0)
    if size < at:
        raise Broken(f"upstream sent headers frame with invalid length: {size}")
    if not flags & wire.PADDED:
        return piece[at:]
    padding = piece[0]
    if padding > size - at:
        raise too_much_padding(padding, size - at)
    return piece[at : size - padding]


def decode(decoder: Decoder, block: bytes, limit: int) -> Lines:
    """The fields of a header block. Raises Broken."""
    for octet in block:  # changes of the table's size, which shall be none, come first
        if octet & 0xE0 != 0x20:
            break
        if octet != 0x20:
            raise Broken(f"upstream sent invalid http2 dynamic table size update: {octet & 0x1F}")
    decoder.total_limit = limit
    try:
        fields = decoder.decode(block)
    except HpackError as error:
        raise Broken(in_nginx_words(error)) from None
    for name, value in fields:
        if not is_name(name) or b"\0" in value or b"\r" in value or b"\n" in value:
            raise Broken(f'upstream sent invalid header: "{shown(name)}: {shown(value)}"')
    return fields


def in_nginx_words(error: HpackError) -> str:
    """The message for what is wrong with a block, where it comes from a server."""
    said = error.message
    index = said.rpartition(" ")[2]
    if "hpack table index" in said:
        number = int(index) + (STATIC_ENTRIES + 1 if "bound" in said else 0)
        return f"upstream sent invalid http2 table index: {number}"
    if "table size update" in said:
        return f"upstream sent invalid http2 dynamic table size update: {index}"
    if error.code == FRAME_SIZE_ERROR:
        return "upstream sent truncated http2 header"
    if "zero header name" in said:
        return "upstream sent zero http2 header name length"
    if "invalid encoded" in said:
        return "upstream sent invalid encoded header"
    return "upstream sent too large http2 header"


def is_name(name: bytes) -> bool:
    """nginx: ngx_http_grpc_validate_header_name"""
    if b":" in name[1:]:
        return False
    return all(ch > 0x20 and ch != 0x7F and not 65 <= ch <= 90 for ch in name)


def head_of(fields: Lines) -> tuple[int, Lines]:
    """A response's status and header lines. Raises Broken."""
    status = 0
    lines: Lines = []
    for name, value in fields:
        if name[:1] != b":":
            if not status:
                raise Broken("upstream sent no :status header")
            lines.append((name, value))
        elif name != b":status":
            raise Broken(f'upstream sent invalid header "{shown(name)}: {shown(value)}"')
        elif status:
            raise Broken("upstream sent duplicate :status header")
        else:
            if len(value) != 3 or not value.isdigit():
                raise Broken(f'upstream sent invalid :status "{shown(value)}"')
            status = int(value)
            if status < 200 and status != 103:
                raise Broken(f'upstream sent unexpected :status "{shown(value)}"')
    if not status:
        raise Broken("upstream sent no :status header")
    return status, lines


# ---- what is sent

METHODS = {b"GET": b"\x82", b"POST": b"\x83"}
SCHEMES = {False: b"\x86", True: b"\x87"}

# literal fields, not to be indexed, with the name from the static table
AUTHORITY, METHOD, PATH = b"\x01", b"\x02", b"\x04"

MOST_CACHED = 1024  # encoded fields that are kept
_fields: dict[tuple[bytes, bytes], bytes] = {}
_names: dict[bytes, bytes] = {}


def encoded(name: bytes, value: bytes) -> bytes:
    """One field; what comes again and again is looked up."""
    found = _fields.get((name, value))
    if found is None:
        prefix = _names.get(name)
        if prefix is None:
            if len(_names) >= MOST_CACHED:
                _names.clear()
            prefix = _names[name] = b"\0" + text(name.lower())
        found = prefix + text(value)
        if len(value) <= 128:
            if len(_fields) >= MOST_CACHED:
                _fields.clear()
            _fields[name, value] = found
    return found


def request_block(method: bytes, secure: bool, path: bytes, authority: bytes, lines: Lines) -> bytes:
    """The header block of a request."""
    out = [METHODS.get(method) or METHOD + text(method), SCHEMES[secure]]
    out.append(b"\x84" if path == b"/" else PATH + text(path))
    out.append(AUTHORITY + text(authority))
    out += [encoded(name, value) for name, value in lines]
    return b"".join(out)
