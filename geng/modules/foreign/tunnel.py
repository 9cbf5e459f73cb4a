"""tunnel_pass and what surrounds it: CONNECT.   nginx: ngx_http_tunnel_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask
from geng.conf.directive import UNSET, command, value
from geng.conf.tables import LIF, LOC, SRV
from geng.errors import Refused
from geng.http.module import Module
from geng.http.script import compile_value, count_variables
from geng.modules.foreign.table import Foreign
from geng.modules.http.upstream import upstreams
from geng.upstream.conf import NEXT_UPSTREAM, TABLE

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PLAIN = (
    "bind", "socket_keepalive", "socket_rcvbuf", "socket_sndbuf", "connect_timeout", "send_timeout", "send_lowat",
    "buffer_size", "read_timeout", "next_upstream_tries", "next_upstream_timeout",
)  # fmt: skip

RULES: dict[str, Any] = {
    **{f"tunnel_{attr}": TABLE[attr][0] for attr in PLAIN},
    "tunnel_next_upstream": bitmask({name: NEXT_UPSTREAM[name] for name in ("error", "timeout", "off")}),
}


class TunnelConf(Foreign, module="http_tunnel", rules=RULES):
    """What a location says."""

    target: bool = value()

    @command("tunnel_pass", SRV | LOC | LIF)
    def set_pass(self, cf: Cf) -> None:
        """`tunnel_pass [host:port]`"""
        if self.target is not UNSET:
            raise Refused("is duplicate")
        self.target = True
        text = cf.args[0] if cf.args else "$host:$request_port"
        if count_variables(text):
            compile_value(cf, text)
        else:
            upstreams(cf).add(cf, text, 0, uri_part=False)


module = Module(name="http_tunnel", confs=(TunnelConf,))
