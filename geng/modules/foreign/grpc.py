"""grpc_pass and what surrounds it.   nginx: ngx_http_grpc_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import keyval
from geng.conf.directive import UNSET, command, directive, own_or_nameless, value
from geng.conf.tables import LIF, LOC
from geng.errors import Refused
from geng.http.module import Module, Variable
from geng.http.script import compile_value, count_variables
from geng.modules.foreign.table import nothing
from geng.modules.http.proxy import compiled
from geng.modules.http.upstream import upstreams
from geng.upstream import tls_conf
from geng.upstream.conf import HSL, NEXT_UPSTREAM, UpstreamConf

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

WORDS = (
    "bind", "socket_keepalive", "socket_rcvbuf", "socket_sndbuf", "connect_timeout", "send_timeout", "read_timeout",
    "intercept_errors", "buffer_size", "next_upstream", "next_upstream_tries", "next_upstream_timeout", "pass_header",
    "hide_header", "ignore_headers",
)  # fmt: skip
REASONS = {name: bit for name, bit in NEXT_UPSTREAM.items() if name != "updating"}
SCHEMES = {"grpc://": False, "grpcs://": True}


class GrpcConf(UpstreamConf, prefix="grpc", only=WORDS, tls=True, next_upstream=REASONS):
    """What a location says; *secure*: whether it passes requests on over TLS."""

    foreign = True
    secure: bool | None = value(None, own_or_nameless)
    set_header: Any = directive("grpc_set_header", HSL, keyval, default=(), repeat=True)

    @command("grpc_pass", LOC | LIF)
    def set_pass(self, cf: Cf) -> None:
        """`grpc_pass [grpc://|grpcs://]host[:port]`"""
        if self.secure is not UNSET:
            raise Refused("is duplicate")
        text = cf.args[0]
        self.secure = bool(count_variables(text))
        if self.secure:
            compile_value(cf, text)
            return
        for scheme, secure in SCHEMES.items():
            if text.lower().startswith(scheme):
                self.secure, text = secure, text[len(scheme) :]
                break
        upstreams(cf).add(cf, text, 0, uri_part=False)

    def check(self, cf: Cf) -> None:
        super().check(cf)
        if self.secure:
            tls_conf.make(self, cf)
        compiled(cf, self.set_header)


module = Module(name="http_grpc", confs=(GrpcConf,), variables=(Variable("grpc_internal_trailers", nothing),))
