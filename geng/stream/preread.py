"""A look at what a client sends before anybody takes it.   nginx: ngx_stream_core_module.c (ngx_stream_core_preread_phase)

What is looked at stays in the socket, so that `pass` can still hand the connection on; only over TLS, and where the
kernel cannot tell when there is more than was seen (unix sockets), it is received, and waits in the session's buffer.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from geng.stream.module import BAD_REQUEST, ENDED

if TYPE_CHECKING:
    from geng.stream.session import Session

#: What is made of the bytes so far: a verdict, or None for more of them.
Look = Callable[["Session", bytes], "int | None"]


def preread(s: Session, look: Look) -> int:
    """The verdict of *look*, given as much as it needs; or the status to end the session with."""
    s.action = "prereading client data"
    until = monotonic() + s.server.preread_timeout / 1000
    if s.c.ssl is not None or s.buffer or not s.tcp:
        return _receive(s, look, until)
    try:
        return _peek(s, look, until)
    finally:
        if not s.c.closed:
            _wake_at(s, 1)


def _peek(s: Session, look: Look, until: float) -> int:
    c = s.c
    size = s.server.preread_buffer_size
    seen = 0
    while True:
        if not c.ready and not c.wait_read(max((until - monotonic()) * 1000, 0)):
            return ENDED
        try:
            data = c.sock.recv(size, socket.MSG_PEEK)
        except BlockingIOError:
            c.ready = False
            continue
        except OSError as error:
            raise c.broken(error, "recv()") from None
        if len(data) == seen:  # woken for nothing more: the end
            return ENDED
        verdict = look(s, data)
        if verdict is not None:
            c.ready = True
            return verdict
        if len(data) >= size:
            return _full(s)
        seen = len(data)
        _wake_at(s, seen + 1)
        c.ready = False


def _wake_at(s: Session, n: int) -> None:
    """Be told of *n* bytes, no fewer."""
    s.c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, n)


def _receive(s: Session, look: Look, until: float) -> int:
    c = s.c
    size = s.server.preread_buffer_size
    while True:
        if s.buffer:
            verdict = look(s, s.buffer)
            if verdict is not None:
                return verdict
            if len(s.buffer) >= size:
                return _full(s)
        if not c.ready and not c.wait_read(max((until - monotonic()) * 1000, 0)):
            return ENDED
        data = c.recv(size - len(s.buffer))
        if data == b"":
            return ENDED
        s.buffer += data or b""


def _full(s: Session) -> int:
    s.log.error("preread buffer full", ctx=s.c)
    return BAD_REQUEST
