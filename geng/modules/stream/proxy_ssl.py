"""TLS between a server and the one it passes connections to: proxy_ssl and proxy_ssl_….

nginx: ngx_stream_proxy_module.c (ngx_stream_proxy_set_ssl, ngx_stream_proxy_ssl_alpn)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, with_cf
from geng.conf.directive import Conf, Level, directive, value
from geng.conf.tables import STREAM, STREAM_SRV
from geng.errors import Refused
from geng.http.script import compile_value
from geng.tls.errors import take_errors
from geng.upstream import tls_conf
from geng.upstream.tls import UpstreamTls

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.tls import Tls

SS = STREAM | STREAM_SRV
LONGEST = 255


@with_cf
def alpn(cf: Cf, *words: str) -> Any:
    """Names of protocols, with variables or without."""
    values = [compile_value(cf, word) for word in words]
    if any(made.literal is not None and len(made.literal) > LONGEST for made in values):
        raise Refused("protocol too long")
    return values


class StreamUpstreamTls(UpstreamTls):
    """http's, and what it has not: protocols to offer."""

    protocols: Any = None

    def _prepare(self, u: Any, tls: Tls, name: bytes) -> bool:
        if self.protocols:
            names = [made.fn(u.s) for made in self.protocols]
            offered = b"".join(bytes([len(name)]) + name for name in names if 0 < len(name) <= LONGEST)
            if offered and tls.library.SSL_set_alpn_protos(tls.pointer, offered, len(offered)):
                u.s.log.error(f"SSL_set_alpn_protos() failed{take_errors()}", ctx=u.s.c)
                return False
        return super()._prepare(u, tls, name)


class _Declared(Conf):
    """Has the directives that TLS toward any upstream has."""

    def __init_subclass__(cls, level: Level = Level.SERVER, **kwargs: Any) -> None:
        tls_conf.declare(cls, "proxy")
        super().__init_subclass__(level=level, **kwargs)


class ProxySsl(_Declared, level=Level.SERVER):
    """What a server says about TLS with its upstream; *tls*, once resolved, is what makes connections secure."""

    prefix = "proxy"
    enabled: bool = directive("proxy_ssl", SS, flag, default=False)
    ssl_alpn: Any = directive("proxy_ssl_alpn", SS, alpn, default=None)
    tls: Any = value(None)

    def check(self, cf: Cf) -> None:
        self.tls = None
        if self.enabled:
            made = tls_conf.make(self, cf, StreamUpstreamTls)
            assert isinstance(made, StreamUpstreamTls)
            made.protocols = self.ssl_alpn
            self.tls = made
