"""proxy_pass and what surrounds it.   nginx: ngx_stream_proxy_module.c"""

from __future__ import annotations

import socket
from time import time
from typing import TYPE_CHECKING, Any

from geng.conf.convert import complex_size, deprecated, enum, flag, msec, num, size
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import STREAM, STREAM_SRV
from geng.core import clock
from geng.errors import ConnectionClosed, Refused, TimedOut
from geng.http.script import compile_value
from geng.modules.stream.proxy_ssl import ProxySsl
from geng.modules.stream.upstream import StreamUpstreams, upstreams
from geng.net import sockaddr as sa
from geng.net.address import Address, BadAddress, Url, address_of, parse_url
from geng.net.answers import ResolveFailed
from geng.net.connect import NoConnections, connect
from geng.net.connection import Connection
from geng.net.datagram import DatagramPeer
from geng.stream.module import BAD_GATEWAY, ENDED, INTERNAL_SERVER_ERROR, Handler, Module
from geng.stream.relay import Relay
from geng.upstream.conf import local
from geng.upstream.engine import ASYNCHRONOUS, AT_ONCE
from geng.upstream.peers import FAILED, NoLivePeers
from geng.upstream.peers import OK as PEER_OK
from geng.upstream.round_robin import resolved
from geng.upstream.state import UpstreamState
from geng.wire import proxy_protocol

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.stream.conf import StreamServer
    from geng.stream.session import Session
    from geng.upstream.tls import UpstreamTls
    from geng.upstream.upstream import Upstream

SS = STREAM | STREAM_SRV
ETIMEDOUT = 110
V1, V2 = 1, 2
TRY_NEXT = -1


class StreamProxy(Conf, level=Level.SERVER):
    """What a server says about the one it passes connections to. Times in ms, sizes in bytes."""

    upstream: Any = value(None)
    target: Any = value(None)  # a Value with variables
    bind: Any = directive("proxy_bind", SS, local, default=None)
    socket_keepalive: bool = directive("proxy_socket_keepalive", SS, flag, default=False)
    socket_rcvbuf: int = directive("proxy_socket_rcvbuf", SS, size, default=0)
    socket_sndbuf: int = directive("proxy_socket_sndbuf", SS, size, default=0)
    connect_timeout: int = directive("proxy_connect_timeout", SS, msec, default=60_000)
    timeout: int = directive("proxy_timeout", SS, msec, default=600_000)
    buffer_size: int = directive("proxy_buffer_size", SS, size, default=16384)
    upload_rate: Any = directive("proxy_upload_rate", SS, complex_size, default=None)
    download_rate: Any = directive("proxy_download_rate", SS, complex_size, default=None)
    requests: int = directive("proxy_requests", SS, num, default=0)
    responses: int | None = directive("proxy_responses", SS, num, default=None)
    next_upstream: bool = directive("proxy_next_upstream", SS, flag, default=True)
    next_upstream_tries: int = directive("proxy_next_upstream_tries", SS, num, default=0)
    next_upstream_timeout: int = directive("proxy_next_upstream_timeout", SS, msec, default=0)
    proxy_protocol: int = directive("proxy_protocol", SS, enum({"off": 0, "on": V1, "v2": V2}), default=0)
    half_close: bool = directive("proxy_half_close", SS, flag, default=False)

    @command("proxy_pass", STREAM_SRV)
    def set_pass(self, cf: Cf) -> None:
        """`proxy_pass address`"""
        from geng.stream.conf import StreamServer

        if self.upstream is not UNSET or self.target is not UNSET:
            raise Refused("is duplicate")
        text = cf.args[0]
        made = compile_value(cf, text)
        if made.literal is None:
            self.target = made
        else:
            self.upstream, _ = upstreams(cf).add(cf, text, 0, uri_part=False)
        cf[StreamServer].content = link

    @command("proxy_downstream_buffer", SS)
    def set_downstream_buffer(self, cf: Cf) -> None:
        """`proxy_downstream_buffer size`, an old name"""
        self._set_old(cf)

    @command("proxy_upstream_buffer", SS)
    def set_upstream_buffer(self, cf: Cf) -> None:
        """`proxy_upstream_buffer size`, an old name"""
        self._set_old(cf)

    def _set_old(self, cf: Cf) -> None:
        if self.buffer_size is not UNSET:
            raise Refused("is duplicate")
        convert = deprecated(cf.node.name, "proxy_buffer_size", size)
        self.buffer_size = convert(cf, cf.args[0])


