"""Clients that send datagrams: connections without a descriptor of their own, behind one listening socket.

nginx: ngx_event_udp.c (ngx_event_recvmsg, ngx_lookup_udp_connection), ngx_udp_sendmsg_chain.c, ngx_event_udp.h

A client is known by its address, and, where the socket is bound to every address, by the one it sent to. Its first
datagram makes a connection, which the listening socket's handler gets; later ones go to that connection's `on_read`.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from geng.hot.connection import Bytes
from geng.net.connection import ACCEPTED, ACTIVE, HANDLED, Connection, ConnectionPool, Logger
from geng.net.sockaddr import SockAddr

if TYPE_CHECKING:
    from geng.net.listen import Listening

LARGEST = 65535
IP_PKTINFO = 8  # the socket option and the control message, as in6's
IPV6_PKTINFO = 50
CONTROL = socket.CMSG_SPACE(20)

#: Datagrams of one client that wait while nobody takes them (its upstream's name is being resolved, say); more are lost.
WAITING_MOST = 64


class DatagramConnection(Connection):
    """One client of a datagram socket. *local*: the address it sent to, None where the socket has just one."""

    __slots__ = ("key", "local", "waiting")

    key: object
    local: str | None
    waiting: deque[bytes]

    @property
    def sock(self) -> socket.socket:
        sock = None if self.listening is None else self.listening.sock
        if sock is None:
            raise self.broken(OSError(9, ""), "sendmsg()")  # closed: the worker is shutting down
        return sock

    def deliver(self, data: bytes) -> None:
        """One more datagram of this client."""
        if len(self.waiting) < WAITING_MOST:
            self.waiting.append(data)
        self._stir()

    def _stir(self) -> None:
        if self.waiting and not self.closed:
            self.ready = True
            if self._on_read is not None:
                self._on_read(self)

    def listen(self, handler: Any) -> None:
        """No watcher: the listening socket's tells."""
        self._on_read = handler

    def recv(self, n: int) -> bytes | None:
        data = self.waiting.popleft()[:n] if self.waiting else None
        self.ready = bool(self.waiting)
        return data

    def try_send(self, parts: Sequence[Bytes]) -> int:
        """One datagram of all *parts*; -1: none now."""
        source = () if self.local is None else (source_message(self.local),)
        return _send(self, parts, source, 0, self.sockaddr)

    def local_addr(self) -> Any:
        bound = self.listening.sockaddr
        return bound if self.local is None else (self.local, *bound[1:])

    def forget(self) -> None:
        """Have the next datagram of this client make a new connection.   nginx: ngx_delete_udp_connection"""
        clients = self.listening.clients
        if clients.get(self.key) is self:
            del clients[self.key]

    def _release(self) -> None:
        self.forget()
        self.waiting.clear()
        self.fd = -1
        self.pool.put(self)


class DatagramPeer(Connection):
    """A connected datagram socket: what is received may be empty and ends nothing."""

    __slots__ = ()

    def recv(self, n: int) -> bytes | None:
        data = Connection.recv(self, n)
        self.eof = False
        return data

    def try_send(self, parts: Sequence[Bytes]) -> int:
        """One datagram of all *parts*; -1: none now."""
        return _send(self, parts)


def _send(c: Connection, parts: Sequence[Bytes], *more: Any) -> int:
    """One sendmsg() of *parts*; -1: none now."""
    try:
        sent = c.sock.sendmsg(parts, *more)
    except BlockingIOError:
        return -1
    except OSError as error:
        raise c.broken(error, "sendmsg()") from None
    c.sent += sent
    return sent


def source_message(address: str) -> tuple[int, int, bytes]:
    """The control message that says which of this machine's addresses sends."""
    if ":" in address:
        data = socket.inet_pton(socket.AF_INET6, address) + struct.pack("I", 0)
        return socket.IPPROTO_IPV6, IPV6_PKTINFO, data
    return socket.IPPROTO_IP, IP_PKTINFO, struct.pack("I", 0) + socket.inet_aton(address) + bytes(4)


def destination_in(messages: list[tuple[int, int, bytes]]) -> str | None:
    for level, kind, data in messages:
        if (level, kind) == (socket.IPPROTO_IP, IP_PKTINFO):
            return socket.inet_ntoa(data[8:12])
        if (level, kind) == (socket.IPPROTO_IPV6, IPV6_PKTINFO):
            return socket.inet_ntop(socket.AF_INET6, data[:16])
    return None


def receive(listening: Listening, pool: ConnectionPool, log: Logger) -> bool:
    """Take one datagram from *listening* and give it to whom it concerns; False when there is none."""
    sock = listening.sock
    if sock is None:
        return False
    room = CONTROL if listening.wildcard else 0
    try:
        data, messages, flags, address = sock.recvmsg(LARGEST, room)
    except BlockingIOError:
        return False
    except OSError as error:
        log.alert("recvmsg() failed", err=error.errno)
        return False
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        log.alert("recvmsg() truncated data")
        return True
    local = destination_in(messages) if messages else None
    if not address:  # an unbound unix socket: each of its datagrams stands alone
        _begin(listening, pool, data, "", local, None)
        return True
    key = (address, local)
    c = listening.clients.get(key)
    if c is not None:
        c.deliver(data)
    else:
        _begin(listening, pool, data, address, local, key)
    return True


def _begin(
    listening: Listening, pool: ConnectionPool, data: bytes, address: SockAddr, local: str | None, key: object
) -> None:
    stat = pool.stat
    stat.add(ACCEPTED, 1)
    c: Any = pool.get(listening.fd, DatagramConnection)
    if c is None:
        return
    stat.add(ACTIVE, 1)
    stat.add(HANDLED, 1)
    c.listening = listening
    c.start_msec = monotonic_ns() // 1_000_000
    c.sockaddr = address
    c.local, c.key = local, key
    c.waiting = deque()
    c.buffer = data
    if isinstance(address, tuple):
        c.addr_text, c.port = address[0].encode(), address[1]
    else:
        c.addr_text = b"unix:" + (address.encode("utf-8", "surrogateescape") if isinstance(address, str) else address)
    if key is not None:
        listening.clients[key] = c
    try:
        listening.handler(c)  # type: ignore[misc]
    except Exception as error:
        c.close()
        pool.hub.report(error)
