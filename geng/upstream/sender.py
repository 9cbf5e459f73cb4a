"""What is left to send of a request: bytes, parts of files, a body that still comes from the client.

nginx: ngx_http_upstream.c (ngx_http_upstream_send_request_body)

An upstream may answer before it has all of the request, so whoever waits here waits for that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from geng.errors import ConnectionClosed, GengError
from geng.http.filters import FileSlice
from geng.net.connection import Connection

if TYPE_CHECKING:
    from geng.upstream.engine import Exchange

MOST_AT_ONCE = 64  # buffers in one writev()


class Answered(GengError):
    """The upstream said something while the client's body was awaited."""


class Sender:
    """The rest of one request on its way to *c*; *sent* bytes of *parts* are gone already."""

    __slots__ = ("c", "parts", "corked", "ended", "u")

    def __init__(self, u: Exchange, c: Connection, parts: Sequence[Any], sent: int) -> None:
        self.u = u
        self.c = c
        self.parts: list[Any] = [part if type(part) is FileSlice else memoryview(part) for part in parts if len(part)]
        self.ended = False
        # head and the first part of a file go out together
        self.corked = any(type(part) is FileSlice for part in self.parts)
        if self.corked:
            c.set_cork(True)
        if sent:
            self._drop(sent)
        if u.stream is not None and (u.stream.pending or u.stream.done):
            self._take(u.stream.read())

    def __repr__(self) -> str:
        return f"<Sender {len(self.parts)} parts{', streaming' if self.u.stream else ''}>"

    def pump(self) -> bool:
        """Send what can be sent now; True when the whole request is gone. Raises ConnectionClosed."""
        while self.parts:
            part = self.parts[0]
            if type(part) is FileSlice:
                if not self._send_file(part):
                    return False
                continue
            n = 1
            while n < len(self.parts) and n < MOST_AT_ONCE and type(self.parts[n]) is not FileSlice:
                n += 1
            sent = self.c.try_send(self.parts[:n])
            if not sent:
                return False
            self._drop(sent)
        if self.corked:
            self.corked = False
            self.c.set_cork(False)
        return self.u.stream is None or (self.u.stream.done and self.ended)

    def wait(self, ms: int) -> bool:
        """Until pump() may go on, or the upstream has answered (c.ready); False when *ms* pass first."""
        c = self.c
        if self.parts:
            return c.hub.wait(ms, (c,), (c,)) is not None
        self._read_client()
        return True

    def _read_client(self) -> None:
        """The next parts of the client's body, unless the upstream answers first. Raises BodyFailed."""
        stream = self.u.stream
        assert stream is not None
        c = self.c
        me = getcurrent()

        def stirred(c: Connection) -> None:
            c.on_read = None
            me.throw(Answered())

        c.on_read = stirred
        try:
            parts = stream.read()
        except Answered:
            return
        finally:
            if not c.closed:
                c.on_read = None
        self._take(parts)

    def _take(self, parts: list[bytes]) -> None:
        u = self.u
        assert u.stream is not None
        last = u.stream.done and not self.ended
        if last:
            self.ended = True  # the end has been said
        self.parts += [memoryview(part) for part in u.adapter.encode(u, parts, last) if len(part)]

    def _drop(self, n: int) -> None:
        """*n* bytes from the front are sent."""
        parts = self.parts
        first = 0
        while n and first < len(parts):
            size = len(parts[first])
            if n < size:
                parts[first] = parts[first][n:]
                break
            n -= size
            first += 1
        del parts[:first]

    def _send_file(self, part: FileSlice) -> bool:
        """Part of a file; False when the socket takes no more."""
        sent = self.c.try_sendfile(part.fd, part.offset, part.length)
        if sent < 0:
            return False
        if sent == 0:
            raise ConnectionClosed(0, "sendfile()")
        if sent == part.length:
            del self.parts[0]
        else:
            self.parts[0] = FileSlice(part.fd, part.offset + sent, part.length - sent)
        return True