def link(server: StreamServer) -> Handler:
    """The content handler of one server."""
    conf: StreamProxy = server[StreamProxy]

    def handle(s: Session) -> int:
        return Proxied(s, conf).run()

    return handle


class Proxied:
    """One session and its upstream; `s.upstream`.   nginx: ngx_stream_upstream_t"""

    __slots__ = ("conf", "connection", "host", "name", "picker", "relay", "s", "start_sec", "start_time", "state",
                 "taken", "tls")  # fmt: skip

    def __init__(self, s: Session, conf: StreamProxy) -> None:
        self.s = s
        self.conf = conf
        self.host = ""  # what proxy_pass names: the name for TLS
        self.name = b""
        self.picker: Any = None
        self.taken = False  # a peer is, and must be given back
        self.connection: Connection | None = None
        self.relay: Relay | None = None
        self.state: UpstreamState = None  # type: ignore[assignment]  # until the first try
        self.start_sec = int(time())
        self.start_time = 0
        self.tls: Any = None
        s.upstream = self

    def __repr__(self) -> str:
        return f"<Proxied {self.name.decode('latin-1') or 'nowhere yet'}>"

    def log_text(self) -> str:
        """nginx: ngx_stream_proxy_log_error"""
        s = self.s
        text = f', upstream: "{self.name.decode("utf-8", "surrogateescape")}"' if self.name else ""
        sent = 0 if self.connection is None else self.connection.sent
        text += f", bytes from/to client:{s.received}/{s.c.sent}"
        return f"{text}, bytes from/to upstream:{self.got}/{sent}"

    @property
    def got(self) -> int:
        """Bytes from the upstream."""
        return 0 if self.relay is None else self.relay.down.count

    # ---- in the session's greenlet

    def run(self) -> int:
        """Find a peer and connect; 0 when the relay has begun, else what to end the session with."""
        s = self.s
        conf = self.conf
        s.content = self
        try:
            self.picker = self._picker()
            if self.picker is None:
                return self._end(INTERNAL_SERVER_ERROR)
            self.start_time = clock.msec()
            if conf.next_upstream_tries and self.picker.tries > conf.next_upstream_tries:
                self.picker.tries = conf.next_upstream_tries
            while True:
                rc = self._try()
                if s.ended:  # it was shut down meanwhile
                    self._let_go(PEER_OK)
                    return 0
                if rc is None:
                    return 0
                if rc or not self._another():
                    return self._end(rc or BAD_GATEWAY)
        except BaseException:
            self._let_go(FAILED if s.udp else PEER_OK)
            raise

    def _picker(self) -> Any:
        """Whom to ask for peers; None when it cannot be found out, which is logged."""
        conf = self.conf
        if conf.target is None:
            self.host = conf.upstream.host
            return conf.upstream.start(self.s)
        text = conf.target.fn(self.s)
        shown = text.decode("utf-8", "surrogateescape")
        try:
            url = parse_url(shown)
        except BadAddress as bad:
            return self._refuse(f'{bad} in upstream "{shown}"')
        self.host = url.host
        found: Upstream | None = self.s.server.main[StreamUpstreams].all.find(url.host, url.port, url.no_port)
        if found is not None:
            return found.start(self.s)
        if not url.port and not url.unix:
            return self._refuse(f'no port in upstream "{url.host}"')
        addresses = url.addresses or self._resolve(url)
        if not addresses:
            return None
        return resolved(self.s, url.host.encode("utf-8", "surrogateescape"), [(a.sockaddr, a.name) for a in addresses])

    def _resolve(self, url: Url) -> list[Address]:
        s = self.s
        server = s.server
        if server.resolver is None:
            self._refuse(f"no resolver defined to resolve {url.host}")
            return []
        resolver = server.resolver.get(server.main.worker)
        try:
            found = resolver.resolve(url.host, server.resolver_timeout, url.port)
        except ResolveFailed as failed:
            self._refuse(f"{failed}")
            return []
        return [address_of(sockaddr) for sockaddr in found]

    def _refuse(self, message: str) -> None:
        self.s.log.error(message, ctx=self.s.c)

    def _try(self) -> int | None:
        """Connect to the next peer: None when the relay has begun, 0 when another may be tried, else a status."""
        s = self.s
        s.action = "connecting to upstream"
        now = clock.msec()
        if self.state is not None:
            self.state.response_time = now - self.state.start
        self.state = state = UpstreamState(now)
        s.upstream_states.append(state)
        try:
            pick = self.picker.get()
        except NoLivePeers as none:
            self.name = state.peer = none.name
            s.log.error("no live upstreams", ctx=s.c)
            return BAD_GATEWAY
        self.taken = True
        self.name = state.peer = pick.name
        rc = self._connect(pick.sockaddr)
        if rc is None and not s.ended:
            self._begin()
        return rc

    def _connect(self, sockaddr: Any) -> int | None:
        conf = self.conf
        s = self.s
        bind = conf.bind
        try:
            self.connection = c = connect(
                s.c.hub,
                s.c.pool,
                sockaddr,
                ms=conf.connect_timeout,
                local=None if bind is None else bind.of(s),
                transparent=bind is not None and bind.transparent,
                rcvbuf=conf.socket_rcvbuf,
                sndbuf=conf.socket_sndbuf,
                keepalive=conf.socket_keepalive,
                kind=socket.SOCK_DGRAM if s.udp else socket.SOCK_STREAM,
            )
        except TimedOut:
            s.log.error("upstream timed out", err=ETIMEDOUT, ctx=s.c)
            return 0
        except NoConnections:
            return INTERNAL_SERVER_ERROR
        except ConnectionClosed as error:
            return self._not_connected(error)
        c.number = s.c.number
        if s.udp:
            c.__class__ = DatagramPeer
            return None
        if s.server.tcp_nodelay:
            c.set_nodelay()
        tls = s.server[ProxySsl].tls
        return None if tls is None else self._secure(c, tls)

    def _secure(self, c: Connection, tls: UpstreamTls) -> int | None:
        """TLS with the upstream; the PROXY header goes before it, in the clear."""
        if self.conf.proxy_protocol:
            header = self._header()
            if c.try_send((header,)) != len(header):
                self.s.log.error("could not send PROXY protocol header at once", ctx=self.s.c)
                return INTERNAL_SERVER_ERROR
        rc = tls.establish(self, c, self.host.encode("utf-8", "surrogateescape"))
        if rc == TRY_NEXT:
            return 0
        return rc or None

    def _not_connected(self, error: ConnectionClosed) -> int:
        log = self.s.log
        name = self.name.decode("utf-8", "surrogateescape")
        if error.call != "connect()":
            log.log("crit" if error.call == "bind()" else "alert", f"{error.call} failed", err=error.error, ctx=self.s.c)
            return INTERNAL_SERVER_ERROR
        if error.error in ASYNCHRONOUS and not name.startswith("unix:"):
            log.error("connect() failed", err=error.error, ctx=self.s.c)
        else:
            level = "error" if error.error in AT_ONCE else "crit"
            log.log(level, f"connect() to {name} failed", err=error.error, ctx=self.s.c)
        return 0

    def _begin(self) -> None:
        """The upstream is connected.   nginx: ngx_stream_proxy_init_upstream"""
        s = self.s
        c = self.connection
        conf = self.conf
        assert c is not None
        kind = "udp " if s.udp else ""
        s.tell(f"{kind}proxy {sa.text(c.local_addr())} connected to {self.name.decode('utf-8', 'surrogateescape')}")
        self.state.connect_time = clock.msec() - self.state.start
        self.picker.connected()
        first: list[Any] = []
        if conf.proxy_protocol and c.ssl is None:
            first.append(self._header())
        if s.buffer or s.udp:
            first.append(s.buffer)
            s.buffer = b""
        upload, download = (0 if rate is None else rate(s) for rate in (conf.upload_rate, conf.download_rate))
        self.relay = relay = Relay(
            s,
            c,
            timeout=conf.timeout,
            size=conf.buffer_size,
            start_sec=self.start_sec,
            rates=(upload, download),
            half_close=conf.half_close,
            requests=conf.requests,
            responses=conf.responses,
            on_end=self._over,
        )
        relay.start(first)

    def _header(self) -> bytes:
        """The PROXY header that tells the upstream who the client is."""
        c = self.s.c
        if self.conf.proxy_protocol == V2:
            transport = proxy_protocol.DGRAM if self.s.udp else proxy_protocol.STREAM
            return proxy_protocol.write_v2(c.sockaddr, c.local_addr(), transport=transport)
        return proxy_protocol.write(c.sockaddr, c.local_addr())

    def _another(self) -> bool:
        """Give up this peer; whether the next one shall be tried.   nginx: ngx_stream_proxy_next_upstream"""
        conf = self.conf
        self._let_go(FAILED)
        timeout = conf.next_upstream_timeout
        if not self.picker.tries or not conf.next_upstream:
            return False
        return not (timeout and clock.msec() - self.start_time >= timeout)

    # ---- what TLS asks of an exchange with an upstream

    @property
    def r(self) -> Session:
        return self.s

    def doing(self, action: str) -> Any:
        """A context for the log: the session, which is *action* now."""
        self.s.action = action
        return self.s.c

    def drop(self) -> None:
        """The connection is of no use; it is closed with the session."""

    def timed_out(self, action: str) -> int:
        self.s.log.error("upstream timed out", err=ETIMEDOUT, ctx=self.doing(action))
        return TRY_NEXT

    def log_error(self, message: str, action: str) -> None:
        self.s.log.error(message, ctx=self.doing(action))

    def log_broken(self, error: ConnectionClosed, action: str) -> None:
        self.s.log.log(error.level("error"), error.message, err=error.error or None, ctx=self.doing(action))

    def next(self, why: int) -> int:
        """What says that the next peer shall be tried."""
        return TRY_NEXT

    # ---- the end

    def _let_go(self, state: int) -> None:
        """Give the peer back and close its connection."""
        c = self.connection
        if c is not None:
            self.state.bytes_received = self.got
            self.state.bytes_sent = c.sent
        if self.taken:
            self.taken = False
            self.picker.free(self.picker, state)
        if c is not None:
            self.connection = None
            c.close()

    def _end(self, status: int) -> int:
        """All is over; *status*."""
        state = self.state
        if state is not None and state.response_time == -1:
            state.response_time = clock.msec() - state.start
        self._let_go(FAILED if self.relay is not None and self.relay.failed else PEER_OK)
        return status

    def _over(self, status: int) -> None:
        """The relay has ended."""
        self._end(status)
        self.s.finalize(status)
        self.relay = None

    def shut_down(self) -> None:
        """worker_shutdown_timeout has passed."""
        if self.relay is not None:
            self.relay.shut_down()
        else:
            self.s.finalize(ENDED)  # what waits in the greenlet finds its connection closed


module = Module(name="stream_proxy", confs=(StreamProxy, ProxySsl))
