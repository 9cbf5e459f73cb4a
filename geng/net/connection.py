"""Connections, clients' and upstreams' alike, from one fixed pool.

nginx: ngx_connection.c, ngx_recv.c, ngx_writev_chain.c

A connection is a descriptor with one read watcher, started once and kept for its whole life. What an event means
depends on who waits: the greenlet parked in a wait, else the `on_read` handler, else nobody: then the watcher is
stopped until somebody waits again, because epoll (level-triggered) would report the same bytes for ever. A write
watcher runs only while a send is blocked. Reads and writes go to the descriptor itself (os.read, os.writev): a socket
object costs memory and a getsockname() per connection, so it is only made when an option needs it.

Waiting comes before reading: a recv that would answer EAGAIN costs as much as parsing a request. `ready` says that
bytes (or the end) are known to be there: set by the event, cleared by a read that got less than it had room for.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from errno import ECONNABORTED, EINVAL
from itertools import islice
from os import close as close_fd
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Protocol

from greenlet import getcurrent

from geng.errors import Abandoned, ConnectionClosed, TimedOut
from geng.hot.connection import IOV_MAX, NEVER, WAITING, Bytes, Link, Timer, no_delay
from geng.hot.counters import Counters

if TYPE_CHECKING:
    from geng.net.hub import Hub

READ, WRITE = 1, 2  # EV_READ, EV_WRITE

#: Indices of the counters that stub_status shows.
ACCEPTED, HANDLED, REQUESTS, ACTIVE, READING, WRITING, WAITING = *range(6), WAITING
STAT_SIZE = 8


class Logger(Protocol):
    """What the net floor needs of core.log.Log."""

    def emerg(self, message: str, *, err: int | None = None, ctx: Any = None) -> None: ...

    def alert(self, message: str, *, err: int | None = None, ctx: Any = None) -> None: ...

    def crit(self, message: str, *, err: int | None = None, ctx: Any = None) -> None: ...

    def error(self, message: str, *, err: int | None = None, ctx: Any = None) -> None: ...

    def warn(self, message: str, *, err: int | None = None, ctx: Any = None) -> None: ...


class Connection(Link):
    """One connected descriptor. Made by ConnectionPool.get(); gone for good after close().

    on_drain(c): the pool is short of connections and asks this reusable one to go (default: close).
    on_timeout(c): the deadline of set_timeout() passed while no greenlet waits.
    ssl: the connection's TLS (geng.net.tls.Tls), None for a plain one; peer: what HTTP/2 toward an upstream keeps from
    one exchange to the next, not set elsewhere.
    """

    __slots__ = ("peer", "ssl")

    peer: Any
    ssl: Any

    def __repr__(self) -> str:
        if self.closed:
            return f"<Connection *{self.number} closed>"
        state = "waiting" if self._waiter or self._write_waiter else "reusable" if self._reusable else "active"
        peer = self.addr_text.decode("latin-1") or "?"
        return f"<Connection *{self.number} {peer} fd {self.fd} {state}>"

    def log_context(self) -> str:
        """What an error log line says after its message (core.log)."""
        context = self.context
        if context is True:
            return str(self.data.log_context())
        return context() if context is not None else ""

    # ---- events

    def _writable(self) -> None:
        """The write watcher's only callback; it runs only while a greenlet waits."""
        waiter = self._write_waiter
        if waiter is None:
            self._writer.stop()
            return
        self._write_waiter = None
        waiter.switch(self)

    # ---- waiting

    def wait_write(self, ms: float | None) -> bool:
        """Park until the socket takes bytes again; False when *ms* pass first (None: no limit)."""
        timer = self._wtimer or self.write_timer()
        if ms is None:
            timer.deadline = NEVER
        else:
            timer.deadline = deadline = monotonic() + ms * 0.001
            if deadline < timer.due:
                self.hub.timers.arm(timer)
        self.expect_write(getcurrent())
        try:
            if self.hub.park() is not None:
                return True
        finally:
            timer.deadline = NEVER
            self.forget_write()
        self.timedout = True
        return False

    def write_timer(self) -> Timer:
        """The deadline of blocked sends, which most connections never need."""
        timer = self._wtimer
        if timer is None:
            self._wtimer = timer = Timer(_write_expired, self)
        return timer

    def expect_read(self, waiter: Any) -> None:
        """Switch to greenlet *waiter* at the next read event (Hub.wait)."""
        if not self._watching:
            self._watch()
        self._waiter = waiter
        self.timer.deadline = NEVER

    def forget_read(self) -> None:
        self._waiter = None

    def expect_write(self, waiter: Any) -> None:
        """Switch to greenlet *waiter* at the next write event (wait_write, Hub.wait)."""
        if self.closed:
            raise ConnectionClosed(ECONNABORTED, "send()")
        writer = self._writer
        if writer is None:
            self._writer = writer = self.hub.loop.io(self.fd, WRITE)
        self._write_waiter = waiter
        if not writer.active:
            writer.start(self._writable)

    def forget_write(self) -> None:
        self._write_waiter = None
        if self._writer is not None:
            self._writer.stop()

    # ---- reading

    def recv_into(self, view: memoryview | bytearray) -> int:
        """Bytes read into *view*, not blocking: -1 would block, 0 end of file. Raises ConnectionClosed(errno)."""
        try:
            n = os.readv(self.fd, (view,))
        except BlockingIOError:
            self.ready = False
            return -1
        except OSError as error:
            raise self.broken(error, "recv()") from None
        if n != len(view):
            self.ready = False
            if n == 0:
                self.eof = True
        return n

    def read_into(self, view: memoryview | bytearray, ms: float | None) -> int:
        """read() into a buffer of the caller's: how many bytes, 0 at the end of file."""
        while True:
            if not self.ready and not self.wait_read(ms):
                raise TimedOut
            n = self.recv_into(view)
            if n >= 0:
                return n

    def peek_closed(self) -> bool:
        """Whether the peer has closed or reset; bytes that wait to be read hide an end behind them."""
        try:
            data = self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            self.ready = False
            return False
        except OSError as error:
            self.error = error.errno or 0
            self.eof = True
            return True
        if not data:
            self.eof = True
            return True
        return False

    def abort_on_close(self, target: Any) -> None:
        """While a request waits for something else, notice that its client goes.

        nginx: ngx_http_upstream_check_broken_connection

        *target*: a callable gets target(c) in the hub; a greenlet gets Abandoned thrown into its wait. To end the
        watch, set on_read (None will do).
        """
        if callable(target):
            gone = target
        else:

            def gone(c: Connection) -> None:
                target.throw(Abandoned(c.error))

        def check(c: Connection) -> None:
            if c.peek_closed():
                c._on_read = None
                gone(c)
            elif c.ready:
                c._mute()  # a pipelined request: nobody wants it yet

        self.ready = False
        self.on_read = check

    # ---- writing

    def _send_rest(self, parts: Sequence[Bytes], n: int, ms: float | None) -> None:
        """The part of send() that waits; views instead of copies."""
        views = [memoryview(part) for part in parts if len(part)]
        first = 0
        while True:
            if n:
                while first < len(views) and n >= len(views[first]):
                    n -= len(views[first])
                    first += 1
                if first == len(views):
                    return
                views[first] = views[first][n:]
            if not n and not self.wait_write(ms):
                raise TimedOut
            n = self.try_send(views[first : first + IOV_MAX])
            if not n and not self.wait_write(ms):
                raise TimedOut

    def try_sendfile(self, fd: int, offset: int, n: int) -> int:
        """How many of *n* bytes of file *fd* at *offset* were sent, not blocking: -1 would block, 0 end of the file."""
        try:
            sent = os.sendfile(self.fd, fd, offset, n)
        except BlockingIOError:
            return -1
        except OSError as error:
            raise self.broken(error, "sendfile()") from None
        self.sent += sent
        return sent

    def sendfile(self, fd: int, offset: int, n: int, ms: float | None) -> None:
        """*n* bytes of file *fd*; each wait at most *ms*. Raises TimedOut, ConnectionClosed (also for a short file)."""
        while n > 0:
            sent = self.try_sendfile(fd, offset, min(n, 0x7FFFF000))
            if sent < 0:
                if not self.wait_write(ms):
                    raise TimedOut
                continue
            if sent == 0:
                raise ConnectionClosed(0, "sendfile()")
            offset += sent
            n -= sent

    # ---- the socket

    @property
    def sock(self) -> socket.socket:
        """A socket object over the descriptor, made when first asked for; it lives and dies with the connection."""
        sock = self._sock
        if sock is None:
            if self.closed:
                raise ConnectionClosed(ECONNABORTED)
            self._sock = sock = socket.socket(fileno=self.fd)
            sock.setblocking(False)
        return sock

    @property
    def sockaddr(self) -> Any:
        """The peer's address. Made up from addr_text when asked for: an idle connection would keep 150 bytes for it."""
        if self._sockaddr is None:
            self._sockaddr = (self.addr_text.decode(), self.port) if self.port else ""
        return self._sockaddr

    @sockaddr.setter
    def sockaddr(self, address: Any) -> None:
        self._sockaddr = address

    def local_addr(self) -> Any:
        """The address that the peer connected to, as getsockname() has it."""
        local = self._local
        if local is None:
            listening = self.listening
            if listening is not None and not listening.wildcard:
                local = listening.sockaddr
            else:
                local = self.sock.getsockname()
            self._local = local
        return local

    @property
    def is_tcp(self) -> bool:
        return self.port != 0

    def set_nodelay(self) -> None:
        """TCP_NODELAY, once; a client connection may have it from its listening socket."""
        if self._nodelay:
            return
        self._nodelay = True
        if self.is_tcp and not no_delay(self.fd):
            self._option(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def set_cork(self, flag: bool) -> None:
        """TCP_CORK (tcp_nopush) on or off."""
        if self._cork == flag or not self.is_tcp:
            return
        self._cork = flag
        self._option(socket.IPPROTO_TCP, socket.TCP_CORK, int(flag))

    def _option(self, level: int, option: int, value: int) -> None:
        try:
            self.sock.setsockopt(level, option, value)
        except OSError as error:
            if error.errno != EINVAL:  # EINVAL: the peer has closed already
                raise self.broken(error, "setsockopt()") from None

    def shutdown_write(self) -> None:
        """No more bytes from here (lingering close); a peer that has gone already is no error."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error.errno or 0

    # ---- the pool

    @property
    def is_reusable(self) -> bool:
        return self._reusable

    def drain(self) -> None:
        """Go, because the pool needs room (or the worker is shutting down)."""
        if self.on_drain is not None:
            self.on_drain(self)
        else:
            self.close()

    def close(self) -> None:
        """Stop the watchers, close the descriptor, free the slot; a greenlet that waits gets ConnectionClosed."""
        if self.closed:
            return
        self.closed = True
        if self._watching:
            self._watching = False
            self._reader.stop()
        if self._writer is not None:
            self._writer.stop()
            self._writer = None
        if self._wtimer is not None:
            self._wtimer.deadline = NEVER
            self._wtimer.arg = None
            self.hub.timers.cancelled()
        if self._reusable:
            self.reusable(False)
        self._release()
        if self._waiter is not None or self._write_waiter is not None:
            self._wake_waiters()
        # What a closed connection no longer needs must not keep a request alive.
        self._on_read = self.on_drain = self.on_timeout = self.context = self.data = None

    def detach(self) -> int:
        """Give the descriptor away: the connection is as closed, the descriptor stays open and is the caller's."""
        fd = os.dup(self.fd)
        self.close()
        return fd

    def _release(self) -> None:
        sock, fd = self._sock, self.fd
        self._sock, self.fd = None, -1
        try:
            if sock is not None:
                sock.close()
            else:
                close_fd(fd)
        except OSError as error:
            self.pool.log.crit(f"close() {fd} failed", err=error.errno, ctx=self)
        self.pool.put(self)

    def _wake_waiters(self) -> None:
        waiter, write_waiter = self._waiter, self._write_waiter
        self._waiter = self._write_waiter = None
        me = getcurrent()
        for call, greenlet in (("recv()", waiter), ("send()", write_waiter)):
            if greenlet is None or greenlet is me or (call == "send()" and greenlet is waiter):
                continue
            self.hub.call_soon(greenlet.throw, ConnectionClosed(ECONNABORTED, call))


def expired(c: Connection) -> None:
    """The deadline of a connection has passed."""
    waiter = c._waiter
    if waiter is not None:
        c._waiter = None
        waiter.switch(None)
    elif c.on_timeout is not None:
        c.on_timeout(c)


def _write_expired(c: Connection) -> None:
    waiter = c._write_waiter
    if waiter is not None:
        c._write_waiter = None
        waiter.switch(None)


class ConnectionPool:
    """The worker_connections of one worker: client, upstream and listening ones alike.

    *stat*: where the counters of stub_status are (ACCEPTED … WAITING), a buffer of int64 (one per worker in shared
    memory: plain additions are not atomic across processes, so each worker must write its own row).
    """

    def __init__(self, hub: Hub, size: int, log: Logger, stat: Any = None, number: int = 1, step: int = 1) -> None:
        self.hub = hub
        self.size = size
        self.log = log
        self.stat = Counters(stat, STAT_SIZE)
        self.free = size
        self.reusable: dict[Any, None] = {}  # oldest first
        self.connections: dict[Connection, None] = {}  # a set takes twice the memory
        self.number = number  # the next connection's *N
        self.step = step  # workers that share a sequence of numbers take every step-th
        self.exiting = False
        self._warned_at = 0
        self._spare: list[tuple[Any, Timer]] = []  # watcher and timer of freed connections

    def __repr__(self) -> str:
        reusable = len(self.reusable)
        return f"<ConnectionPool {self.size - self.free - reusable} active, {reusable} reusable, {self.free} free>"

    @property
    def accept_disabled(self) -> int:
        """Above zero: leave new connections to other workers.   nginx: ngx_accept_disabled"""
        return self.size // 8 - self.free

    def reserve(self, n: int = 1) -> None:
        """Take *n* slots for descriptors that are no Connection: listening sockets, the channel to the master."""
        self.free -= n

    def get(self, fd: int, kind: type[Connection] | None = None) -> Connection | None:
        """A connection over *fd* (connected, not blocking), or None when none is left; *fd* then stays the caller's.

        *kind*: a subclass of Connection.
        """
        if self.free <= self.size // 16 and self.reusable:
            self.drain()
        if self.free <= 0:
            self.log.alert(f"{self.size} worker_connections are not enough")
            return None
        self.free -= 1
        number = self.number
        self.number = number + self.step
        if self._spare:
            reader, timer = self._spare.pop()
            reader.fd = fd
        else:
            reader, timer = self.hub.loop.io(fd, READ), Timer(expired)
        c = (kind or Connection)(self, fd, number, reader, timer)
        c.ssl = None
        timer.arg = c
        self.connections[c] = None
        return c

    def put(self, c: Connection) -> None:
        """Called by Connection.close(): the slot is free again."""
        self.connections.pop(c, None)
        self.free += 1
        if c.listening is not None:
            self.stat.add(ACTIVE, -1)
        timer = c.timer
        timer.deadline = NEVER
        timer.arg = None
        self._spare.append((c._reader, timer))
        c._reader = None
        c.timer = _CLOSED

    def drain(self) -> None:
        """Close the longest idle connections.   nginx: ngx_drain_connections"""
        now = int(time())
        if now != self._warned_at:
            self._warned_at = now
            self.log.warn(f"{self.size} worker_connections are not enough, reusing connections")
        victim = None
        for victim in list(islice(self.reusable, max(min(32, len(self.reusable) // 8), 1))):
            if victim._reusable:
                victim.drain()
        if self.free <= 0 and victim is not None and victim._reusable:
            victim.drain()  # the first time may have moved it to a lingering close only

    def close_idle(self) -> None:
        """Ask every idle connection to go (graceful shutdown).   nginx: ngx_close_idle_connections"""
        self.exiting = True
        for c in list(self.connections):
            if c.idle and not c.closed:
                c.drain()


#: The timer of closed connections: a deadline stored there means nothing, and it is never armed.
_CLOSED = Timer(expired)
_CLOSED.due = -NEVER
