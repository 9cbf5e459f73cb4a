"""Datagrams of `listen … quic` sockets: to the connection that their id names, or to a new one; docs/quic.md.

nginx: ngx_event_quic_udp.c, ngx_event_quic_bpf.c

A datagram may reach a worker that does not know its connection: several workers read one socket, the client has moved,
or the connection belongs to a worker of the configuration before. So the ids that we give out begin with the tag of
the worker that they belong to, and each worker has a socket named after its tag, where the others hand in what is its
own. (nginx leaves that to the kernel, with eBPF and reuseport.)
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Sequence
from errno import EMSGSIZE
from typing import TYPE_CHECKING, Any
from zlib import crc32

from geng.core.clock import msec
from geng.net.connection import ACCEPTED, ACTIVE, HANDLED, READ, ConnectionPool, Logger
from geng.net.datagram import CONTROL, LARGEST, destination_in
from geng.quic.connection import QuicConnection
from geng.quic.packet import LONG, SERVER_CID, destination

if TYPE_CHECKING:
    from geng.net.hub import Hub
    from geng.net.listen import Listening

TAG = 8
NAME = b"\0geng-quic-"
HEAD = struct.Struct("!BBBHII")  # sizes of the listening's, the local and the client's address; port, flow, scope
CREDENTIALS = struct.Struct("3i")
TRUNCATED = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)
AT_ONCE = 16  # datagrams that are taken from the others before the loop goes on
OTHERS_FIRST = 20  # ms that a worker that shuts down leaves a new connection's datagram to the others


class Receiver:
    """What takes the datagrams of a configuration's sockets, in each worker for its own."""

    def __init__(self) -> None:
        self.secret = os.urandom(16)  # made before the workers are: each knows the others' tags
        self.tag = b""
        self.tags: list[bytes] = []
        self.sock: socket.socket | None = None
        self.listenings: dict[bytes, Listening] = {}
        self.pool: Any = None
        self.log: Any = None
        self.watcher: Any = None
        self.seen: tuple[bytes, int] = (b"", 0)

    def __repr__(self) -> str:
        return f"<Receiver {self.tag.hex()} of {len(self.tags)}>"

    def start(
        self, hub: Hub, pool: ConnectionPool, listenings: Sequence[Listening], log: Logger, worker: int, workers: int
    ) -> None:
        """In worker number *worker*, before it accepts."""
        self.pool, self.log = pool, log
        self.listenings = {listening.addr_text: listening for listening in listenings}
        self.tags = [hashlib.sha256(self.secret + struct.pack("I", i)).digest()[:TAG] for i in range(workers)]
        self.tag = self.tags[worker]
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            sock.bind(NAME + self.tag.hex().encode())
        except OSError as error:
            log.alert("bind() of a socket between workers failed, ignored", err=error.errno)
            sock.close()
            return
        self.sock = sock
        self.watcher = hub.loop.io(sock.fileno(), READ)
        self.watcher.start(self._handed)

    def new_id(self) -> bytes:
        """A connection id that leads here."""
        return self.tag + os.urandom(SERVER_CID - len(self.tag))

    # ---- from the network

    def __call__(self, listening: Listening, pool: ConnectionPool, log: Logger) -> bool:
        """Take one datagram from *listening*; False when there is none."""
        sock = listening.sock
        if sock is None:
            return False
        if pool.exiting and self._leave_to_others(listening, sock):
            return False
        try:
            data, messages, flags, address = sock.recvmsg(LARGEST, CONTROL if listening.wildcard else 0)
        except BlockingIOError:
            return False
        except OSError as error:
            log.alert("quic recvmsg() failed", err=error.errno)
            return error.errno == EMSGSIZE
        if flags & TRUNCATED:
            log.alert("quic recvmsg() truncated data")
            return True
        cid = destination(data)
        if cid is None or not address:
            return True
        local = destination_in(messages) if messages else None
        via: Any = listening.clients.get((cid, local)) if cid else None
        if via is not None:
            via.connection.take(data, address, via)
        elif not self._hand_on(listening, data, cid, address, local):
            _begin(listening, pool, data, address, local)
        return True

    def _leave_to_others(self, listening: Listening, sock: socket.socket) -> bool:
        """Whether a datagram had better be taken by a worker that goes on: this one shuts down."""
        try:
            data, messages, _, _ = sock.recvmsg(LARGEST, CONTROL if listening.wildcard else 0, socket.MSG_PEEK)
        except OSError:
            return False
        local = destination_in(messages) if messages else None
        if (destination(data), local) in listening.clients:
            return False
        now = msec()
        if self.seen[0] != data[:64]:
            self.seen = (data[:64], now)
        return now - self.seen[1] < OTHERS_FIRST

    # ---- between workers

    def _hand_on(self, listening: Listening, data: bytes, cid: bytes, address: Any, local: str | None) -> bool:
        """Give a datagram to the worker that it is for; whether one has taken it."""
        if self.sock is None or not isinstance(address, tuple):
            return False
        if len(cid) == SERVER_CID and cid[:TAG] != self.tag and self._send(cid[:TAG], listening, data, address, local):
            return True
        if not data[0] & LONG or len(self.tags) < 2 or listening.options.reuseport or self.pool.exiting:
            return False
        # who begins a connection may need several datagrams for it: they must meet
        owner = self.tags[crc32(f"{address[0]}:{address[1]}".encode()) % len(self.tags)]
        return owner != self.tag and self._send(owner, listening, data, address, local)

    def _send(self, tag: bytes, listening: Listening, data: bytes, address: Any, local: str | None) -> bool:
        host, port, flow, scope = (*address, 0, 0)[:4]
        there, here, client = listening.addr_text, (local or "").encode(), host.encode()
        head = HEAD.pack(len(there), len(here), len(client), port, flow, scope)
        assert self.sock is not None
        try:
            self.sock.sendto(b"".join((head, there, here, client, data)), NAME + tag.hex().encode())
        except BlockingIOError:
            return True  # it has more than it can do: lost, as any datagram may be
        except OSError:
            return False  # there is no such worker (any more)
        return True

    def _handed(self) -> None:
        """Another worker has something for this one."""
        try:
            for _ in range(AT_ONCE):
                if not self._take_handed():
                    return
        except Exception as error:
            self.pool.hub.report(error)

    def _take_handed(self) -> bool:
        assert self.sock is not None
        try:
            message, credentials, _, _ = self.sock.recvmsg(LARGEST + 1024, socket.CMSG_SPACE(CREDENTIALS.size))
        except BlockingIOError:
            return False
        except OSError as error:
            self.log.alert("recvmsg() failed", err=error.errno)
            return False
        if not _is_ours(credentials) or len(message) < HEAD.size:
            return True
        sizes = HEAD.unpack_from(message)
        at = HEAD.size
        texts = []
        for size in sizes[:3]:
            texts.append(message[at : at + size])
            at += size
        listening = self.listenings.get(texts[0])
        data = message[at:]
        cid = destination(data)
        if listening is None or cid is None:
            return True
        local = texts[1].decode() or None
        host, port = texts[2].decode(), sizes[3]
        address = (host, port, *sizes[4:]) if ":" in host else (host, port)
        via: Any = listening.clients.get((cid, local))
        if via is not None:
            via.connection.take(data, address, via)
        else:
            _begin(listening, self.pool, data, address, local)
        return True


def _is_ours(messages: list[tuple[int, int, bytes]]) -> bool:
    """Whether a message comes from a process of this user."""
    for level, kind, data in messages:
        if (level, kind) == (socket.SOL_SOCKET, 2) and len(data) >= CREDENTIALS.size:  # SCM_CREDENTIALS
            return bool(CREDENTIALS.unpack_from(data)[1] == os.geteuid())
    return False


def _begin(listening: Listening, pool: ConnectionPool, data: bytes, address: Any, local: str | None) -> None:
    stat = pool.stat
    stat.add(ACCEPTED, 1)
    c: Any = pool.get(listening.fd, QuicConnection)
    if c is None:
        return
    stat.add(ACTIVE, 1)
    stat.add(HANDLED, 1)
    c.start()
    c.listening = listening
    c.start_msec = msec()
    c.sockaddr = address
    c.local = local
    c.buffer = data
    c.log = pool.log
    if isinstance(address, tuple):
        c.addr_text, c.port = address[0].encode(), address[1]
    else:
        c.addr_text = b"unix:"
    try:
        listening.handler(c)  # type: ignore[misc]
    except Exception as error:
        c.close()
        pool.hub.report(error)
