"""HTTP/3's directives.   nginx: ngx_http_v3_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import flag, num, size, with_cf
from geng.conf.directive import Level
from geng.core.log import errno_text
from geng.errors import ConfigError, Invalid
from geng.http.module import Module, Variable
from geng.modules.foreign.table import Foreign, nothing
from geng.modules.http.ssl import SslConf
from geng.tls.context import PROTOCOLS

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreSrv


@with_cf
def host_key(cf: Cf, word: str) -> bytes:
    """A file with a key.   nginx: ngx_http_quic_host_key"""
    name = cf.path(word, conf_prefix=True)
    try:
        with open(name, "rb") as file:
            key = file.read()
    except OSError as error:
        raise Invalid(f'open() "{name}" failed{errno_text(error.errno)}') from None
    if not key:
        raise Invalid(f'"{name}" zero key size')
    return key


class Http3Server(
    Foreign,
    level=Level.SERVER,
    module="http_v3",
    rules={
        "http3": flag,
        "http3_hq": flag,
        "http3_max_concurrent_streams": num,
        "http3_stream_buffer_size": size,
        "quic_retry": flag,
        "quic_gso": flag,
        "quic_host_key": host_key,
        "quic_active_connection_id_limit": num,
    },
):
    """What a server says."""


def check_listens(cf: Cf) -> None:
    """Each address with `quic` must have certificates.   nginx: ngx_http_ssl_init"""
    for address in cf.scope.main.quic.all():
        srv = address.default
        conf = srv[SslConf]
        if conf.certificates:
            if not conf.protocols & PROTOCOLS["TLSv1.3"]:
                raise _refused('"ssl_protocols" must enable TLSv1.3', srv)
            continue
        without = [srv]
        if conf.reject_handshake:
            confs = ((one, one[SslConf]) for one in address.servers)
            without = [one for one, its in confs if not (its.certificates or its.reject_handshake)]
        for srv in without:
            raise _refused('no "ssl_certificate" is defined', srv)


def _refused(what: str, srv: CoreSrv) -> ConfigError:
    return ConfigError(f'{what} for the "listen ... quic" directive in {srv.file}:{srv.line}')


module = Module(
    name="http_v3", confs=(Http3Server,), variables=(Variable("http3", nothing),), postconfiguration=check_listens
)
