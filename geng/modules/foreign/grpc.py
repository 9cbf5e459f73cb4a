"""grpc_pass and what surrounds it.   nginx: ngx_http_grpc_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, complex_value, flag, keyval, num, string
from geng.conf.directive import UNSET, command, value
from geng.conf.tables import LIF, LOC
from geng.errors import Refused
from geng.http.module import Module, Variable
from geng.http.script import compile_value, count_variables
from geng.modules.foreign.table import Foreign, many, nothing
from geng.modules.foreign.tls import PROTOCOLS, certificate_cache, password_file
from geng.modules.http.proxy import compiled
from geng.modules.http.upstream import upstreams
from geng.upstream.conf import NEXT_UPSTREAM, TABLE

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PLAIN = (
    "bind", "socket_keepalive", "socket_rcvbuf", "socket_sndbuf", "connect_timeout", "send_timeout", "read_timeout",
    "intercept_errors", "buffer_size", "next_upstream_tries", "next_upstream_timeout", "ignore_headers",
)  # fmt: skip

RULES: dict[str, Any] = {
    **{f"grpc_{attr}": TABLE[attr][0] for attr in PLAIN},
    "grpc_next_upstream": bitmask({name: bit for name, bit in NEXT_UPSTREAM.items() if name != "updating"}),
    "grpc_set_header": many(keyval),
    "grpc_pass_header": many(string),
    "grpc_hide_header": many(string),
    "grpc_ssl_session_reuse": flag,
    "grpc_ssl_protocols": bitmask(PROTOCOLS),
    "grpc_ssl_ciphers": string,
    "grpc_ssl_name": complex_value,
    "grpc_ssl_server_name": flag,
    "grpc_ssl_verify": flag,
    "grpc_ssl_verify_depth": num,
    "grpc_ssl_trusted_certificate": string,
    "grpc_ssl_crl": string,
    "grpc_ssl_certificate": complex_value,
    "grpc_ssl_certificate_key": complex_value,
    "grpc_ssl_certificate_cache": certificate_cache,
    "grpc_ssl_password_file": password_file,
    "grpc_ssl_conf_command": many(keyval),
}


class GrpcConf(Foreign, module="http_grpc", rules=RULES):
    """What a location says."""

    target: bool = value()
    grpc_set_header: Any

    @command("grpc_pass", LOC | LIF)
    def set_pass(self, cf: Cf) -> None:
        """`grpc_pass [grpc://|grpcs://]host[:port]`"""
        if self.target is not UNSET:
            raise Refused("is duplicate")
        self.target = True
        text = cf.args[0]
        if count_variables(text):
            compile_value(cf, text)
            return
        for scheme in ("grpc://", "grpcs://"):
            if text.lower().startswith(scheme):
                text = text[len(scheme) :]
                break
        upstreams(cf).add(cf, text, 0, uri_part=False)

    def check(self, cf: Cf) -> None:
        compiled(cf, self.grpc_set_header or ())


module = Module(name="http_grpc", confs=(GrpcConf,), variables=(Variable("grpc_internal_trailers", nothing),))
