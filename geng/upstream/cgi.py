"""What FastCGI, SCGI and uwsgi have in common toward an application: parameters before a body, a CGI response.

nginx: ngx_http_scgi_module.c, ngx_http_uwsgi_module.c, whose responses are read alike.   RFC 3875 6
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.hot.http1 import EITHER, HEAD, ResponseHead, parse_response
from geng.net.address import BadAddress, parse_url
from geng.upstream.engine import Adapter, Exchange
from geng.upstream.framing import Framing, Sized
from geng.upstream.headers import HeaderRules

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request
    from geng.http.script import Value
    from geng.upstream.conf import UpstreamConf
    from geng.upstream.params import Params


class CgiAdapter(Adapter):
    """*params*: of a request, and of one whose response shall be cached; *target*: where to, when it has variables."""

    def __init__(
        self, loc: CoreLoc, conf: UpstreamConf, schema: bytes, params: tuple[Params, Params], target: Value | None
    ) -> None:
        Adapter.__init__(self, loc, conf, schema)
        self.keeps = False
        self.params, self.params_cached = params
        self.target = target
        self.pass_body = conf.pass_request_body
        self.streams = conf.pass_request_body and not conf.request_buffering
        self.rules = HeaderRules(conf)

    def begin(self, u: Exchange) -> int:
        """nginx: ngx_http_fastcgi_eval"""
        if self.target is None:
            return 0
        return self.aim_at(u, to_text(self.target.fn(u.r)))

    def aim_at(self, u: Exchange, text: str) -> int:
        """The peer is what *text* says: 0, or a status."""
        try:
            u.aim = parse_url(text)
        except BadAddress as bad:
            u.r.log.error(f'{bad} in upstream "{text}"', ctx=u.r.c)
            return 500
        return 0

    def wants_stream(self, r: Request) -> bool:
        return not r.chunked_body

    def make_params(self, u: Exchange) -> bytes:
        """The parameters of this request."""
        params = self.params_cached if u.access is not None and u.access.cacheable else self.params
        return params.make(u.r)

    def with_body(self, u: Exchange, head: bytes) -> Sequence[Any]:
        """*head* and the body as it is."""
        body = u.r.body
        if u.stream is not None or body is None or not body.length or not self.pass_body:
            return (head,)
        return [head, *body.parts()]

    def cache_key(self, u: Exchange) -> bytes:
        return b""

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        return parse_response(data, 0, -1, EITHER)

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        """nginx: ngx_http_scgi_process_header"""
        if head.status == 101 and u.r.head.upgrade is not None:
            u.upgrade = True

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        """nginx: ngx_http_scgi_input_filter_init"""
        if head.status == 204 or head.status == 304:
            return Sized(0)
        n = head.content_length_n
        return Framing(-1) if n < 0 or u.r.method_id == HEAD else Sized(n)
