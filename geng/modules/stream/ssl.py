"""TLS of stream's servers.   nginx: ngx_stream_ssl_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import msec, to_bytes
from geng.conf.directive import Level, directive
from geng.conf.tables import STREAM, STREAM_SRV
from geng.errors import ConnectionClosed, Refused, TimedOut
from geng.hot.uri import validate_host
from geng.http.servertls import ServerTls
from geng.modules.http.ssl import Choosers, SslConf, check_listens, give_resolver
from geng.modules.http.ssl_variables import VARIABLES
from geng.net.tls import connect_tls, secure, take_raised
from geng.stream.conf import StreamMain, StreamServer
from geng.stream.module import ERROR, OK, Handler, Module, Phase
from geng.tls.certificates import use_certificates
from geng.tls.servername import SERVER_NAME_FATAL, SERVER_NAME_OK
from geng.tls.validation import why_revoked
from geng.tls.verification import objection

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.tls import Tls
    from geng.stream.session import Session

SS = STREAM | STREAM_SRV
LONGEST = 255


def protocols(*words: str) -> list[bytes]:
    """Names that ALPN may choose among."""
    names = [to_bytes(word) for word in words]
    if any(len(name) > LONGEST for name in names):
        raise Refused("protocol too long")
    return names


class StreamSslConf(SslConf, level=Level.SERVER):
    """What one server says: as http's do, and a little more."""

    tag = "stream_ssl"
    session_context = b"STREAM"
    handshake_timeout: int = directive("ssl_handshake_timeout", SS, msec, default=60_000)
    alpn: list[bytes] | None = directive("ssl_alpn", SS, protocols, default=None)

    def check(self, cf: Cf) -> None:
        server = cf[StreamServer]
        server.tls = made = ServerTls(None, self.reject_handshake, self.verify, self.buffer_size, bool(self.certificates))
        ours = self.alpn

        def choose_protocol(tls: Tls, offered: list[bytes]) -> bytes | None:
            return next((name for name in ours or () if name in offered), None)

        def choose_certificate(tls: Tls) -> bool:
            s: Session = tls.data
            return use_certificates(tls, made, s, s.log, s.c)

        self.make_context(cf, made, Choosers(choose_by_name, choose_protocol if ours else None, choose_certificate))


def choose_by_name(tls: Tls, name: bytes | None) -> int:
    """SNI: the server that *name* belongs to.   nginx: ngx_stream_ssl_servername"""
    s: Session = tls.data
    host = validate_host(name) if name else None
    if host is not None:
        server = s.address.find(host[0], s)
        if server is not None:
            tls.servername = host[0]
            s.server = server
            if server.tls.context is not None:
                server.tls.context.take_over(tls.pointer)
    if s.server.tls.rejects:
        tls.rejected = True
        return SERVER_NAME_FATAL
    tls.accepted = True
    return SERVER_NAME_OK


def link(server: StreamServer) -> Handler | None:
    """The handshake, where the address says `ssl`, and a look at the client's certificate."""
    timeout = server[StreamSslConf].handshake_timeout

    def handle(s: Session) -> int:
        if not s.address.ssl:
            return OK
        if s.c.ssl is None and not _handshake(s, timeout):
            return ERROR
        verify = s.server.tls.verify
        why = objection(s.c.ssl, verify) if verify else None
        if why is None:
            return OK
        s.log.info(why.message, ctx=s.c)
        return ERROR

    return handle


def _handshake(s: Session, timeout: int) -> bool:
    c = s.c
    s.action = "SSL handshaking"
    context = s.server.tls.context
    if context is None:
        return False
    if s.server.tcp_nodelay and s.tcp:
        c.set_nodelay()
    try:
        made = secure(c, context)
        made.ssl.data = s
        connect_tls(made, timeout)
    except TimedOut:
        return False
    except ConnectionClosed as error:
        s.log.log(error.level("info"), error.message, err=error.error or None, ctx=c)
        return False
    finally:
        for raised in take_raised():
            c.hub.report(raised)
    context = s.server.tls.context or context
    if context.ocsp is not None and not made.ssl.verify_result()[0]:
        made.ssl.revoked = why_revoked(made.ssl, context, s.worker, s.log, timeout)
    return True


def finish(cf: Cf) -> None:
    """Resolvers for responders; and each address with `ssl` must have certificates.   nginx: ngx_stream_ssl_init"""
    for server in cf[StreamMain].servers:
        give_resolver(server.tls.context, server.resolver, server.resolver_timeout)
    check_listens(cf[StreamMain].ports.all())


#: http's but for these
NOT_HERE = ("ssl_early_data", "ssl_client_s_dn_legacy", "ssl_client_i_dn_legacy")

module = Module(
    name="stream_ssl",
    confs=(StreamSslConf,),
    variables=tuple(variable for variable in VARIABLES if variable.name not in NOT_HERE),
    handlers={Phase.SSL: link},
    postconfiguration=finish,
)
