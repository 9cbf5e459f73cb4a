"""A request's body, from DATA frames.

nginx: ngx_http_v3_request.c (ngx_http_v3_read_request_body, …_do_read_client_request_body, …_request_body_filter)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed
from geng.http.body import BodyFailed, BodyReader, bind_framed
from geng.http.v3.request import CLOSE, RequestStream
from geng.wire.http3 import HEADERS, Http3Error

if TYPE_CHECKING:
    from geng.http.request import Request


class StreamReader(BodyReader):
    """Takes a body's bytes from the stream. What is not taken stays there: flow control stops the client."""

    __slots__ = ("declared", "hc", "most")

    def __init__(self, r: Request, limit: int, passed_on: bool) -> None:
        self.r = r
        self.c = r.c
        self.hc: RequestStream = r.hc  # type: ignore[assignment]
        self.limit = limit
        self.received = 0
        self.chunked = None
        self.declared = r.content_length_n
        self.most = self.declared if self.declared >= 0 else limit or 1 << 62
        self.rest = max(self.declared, 0)
        self.done = False

    def preread(self) -> list[bytes]:
        """What came with the head."""
        return self._take()

    def _take(self) -> list[bytes]:
        """What is here; sets done."""
        hc, r = self.hc, self.r
        frames = hc.frames
        before = hc.received - len(frames.buffer)
        parts: list[bytes] = []
        try:
            while not self.done:
                if frames.rest and frames.kind != HEADERS:
                    data = frames.take()
                    if not data:
                        break
                    parts.append(data)
                elif not frames.header():
                    break
                elif frames.kind == HEADERS:  # trailers: nobody reads on
                    self._finish()
                elif self.received + sum(map(len, parts)) + frames.rest > self.most:
                    raise self._too_much(self.received + sum(map(len, parts)), frames.rest)
        except Http3Error as error:
            self.c.reset(error.code)  # type: ignore[attr-defined]
            r.log.error("client sent invalid body", ctx=r.c)
            raise self._refused(400) from None
        size = sum(map(len, parts))
        self._count(hc.received - len(frames.buffer) - before, size)
        self.received += size
        self.rest = max(self.declared - self.received, 0)
        if self.c.eof and not frames.buffer and not self.done:
            self._finish()
        if self.done:
            self._compare()
        return parts

    def _count(self, total: int, payload: int) -> None:
        self.r.request_length += total
        self.hc.counted += total
        if not self.hc.session.count(total, payload):
            self.hc.broken = True
            raise self._refused(CLOSE)

    def _too_much(self, received: int, size: int) -> BodyFailed:
        r = self.r
        if self.declared >= 0:
            r.log.info("client intended to send body data larger than declared", ctx=r.c)
            return self._refused(400)
        r.log.error(f"client intended to send too large body: {received}+{size} bytes", ctx=r.c)
        return self._refused(413)

    def _finish(self) -> None:
        """The body has ended."""
        r = self.r
        if self.hc.frames.rest and self.hc.frames.kind != HEADERS:
            r.log.info("client prematurely closed stream", ctx=r.c)
            self.hc.broken = True
            raise self._refused(400)
        self.done = True

    def _compare(self) -> None:
        r = self.r
        if self.declared < 0:
            r.content_length_n = self.received
        elif self.declared != self.received:
            r.log.info(
                f"client sent less body data than expected: {self.received} out of {self.declared} "
                "bytes of request body received",
                ctx=r.c,
            )
            raise self._refused(400)

    def _receive(self, size: int) -> bool:
        """Whether something came, or the end."""
        hc = self.hc
        try:
            data = self.c.recv(max(size, 4096))
        except ConnectionClosed:
            hc.broken = True
            raise self._refused(400) from None
        if data is None:
            return False
        hc.received += len(data)
        hc.frames.feed(data)
        return True

    def read(self, size: int, ms: int) -> list[bytes]:
        r, c = self.r, self.c
        while not self.done:
            if not self._receive(size):
                if not c.wait_read(ms):
                    r.hc.timed_out = True
                    raise self._refused(408)
                continue
            parts = self._take()
            if parts:
                return parts
        return []

    def poll(self, size: int) -> list[bytes] | None:
        while not self.done:
            if not self._receive(size):
                return None
            parts = self._take()
            if parts:
                return parts
        return []

    def refuse(self, status: int) -> BodyFailed:
        self.r.hc.timed_out = status == 408
        return self._refused(status)

    def _refused(self, status: int) -> BodyFailed:
        self.r.hc.reading_body = False
        return BodyFailed(status)


def discard(c: Any) -> None:
    """What the client still sends is not read: closing the stream asks it to stop."""


bind_framed(3000, StreamReader, discard)
