"""A request on its way over HTTP/2: frames as the windows open, a body as it comes from the client, while answers come.

nginx: ngx_http_grpc_module.c (ngx_http_grpc_body_output_filter), ngx_http_upstream.c (…_send_request_handler,
…_read_request_handler)

What cannot go at once goes on from the hub, so that the request's greenlet is free to read the response: both
directions of a stream run at the same time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from errno import ETIMEDOUT
from os import pread
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from geng.errors import ConnectionClosed
from geng.http.body import BodyFailed
from geng.http.filters import FileSlice
from geng.wire import http2 as wire
from geng.wire.http2_client import START, Reader

if TYPE_CHECKING:
    from geng.net.connection import Connection
    from geng.net.hub import After
    from geng.upstream.engine import Exchange

MOST_AT_ONCE = 64  # buffers in one writev()
MOST_FRAMES = 16  # DATA frames made before the socket is asked whether it takes them

SENDING = "sending request to upstream"


class Upload:
    """What is left to send of one request, on *c*; what `u.sender` is until all of it is gone.

    raw: frames; source: parts of the body that are no frames yet; ended: END_STREAM is among the frames; lost: the
    connection takes no more; waiter: the request's greenlet, where it waits for the response to begin.
    """

    __slots__ = ("_client_was", "_deadline", "_on_client", "c", "client", "ended", "lost", "raw", "reader", "source",
                 "stream", "u", "waiter")  # fmt: skip

    def __init__(self, u: Exchange, c: Connection, reader: Reader, block: bytes, parts: Sequence[Any]) -> None:
        self.u = u
        self.c = c
        self.client = u.r.c
        self.reader = reader
        self.stream = u.stream
        self.source: deque[Any] = deque(part if type(part) is FileSlice else memoryview(part) for part in parts if len(part))
        self.ended = not self.source and self.stream is None
        head = wire.headers(reader.sid, block, self.ended, wire.SMALLEST_FRAME_SIZE)
        self.raw: deque[Any] = deque((memoryview(START + head if reader.sid == 1 else head),))
        self.lost = False
        self.waiter: Any = None
        self._deadline: After | None = None
        self._on_client = False
        self._client_was: Any = None

    def __repr__(self) -> str:
        return f"<Upload {len(self.raw)} frames{', ended' if self.ended else ''}>"

    @property
    def finished(self) -> bool:
        return self.ended and not self.raw and not self.lost

    # ---- sending

    def pump(self) -> bool:
        """Send what can be sent now; True when the whole request is gone. Raises ConnectionClosed, BodyFailed."""
        while True:
            control = self.reader.control
            if control:
                self.raw.append(memoryview(b"".join(control)))
                control.clear()
            if self.raw and not self._send():
                return False
            if self.ended:
                return True
            if not self._frame():
                return False

    def _send(self) -> bool:
        """False when the socket takes no more."""
        raw = self.raw
        while raw:
            parts = [raw[i] for i in range(min(len(raw), MOST_AT_ONCE))]
            sent = self.c.try_send(parts)
            if not sent:
                return False
            while sent:
                size = len(raw[0])
                if sent < size:
                    raw[0] = raw[0][sent:]
                    break
                sent -= size
                raw.popleft()
        return True

    def _frame(self) -> bool:
        """Make DATA frames; False when there is nothing to make one of, or the windows are closed."""
        made = False
        for _ in range(MOST_FRAMES):
            if not self.source and not self._refill():
                break
            if not self.source:
                self._add(b"", True)
                return True
            room = self.room
            if room <= 0:
                break
            data = self._piece(min(room, wire.SMALLEST_FRAME_SIZE))
            last = not self.source and (self.stream is None or self.stream.done)
            self._add(data, last)
            made = True
            if last:
                return True
        return made

    @property
    def room(self) -> int:
        """Bytes that the server lets us send."""
        return min(self.reader.send_window, self.reader.peer.send_window)

    def _refill(self) -> bool:
        """Whether the client has sent more, or all. Raises BodyFailed."""
        stream = self.stream
        if stream is None or stream.done:
            return True
        parts = stream.poll()
        if parts is None:
            return False
        if parts:
            self.source.append(memoryview(parts[0] if len(parts) == 1 else b"".join(parts)))
        return bool(self.source) or stream.done

    def _piece(self, n: int) -> Any:
        """The next *n* bytes of the body, or fewer."""
        first = self.source[0]
        if type(first) is FileSlice:
            n = min(n, first.length)
            data = pread(first.fd, n, first.offset)
            if not data:
                raise ConnectionClosed(0, "pread()")
            n = len(data)
            rest: Any = FileSlice(first.fd, first.offset + n, first.length - n)
        else:
            data = first[:n]
            rest = first[n:]
        if len(rest):
            self.source[0] = rest
        else:
            self.source.popleft()
        return data

    def _add(self, data: Any, last: bool) -> None:
        size = len(data)
        reader = self.reader
        reader.send_window -= size
        reader.peer.send_window -= size
        self.raw.append(memoryview(wire.frame_header(size, wire.DATA, wire.END_STREAM if last else 0, reader.sid)))
        if size:
            self.raw.append(memoryview(data))
        self.ended = last

    # ---- going on, from the hub or where the response is read

    def wait(self, ms: int) -> bool:
        """Until all is sent or the upstream has answered (c.ready); False when *ms* pass without progress.

        What the engine calls while there is no response; nginx: the timer of the write event.
        """
        c = self.c
        self.arm()
        self.waiter = me = getcurrent()
        c.expect_read(me)
        try:
            return c.hub.park() is not None
        finally:
            self.waiter = None
            self.disarm()
            c.forget_read()

    def go_on(self, _: Any = None) -> None:
        """There may be room, or more to send."""
        self.disarm()
        if self.lost:
            return
        try:
            if self.pump():
                self._finish()
            else:
                self.arm()
        except ConnectionClosed as error:
            self.lost = True
            if self.waiter is not None:
                self._wake(error)
        except BodyFailed as failed:
            self._give_up(failed)

    #: What a connection that waits for its socket calls is `switch`.
    def switch(self, what: Any) -> None:
        """In the hub: the socket takes bytes again."""
        self.go_on()

    def throw(self, error: BaseException) -> None:
        """In the hub: the connection was closed meanwhile."""
        self.lost = True

    def _finish(self) -> None:
        if self.u.sender is self:
            self.u.sender = None
        waiter, self.waiter = self.waiter, None
        if waiter is not None and waiter is not getcurrent():
            waiter.switch(self)

    def _wake(self, error: BaseException) -> None:
        waiter, self.waiter = self.waiter, None
        waiter.throw(error)

    def _give_up(self, failed: BodyFailed) -> None:
        """The client's body will never be complete: nor will the request."""
        self.lost = True
        greenlet = self.u.greenlet
        if greenlet is getcurrent():
            raise failed
        greenlet.throw(failed)

    # ---- what is waited for

    def arm(self) -> None:
        """Have the hub call when it may go on."""
        self.disarm()
        u = self.u
        if self.raw:
            self.c.expect_write(self)
            self._deadline = self.c.hub.after(u.conf.send_timeout, self._late)
        elif self.source:
            self._deadline = self.c.hub.after(u.conf.send_timeout, self._late)
        else:
            if not self._on_client:
                self._on_client = True
                self._client_was = self.client.on_read
            self.client.on_read = self.go_on
            self._deadline = self.c.hub.after(u.r.loc.client_body_timeout, self._client_late)

    def disarm(self) -> None:
        """Nothing is waited for."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self.c._write_waiter is self:
            self.c.forget_write()
        if self._on_client:
            self._on_client = False
            if not self.client.closed:
                self.client.on_read = self._client_was

    def stop(self) -> None:
        """The exchange is over."""
        self.lost = True
        self.waiter = None
        self.disarm()

    def _late(self) -> None:
        """The upstream takes nothing."""
        self._deadline = None
        waiter, self.waiter = self.waiter, None
        if waiter is not None:
            waiter.switch(None)
            return
        self.u.log_error("upstream timed out", SENDING, ETIMEDOUT)
        self._give_up(BodyFailed(504))

    def _client_late(self) -> None:
        self._deadline = None
        r = self.u.r
        r.log.info("client timed out", err=ETIMEDOUT, ctx=r.hc.doing("reading client request body"))
        assert self.stream is not None
        self._give_up(self.stream.reader.refuse(408))
