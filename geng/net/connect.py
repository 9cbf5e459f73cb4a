"""Connections to upstreams.   nginx: ngx_event_connect.c"""

from __future__ import annotations

import socket
from errno import EALREADY, EINPROGRESS, EISCONN
from time import monotonic_ns
from typing import TYPE_CHECKING

from geng.errors import ConnectionClosed, GengError, TimedOut
from geng.net import sockaddr as sa
from geng.net.connection import Connection, ConnectionPool
from geng.net.sockaddr import SockAddr

if TYPE_CHECKING:
    from geng.net.hub import Hub

IP_BIND_ADDRESS_NO_PORT = 24
IP_TRANSPARENT = 19
IPV6_TRANSPARENT = 75


class NoConnections(GengError):
    """worker_connections are not enough (logged already)."""


def connect(
    hub: Hub,
    pool: ConnectionPool,
    sockaddr: SockAddr,
    *,
    ms: float | None,
    local: SockAddr | None = None,
    transparent: bool = False,
    rcvbuf: int = 0,
    sndbuf: int = 0,
    keepalive: bool = False,
    kind: int = socket.SOCK_STREAM,
) -> Connection:
    """A connection to *sockaddr*, open for sending; its greenlet waits at most *ms*.

    Raises TimedOut, ConnectionClosed(errno, "connect()" or the call that failed), NoConnections.
    """
    sock = _socket(sockaddr, kind, local, transparent, rcvbuf, sndbuf, keepalive)
    try:
        error = sock.connect_ex(sockaddr)
        if error == EINPROGRESS and sa.is_loopback(sockaddr):
            # On loopback the handshake is over by now; asking again is cheaper than a wait for the event.
            error = sock.connect_ex(sockaddr)
        if error == EISCONN:
            error = 0
        if error not in (0, EINPROGRESS, EALREADY):
            raise ConnectionClosed(error, "connect()")
        c = pool.get(sock.fileno())
        if c is None:
            raise NoConnections
        sock.detach()
    finally:
        sock.close()  # of no effect after detach()
    c.sockaddr = sockaddr
    c.addr_text = sa.text(sockaddr, port=False).encode("utf-8", "surrogateescape")
    c.port = sockaddr[1] if isinstance(sockaddr, tuple) else 0
    c.start_msec = monotonic_ns() // 1_000_000
    if not error:
        return c
    try:
        _finish(c, ms)
    except BaseException:
        c.close()
        raise
    return c


def _finish(c: Connection, ms: float | None) -> None:
    """Wait for the handshake."""
    if not c.wait_write(ms):
        raise TimedOut
    error = c.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        c.error = error
        raise ConnectionClosed(error, "connect()")


def _socket(
    sockaddr: SockAddr, kind: int, local: SockAddr | None, transparent: bool, rcvbuf: int, sndbuf: int, keepalive: bool
) -> socket.socket:
    """The socket, bound where `proxy_bind` wants it. Raises ConnectionClosed with the call that failed."""
    family = sa.family(sockaddr)
    call = "socket()"
    try:
        sock = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise ConnectionClosed(error.errno or 0, call) from None
    try:
        if keepalive:
            call = "setsockopt(SO_KEEPALIVE)"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if rcvbuf:
            call = "setsockopt(SO_RCVBUF)"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        if sndbuf:
            call = "setsockopt(SO_SNDBUF)"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sndbuf)
        if local is not None:
            if transparent:
                level, option = (
                    (socket.IPPROTO_IPV6, IPV6_TRANSPARENT)
                    if family == socket.AF_INET6
                    else (socket.IPPROTO_IP, IP_TRANSPARENT)
                )
                call = "setsockopt(IP_TRANSPARENT)"
                sock.setsockopt(level, option, 1)
            if isinstance(local, tuple) and local[1] == 0:
                call = "setsockopt(IP_BIND_ADDRESS_NO_PORT)"
                sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            call = "bind()"
            sock.bind(local)
    except OSError as error:
        sock.close()
        raise ConnectionClosed(error.errno or 0, call) from None
    return sock
