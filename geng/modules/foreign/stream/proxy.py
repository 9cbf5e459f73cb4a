"""proxy_pass, pass, return, set and other directives of stream's servers.

nginx: ngx_stream_proxy_module.c, ngx_stream_pass_module.c, ngx_stream_return_module.c, ngx_stream_set_module.c,
ngx_stream_ssl_preread_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import (
    bitmask,
    complex_size,
    complex_value,
    deprecated,
    enum,
    flag,
    keyval,
    msec,
    num,
    size,
    string,
    with_cf,
)
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import STREAM, STREAM_SRV
from geng.errors import ConfigError, Invalid, Refused
from geng.http.module import CHANGEABLE, Variable
from geng.http.script import compile_value
from geng.modules.foreign.stream.upstream import upstreams
from geng.modules.foreign.table import Foreign, many, nothing
from geng.modules.foreign.tls import PROTOCOLS, certificate_cache, password_file
from geng.upstream.address import BadAddress, parse_url
from geng.upstream.conf import local

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

SS = STREAM | STREAM_SRV


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

RULES: dict[str, Any] = {
    "proxy_bind": local,
    "proxy_socket_keepalive": flag,
    "proxy_socket_rcvbuf": size,
    "proxy_socket_sndbuf": size,
    "proxy_connect_timeout": msec,
    "proxy_timeout": msec,
    "proxy_buffer_size": size,
    "proxy_upload_rate": complex_size,
    "proxy_download_rate": complex_size,
    "proxy_requests": num,
    "proxy_responses": num,
    "proxy_next_upstream": flag,
    "proxy_next_upstream_tries": num,
    "proxy_next_upstream_timeout": msec,
    "proxy_protocol": enum({"off": 0, "on": 1, "v2": 2}),
    "proxy_half_close": flag,
    **TLS,
}


class StreamProxy(Foreign, level=Level.SERVER, module="stream_proxy", rules=RULES):
    """What a server says about the one it passes connections to."""

    target: bool = value()
    proxy_buffer_size: Any
    proxy_ssl: Any
    proxy_ssl_certificate: Any
    proxy_ssl_certificate_key: Any
    proxy_ssl_trusted_certificate: Any
    proxy_ssl_verify: Any

    @command("proxy_pass", STREAM_SRV)
    def set_pass(self, cf: Cf) -> None:
        """`proxy_pass address`"""
        if self.target is not UNSET:
            raise Refused("is duplicate")
        self.target = True
        text = cf.args[0]
        if compile_value(cf, text).literal is not None:
            upstreams(cf).add(cf, text, 0, uri_part=False)

    @command("proxy_downstream_buffer", SS)
    def set_downstream_buffer(self, cf: Cf) -> None:
        """`proxy_downstream_buffer size`, an old name"""
        self._set_old(cf)

    @command("proxy_upstream_buffer", SS)
    def set_upstream_buffer(self, cf: Cf) -> None:
        """`proxy_upstream_buffer size`, an old name"""
        self._set_old(cf)

    def _set_old(self, cf: Cf) -> None:
        if self.proxy_buffer_size is not UNSET:
            raise Refused("is duplicate")
        convert = deprecated(cf.node.name, "proxy_buffer_size", size)
        self.proxy_buffer_size = convert(cf, cf.args[0])

    def check(self, cf: Cf) -> None:
        """nginx: ngx_stream_proxy_set_ssl"""
        if self.proxy_ssl is not True:
            return
        certificate = self.proxy_ssl_certificate
        if certificate is not UNSET and certificate.literal != b"" and self.proxy_ssl_certificate_key is UNSET:
            raise ConfigError(f'no "proxy_ssl_certificate_key" is defined for certificate "{certificate.text}"')
        if self.proxy_ssl_verify is True and not self.proxy_ssl_trusted_certificate:
            raise ConfigError("no proxy_ssl_trusted_certificate for proxy_ssl_verify")


class StreamPass(Foreign, level=Level.SERVER):
    """pass"""

    address: bool = value()

    @command("pass", STREAM_SRV)
    def set_pass(self, cf: Cf) -> None:
        """`pass address`"""
        if self.address is not UNSET:
            raise Refused("is duplicate")
        self.address = True
        text = cf.args[0]
        if compile_value(cf, text).literal is None:
            return
        try:
            url = parse_url(text, 0)
        except BadAddress as bad:
            raise Invalid(f'{bad} in "{text}" of the "pass" directive') from None
        if not url.addresses:
            raise Refused("has no addresses")
        if url.no_port and not url.unix:
            raise Refused("has no port")


class StreamReturn(Foreign, level=Level.SERVER, module="stream_return", rules={"return": complex_value}):
    """return"""


class StreamSet(Foreign, level=Level.SERVER):
    """set"""

    @command("set", STREAM_SRV)
    def set(self, cf: Cf) -> None:
        """`set $variable value`"""
        name, text = cf.args
        if name[:1] != "$":
            raise Invalid(f'invalid variable name "{name}"')
        cf.scope.variables.add(Variable(name[1:].lower(), nothing, CHANGEABLE))
        cf.scope.variables.ref(name[1:])
        compile_value(cf, text)


class SslPreread(Foreign, level=Level.SERVER, module="stream_ssl_preread", rules={"ssl_preread": flag}):
    """ssl_preread"""
