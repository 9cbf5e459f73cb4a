"""HTTP/2 toward an upstream: what gRPC and `proxy_http_version 2` have in common.

nginx: ngx_http_grpc_module.c, ngx_http_proxy_v2_module.c (…_create_request, …_process_header, …_filter)

A module's adapter makes its requests' heads as HTTP/1 has them; here they become a header block, and response heads
become HTTP/1's again, so that rules, variables, filters and the cache see what they always see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.hot.greenlets import current
from geng.hot.http1 import HTTP, ResponseHead, parse_response
from geng.upstream.engine import READING_HEAD, Exchange
from geng.upstream.framing import NOTHING, Framing
from geng.upstream.headers import HeaderRules
from geng.upstream.upload import Upload
from geng.wire.http2_client import Broken, Lines, Peer, Reader, head_of, request_block

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.net.connection import Connection
    from geng.upstream.conf import UpstreamConf

ALPN = b"\x02h2"
NOT_YET = parse_response(b"", 0, -1, HTTP)
CONNECTION_LINES = frozenset((b"transfer-encoding",))


class OneStream:
    """An exchange's stream on the connection that it has; `u.framed`.

    text: the head, as HTTP/1 has it; more: something came behind it.
    """

    __slots__ = ("more", "reader", "text", "upload")

    def __init__(self, u: Exchange, c: Connection, request: Sequence[Any], limit: int) -> None:
        peer = getattr(c, "peer", None)
        if peer is None:
            c.peer = peer = Peer()
        self.reader = Reader(peer, limit)
        self.upload = Upload(u, c, self.reader, request[0], request[1:])
        self.text = b""
        self.more = False

    def __repr__(self) -> str:
        return f"<OneStream {self.reader!r} {self.upload!r}>"

    @property
    def clean(self) -> bool:
        """Whether the connection is good for another stream."""
        return self.upload.finished and self.reader.clean

    def answer(self) -> None:
        """Send what the frames that came ask for, or allow. Raises BodyFailed."""
        if self.reader.control or not self.upload.finished:
            self.upload.go_on()


class Http2:
    """What an adapter of HTTP/2 adds to one that can make an HTTP/1 head (and is an Adapter too)."""

    conf: UpstreamConf
    buffer_size: int
    empty_is_known = False  # a head that ends the stream says that the length is zero

    def setup(self) -> None:
        """To be called by __init__, last."""
        self.framed = True
        self.feeds = False

    def wants_stream(self, r: Request) -> bool:
        return True

    # ---- the request

    def block_of(self, u: Exchange, head: bytes) -> bytes:
        """A request's head, which is HTTP/1's, as a header block."""
        request, *rest = head.split(b"\r\n")
        method, path, _ = request.split(b" ", 2) if request.count(b" ") == 2 else spaced(request)
        authority = b""
        lines: Lines = []
        for line in rest:
            name, _, value = line.partition(b":")
            name = name.lower()
            if name == b"host":
                authority = value.lstrip(b" ")
            elif name and name not in CONNECTION_LINES:
                lines.append((name, value.lstrip(b" ")))
        return request_block(method, u.tls is not None, path, authority, lines)

    def framed_request(self, u: Exchange, parts: Sequence[Any]) -> Sequence[Any]:
        """What create_request() of HTTP/1 made, its head as a block."""
        if not parts:
            return parts
        head, _, body = parts[0].partition(b"\r\n\r\n")
        made = [self.block_of(u, head), *parts[1:]]
        if body:
            made.insert(1, body)
        return made

    def open(self, u: Exchange, c: Connection) -> Upload:
        """Begin a stream on *c*: what sends the request."""
        u.greenlet = current()
        u.framed = stream = OneStream(u, c, u.request, self.buffer_size)
        return stream.upload

    # ---- the response

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        stream: OneStream = u.framed
        reader = stream.reader
        try:
            fields = reader.head(data)
            stream.answer()
            while fields is not None:
                status, lines = head_of(fields)
                if status != 103:
                    return self._head(stream, status, lines)
                if reader.ended:
                    raise Broken("upstream prematurely closed stream")
                self._early_hints(u, lines)
                fields = reader.head(b"")
        except Broken as broken:
            for message in broken.messages[:-1]:
                u.log_error(message, READING_HEAD)
            u.fault = broken.messages[-1]
        return NOT_YET

    def _head(self, stream: OneStream, status: int, lines: Lines) -> ResponseHead:
        if self.empty_is_known and stream.reader.ended and not any(name == b"content-length" for name, _ in lines):
            lines.append((b"content-length", b"0"))
        stream.text = text = http1_text(status, lines)
        return parse_response(text, 0, -1, HTTP)

    def _early_hints(self, u: Exchange, lines: Lines) -> None:
        text = http1_text(103, lines)
        u.early_hints(parse_response(text, 0, -1, HTTP), text)

    def parse_stored(self, u: Exchange, data: bytes) -> ResponseHead:
        """What the cache keeps has HTTP/1's head."""
        return parse_response(data, 0, -1, HTTP)

    def spare(self, u: Exchange, data: bytes) -> bytes:
        """The reader has it all."""
        return b""

    def received(self, u: Exchange, data: bytes) -> bytes:
        """The head as HTTP/1 has it, and what is not read yet behind it."""
        stream: OneStream = u.framed
        rest = stream.reader.take_held()
        stream.more = bool(rest)
        return stream.text + rest

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        """nginx: ngx_http_grpc_process_header"""
        stream: OneStream = u.framed
        u.keepalive = stream.reader.ended and stream.clean and not stream.more

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        """nginx: ngx_http_grpc_filter_init"""
        none = head.status in (204, 304) or u.head_method
        return Frames(u, u.framed, 0 if none else head.content_length_n)


class Http2Rules(HeaderRules):
    """There is no text behind the status."""

    __slots__ = ()

    def apply(self, u: Exchange, head: ResponseHead) -> None:
        HeaderRules.apply(self, u, head)
        u.r.out.line = b""


class Frames(Framing):
    """A body in DATA frames, and trailers."""

    __slots__ = ("stream", "u")

    plain = False
    failure = "error"  # what came before it still passes

    def __init__(self, u: Exchange, stream: OneStream, length: int) -> None:
        Framing.__init__(self, 1)
        self.u = u
        self.stream = stream
        try:
            stream.reader.begin_body(length)
        except Broken as broken:
            self._fail(broken)
        self._settle()

    def feed(self, data: bytes) -> Sequence[Any]:
        """nginx: ngx_http_grpc_filter"""
        try:
            parts = self.stream.reader.body(data)
            self.stream.answer()
        except Broken as broken:
            self._fail(broken)
            return NOTHING
        self._settle()
        return parts

    def _settle(self) -> None:
        reader = self.stream.reader
        if reader.done:
            self.done = True
            self.trailers = reader.trailers
            self.left = 0 if self.stream.clean else 1

    def _fail(self, broken: Broken) -> None:
        for message in broken.messages[:-1]:
            self.u.log_error(message, "reading upstream")
        self.error = broken.messages[-1]
        self.done = False


def http1_text(status: int, lines: Lines) -> bytes:
    """A response's head as HTTP/1 has it."""
    out = [b"HTTP/1.1 %d\r\n" % status]
    out += [b"%b: %b\r\n" % line for line in lines]
    out.append(b"\r\n")
    return b"".join(out)


def spaced(request: bytes) -> tuple[bytes, bytes, bytes]:
    """The words of a request line whose URI has spaces in it."""
    method, _, rest = request.partition(b" ")
    path, _, version = rest.rpartition(b" ")
    return method, path, version
