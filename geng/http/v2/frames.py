"""What the client's frames mean.   RFC 9113 6; nginx: ngx_http_v2.c (the ngx_http_v2_state_… functions)"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING

from geng.hot.hpack import HpackError
from geng.http.v2 import request
from geng.http.v2.stream import Stream
from geng.wire import http2 as wire
from geng.wire.http2 import FRAME_HEADER, MAX_WINDOW, PREFACE

if TYPE_CHECKING:
    from geng.http.v2.session import Session

_read_header = Struct(">IBI").unpack_from
_read_number = Struct(">I").unpack_from
_read_setting = Struct(">HI").unpack_from

SID = 0x7FFFFFFF
MOST_SETTINGS = 65536  # bytes; nginx has no limit but works on them piece by piece

#: Frames of one length only, and what they are called.
FIXED = {
    wire.PRIORITY: (5, "PRIORITY"),
    wire.RST_STREAM: (4, "RST_STREAM"),
    wire.PING: (8, "PING"),
    wire.WINDOW_UPDATE: (4, "WINDOW_UPDATE"),
}

CANCELED = {
    wire.CANCEL: "client canceled stream {}",
    wire.INTERNAL_ERROR: "client terminated stream {} due to internal error",
}


class Reader:
    """Cuts what arrives into frames and does what they say.

    rest: bytes of a frame that goes on, which belong to *stream* (None: nobody); *padding* bytes follow them.
    in_head: that frame has a header block's bytes; in_block: the block goes on behind it; block_rest: what could not be
    decoded yet; fields: what could.
    """

    __slots__ = ("block_rest", "buffer", "end_headers", "fields", "in_block", "in_head", "last", "padding", "preface",
                 "rest", "session", "sid", "stream")  # fmt: skip

    def __init__(self, session: Session) -> None:
        self.session = session
        self.buffer = b""
        self.preface = True
        self.rest = 0
        self.padding = 0
        self.stream: Stream | None = None
        self.last = False
        self.in_head = self.in_block = False
        self.end_headers = False
        self.sid = 0
        self.block_rest = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def __repr__(self) -> str:
        return f"<Reader {len(self.buffer)} bytes held, {self.rest} to come>"

    @property
    def incomplete(self) -> bool:
        """Whether a frame or a header block has begun and not ended."""
        return bool(self.buffer or self.rest or self.padding or self.in_block)

    def feed(self, data: bytes) -> None:
        """Bytes have come."""
        if self.buffer:
            data = self.buffer + data
            self.buffer = b""
        at = 0
        if self.preface:
            if len(data) < len(PREFACE) and PREFACE.startswith(data):
                self.buffer = data
                return
            if not data.startswith(PREFACE):
                self.session.fail(wire.PROTOCOL_ERROR, "invalid connection preface")
                return
            self.preface = False
            at = len(PREFACE)
        end = len(data)
        session = self.session
        while not (session.over or session.broken):
            if self.rest or self.padding:
                at = self._go_on(data, at, end)
                if at < 0:
                    break
            if end - at < FRAME_HEADER:
                break
            stop = self._frame(data, at, end)
            if stop < 0:
                break
            at = stop
        if 0 <= at < end and not session.over:
            self.buffer = data[at:] if at else data

    def _go_on(self, data: bytes, at: int, end: int) -> int:
        """More of a frame that is passed on, or skipped, as it comes."""
        n = min(self.rest, end - at)
        if n:
            self.rest -= n
            stream = self.stream
            if self.in_head:
                if not self._fragment(data, at, at + n):
                    return -1
            elif stream is not None:
                self._body(stream, data[at : at + n], self.last and not self.rest)
            at += n
        if self.rest:
            return at
        n = min(self.padding, end - at)
        self.padding -= n
        return at + n

    def _skip(self, n: int) -> None:
        self.stream = None
        self.in_head = False
        self.rest = n
        self.padding = 0

    def _frame(self, data: bytes, at: int, end: int) -> int:
        """One frame at *at*: where what follows begins, -1 when it is not all there (or all is over)."""
        head, flags, sid = _read_header(data, at)
        length, kind = head >> 8, head & 255
        sid &= SID
        at += FRAME_HEADER
        session = self.session
        if self.in_block:
            if kind != wire.CONTINUATION:
                return self._fail("client sent inappropriate frame while CONTINUATION was expected")
            if sid != self.sid:
                return self._fail("client sent CONTINUATION frame with incorrect identifier")
        if kind == wire.DATA:
            return self._data(data, at, end, length, flags, sid)
        if kind == wire.HEADERS:
            return self._headers(data, at, end, length, flags, sid)
        if kind == wire.CONTINUATION:
            return self._continuation(at, length, flags)
        if kind == wire.SETTINGS:
            return self._settings(data, at, end, length, flags, sid)
        if kind == wire.GOAWAY:
            return self._goaway(data, at, end, length, sid)
        if kind == wire.PUSH_PROMISE:
            return self._fail("client sent PUSH_PROMISE frame")
        if kind > wire.CONTINUATION:
            session.log.info(f"client sent frame with unknown type {kind}", ctx=session.c)
            self._skip(length)
            return at
        size, name = FIXED[kind]
        if length != size:
            return self._fail(f"client sent {name} frame with incorrect length {length}", wire.FRAME_SIZE_ERROR)
        if kind == wire.PRIORITY:
            session.priority_limit -= 1
            if session.priority_limit == 0:
                return self._fail("client sent too many PRIORITY frames", wire.ENHANCE_YOUR_CALM)
        if end - at < size:
            if kind == wire.PRIORITY:
                session.priority_limit += 1
            return -1
        if not HANDLERS[kind](self, data, at, flags, sid):
            return -1
        return at + size

    def _fail(self, message: str, code: int = wire.PROTOCOL_ERROR) -> int:
        self.session.fail(code, message)
        return -1

    # ---- DATA

    def _data(self, data: bytes, at: int, end: int, length: int, flags: int, sid: int) -> int:
        session = self.session
        padding = 0
        size = length
        if flags & wire.PADDED:
            if length == 0:
                return self._fail("client sent padded DATA frame with incorrect length: 0", wire.FRAME_SIZE_ERROR)
            if at == end:
                return -1
            padding = data[at]
            if padding >= size:
                return self._fail(f"client sent padded DATA frame with incorrect length: {size}, padding: {padding}")
            at += 1
            length -= 1 + padding
        if sid == 0:
            return self._fail("client sent DATA frame with incorrect identifier")
        if size > session.recv_window:
            return self._fail(
                "client violated connection flow control: "
                f"received DATA frame length {size}, available window {session.recv_window}",
                wire.FLOW_CONTROL_ERROR,
            )
        session.recv_window -= size
        if session.recv_window < MAX_WINDOW // 4:
            session.send_control(wire.window_update(0, MAX_WINDOW - session.recv_window))
            session.recv_window = MAX_WINDOW
        stream = session.streams.get(sid)
        if stream is not None and not self._may_send(stream, size):
            stream = None
        self.rest, self.padding, self.stream = length, padding, stream
        self.in_head = False
        self.last = bool(flags & wire.END_STREAM)
        if not length and stream is not None:
            self._body(stream, b"", self.last)
        return at

    def _may_send(self, stream: Stream, size: int) -> bool:
        """Whether the flow control and the state of *stream* allow a DATA frame."""
        session = self.session
        if size > stream.recv_window:
            session.log.info(
                f"client violated flow control for stream {stream.sid}: "
                f"received DATA frame length {size}, available window {stream.recv_window}",
                ctx=session.c,
            )
            stream.abort(wire.FLOW_CONTROL_ERROR)
            return False
        stream.recv_window -= size
        if stream.no_flow_control and stream.recv_window < MAX_WINDOW // 4:
            stream.widen(MAX_WINDOW - stream.recv_window)
        if stream.in_closed:
            session.log.info(f"client sent DATA frame for half-closed stream {stream.sid}", ctx=session.c)
            stream.abort(wire.STREAM_CLOSED)
            return False
        return True

    def _body(self, stream: Stream, data: bytes, last: bool) -> None:
        if stream.skip_data or stream.gone:
            if last and not stream.gone:
                stream.in_closed = True
            return
        self.session.payload_bytes += len(data)
        if data or last:
            stream.receive(data, last)

    # ---- HEADERS and CONTINUATION

    def _headers(self, data: bytes, at: int, end: int, length: int, flags: int, sid: int) -> int:
        session = self.session
        size = (1 if flags & wire.PADDED else 0) + (5 if flags & wire.HAS_PRIORITY else 0)
        if length < size:
            return self._fail(f"client sent HEADERS frame with incorrect length {length}", wire.FRAME_SIZE_ERROR)
        if length == size:
            return self._fail("client sent HEADERS frame with empty header block", wire.FRAME_SIZE_ERROR)
        if session.goaway:
            self._skip(length)
            return at
        if end - at < size:
            return -1
        length -= size
        padding = 0
        if flags & wire.PADDED:
            padding = data[at]
            at += 1
            if padding > length:
                return self._fail(f"client sent padded HEADERS frame with incorrect length: {length}, padding: {padding}")
            length -= padding
        priority = None
        depend = 0
        if flags & wire.HAS_PRIORITY:
            number: int = _read_number(data, at)[0]
            depend = number & SID
            priority = (data[at + 4] + 1, depend, number > SID)
            at += 5
        if sid % 2 == 0 or sid <= session.last_sid:
            return self._fail(f"client sent HEADERS frame with incorrect identifier {sid}, the last was {session.last_sid}")
        if depend == sid:
            return self._fail(f"client sent HEADERS frame for stream {sid} with incorrect dependency")
        session.last_sid = self.sid = sid
        self.rest, self.padding = length, padding
        self.in_head = self.in_block = True
        self.end_headers = bool(flags & wire.END_HEADERS)
        self.block_rest = b""
        self.fields = []
        session.decoder.begin()
        last = bool(flags & wire.END_STREAM)
        reason = self._refusal(last)
        if reason is None:
            self.stream = session.open(sid, last, priority)
            self.stream.request_length = length
        else:
            self.stream = None
            if not session.refuse(sid, reason):
                return -1
        if not length and not self._fragment(data, at, at):
            return -1
        return at

    def _continuation(self, at: int, length: int, flags: int) -> int:
        if not self.in_block:
            return self._fail("client sent unexpected CONTINUATION frame")
        self.rest = length
        self.in_head = True
        self.end_headers = bool(flags & wire.END_HEADERS)
        if self.stream is not None:
            self.stream.request_length += length
        if not length and not self._fragment(b"", 0, 0):
            return -1
        return at

    def _fragment(self, data: bytes, at: int, end: int) -> bool:
        """A part of a header block; False when the connection is over."""
        session = self.session
        complete = self.end_headers and not self.rest
        if self.block_rest:
            data = self.block_rest + data[at:end]
            at, end = 0, len(data)
        try:
            stop = session.decoder.go_on(data, at, end, complete, self.fields)
        except HpackError as error:
            session.fail(error.code, error.message)
            return False
        stream = self.stream
        if not complete:
            self.block_rest = data[stop:end]
            if stream is not None:
                if stream.closed:
                    self.stream = None
                else:
                    stream.expect_head(session.hc.srv.client_header_timeout)
            return True
        fields = self.fields
        self.in_block = self.in_head = False
        self.block_rest = b""
        self.fields = []
        self.stream = None
        if stream is not None and not stream.closed:
            session.payload_bytes += stream.request_length
            session.hub.start(request.serve, (stream, fields))
        return not (session.over or session.broken)

    def _refusal(self, last: bool) -> str | None:
        """Why a new stream is refused; *last*: it has no body."""
        session = self.session
        if len(session.streams) >= session.max_streams:
            return f"concurrent streams exceeded {len(session.streams)}"
        session.new_streams += 1
        if session.new_streams > 2 * session.max_streams:
            return "client sent too many streams at once"
        if not (session.settings_ack or last) and session.preread_size < wire.DEFAULT_WINDOW:
            return "client sent stream with data before settings were acknowledged"
        return None

    # ---- the others

    def _settings(self, data: bytes, at: int, end: int, length: int, flags: int, sid: int) -> int:
        session = self.session
        if sid:
            return self._fail("client sent SETTINGS frame with incorrect identifier")
        if flags == wire.ACK:
            if length:
                return self._fail("client sent SETTINGS frame with the ACK flag and nonzero length", wire.FRAME_SIZE_ERROR)
            session.settings_ack = True
            return at
        if length % 6 or length > MOST_SETTINGS:
            return self._fail(f"client sent SETTINGS frame with incorrect length {length}", wire.FRAME_SIZE_ERROR)
        if end - at < length:
            return -1
        delta = 0
        for place in range(at, at + length, 6):
            name, value = _read_setting(data, place)
            if name == wire.INITIAL_WINDOW_SIZE:
                if value > MAX_WINDOW:
                    return self._bad_setting("INITIAL_WINDOW_SIZE", value, wire.FLOW_CONTROL_ERROR)
                delta = value - session.init_window
            elif name == wire.MAX_FRAME_SIZE:
                if not wire.SMALLEST_FRAME_SIZE <= value <= wire.LARGEST_FRAME_SIZE:
                    return self._bad_setting("MAX_FRAME_SIZE", value)
                session.frame_size = value
            elif name == wire.ENABLE_PUSH:
                if value > 1:
                    return self._bad_setting("ENABLE_PUSH", value)
            elif name == wire.HEADER_TABLE_SIZE:
                session.table_update = True
        session.acknowledge_settings()
        if delta:
            session.adjust_windows(delta)
        return -1 if session.over else at + length

    def _bad_setting(self, name: str, value: int, code: int = wire.PROTOCOL_ERROR) -> int:
        return self._fail(f"client sent SETTINGS frame with incorrect {name} value {value}", code)

    def _goaway(self, data: bytes, at: int, end: int, length: int, sid: int) -> int:
        if length < 8:
            return self._fail(f"client sent GOAWAY frame with incorrect length {length}", wire.FRAME_SIZE_ERROR)
        if end - at < 8:
            return -1
        if sid:
            return self._fail("client sent GOAWAY frame with incorrect identifier")
        self._skip(length)
        return at

    def _priority(self, data: bytes, at: int, flags: int, sid: int) -> bool:
        number: int = _read_number(data, at)[0]
        depend = number & SID
        if sid == 0:
            self._fail("client sent PRIORITY frame with incorrect identifier")
            return False
        if depend == sid:
            self._fail(f"client sent PRIORITY frame for stream {sid} with incorrect dependency")
            return False
        self.session.tree.prefer(sid, data[at + 4] + 1, depend, number > SID)
        return True

    def _rst_stream(self, data: bytes, at: int, flags: int, sid: int) -> bool:
        session = self.session
        if sid == 0:
            self._fail("client sent RST_STREAM frame with incorrect identifier")
            return False
        stream = session.streams.get(sid)
        if stream is not None:
            status: int = _read_number(data, at)[0]
            stream.in_closed = stream.out_closed = True
            text = CANCELED.get(status, f"client terminated stream {{}} with status {status}")
            session.log.info(text.format(sid), ctx=stream)
            stream.lost()
        return True

    def _ping(self, data: bytes, at: int, flags: int, sid: int) -> bool:
        if sid:
            self._fail("client sent PING frame with incorrect identifier")
            return False
        if not flags & wire.ACK:
            self.session.send_control(wire.ping_ack(data[at : at + 8]))
        return True

    def _window_update(self, data: bytes, at: int, flags: int, sid: int) -> bool:
        session = self.session
        window: int = _read_number(data, at)[0] & SID
        if window == 0:
            self._fail("client sent WINDOW_UPDATE frame with incorrect window increment 0")
            return False
        if sid:
            stream = session.streams.get(sid)
            if stream is not None:
                self._widen(stream, window)
            return True
        if window > MAX_WINDOW - session.send_window:
            self._fail(
                "client violated connection flow control: received WINDOW_UPDATE frame "
                f"with window increment {window} not allowed for window {session.send_window}",
                wire.FLOW_CONTROL_ERROR,
            )
            return False
        session.send_window += window
        session.serve_line()
        return not session.over

    def _widen(self, stream: Stream, window: int) -> None:
        session = self.session
        if window > MAX_WINDOW - stream.send_window:
            session.log.info(
                f"client violated flow control for stream {stream.sid}: received WINDOW_UPDATE frame "
                f"with window increment {window} not allowed for window {stream.send_window}",
                ctx=session.c,
            )
            stream.abort(wire.FLOW_CONTROL_ERROR)
            return
        stream.send_window += window
        if stream.exhausted and stream.send_window > 0:
            stream.exhausted = False
            stream.wake_writer()


HANDLERS: dict[int, Callable[[Reader, bytes, int, int, int], bool]] = {
    wire.PRIORITY: Reader._priority,
    wire.RST_STREAM: Reader._rst_stream,
    wire.PING: Reader._ping,
    wire.WINDOW_UPDATE: Reader._window_update,
}
