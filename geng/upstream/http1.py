"""HTTP/1 toward an upstream: how its answers are read, and how bodies are sent to it.

nginx: ngx_http_proxy_module.c (ngx_http_proxy_process_header, ngx_http_proxy_input_filter_init,
ngx_http_proxy_body_output_filter)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.hot.http1 import HTTP, ResponseHead, parse_response
from geng.upstream.engine import Adapter, Exchange
from geng.upstream.framing import Chunks, Framing, Sized

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request
    from geng.upstream.conf import UpstreamConf


class Http1Adapter(Adapter):
    """*assemble(r, u)* makes a request's head; *version* is 10 or 11."""

    def __init__(
        self,
        loc: CoreLoc,
        conf: UpstreamConf,
        schema: bytes,
        assemble: Callable[[Request, Exchange], bytes],
        pass_body: bool,
        version: int,
    ) -> None:
        Adapter.__init__(self, loc, conf, schema)
        self.assemble = assemble
        self.assemble_cached = assemble  # where the response shall be cached
        self.pass_body = pass_body
        self.version = version
        self.keep_trailers: bool = conf.pass_trailers
        self.streams = pass_body and not conf.request_buffering

    def wants_stream(self, r: Request) -> bool:
        return self.version == 11 or not r.chunked_body

    def create_request(self, u: Exchange) -> Sequence[Any]:
        r = u.r
        if u.access is not None and u.access.cacheable:
            head = self.assemble_cached(r, u)
        else:
            head = self.assemble(r, u)
        body = r.body
        if body is None or not body.length or not self.pass_body or u.stream is not None:
            return (head,)
        return [head, *body.parts()]

    def encode(self, u: Exchange, parts: list[bytes], last: bool) -> list[bytes]:
        """nginx: ngx_http_proxy_body_output_filter"""
        if not u.chunked:
            return parts
        size = sum(map(len, parts))
        if not size:
            return [b"0\r\n\r\n"] if last else []
        return [b"%x\r\n" % size, *parts, b"\r\n0\r\n\r\n" if last else b"\r\n"]

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        return parse_response(data, 0, -1, HTTP)

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        """nginx: ngx_http_proxy_process_header"""
        status = head.status
        if status == 101:
            if u.r.head.upgrade is not None:
                u.upgrade = True
        elif status == 204 or status == 304 or u.head_method or (head.content_length_n == 0 and not head.chunked):
            u.keepalive = not head.connection_close

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        """nginx: ngx_http_proxy_input_filter_init"""
        if head.status == 204 or head.status == 304 or u.head_method:
            return Sized(0)
        if head.chunked:
            return Chunks(self.keep_trailers, self.buffer_size)
        n = head.content_length_n
        return Sized(n) if n >= 0 else Framing(-1)
