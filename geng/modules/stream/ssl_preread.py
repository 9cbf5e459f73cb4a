"""`ssl_preread`: what a ClientHello says, without terminating TLS.   nginx: ngx_stream_ssl_preread_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import STREAM, STREAM_SRV
from geng.hot.uri import validate_host
from geng.http.module import Variable
from geng.stream.module import DECLINED, OK, Handler, Module, Phase
from geng.stream.preread import preread
from geng.wire.client_hello import ClientHello, NeedsMore, NotTls, read_client_hello

if TYPE_CHECKING:
    from geng.stream.conf import StreamServer
    from geng.stream.session import Session


class SslPreread(Conf, level=Level.SERVER):
    """Whether."""

    enabled: bool = directive("ssl_preread", STREAM | STREAM_SRV, flag, default=False)


def link(server: StreamServer) -> Handler | None:
    if not server[SslPreread].enabled:
        return None

    def handle(s: Session) -> int:
        if s.udp:
            return DECLINED
        return preread(s, _look)

    return handle


def _look(s: Session, data: bytes) -> int | None:
    """The verdict over what has come so far; None to wait for more."""
    try:
        hello = read_client_hello(data)
    except NeedsMore as more:
        s.ctx[SslPreread] = more.hello
        return None
    except NotTls:
        s.ctx.pop(SslPreread, None)
        return DECLINED
    s.ctx[SslPreread] = hello
    host = validate_host(hello.server_name) if hello.server_name else None
    if host is not None:
        server = s.address.find(host[0], s)
        if server is not None:
            s.server = server
    return OK


def of_hello(get: Any) -> Any:
    """A variable that the ClientHello gives; not found where there was none."""

    def got(s: Session) -> bytes | None:
        hello: ClientHello | None = s.ctx.get(SslPreread)
        return None if hello is None else get(hello)

    return got


module = Module(
    name="stream_ssl_preread",
    confs=(SslPreread,),
    variables=(
        Variable("ssl_preread_protocol", of_hello(lambda hello: hello.protocol)),
        Variable("ssl_preread_server_name", of_hello(lambda hello: hello.server_name)),
        Variable("ssl_preread_alpn_protocols", of_hello(lambda hello: b",".join(hello.alpn))),
    ),
    handlers={Phase.PREREAD: link},
)
