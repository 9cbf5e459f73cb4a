"""Client connections over TLS: the handshake, the server that SNI chooses, and what requests must have.

nginx: ngx_http_request.c (ngx_http_ssl_handshake, ngx_http_ssl_servername, ngx_http_set_virtual_server and the checks
of ngx_http_process_request), ngx_http_ssl_module.c (ngx_http_ssl_alpn_select)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed
from geng.hot import tls as hot
from geng.hot.http1 import parse_request
from geng.hot.uri import validate_host
from geng.http.module import DECLINED
from geng.http.request import Request
from geng.net.connection import Connection
from geng.net.tls import DONE, WANTS_READ, TlsConnection, peek, secure, set_nodelay, take_raised
from geng.tls.certificates import use_certificates
from geng.tls.errors import TlsBroken
from geng.tls.servername import SERVER_NAME_FATAL, SERVER_NAME_OK
from geng.tls.validation import why_revoked
from geng.tls.verification import objection
from geng.wire import proxy_protocol

if TYPE_CHECKING:
    from geng.http.conf import CoreSrv
    from geng.http.connection import HttpConnection
    from geng.net.tls import Tls
    from geng.tls.context import Context

PROXY_HEADER = 4096  # longer than any

HTTP_1 = (b"http/1.1", b"http/1.0", b"http/0.9")


# ---- the handshake, in the hub


def begin(c: Connection) -> None:
    """The first bytes of a client on a TLS port: a handshake, or plain HTTP.   nginx: ngx_http_ssl_handshake"""
    hc: HttpConnection = c.data
    first = _peek(c, hc, PROXY_HEADER if hc.wants_proxy_protocol else 1)
    if first is None:
        return
    if hc.wants_proxy_protocol:
        first = _take_proxy_protocol(c, hc, first)
        if not first:
            return
    if not (first[0] & 0x80 or first[0] == 0x16):
        hc.action = "waiting for request"
        hc.start_http()
        return
    if hc.srv.default.tcp_nodelay:
        set_nodelay(c)
    context = hc.srv.tls.context
    if context is None:
        c.close()
        return
    c.reusable(False)
    tls = secure(c, context).ssl
    tls.data = hc
    _proceed(tls.connection)


def _peek(c: Connection, hc: HttpConnection, n: int) -> bytes | None:
    """What a client sends first, left where it is; None for nothing (yet)."""
    log = hc.srv.default.log
    try:
        data = peek(c, n)
    except BlockingIOError:
        c.ready = False
        return None
    except OSError as error:
        log.info("recv() failed", err=error.errno, ctx=c)
        c.close()
        return None
    if not data:
        log.info("client closed connection", ctx=c)
        c.close()
        return None
    return data


def _take_proxy_protocol(c: Connection, hc: HttpConnection, data: bytes) -> bytes:
    """What follows the PROXY header in *data*; the header itself is received for good."""
    try:
        hc.proxy_protocol, size = proxy_protocol.read(data)
    except proxy_protocol.BrokenHeader as broken:
        hc.srv.default.log.error(broken.message, ctx=c)
        c.close()
        return b""
    c.recv(size)
    c.ready = True  # what recv() cannot know: more may be there
    hc.wants_proxy_protocol = False
    hc.action = "SSL handshaking"
    return data[size:]


def _proceed(c: Any) -> None:
    """Go on with a handshake when something has come; a handler of read events."""
    try:
        rc = c.ssl.handshake()
    except TlsBroken as error:
        _report(c)
        _failed(c, error)
        return
    _report(c)
    if rc == DONE:
        context = c.data.srv.tls.context or c.ssl.context
        if context.ocsp is not None and not c.ssl.verify_result()[0]:
            Connection.listen(c, None)
            c.hub.spawn(_validate, c, context)
        else:
            _ready(c)
        return
    c.ready = False
    if rc == WANTS_READ:
        Connection.listen(c, _proceed)
    else:
        c.on_read = None
        c.hub.spawn(_proceed_when_writable, c)


def _proceed_when_writable(c: Any) -> None:
    """A greenlet for the rare handshake that the socket's buffer cannot take."""
    hc: HttpConnection = c.data
    try:
        if c.wait_write(hc.srv.client_header_timeout):
            c.hub.call_soon(_proceed, c)
            return
    except ConnectionClosed:
        return
    hc.srv.default.log.info("client timed out", err=110, ctx=c)
    c.close()


def _validate(c: TlsConnection, context: Context) -> None:
    """Ask OCSP about the client's certificate before its first request; in a greenlet."""
    tls = c.ssl
    hc: HttpConnection = c.data
    revoked = why_revoked(tls, context, hc.worker, hc.srv.default.log, hc.srv.client_header_timeout)
    if not c.closed:
        tls.revoked = revoked
        c.hub.call_soon(_ready, c)


