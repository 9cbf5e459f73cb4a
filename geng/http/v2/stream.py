"""One request's stream: to handlers a client connection like any other.   nginx: the fake connections of ngx_http_v2.c

Its bytes arrive in DATA frames, which the session hands over, and leave in DATA frames as the flow control allows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import ETIMEDOUT
from os import pread
from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed, TimedOut
from geng.hot.connection import NEVER, Bytes, Link, Timer
from geng.net.carried import CarriedStream
from geng.net.connection import expired
from geng.wire.http2 import (
    DATA,
    END_STREAM,
    FRAME_HEADER,
    MAX_WINDOW,
    frame_header,
    rst_stream,
    window_update,
)

if TYPE_CHECKING:
    from geng.http.v2.priority import Node
    from geng.http.v2.session import Session

FILE_PIECE = 65536


class NoWatcher:
    """A stream has no descriptor of its own to watch."""

    __slots__ = ()

    def start(self, callback: Callable[[], object]) -> None:
        """Events come from the session."""

    def stop(self) -> None:
        """Nothing runs."""


NO_WATCHER = NoWatcher()


# What becomes of a stream whose head never came; geng.http.v2.request binds it.
give_up: Callable[[Stream, int], None] = None  # type: ignore[assignment]


def bind(function: Callable[[Stream, int], None]) -> None:
    """Fill in give_up()."""
    global give_up
    give_up = function


def late(stream: Stream) -> None:
    """The head of a request did not come in time."""
    stream.session.log.info("client timed out", err=ETIMEDOUT, ctx=stream)
    stream.timedout = True
    give_up(stream, 408)


class Stream(CarriedStream):
    """A stream that carries a request.

    send_window, recv_window: bytes of flow control left in each direction; in_closed, out_closed: END_STREAM has passed;
    gone: reset, or the connection is; body, body_size: received and not taken; rest: of the response's body to come,
    -1 unknown; chunk: the largest DATA frame that the location wants.
    """

    __slots__ = (
        "body", "body_size", "chunk", "exhausted", "gone", "in_closed", "in_line", "no_flow_control", "node", "out_closed",
        "recv_window", "request_length", "rest", "rst_sent", "send_window", "session", "sid", "skip_data", "started",
    )  # fmt: skip

    def __init__(self, session: Session, sid: int, node: Node, in_closed: bool) -> None:
        c = session.c
        Link.__init__(self, c.pool, c.fd, c.number, NO_WATCHER, Timer(expired, self))
        self.ssl = c.ssl
        self.listening = c.listening
        self.addr_text = c.addr_text
        self.port = c.port
        self._sockaddr = c._sockaddr
        self.start_msec = c.start_msec
        self.requests = c.requests
        self.session = session
        self.sid = sid
        self.node = node
        self.send_window = session.init_window
        self.recv_window = session.preread_size
        self.in_closed = in_closed
        self.out_closed = self.rst_sent = self.gone = self.skip_data = False
        self.no_flow_control = self.exhausted = self.in_line = False
        self.body: list[bytes] = []
        self.body_size = 0
        self.started = False
        self.request_length = 0
        self.rest = -1
        self.chunk = 8192

    def __repr__(self) -> str:
        state = "gone" if self.gone else ("" if self.in_closed else "receiving ") + ("closed" if self.out_closed else "open")
        return f"<Stream {self.sid} of *{self.number} {state}>"

    # ---- what the session says, in the hub

    def receive(self, data: bytes, last: bool) -> None:
        """A part of the body, or its end."""
        if data:
            self.body.append(data)
            self.body_size += len(data)
        if last:
            self.in_closed = True
        self.session.stir(self)

    def lost(self) -> None:
        """The stream is over before its time: whoever waits hears of it."""
        if self.gone or self.closed:
            return
        self.gone = self.eof = True
        if not self.started:
            give_up(self, 0)
            return
        self.wake_writer()
        if not self.closed:
            self._readable()

    def wake_writer(self) -> None:
        """A wait for flow control may be over."""
        waiter = self._write_waiter
        if waiter is not None:
            self._write_waiter = None
            waiter.switch(self)

    # ---- waiting

    def expect_head(self, ms: float) -> None:
        """A part of the head has come: the rest must within *ms*."""
        if self.timer.deadline == NEVER:
            self.on_timeout = late
            self.set_timeout(ms)

    def _watch(self) -> None:
        self._watching = True

    def wait_read(self, ms: float | None) -> bool:
        self.ready = bool(self.body) or self.in_closed or self.gone
        return Link.wait_read(self, ms)

    @property
    def unwritable(self) -> bool:
        return self.gone

    def peek_closed(self) -> bool:
        return self.gone

    # ---- reading

    def recv(self, n: int) -> bytes | None:
        """What came of the body, whatever its size."""
        if self.body:
            return self.take()
        return b"" if self.in_closed or self.gone else None

    def take(self) -> bytes:
        """All that came."""
        data = self.body[0] if len(self.body) == 1 else b"".join(self.body)
        self.body = []
        self.body_size = 0
        return data

    def skip_body(self) -> None:
        """Nobody wants (the rest of) the body."""
        self.skip_data = True
        self.body = []
        self.body_size = 0

    def widen(self, size: int) -> None:
        """Let the client send *size* bytes more."""
        self.recv_window += size
        self.session.send_control(window_update(self.sid, size))

    def lift_flow_control(self) -> None:
        """The body is taken as it comes: as large a window as there is."""
        self.no_flow_control = True
        if not self.in_closed:
            self.widen(MAX_WINDOW - self.recv_window)

    # ---- writing

    def send(self, parts: Sequence[Bytes], ms: float | None) -> None:
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        size = len(data)
        session = self.session
        if not size:
            return
        if self.out_closed or self.gone:
            raise ConnectionClosed(0, "send()")
        view: Any = data if size <= self.chunk and type(data) is bytes else memoryview(data)
        at = 0
        while at < size:
            limit = min(session.send_window, self.send_window)
            if limit <= 0 or session.pending > session.most_pending:
                self.wait_for_room(ms)
                continue
            n = min(size - at, self.chunk, session.frame_size, limit)
            self._send_frame(view if n == size else view[at : at + n], n)
            at += n
        session.flush_soon()

    def _send_frame(self, data: Any, n: int) -> None:
        session = self.session
        session.send_window -= n
        self.send_window -= n
        flags = 0
        if self.rest >= 0:
            self.rest -= n
            if self.rest <= 0:
                flags = END_STREAM
                self.out_closed = True
        self.sent += FRAME_HEADER + n
        session.payload_bytes += n
        session.queue_data(b"%b%b" % (frame_header(n, DATA, flags, self.sid), data), self)

    def wait_for_room(self, ms: float | None) -> None:
        """Until the windows, or the socket, may take more. Raises TimedOut, ConnectionClosed."""
        session = self.session
        if self.send_window <= 0:
            self.exhausted = True
        elif session.send_window <= 0:
            session.stand_in_line(self)
        else:
            session.flush()
            if session.pending <= session.most_pending:
                return
            session.waits_for_socket.append(self)
        session.flush_soon()
        if self.gone:
            raise ConnectionClosed(0, "send()")
        if not self.wait_write(ms):
            raise TimedOut
        if self.gone:
            raise ConnectionClosed(0, "send()")

    def end(self) -> None:
        """END_STREAM, where no frame has said it."""
        if not (self.out_closed or self.gone):
            self.out_closed = True
            self.sent += FRAME_HEADER
            self.session.queue_data(frame_header(0, DATA, END_STREAM, self.sid), self)
            self.session.flush_soon()

    def try_send(self, parts: Sequence[Bytes]) -> int:
        self.send(parts, None)
        return sum(map(len, parts))

    def try_sendfile(self, fd: int, offset: int, n: int) -> int:
        data = pread(fd, min(n, FILE_PIECE), offset)
        self.send((data,), None)
        return len(data)

    def sendfile(self, fd: int, offset: int, n: int, ms: float | None) -> None:
        session = self.session
        while n > 0:
            room = min(session.send_window, self.send_window)
            if room <= 0 and not self.gone:
                self.wait_for_room(ms)
                continue
            data = pread(fd, min(n, room, FILE_PIECE), offset)
            if not data:
                raise ConnectionClosed(0, "sendfile()")
            self.send((data,), ms)
            offset += len(data)
            n -= len(data)

    # ---- the socket is the session's

    @property
    def sock(self) -> Any:
        return self.session.c.sock

    def local_addr(self) -> Any:
        return self.session.c.local_addr()

    # ---- the end

    def reset(self, code: int) -> None:
        """Tell the client that this stream is over, behind what it has been sent."""
        if not self.rst_sent:
            self.rst_sent = True
            self.session.queue_data(rst_stream(self.sid, code), self)
            self.session.flush_soon()

    def abort(self, code: int) -> None:
        """The client broke a rule of this stream (ngx_http_v2_terminate_stream)."""
        if self.rst_sent:
            return
        self.rst_sent = True
        self.session.send_control(rst_stream(self.sid, code))
        self.skip_data = True
        self.lost()

    def close(self) -> None:
        """The request is over."""
        if self.closed:
            return
        self.closed = True
        self.timer.deadline = NEVER
        self.timer.arg = None
        if self._wtimer is not None:
            self._wtimer.deadline = NEVER
            self._wtimer.arg = None
        self._wake_waiters()
        self._on_read = self.on_drain = self.on_timeout = self.context = self.data = None
        self.session.closed(self)
