"""Datagrams of a `listen … quic` socket: to the connection that their id names, or to a new one.

nginx: ngx_event_quic_udp.c
"""

from __future__ import annotations

import socket
from errno import EMSGSIZE
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.net.connection import ACCEPTED, ACTIVE, HANDLED, ConnectionPool, Logger
from geng.net.datagram import CONTROL, LARGEST, destination_in
from geng.quic.connection import QuicConnection
from geng.quic.packet import destination

if TYPE_CHECKING:
    from geng.net.listen import Listening


def receive(listening: Listening, pool: ConnectionPool, log: Logger) -> bool:
    """Take one datagram from *listening*; False when there is none."""
    sock = listening.sock
    if sock is None:
        return False
    try:
        data, messages, flags, address = sock.recvmsg(LARGEST, CONTROL if listening.wildcard else 0)
    except BlockingIOError:
        return False
    except OSError as error:
        log.alert("quic recvmsg() failed", err=error.errno)
        return error.errno == EMSGSIZE
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        log.alert("quic recvmsg() truncated data")
        return True
    cid = destination(data)
    if cid is None or not address:
        return True
    local = destination_in(messages) if messages else None
    via: Any = listening.clients.get((cid, local)) if cid else None
    if via is not None:
        via.connection.take(data, address, via)
    else:
        _begin(listening, pool, data, address, local)
    return True


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
