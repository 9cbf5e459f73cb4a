"""TLS in stream{}: of its servers, and to those they pass connections to.

nginx: ngx_stream_ssl_module.c (ngx_stream_ssl_init), ngx_stream_proxy_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, complex_value, flag, keyval, num, string, with_cf
from geng.conf.directive import UNSET, Level
from geng.errors import ConfigError, Refused
from geng.http.module import CHANGEABLE, Variable
from geng.http.script import compile_value
from geng.modules.foreign.table import Foreign, many, nothing
from geng.modules.foreign.tls import PROTOCOLS, StreamSsl, certificate_cache, password_file
from geng.stream.conf import StreamMain
from geng.stream.module import Module

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


@with_cf
def alpn(cf: Cf, *words: str) -> Any:
    """Names of protocols, with variables or without."""
    values = [compile_value(cf, word) for word in words]
    if any(made.literal is not None and len(made.literal) > 255 for made in values):
        raise Refused("protocol too long")
    return values


TLS: dict[str, Any] = {
    "proxy_ssl": flag,
    "proxy_ssl_session_reuse": flag,
    "proxy_ssl_protocols": bitmask(PROTOCOLS),
    "proxy_ssl_ciphers": string,
    "proxy_ssl_name": complex_value,
    "proxy_ssl_server_name": flag,
    "proxy_ssl_alpn": alpn,
    "proxy_ssl_verify": flag,
    "proxy_ssl_verify_depth": num,
    "proxy_ssl_trusted_certificate": string,
    "proxy_ssl_crl": string,
    "proxy_ssl_certificate": complex_value,
    "proxy_ssl_certificate_key": complex_value,
    "proxy_ssl_certificate_cache": certificate_cache,
    "proxy_ssl_password_file": password_file,
    "proxy_ssl_conf_command": many(keyval),
}


class ProxySsl(Foreign, level=Level.SERVER, module="stream_proxy", rules=TLS):
    """TLS between a server and the one it passes connections to."""

    proxy_ssl: Any
    proxy_ssl_certificate: Any
    proxy_ssl_certificate_key: Any
    proxy_ssl_trusted_certificate: Any
    proxy_ssl_verify: Any

    def check(self, cf: Cf) -> None:
        """nginx: ngx_stream_proxy_set_ssl"""
        if self.proxy_ssl is not True:
            return
        certificate = self.proxy_ssl_certificate
        if certificate is not UNSET and certificate.literal != b"" and self.proxy_ssl_certificate_key is UNSET:
            raise ConfigError(f'no "proxy_ssl_certificate_key" is defined for certificate "{certificate.text}"')
        if self.proxy_ssl_verify is True and not self.proxy_ssl_trusted_certificate:
            raise ConfigError("no proxy_ssl_trusted_certificate for proxy_ssl_verify")


#: these a `map` or `set` may define anew
OF_TLS = """
    ssl_protocol ssl_cipher ssl_ciphers ssl_curve ssl_curves ssl_sigalg ssl_sigalgs ssl_session_id ssl_session_reused
    ssl_server_name ssl_alpn_protocol ssl_ech_status ssl_ech_outer_server_name ssl_client_cert ssl_client_raw_cert
    ssl_client_escaped_cert ssl_client_s_dn ssl_client_i_dn ssl_client_serial ssl_client_fingerprint ssl_client_verify
    ssl_client_v_start ssl_client_v_end ssl_client_v_remain ssl_client_sigalg
"""


def check_listens(cf: Cf) -> None:
    """Each address with `ssl` must have certificates.   nginx: ngx_stream_ssl_init"""
    for address in cf[StreamMain].addresses:
        ssl = address.default.confs[StreamSsl]
        if not address.ssl or ssl.certificates:
            continue
        without = [address.default]
        if ssl.rejects:
            confs = ((server, server.confs[StreamSsl]) for server in address.servers)
            without = [server for server, conf in confs if not (conf.certificates or conf.rejects)]
        for server in without:
            where = f"{server.file}:{server.line}"
            raise ConfigError(f'no "ssl_certificate" is defined for the "listen ... ssl" directive in {where}')


ssl = Module(
    name="stream_ssl",
    confs=(StreamSsl,),
    variables=tuple(Variable(name, nothing, CHANGEABLE) for name in OF_TLS.split()),
    postconfiguration=check_listens,
)

proxy_ssl = Module(name="stream_proxy", confs=(ProxySsl,))
