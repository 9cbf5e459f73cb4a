"""A stream's request body: received as HTTP/1's is, from DATA frames.

nginx: ngx_http_v2.c (ngx_http_v2_read_request_body, …_read_unbuffered_request_body, …_filter_request_body)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.http.body import BodyFailed, BodyReader, bind_framed
from geng.wire.http2 import MAX_WINDOW

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.http.v2.stream import Stream


class StreamReader(BodyReader):
    """Takes a body's bytes from the stream; *window*: what the client may send ahead where parts are passed on."""

    __slots__ = ("declared", "passed_on", "stream", "window")

    def __init__(self, r: Request, limit: int, passed_on: bool) -> None:
        self.r = r
        self.c = r.c
        self.stream: Stream = r.c  # type: ignore[assignment]
        self.limit = limit
        self.received = 0
        self.chunked = None
        self.declared = r.content_length_n
        self.rest = max(self.declared, 0)
        self.done = False
        self.passed_on = passed_on
        self.window = self._window(r) if passed_on else 0

    def _window(self, r: Request) -> int:
        size: int = r.loc.client_body_buffer_size
        if 0 <= self.declared <= size:
            size = self.declared + 1
        return min(max(size, self.stream.session.preread_size), MAX_WINDOW)

    def preread(self) -> list[bytes]:
        stream = self.stream
        if stream.skip_data:
            self.done = True
            return []
        if not stream.in_closed:
            if not self.passed_on:
                stream.lift_flow_control()
            elif self.window > stream.session.preread_size:
                stream.widen(self.window - stream.session.preread_size)
        return self._take()

    def _take(self) -> list[bytes]:
        """What is here; sets done."""
        stream, r = self.stream, self.r
        parts: list[bytes] = []
        if stream.body:
            data = stream.take()
            parts.append(data)
            self.received += len(data)
            r.request_length += len(data)
            if self.declared >= 0:
                self.rest = self.declared - self.received
                if self.rest < 0:
                    r.log.info("client intended to send body data larger than declared", ctx=r.c)
                    raise self._refused(400)
            elif self.limit and self.received > self.limit:
                r.log.error(f"client intended to send too large chunked body: {self.received} bytes", ctx=r.c)
                raise self._refused(413)
        if stream.in_closed and not stream.gone:
            if self.declared >= 0 and self.received != self.declared:
                r.log.info(
                    f"client prematurely closed stream: only {self.received} out of {self.declared} "
                    "bytes of request body received",
                    ctx=r.c,
                )
                raise self._refused(400)
            self.done = True
            if self.declared < 0 and not self.passed_on:
                r.content_length_n = self.received
        return parts

    def read(self, size: int, ms: int) -> list[bytes]:
        stream, r = self.stream, self.r
        while not self.done:
            parts = self._take()
            if parts or self.done:
                return parts
            if stream.gone:
                if not self.passed_on:
                    r.log.info("client prematurely closed stream", ctx=r.c)
                raise self._refused(400 if self.passed_on else 499)
            if self.passed_on and self.window > stream.recv_window:
                stream.widen(self.window - stream.recv_window)
            if not stream.wait_read(ms):
                r.log.info("client timed out", err=110, ctx=r.c)
                r.hc.timed_out = True
                raise self._refused(408)
        return []

    def poll(self, size: int) -> list[bytes] | None:
        stream, r = self.stream, self.r
        parts = self._take()
        if parts or self.done:
            return parts
        if stream.gone:
            r.log.info("client prematurely closed stream", ctx=r.c)
            raise self._refused(400)
        if self.passed_on and self.window > stream.recv_window:
            stream.widen(self.window - stream.recv_window)
        return None

    def refuse(self, status: int) -> BodyFailed:
        self.r.hc.timed_out = status == 408
        return self._refused(status)

    def _refused(self, status: int) -> BodyFailed:
        self.stream.skip_body()
        self.r.hc.reading_body = False
        return BodyFailed(status)


bind_framed(2000, StreamReader, lambda stream: stream.skip_body())
