"""After a 101: bytes in both directions until one side has had enough.

nginx: ngx_http_upstream.c (ngx_http_upstream_upgrade, ngx_http_upstream_process_upgraded)
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed
from geng.http.filters import Writer
from geng.http.module import DONE, ERROR

if TYPE_CHECKING:
    from geng.net.connection import Connection
    from geng.upstream.engine import Exchange

ACTION = "proxying upgraded connection"


class Direction:
    """What goes from *source* to *target*: at most *size* bytes are held."""

    __slots__ = ("held", "size", "source", "target")

    def __init__(self, source: Connection, target: Connection, size: int, held: bytes) -> None:
        self.source = source
        self.target = target
        self.size = size
        self.held: Any = memoryview(held) if held else b""

    def move(self) -> int:
        """Pass on what can be passed; how many bytes were received."""
        received = 0
        while True:
            if self.held and not self.send():
                return received
            if not self.source.ready or self.source.eof:
                return received
            try:
                data = self.source.recv(self.size)
            except ConnectionClosed:
                self.source.eof = True
                return received
            if not data:
                return received
            received += len(data)
            self.held = memoryview(data)

    def send(self) -> bool:
        """False when the target takes no more."""
        sent = self.target.try_send((self.held,))
        if not sent:
            return False
        self.held = self.held[sent:]
        return not self.held

    @property
    def over(self) -> bool:
        return self.source.eof and not self.held


def tunnel(u: Exchange, c: Connection, w: Writer, data: bytes) -> int:
    """Join the client and *c* after the head has been sent; *data* came with the upstream's head."""
    r = u.r
    if r.main is not r:
        r.log.error("connection upgrade in subrequest", ctx=r.hc.doing(ACTION))
        u.drop()
        return ERROR
    client = r.c
    r.keepalive = False
    client.on_read = None
    if r.loc.tcp_nodelay:
        client.set_nodelay()
        c.set_nodelay()
    w.write((), True)
    size = u.conf.buffer_size
    down = Direction(c, client, size, data)
    up = Direction(client, c, size, r.hc.take_buffer())
    r.hc.action = ACTION
    state = u.state
    try:
        while True:
            state.bytes_received += down.move()
            up.move()
            if down.over or up.over or (client.eof and c.eof):
                u.release(False)
                return DONE
            reads = [d.source for d in (down, up) if not d.held and not d.source.eof]
            writes = [d.target for d in (down, up) if d.held]
            if client.hub.wait(u.conf.read_timeout, reads, writes) is None:
                r.log.error("upstream timed out", err=ETIMEDOUT, ctx=r.hc.doing(ACTION))
                break
    except ConnectionClosed as error:
        r.log.log(error.level("info"), error.message, err=error.error, ctx=r.hc.doing(ACTION))
    u.drop()
    r.hc.broken = True
    return DONE
