"""TLS toward an upstream: the handshake after the connection, names, certificates, sessions used again.

nginx: ngx_http_upstream.c (ngx_http_upstream_ssl_init_connection … ngx_http_upstream_ssl_certificate),
ngx_http_upstream_round_robin.c (ngx_http_upstream_save_round_robin_peer_session)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.core.cidr import ipv4
from geng.errors import ConnectionClosed, TimedOut
from geng.net.tls import Tls, TlsConnection, connect_tls, secure, take_raised
from geng.tls.certificates import use_certificate
from geng.tls.errors import take_errors
from geng.tls.loading import CannotLoad, RuntimeCache
from geng.tls.openssl import library
from geng.upstream import conf as ft

if TYPE_CHECKING:
    from geng.tls.context import Context
    from geng.upstream.engine import Exchange

CTRL_SET_SERVER_NAME = 55
NAME_TYPE_HOST = 0
HANDSHAKING = "SSL handshaking to upstream"
MOST_SESSIONS = 1024


class UpstreamTls:
    """How the connections of one location are made secure; `conf.tls`.

    name: what the certificate must be for, None for the host of the address; sends_name: as SNI; pair: the names of a
    certificate and its key that hold variables.
    """

    def __init__(
        self,
        context: Context,
        *,
        name: Any,
        sends_name: bool,
        verify: bool,
        reuse: bool,
        pair: tuple[Any, Any] | None,
        cache: RuntimeCache,
        passwords: Sequence[bytes],
    ) -> None:
        self.context = context
        self.name = name
        self.sends_name = sends_name
        self.verify = verify
        self.reuse = reuse
        self.pair = pair
        self.cache = cache
        self.passwords = passwords
        self.alpn = b""  # the protocols that are offered, as the extension has them

    def __repr__(self) -> str:
        return f"<UpstreamTls {self.context!r}{' verifies' if self.verify else ''}>"

    def establish(self, u: Any, c: Any, host: bytes) -> int:
        """Make the new connection *c* secure: 0, or what Exchange.attempt() shall return. *host*: of the address."""
        r = u.r
        try:
            secure(c, self.context, client=True)
        except ConnectionClosed as error:
            r.log.log("alert", error.message, err=error.error, ctx=u.doing(HANDSHAKING))
            u.drop()
            return 500
        name = b""
        if self.sends_name or self.verify:
            name = without_port(self.name(r) if self.name is not None else host)
        if not self._prepare(u, c.ssl, name):
            u.drop()
            return 500
        if self.reuse:
            self._reuse(u, c.ssl)
            if r.loc.tcp_nodelay:
                c.set_nodelay()
        return self._handshake(u, c, name)

    def _prepare(self, u: Any, tls: Tls, name: bytes) -> bool:
        """SNI and the certificate to show; False where that fails, which has been logged then."""
        r = u.r
        if self.alpn and tls.library.SSL_set_alpn_protos(tls.pointer, self.alpn, len(self.alpn)):
            r.log.alert(f"SSL_set_alpn_protos() failed{take_errors()}", ctx=r.c)
            return False
        if name and self.sends_name and name[:1] != b"[" and not ipv4(name.decode("latin-1")):
            host = name.split(b"\0", 1)[0]
            if not tls.library.SSL_ctrl(tls.pointer, CTRL_SET_SERVER_NAME, NAME_TYPE_HOST, host):
                shown = host.decode("utf-8", "surrogateescape")
                r.log.error(f'SSL_set_tlsext_host_name("{shown}") failed{take_errors()}', ctx=r.c)
                return False
        if self.pair is None:
            return True
        certificate = self.pair[0](r)
        if not certificate:
            return True
        try:
            use_certificate(tls, self.cache, certificate, self.pair[1](r), self.passwords)
        except CannotLoad as cannot:
            r.log.error(cannot.message, ctx=r.c)
            return False
        return True

    def _reuse(self, u: Exchange, tls: Tls) -> None:
        """Go on with the last session with this peer, and keep the next."""
        sessions = self.context.client_sessions
        peers = u.picker.peers
        address = (peers.name, peers.backup, u.picker.sockaddr)
        known = sessions.get(address)
        if known:
            tls.library.SSL_set_session(tls.pointer, known)
        tls.on_session = lambda session: remember(sessions, address, session)

    def _handshake(self, u: Exchange, c: TlsConnection, name: bytes) -> int:
        try:
            connect_tls(c, u.conf.connect_timeout)
        except TimedOut:
            return u.timed_out(HANDSHAKING)
        except ConnectionClosed as error:
            u.log_broken(error, HANDSHAKING)
            return u.next(ft.ERROR)
        finally:
            for raised in take_raised():
                c.hub.report(raised)
        if not self.verify:
            return 0
        result, text = c.ssl.verify_result()
        if result:
            u.log_error(f"upstream SSL certificate verify error: ({result}:{text})", HANDSHAKING)
            return u.next(ft.ERROR)
        if not matches(c.ssl, name):
            shown = name.decode("utf-8", "surrogateescape")
            u.log_error(f'upstream SSL certificate does not match "{shown}"', HANDSHAKING)
            return u.next(ft.ERROR)
        return 0


def without_port(name: bytes) -> bytes:
    """A host's name, which may come from $proxy_host or $http_host, without its port."""
    start = 0
    if name[:1] == b"[":
        start = max(name.find(b"]"), 0)
    end = name.find(b":", start)
    return name if end < 0 else name[:end]


def matches(tls: Tls, name: bytes) -> bool:
    """Whether the peer's certificate is for *name*.   nginx: ngx_ssl_check_host"""
    ssl = tls.library
    certificate = ssl.SSL_get1_peer_certificate(tls.pointer)
    if not certificate:
        return False
    try:
        return bool(name) and ssl.X509_check_host(certificate, name, len(name), 0, None) == 1
    finally:
        ssl.X509_free(certificate)


def remember(sessions: dict[Any, int], address: Any, session: int) -> None:
    """Keep a session, which is ours now, in the place of the last one with that peer."""
    free = library().SSL_SESSION_free
    old = sessions.pop(address, 0)
    if old:
        free(old)
    elif len(sessions) >= MOST_SESSIONS:
        free(sessions.pop(next(iter(sessions))))
    sessions[address] = session
