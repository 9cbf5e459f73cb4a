"""HTTP/3.   nginx: ngx_http_v3_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, num, size, with_cf
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HTTP, SRV
from geng.core.log import errno_text
from geng.errors import ConfigError, Invalid
from geng.http.conf import CoreSrv
from geng.http.connection import HttpConnection
from geng.http.module import Module, Variable
from geng.http.servertls import Protocol
from geng.modules.http.ssl import SslConf
from geng.tls.context import PROTOCOLS
from geng.tls.validation import why_revoked
from geng.wire.http3 import NO_ERROR, REQUEST_REJECTED

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import HttpAddress
    from geng.http.request import Request
    from geng.http.v3.session import Session

HS = HTTP | SRV
H3, HQ = b"h3", b"hq-interop"
UNIDIRECTIONAL = 2


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


class Http3Server(Conf, level=Level.SERVER):
    """What a server says."""

    enable: bool = directive("http3", HS, flag, default=True)
    hq: bool = directive("http3_hq", HS, flag, default=False)
    max_concurrent_streams: int = directive("http3_max_concurrent_streams", HS, num, default=128)
    stream_buffer_size: int = directive("http3_stream_buffer_size", HS, size, default=65536)
    retry: bool = directive("quic_retry", HS, flag, default=False)
    gso: bool = directive("quic_gso", HS, flag, default=False)
    host_key: bytes = directive("quic_host_key", HS, host_key, default=b"")
    active_connection_id_limit: int = directive("quic_active_connection_id_limit", HS, num, default=2)

    def check(self, cf: Cf) -> None:
        cf[CoreSrv].http3 = self.enable


def prepare(cf: Cf) -> None:
    """Have the addresses with `quic` speak it.   nginx: ngx_http_ssl_init"""
    main = cf.scope.main
    addresses = main.quic.all()
    for address in addresses:
        check_certificates(address)
    if not addresses:
        return
    from geng.http.v3 import body, output  # noqa: F401  (they bind themselves to the floor below)
    from geng.quic.listen import Receiver

    for address in addresses:
        address.quic = quic_conf(address)
    main.quic_protocols += (Protocol(H3, _wants_h3, _started), Protocol(HQ, _wants_hq, _started))
    main.quic_handlers = accepted, Receiver()


def check_certificates(address: HttpAddress) -> None:
    """Each address with `quic` must have some."""
    srv = address.default
    conf = srv[SslConf]
    if conf.certificates:
        if not conf.protocols & PROTOCOLS["TLSv1.3"]:
            raise _refused('"ssl_protocols" must enable TLSv1.3', srv)
        return
    without = [srv]
    if conf.reject_handshake:
        confs = ((one, one[SslConf]) for one in address.servers)
        without = [one for one, its in confs if not (its.certificates or its.reject_handshake)]
    for srv in without:
        raise _refused('no "ssl_certificate" is defined', srv)


def _refused(what: str, srv: CoreSrv) -> ConfigError:
    return ConfigError(f'{what} for the "listen ... quic" directive in {srv.file}:{srv.line}')


def quic_conf(address: HttpAddress) -> Any:
    """The transport's settings: the default server's."""
    from geng.quic.conf import QuicConf
    from geng.quic.tls import prepare as prepare_tls

    for server in address.servers:
        if server.tls.context is not None:
            prepare_tls(server.tls.context)
    srv = address.default
    conf: Http3Server = srv[Http3Server]
    context = srv.tls.context
    assert context is not None
    asks = any(server.tls.context is not None and server.tls.context.ocsp is not None for server in address.servers)
    return QuicConf(
        context,
        validate=validate if asks else None,
        on_stream=stream_opened,
        on_ready=ready,
        on_shutdown=shutdown,
        log=srv.default.log,
        retry=conf.retry,
        gso=conf.gso,
        host_key=conf.host_key,
        active_connection_id_limit=conf.active_connection_id_limit,
        handshake_timeout=srv.client_header_timeout,
        idle_timeout=srv.default.keepalive_timeout,
        stream_buffer_size=conf.stream_buffer_size,
        max_concurrent_streams_bidi=conf.max_concurrent_streams,
        stream_close_code=NO_ERROR,
        stream_reject_code_bidi=REQUEST_REJECTED,
    )


def _wants_h3(hc: HttpConnection) -> bool:
    conf: Http3Server = hc.srv[Http3Server]
    return conf.enable or not conf.hq


def _wants_hq(hc: HttpConnection) -> bool:
    conf: Http3Server = hc.srv[Http3Server]
    return conf.hq


def _started(c: Any) -> None:
    """The transport says so: ready()."""


# ---- in the hub


def accepted(c: Any) -> None:
    """A client's first datagram (ngx_http_init_connection, ngx_http_v3_init_stream)."""
    address = c.listening.data.address(c)
    hc = Http3Connection(c, address)
    c.data = hc
    c.context = hc.log_context
    hc.action = "handling QUIC connection"
    c.run(address.quic)


class Http3Connection(HttpConnection):
    """What HTTP keeps with a QUIC connection: *session*, from the end of the handshake on."""

    session: Session | None = None

    def cut_off(self) -> None:
        """The time to shut down is over."""
        c: Any = self.c
        c.finalize(NO_ERROR, "")


def validate(c: Any) -> None:
    """Ask OCSP about the client's certificate before its first request; in a greenlet."""
    hc: Http3Connection = c.data
    tls = c.ssl
    context = hc.srv.tls.context or tls.context
    if context.ocsp is not None and not tls.verify_result()[0]:
        tls.revoked = why_revoked(tls, context, hc.worker, hc.srv.default.log, hc.srv.client_header_timeout)


def ready(c: Any) -> None:
    """The handshake is done (ngx_http_v3_init)."""
    from geng.http.v3.session import Session

    hc: Http3Connection = c.data
    hc.ssl = c.ssl
    conf: Http3Server = hc.srv[Http3Server]
    hc.session = Session(c, hc, conf.max_concurrent_streams)
    hc.session.start(conf.hq and (not conf.enable or c.ssl.alpn() == HQ))


def stream_opened(s: Any) -> None:
    """The client has opened a stream (ngx_http_v3_init_stream)."""
    from geng.http.v3.request import RequestStream, start_hq
    from geng.http.v3.session import ClientStream

    session = s.connection.data.session
    if s.id & UNIDIRECTIONAL:
        ClientStream(session, s).start()
    elif session.hq:
        start_hq(session, s)
    else:
        RequestStream(session, s).start()


def shutdown(c: Any) -> None:
    """The worker leaves (ngx_http_v3_shutdown)."""
    session = c.data.session
    if session is None:
        c.finalize(NO_ERROR, "connection shutdown")
    else:
        session.go_away("connection shutdown")


def http3(r: Request) -> bytes | None:
    """$http3"""
    session = getattr(r.hc, "session", None)
    if session is None:
        return None
    return b"hq" if session.hq else b"h3"


def init_worker(worker: Any) -> None:
    """Datagrams for other workers' connections are handed on."""
    receiver = worker.cycle.http.main.quic_handlers[1]
    if receiver is not None:
        listenings = [one for one in worker.cycle.listenings if one.receiver is receiver and one.worker in (None, worker.id)]
        workers = worker.pool.step
        receiver.start(worker.hub, worker.pool, listenings, worker.log, worker.id % workers, workers)


module = Module(
    name="http_v3",
    confs=(Http3Server,),
    variables=(Variable("http3", http3),),
    postconfiguration=prepare,
    init_worker=init_worker,
)
