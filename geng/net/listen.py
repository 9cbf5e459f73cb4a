"""Listening sockets: opened and configured by the master, accepted from by the workers.

nginx: ngx_connection.c (ngx_open_listening_sockets, ngx_configure_listening_sockets), ngx_event_accept.c
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geng.errors import ConfigError
from geng.net import sockaddr as sa
from geng.net.sockaddr import SockAddr

if TYPE_CHECKING:
    from geng.net.connection import Connection, Logger

BACKLOG = 511  # NGX_LISTEN_BACKLOG on Linux
IP_PKTINFO = 8
IPV6_RECVPKTINFO = 49
IP_MTU_DISCOVER = 10
IPV6_MTU_DISCOVER = 23
PMTUDISC_DO = 2
SO_PROTOCOL = getattr(socket, "SO_PROTOCOL", 38)


class BindFailed(ConfigError):
    """A listening socket could not be opened; *retry*: the address is in use, another try may help."""

    def __init__(self, message: str, errno: int, retry: bool) -> None:
        super().__init__(message)
        self.errno = errno
        self.retry = retry


@dataclass(frozen=True)
class ListenOptions:
    """What `listen` says about a socket; -1 or None: not said. so_keepalive: (idle, interval, count), 0: not said."""

    backlog: int = BACKLOG
    rcvbuf: int = -1
    sndbuf: int = -1
    fastopen: int = -1
    keepalive: bool | None = None
    keepidle: int = 0
    keepintvl: int = 0
    keepcnt: int = 0
    deferred: bool = False
    ipv6only: bool = True
    reuseport: bool = False
    protocol: int = 0  # IPPROTO_MPTCP for `multipath`


class Listening:
    """One listening socket. *handler*(c) is called in the hub for each accepted connection.

    *data* is what the protocol keeps with it (its port with the virtual servers); *worker* the only worker that
    accepts from it (a reuseport socket), None for all. *clients*: of a datagram socket, by their addresses (of QUIC: by
    connection ids), in this process; *receiver*: what takes a datagram from it (geng.quic.listen), None for the usual;
    *inherited*: it came from the old binary; *reused*: it was open before this configuration; *beside*: the old
    configuration's socket on this address is of another protocol, and both are open for a while.
    """

    __slots__ = (
        "sockaddr",
        "options",
        "kind",
        "handler",
        "data",
        "sock",
        "text",
        "wildcard",
        "inherited",
        "reused",
        "beside",
        "worker",
        "listens",
        "accepted",
        "addr_text",
        "clients",
        "receiver",
    )

    def __init__(
        self,
        sockaddr: SockAddr,
        options: ListenOptions = ListenOptions(),
        handler: Callable[[Connection], object] | None = None,
        kind: int = socket.SOCK_STREAM,
    ) -> None:
        self.sockaddr = sockaddr
        self.options = options
        self.kind = kind
        self.handler = handler
        self.data: object = None
        self.sock: socket.socket | None = None
        self.text = sa.text(sockaddr)
        self.wildcard = sa.is_wildcard(sockaddr)
        self.inherited = False
        self.reused = False
        self.beside = False
        self.worker: int | None = None
        self.listens = False
        self.accepted = 0
        self.clients: dict[object, Any] = {}
        self.receiver: Callable[..., bool] | None = None
        self.addr_text = self.text.encode("utf-8", "surrogateescape")

    number = 0  # of a log context: no connection yet

    @property
    def quic(self) -> bool:
        return self.receiver is not None

    def __repr__(self) -> str:
        state = "closed" if self.sock is None else f"fd {self.sock.fileno()}"
        return f"<Listening {self.text} {state}>"

    @property
    def fd(self) -> int:
        return -1 if self.sock is None else self.sock.fileno()

    def log_context(self) -> str:
        return f" while accepting new connection on {self.text}"

    def clone(self, worker: int) -> Listening:
        """Another socket on the same address for *worker* (reuseport).   nginx: ngx_clone_listening"""
        twin = Listening(self.sockaddr, self.options, self.handler, self.kind)
        twin.data = self.data
        twin.worker = worker
        twin.receiver = self.receiver
        return twin

    # ---- opening

    def open(self, test: bool = False) -> None:
        """Bind and listen; raises BindFailed in nginx's words. *test*: an address in use is no fault (`-t`)."""
        family = sa.family(self.sockaddr)
        try:
            sock = socket.socket(family, self.kind | socket.SOCK_NONBLOCK, self.options.protocol)
        except OSError as error:
            raise self._failed(f"socket() {self.text} failed", error) from None
        try:
            self._prepare(sock, family, test)
            self._bind(sock, test)
        except BindFailed as failed:
            sock.close()
            if test and failed.retry:
                return
            raise
        self.sock = sock
        if isinstance(self.sockaddr, tuple) and self.sockaddr[1] == 0:
            self._adopt_port(sock)

    def _adopt_port(self, sock: socket.socket) -> None:
        """Port 0 becomes the port that the kernel chose."""
        self.sockaddr = (self.sockaddr[0], sock.getsockname()[1], *self.sockaddr[2:])
        self.text = sa.text(self.sockaddr)
        self.addr_text = self.text.encode()

    def _prepare(self, sock: socket.socket, family: int, test: bool) -> None:
        options = self.options
        wanted = []
        if self.kind != socket.SOCK_DGRAM or not test:
            wanted.append(("SO_REUSEADDR", socket.SOL_SOCKET, socket.SO_REUSEADDR, 1))
        if (options.reuseport or self.beside) and not test:
            wanted.append(("SO_REUSEPORT", socket.SOL_SOCKET, socket.SO_REUSEPORT, 1))
        if family == socket.AF_INET6:
            wanted.append(("IPV6_V6ONLY", socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(options.ipv6only)))
        for name, level, option, value in wanted:
            try:
                sock.setsockopt(level, option, value)
            except OSError as error:
                raise self._failed(f"setsockopt({name}) {self.text} failed", error) from None

    def _bind(self, sock: socket.socket, test: bool) -> None:
        try:
            sock.bind(self.sockaddr)
        except OSError as error:
            raise self._failed(f"bind() to {self.text} failed", error) from None
        if not isinstance(self.sockaddr, tuple):
            os.chmod(self.sockaddr, 0o666)
            if test:
                os.unlink(self.sockaddr)
        if self.kind != socket.SOCK_STREAM:
            return
        try:
            sock.listen(self.options.backlog)
        except OSError as error:
            message = f"listen() to {self.text}, backlog {self.options.backlog} failed"
            raise self._failed(message, error) from None
        self.listens = True

    def _failed(self, message: str, error: OSError) -> BindFailed:
        errno = error.errno or 0
        return BindFailed(f"{message} ({errno}: {os.strerror(errno)})", errno, errno == 98)

    @classmethod
    def inherit(cls, fd: int) -> Listening:
        """A listening socket that was open already (binary upgrade); raises OSError when *fd* is none."""
        sock = socket.socket(fileno=fd)
        sock.setblocking(False)
        address = sock.getsockname()
        reuseport = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT))
        protocol = sock.getsockopt(socket.SOL_SOCKET, SO_PROTOCOL) if sock.type == socket.SOCK_STREAM else 0
        self = cls(address, ListenOptions(reuseport=reuseport, protocol=0 if protocol == socket.IPPROTO_TCP else protocol))
        self.kind = sock.type
        self.sock = sock
        self.inherited = True
        self.listens = self.kind == socket.SOCK_STREAM
        return self

    def take_over(self, old: Listening, log: Logger) -> None:
        """Have the socket that *old* has on the same address.   nginx: ngx_init_cycle, ngx_open_listening_sockets"""
        if old.sock is None:
            raise ValueError(f"{old.text} is not open")
        self.beside = old.options.protocol != self.options.protocol
        if self.beside or (self.options.reuseport and not old.options.reuseport):
            # or the other sockets that shall be opened on this address could not be
            try:
                old.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            except OSError as error:
                log.alert(f"setsockopt(SO_REUSEPORT) {self.text} failed, ignored", err=error.errno)
        if self.beside:
            return
        self.sock, self.listens, self.clients = old.sock, old.listens, old.clients
        self.inherited, self.reused = old.inherited, True
        if isinstance(self.sockaddr, tuple) and self.sockaddr[1] == 0:
            self.sockaddr, self.text, self.addr_text = old.sockaddr, old.text, old.addr_text

    def configure(self, log: Logger) -> None:
        """Set the options that may change with a new configuration; a failure is logged and ignored, as in nginx."""
        sock, options = self.sock, self.options
        if sock is None:
            raise ValueError(f"{self.text} is not open")
        tcp = socket.IPPROTO_TCP
        table = [
            ("SO_RCVBUF", socket.SOL_SOCKET, socket.SO_RCVBUF, options.rcvbuf, options.rcvbuf != -1),
            ("SO_SNDBUF", socket.SOL_SOCKET, socket.SO_SNDBUF, options.sndbuf, options.sndbuf != -1),
            ("SO_KEEPALIVE", socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(bool(options.keepalive)),
             options.keepalive is not None),
            ("TCP_KEEPIDLE", tcp, socket.TCP_KEEPIDLE, options.keepidle, options.keepidle),
            ("TCP_KEEPINTVL", tcp, socket.TCP_KEEPINTVL, options.keepintvl, options.keepintvl),
            ("TCP_KEEPCNT", tcp, socket.TCP_KEEPCNT, options.keepcnt, options.keepcnt),
            ("TCP_FASTOPEN", tcp, socket.TCP_FASTOPEN, options.fastopen, options.fastopen != -1),
        ]  # fmt: skip
        for name, level, option, value, wanted in table:
            if wanted:
                self._configure(log, sock, f"{name}, {value}", "", level, option, value)
        if self.kind == socket.SOCK_DGRAM and self.wildcard:
            six = sa.family(self.sockaddr) == socket.AF_INET6
            name, level, option = (
                ("IPV6_RECVPKTINFO", socket.IPPROTO_IPV6, IPV6_RECVPKTINFO)
                if six
                else ("IP_PKTINFO", socket.IPPROTO_IP, IP_PKTINFO)
            )
            try:
                sock.setsockopt(level, option, 1)
            except OSError as error:
                log.alert(f"setsockopt({name}) for {self.text} failed, ignored", err=error.errno)
        if self.quic:
            # no datagram is cut into fragments: how large they may be is found out
            six = sa.family(self.sockaddr) == socket.AF_INET6
            name, level, option = (
                ("IPV6_MTU_DISCOVER", socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER)
                if six
                else ("IP_MTU_DISCOVER", socket.IPPROTO_IP, IP_MTU_DISCOVER)
            )
            try:
                sock.setsockopt(level, option, PMTUDISC_DO)
            except OSError as error:
                log.alert(f"setsockopt({name}) for {self.text} failed, ignored", err=error.errno)
        if self.listens:
            try:
                sock.listen(options.backlog)
            except OSError as error:
                log.alert(f"listen() to {self.text}, backlog {options.backlog} failed, ignored", err=error.errno)
        if self.listens and isinstance(self.sockaddr, tuple) and (options.deferred or self.reused):
            # Last, as in nginx. One second, because nobody can tell how long a connection has waited already.
            value = int(options.deferred)
            self._configure(log, sock, f"TCP_DEFER_ACCEPT, {value}", "for ", tcp, socket.TCP_DEFER_ACCEPT, value)

    def _configure(
        self, log: Logger, sock: socket.socket, what: str, word: str, level: int, option: int, value: int
    ) -> None:
        try:
            sock.setsockopt(level, option, value)
        except OSError as error:
            log.alert(f"setsockopt({what}) {word}{self.text} failed, ignored", err=error.errno)

    def close(self) -> None:
        """Close the descriptor."""
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def remove(self, log: Logger) -> None:
        """Remove a unix socket's file; only for the last process that listens there."""
        if isinstance(self.sockaddr, tuple):
            return
        try:
            os.unlink(self.sockaddr)
        except OSError as error:
            log.emerg(f"unlink() {self.text.removeprefix('unix:')} failed", err=error.errno)
