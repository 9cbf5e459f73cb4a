"""tunnel_pass and what surrounds it: CONNECT, and bytes both ways from then on.   nginx: ngx_http_tunnel_module.c"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.conf.directive import UNSET, command, own_or_nameless, value
from geng.conf.tables import LIF, LOC, SRV
from geng.errors import Refused
from geng.hot.http1 import CONNECT, HTTP, ResponseHead, parse_response
from geng.http.conf import CoreLoc, CoreSrv
from geng.http.module import Module
from geng.http.script import Value, compile_value, count_variables
from geng.modules.http.upstream import upstreams
from geng.net.address import BadAddress, parse_url
from geng.upstream import conf as ft
from geng.upstream.conf import UpstreamConf
from geng.upstream.engine import Adapter, Exchange, exchange
from geng.upstream.framing import Framing
from geng.upstream.headers import HeaderRules

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.module import Handler
    from geng.http.request import Request
    from geng.upstream.upstream import Upstream

DIRECTIVES = (
    "bind", "socket_keepalive", "socket_rcvbuf", "socket_sndbuf", "connect_timeout", "send_timeout", "send_lowat",
    "buffer_size", "read_timeout", "next_upstream", "next_upstream_tries", "next_upstream_timeout",
)  # fmt: skip

NEXT_UPSTREAM = {"error": ft.ERROR, "timeout": ft.TIMEOUT, "off": ft.OFF}

#: What nginx calls the hardcoded values.
FIXED = {"buffering": False, "buffers": (0, 0), "pass_request_headers": False, "pass_request_body": False}

WHEREVER = "$host:$request_port"
ESTABLISHED = b"HTTP/1.1 200 OK\r\n\r\n"


class TunnelAdapter(Adapter):
    """One location's way to where its clients want to go. *value*: where, when that depends on the request."""

    def __init__(self, loc: CoreLoc, conf: TunnelConf) -> None:
        Adapter.__init__(self, loc, conf)
        self.rules = HeaderRules(conf)
        self.upstream = conf.upstream
        self.upstreams = conf.all_upstreams
        self.value = conf.target
        self.keeps = False
        self.silent = True

    def begin(self, u: Exchange) -> int:
        """nginx: ngx_http_tunnel_eval"""
        if self.value is None:
            return 0
        r = u.r
        text = to_text(self.value.fn(r))
        try:
            u.aim = parse_url(text)
        except BadAddress as bad:
            r.log.info(f'{bad} in upstream "{text}"', ctx=r.c)
            return 500
        return 0

    def create_request(self, u: Exchange) -> Sequence[Any]:
        """Nothing is sent of one's own."""
        return (b"",)

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        """What the client is answered once there is a connection."""
        return parse_response(ESTABLISHED, 0, -1, HTTP)

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        u.r.keepalive = False
        u.upgrade = True

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        return Framing(-1)


class TunnelConf(UpstreamConf, prefix="tunnel", only=DIRECTIVES, next_upstream=NEXT_UPSTREAM, fixed=FIXED):
    """What one location says about tunnels."""

    upstream: Upstream | None = value(None, own_or_nameless)
    target: Value | None = value(None, own_or_nameless)

    @command("tunnel_pass", SRV | LOC | LIF)
    def set_pass(self, cf: Cf) -> None:
        """`tunnel_pass [host:port]`"""
        if self.upstream is not UNSET or self.target is not UNSET:
            raise Refused("is duplicate")
        cf[CoreLoc].content = link
        cf[CoreSrv].allow_connect = True
        text = cf.args[0] if cf.args else WHEREVER
        if count_variables(text):
            self.target = compile_value(cf, text)
        else:
            self.upstream, _ = upstreams(cf).add(cf, text, 0, uri_part=False)

    def check(self, cf: Cf) -> None:
        super().check(cf)
        self.all_upstreams = upstreams(cf)


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with tunnel_pass."""
    adapter = TunnelAdapter(loc, loc[TunnelConf])

    def handle(r: Request) -> int:
        if r.method_id != CONNECT:
            return 405
        return exchange(r, adapter, adapter.begin)

    return handle


module = Module(name="http_tunnel", confs=(TunnelConf,))