def _report(c: Any) -> None:
    for error in take_raised():
        c.hub.report(error)


def _failed(c: Any, error: TlsBroken) -> None:
    hc: HttpConnection = c.data
    hc.srv.default.log.log(error.level("info"), error.message, err=error.error, ctx=c)
    c.close()


def _ready(c: TlsConnection) -> None:
    """Give the connection to its protocol."""
    if c.closed:
        return
    hc: HttpConnection = c.data
    hc.ssl = c.ssl
    hc.action = "waiting for request"
    protocols = hc.srv.main.protocols
    if protocols:
        chosen = c.ssl.alpn()
        for protocol in protocols:
            if protocol.name == chosen and protocol.wanted(hc):
                protocol.start(c)
                return
    c.reusable(True)
    c.ready = hot.pending(c.ssl.pointer) or bool(c.ssl.early_byte)
    hc.start_http()


# ---- what OpenSSL asks meanwhile


def choose_by_name(tls: Tls, name: bytes | None) -> int:
    """SNI: the server that *name* belongs to.   nginx: ngx_http_ssl_servername"""
    hc: HttpConnection = tls.data
    host = validate_host(name) if name else None
    if host is not None:
        found = _find(hc, tls, host[0])
        if found is not None:
            _use_server(hc, tls, found, host[0])
    if hc.srv.tls.rejects:
        tls.rejected = True
        return SERVER_NAME_FATAL
    tls.accepted = True
    return SERVER_NAME_OK


def _find(hc: HttpConnection, tls: Tls, host: bytes) -> CoreSrv | None:
    address = hc.address
    server = address.hosts.find(host)
    if server is not None:
        return server
    for regex, server in address.regexes:
        if regex.search(host):
            tls.regex = regex
            return server
    return None


def _use_server(hc: HttpConnection, tls: Tls, srv: CoreSrv, host: bytes) -> None:
    tls.servername = host
    hc.default = hc.srv = srv
    hc.default_hot = hc.keepalive_hot = srv.default.hot
    tls.buffer_size = srv.tls.buffer_size
    context = srv.tls.context
    if context is not None:
        context.take_over(tls.pointer)


def choose_protocol(tls: Tls, offered: list[bytes]) -> bytes | None:
    """ALPN: the first of ours that the client offers too."""
    hc: HttpConnection = tls.data
    main = hc.srv.main
    protocols, others = (main.protocols, HTTP_1) if hc.address.quic is None else (main.quic_protocols, ())
    names = [protocol.name for protocol in protocols if protocol.wanted(hc)]
    return next((name for name in (*names, *others) if name in offered), None)


def choose_certificate(tls: Tls, srv: CoreSrv) -> bool:
    """The certificates of *srv* whose names hold variables; False when one cannot be loaded.

    nginx: ngx_http_ssl_certificate
    """
    hc: HttpConnection = tls.data
    c = hc.c
    head = parse_request(b"", 0, options=hc.options)
    r = Request(c, hc, head, srv.default.hot, hc.request_start)
    return use_certificates(tls, srv.tls, r, srv.default.log, c)


# ---- requests


def choose_server(r: Request, host: bytes) -> CoreSrv | None:
    """The server of a request that names *host*, None to stay; may refuse it by setting `misdirected`.

    nginx: ngx_http_set_virtual_server
    """
    hc = r.hc
    tls = hc.ssl
    if tls is None or tls.servername is None:
        return hc.address.find(host, r)
    tls.misdirected = False
    if host == tls.servername:
        if tls.regex is not None:
            tls.regex.exec(r, host)
        return None
    found = hc.address.find(host, r) or hc.address.default
    if found.tls.verify:
        tls.misdirected = True
        return None
    return found


def check(r: Request) -> int:
    """Before all handlers of a server that is behind a TLS port: may this request be served?"""
    hc = r.hc
    if not hc.address.ssl:
        return DECLINED
    tls = hc.ssl
    if tls is None:
        r.log.info("client sent plain HTTP request to HTTPS port", ctx=hc.doing("reading client request headers"))
        return 497
    if tls.misdirected:
        tls.misdirected = False
        r.log.info(
            "client attempted to request the server name different from the one that was negotiated",
            ctx=hc.doing("reading client request headers"),
        )
        return 421
    verify = r.srv.tls.verify
    why = objection(tls, verify) if verify else None
    if why is None:
        return DECLINED
    r.log.info(why.message, ctx=hc.doing("reading client request headers"))
    return 496 if why.missing else 495
