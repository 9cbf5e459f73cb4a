"""A client connection that speaks HTTP/3: its control and QPACK streams, and how it ends.

nginx: ngx_http_v3.c, ngx_http_v3_uni.c, ngx_http_v3_request.c (ngx_http_v3_init, …_shutdown, …_init_request_stream)

All of it runs in the hub; each request has a greenlet of its own. `c.data` of the connection is the HttpConnection that
the handshake knows (SNI changes its server), whose `session` this is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.errors import ConnectionClosed
from geng.hot.connection import NEVER, Timer
from geng.wire import http3 as wire
from geng.wire import qpack

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.http.conf import CoreLoc
    from geng.http.connection import HttpConnection
    from geng.http.v3.request import RequestStream
    from geng.quic.connection import QuicConnection
    from geng.quic.stream import QuicStream

FLOOD = 1048576
READ_SIZE = 128
MOST_UNI = 3

#: What stands for the client's streams that there must be one of.
READERS = {wire.CONTROL_STREAM, wire.ENCODER_STREAM, wire.DECODER_STREAM}


class Session:
    """What HTTP/3 keeps with a connection.

    table: that the client's encoder fills; blocked: requests that wait for it; known: our own streams, by type;
    created: the types of the client's; total, payload: bytes that were sent and received, and those of use.
    """

    __slots__ = ("acknowledged", "blocked", "c", "created", "goaway", "hc", "hq", "keepalive", "known", "max_blocked",
                 "next_id", "payload", "requests", "table", "telling", "total")  # fmt: skip

    def __init__(self, c: QuicConnection, hc: HttpConnection, max_blocked: int) -> None:
        self.c = c
        self.hc = hc
        self.table = qpack.Table()
        self.acknowledged = 0  # insertions that the client's encoder knows we have
        self.telling = False
        self.max_blocked = max_blocked
        self.blocked: dict[RequestStream, None] = {}
        self.known: dict[int, QuicStream] = {}
        self.created: set[int] = set()
        self.requests = 0
        self.next_id = 0
        self.total = self.payload = 0
        self.goaway = False
        self.hq = False
        self.keepalive = Timer(_idle_too_long, self)

    def __repr__(self) -> str:
        return f"<Session {self.c!r} {self.requests} requests>"

    @property
    def loc(self) -> CoreLoc:
        loc: CoreLoc = self.hc.srv.default
        return loc

    @property
    def log(self) -> Log:
        return self.hc.srv.default.log

    # ---- from the handshake on

    def start(self, hq: bool) -> None:
        """The handshake is done."""
        self.wait_for_requests()
        self.hq = hq
        if hq:
            return
        self.say(
            wire.CONTROL_STREAM,
            wire.settings(((wire.MAX_TABLE_CAPACITY, qpack.TABLE_CAPACITY), (wire.BLOCKED_STREAMS, self.max_blocked))),
        )
        self.own(wire.DECODER_STREAM)

    def wait_for_requests(self) -> None:
        self.c.hub.timers.set(self.keepalive, self.loc.keepalive_timeout)

    def begin_request(self, s: QuicStream) -> bool:
        """Whether one more request may be made on stream *s*."""
        loc = self.loc
        n = s.id >> 2
        if n >= loc.keepalive_requests * 2:
            self.c.finalize(wire.EXCESSIVE_LOAD, "too many requests per connection")
            return False
        if self.goaway:
            return False
        self.next_id = s.id + 4
        if n + 1 == loc.keepalive_requests or msec() - s.start_msec > loc.keepalive_time:
            self.go_away("reached maximum number of requests")
        if not self.hq:
            self.requests += 1
            self.keepalive.deadline = NEVER
        return True

    def end_request(self) -> None:
        self.requests -= 1
        if self.requests == 0 and not self.c.closed:
            self.wait_for_requests()

    def count(self, total: int, payload: int = 0) -> bool:
        """Bytes have come or go, of which so many are of use; False: too few are, and the connection ends."""
        self.total += total
        self.payload += payload
        if self.total // 8 <= self.payload + FLOOD:
            return True
        self.log.info("http3 flood detected", ctx=self.c)
        self.c.finalize(wire.NO_ERROR, "HTTP/3 flood detected")
        return False

    # ---- the end

    def go_away(self, reason: str) -> None:
        """Take no new requests, and end when those that are under way have ended."""
        if self.goaway:
            return
        self.goaway = True
        if not self.hq:
            self.say(wire.CONTROL_STREAM, wire.goaway(self.next_id))
        self.c.shutdown(wire.NO_ERROR, reason)

    # ---- our own streams

    def own(self, kind: int) -> QuicStream | None:
        """Our stream of type *kind*; None where there is none and the connection ends."""
        s = self.known.get(kind)
        if s is not None:
            return s
        s = self.c.open_uni()
        if s is None:
            self._failed("failed to create server stream", wire.STREAM_CREATION_ERROR)
            return None
        s.make_cancelable()
        self.known[kind] = s
        s.context = self.hc.log_context
        s.on_read = self._own_readable
        self.say(kind, wire.varint(kind))
        return s

    def _own_readable(self, s: Any) -> None:
        """Nobody sends on a stream of ours: it is the connection that is over (ngx_http_v3_uni_dummy_read_handler)."""
        try:
            data = s.recv(1)
        except ConnectionClosed:
            data = b"?"
        if data:
            self.known = {kind: known for kind, known in self.known.items() if known is not s}
            self.c.finalize(wire.NO_ERROR, "")
            s.close()

    def say(self, kind: int, data: bytes) -> None:
        """Send *data* on our stream of type *kind*."""
        if self.c.closing:
            return
        s = self.own(kind)
        if s is None:
            return
        self.total += len(data)
        try:
            sent = s.try_send((data,))
        except ConnectionClosed:
            sent = 0
        if sent != len(data):
            self._failed(FAILURES.get(kind, "failed to send"), wire.EXCESSIVE_LOAD)

    def _failed(self, message: str, code: int) -> None:
        self.log.error(message, ctx=self.c)
        self.c.finalize(code, message)

    # ---- the dynamic table

    def block(self, stream: RequestStream) -> bool:
        """*stream* waits for insertions; False: too many do, and the connection ends."""
        if stream in self.blocked:
            return True
        if len(self.blocked) == self.max_blocked:
            self.log.info("client exceeded http3_max_blocked_streams limit", ctx=self.c)
            self.c.finalize(wire.DECOMPRESSION_FAILED, "too many blocked streams")
            return False
        self.blocked[stream] = None
        return True

    def inserted(self) -> None:
        """The table has grown."""
        if not self.telling:
            self.telling = True
            self.c.hub.call_soon(self._tell)
        waiting, self.blocked = self.blocked, {}
        for stream in waiting:
            self.c.hub.call_soon(stream.unblocked)

    def _tell(self) -> None:
        self.telling = False
        more = self.table.insertions - self.acknowledged
        if more > 0 and not self.c.closed:
            self.acknowledged = self.table.insertions
            self.say(wire.DECODER_STREAM, qpack.increment(more))

    def acknowledge(self, sid: int, required: int) -> None:
        """The field section of stream *sid* is read, for which *required* insertions were needed."""
        self.acknowledged = max(self.acknowledged, required)
        self.say(wire.DECODER_STREAM, qpack.acknowledge(sid))


FAILURES = {wire.CONTROL_STREAM: "failed to send settings", wire.DECODER_STREAM: "failed to send section acknowledgement"}


def _idle_too_long(session: Session) -> None:
    c = session.c
    if c.closed:
        return
    if session.hq and any(not s.closed for s in c.streams.values()):
        session.wait_for_requests()
        return
    c.shutdown(wire.NO_ERROR, "keepalive timeout")


class ClientStream:
    """A unidirectional stream of the client's. kind: its type, -1 when not known yet, -2 for one that nobody knows."""

    __slots__ = ("buffer", "kind", "reader", "s", "session")

    def __init__(self, session: Session, s: QuicStream) -> None:
        self.session = session
        self.s = s
        self.kind = -1
        self.buffer = b""
        self.reader: Any = None

    def start(self) -> None:
        """nginx: ngx_http_v3_init_uni_stream"""
        s, c = self.s, self.session.c
        if self.session.hq:
            c.finalize(wire.STREAM_CREATION_ERROR, "uni stream in hq mode")
            s.close()
            return
        if s.id >> 2 >= MOST_UNI:
            c.finalize(wire.STREAM_CREATION_ERROR, "reached maximum number of uni streams")
            s.close()
            return
        s.make_cancelable()
        s.context = self.session.hc.log_context
        s.on_read = self.readable

    def readable(self, s: QuicStream) -> None:
        """nginx: ngx_http_v3_uni_read_handler"""
        try:
            while not s.closed:
                data = s.recv(READ_SIZE)
                if data is None:
                    return
                if not data:
                    if self.kind >= 0:
                        raise wire.Http3Error(wire.CLOSED_CRITICAL_STREAM)
                    s.close()
                    return
                if not self.session.count(len(data)):
                    s.close()
                    return
                self._feed(data)
        except ConnectionClosed:
            self._broken(wire.INTERNAL_ERROR)
        except wire.Http3Error as error:
            if error.message:
                self.session.log.log(error.level, error.message, ctx=s)
            self._broken(error.code or wire.GENERAL_PROTOCOL_ERROR)

    def _broken(self, code: int) -> None:
        if not self.session.c.closed:
            self.session.c.finalize(code, "stream error")
        self.s.close()

    def _feed(self, data: bytes) -> None:
        if self.kind == -1:
            data = self.buffer + data
            kind, at = wire.read_varint(data, 0, len(data))
            if at < 0:
                self.buffer = data
                return
            self._register(kind)
            data = data[at:]
        if self.reader is not None and self.reader.feed(data):
            self.session.inserted()

    def _register(self, kind: int) -> None:
        session = self.session
        if kind not in READERS:
            if not session.created >= READERS:
                raise wire.Http3Error(wire.STREAM_CREATION_ERROR, "missing mandatory stream")
            self.kind = -2
            return
        if kind in session.created:
            raise wire.Http3Error(wire.STREAM_CREATION_ERROR, "stream already created")
        session.created.add(kind)
        self.kind = kind
        if kind == wire.CONTROL_STREAM:
            self.reader = wire.ControlReader()
        elif kind == wire.ENCODER_STREAM:
            self.reader = qpack.EncoderReader(session.table, session.hc.srv.large_client_header_buffers[1])
        else:
            self.reader = qpack.DecoderReader()
