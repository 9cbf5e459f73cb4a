"""The part of a connection and of its deadline that every request touches; geng.net.connection has the rest.

nginx: ngx_recv.c, ngx_send.c, ngx_writev_chain.c, ngx_event_timer.h

Reads and writes go to the descriptor itself and never wait, so the compiled twin does not release the GIL around them
and has no exception for "would block". A proxied request that nobody parses (two connections, four system calls, one
wait, one pooled greenlet): compiled 3.2 us of user time and 8.9 in the kernel, plain 4.7 and 9.7; nginx 2.1 and 9.7.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from errno import EAGAIN, ECONNABORTED
from time import monotonic
from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed, TimedOut
from geng.hot.counters import Counters
from geng.hot.greenlets import current, switch

if TYPE_CHECKING:
    from geng.net.connection import ConnectionPool
    from geng.net.hub import Hub

PLAIN = __file__.endswith((".py", ".pyc"))

NEVER = float("inf")

#: Index of a counter of stub_status (geng.net.connection has them all).
WAITING = 6

#: Up to this many bytes are received into a fixed buffer first: it costs less than shrinking a bytes object.
ROOM = 16384

#: Up to this many bytes, joining the parts and one send() is dearer by a copy and cheaper by an iovec: 0.1 us a call.
JOIN_MAX = 16384

IOV_MAX = 1024

# as C integers
_WAITING = WAITING
_EAGAIN = EAGAIN
_ROOM = ROOM
_JOIN_MAX = JOIN_MAX
_IOV_MAX = IOV_MAX

Bytes = bytes | bytearray | memoryview


def _now() -> float:
    """time.monotonic()"""
    if PLAIN:
        return monotonic()
    clock_gettime(CLOCK_MONOTONIC, at)  # type: ignore[name-defined]  # noqa: F821
    return at[0].tv_sec + at[0].tv_nsec * 1e-9  # type: ignore[name-defined,no-any-return]  # noqa: F821


def _receive(fd: int, n: int) -> bytes | None:
    """Up to *n* bytes; None would block."""
    if PLAIN or n > _ROOM:
        try:
            return os.read(fd, n)
        except BlockingIOError:
            return None
    got = c_recv(fd, room, n, MSG_DONTWAIT)  # type: ignore[name-defined]  # noqa: F821
    if got >= 0:
        return room[:got]  # type: ignore[name-defined,no-any-return]  # noqa: F821
    error = errno  # type: ignore[name-defined]  # noqa: F821
    if error == _EAGAIN:
        return None
    raise OSError(error, os.strerror(error))


def _transmit(fd: int, data: bytes) -> int:
    """How many bytes of *data* were taken; -1 would block."""
    if PLAIN:
        try:
            return os.write(fd, data)
        except BlockingIOError:
            return -1
    start = data
    size = len(data)
    sent = c_send(fd, start, size, MSG_NOSIGNAL)  # type: ignore[name-defined]  # noqa: F821
    if sent >= 0:
        return sent  # type: ignore[no-any-return]
    error = errno  # type: ignore[name-defined]  # noqa: F821
    if error == _EAGAIN:
        return -1
    raise OSError(error, os.strerror(error))


def no_delay(fd: int) -> bool:
    """TCP_NODELAY without a socket object, which costs five system calls and 90 bytes; False: it was not set."""
    if PLAIN:
        return False
    return tcp_nodelay(fd)  # type: ignore[name-defined,no-any-return]  # noqa: F821


class Timer:
    """One deadline that may be set, moved and cancelled any number of times; fires callback(arg) in the hub.

    *deadline* is when it shall fire, *due* when its entry in the heap comes up (never later than the deadline);
    NEVER for none. Storing NEVER in *deadline* disarms it. An entry of the heap is a float with its timer, and it is the
    timer's own one only if it is the very float that *due* is: no serial numbers.
    """

    __slots__ = ("deadline", "due", "callback", "arg")

    def __init__(self, callback: Callable[[Any], object], arg: Any = None) -> None:
        self.deadline = NEVER
        self.due = NEVER
        self.callback = callback
        self.arg = arg

    def __repr__(self) -> str:
        if self.deadline == NEVER:
            return "<Timer off>"
        return f"<Timer in {round((self.deadline - _now()) * 1000)} ms>"


class Link:
    """A descriptor, its read watcher and its deadline; the base of geng.net.connection.Connection."""

    __slots__ = (
        "fd", "number", "pool", "hub", "listening", "addr_text", "port", "buffer", "sent", "requests",
        "start_msec", "eof", "error", "timedout", "closed", "ready", "idle", "data", "context", "on_drain",
        "on_timeout", "queue", "stat", "timer", "timers",
        "_on_read", "_waiter", "_write_waiter", "_reader", "_watching", "_writer", "_wtimer", "_sock", "_local",
        "_sockaddr", "_reusable", "_nodelay", "_cork",
    )  # fmt: skip

    def __init__(self, pool: ConnectionPool, fd: int, number: int, reader: Any, timer: Timer) -> None:
        self.fd = fd
        self.number = number
        self.pool = pool
        self.timers = pool.hub.timers
        self.stat: Counters = pool.stat
        self.queue: dict[Any, None] = pool.reusable
        self.hub: Hub = pool.hub
        self.listening: Any = None
        self.addr_text = b""
        self.port = 0
        self.buffer: Any = b""
        self.sent = 0
        self.requests = 0
        self.start_msec = 0
        self.eof = False
        self.error = 0
        self.timedout = False
        self.closed = False
        self.ready = False
        self.idle = False
        self.data: Any = None
        self.context: Any = None  # what the protocol adds to a log line; True: *data* knows it
        self.on_drain: Callable[[Any], object] | None = None
        self.on_timeout: Callable[[Any], object] | None = None
        self.timer = timer
        self._on_read: Callable[[Any], object] | None = None
        self._waiter: Any = None
        self._write_waiter: Any = None
        self._reader = reader
        self._watching = False
        self._writer: Any = None
        self._wtimer: Timer | None = None
        self._sock: Any = None
        self._local: Any = None
        self._sockaddr: Any = None
        self._reusable = False
        self._nodelay = False
        self._cork = False

    # ---- events

    @property
    def on_read(self) -> Callable[[Any], object] | None:
        """Called in the hub when bytes (or the end) have arrived and no greenlet waits for them."""
        return self._on_read

    @on_read.setter
    def on_read(self, handler: Callable[[Any], object] | None) -> None:
        self.listen(handler)

    def listen(self, handler: Callable[[Any], object] | None) -> None:
        """`on_read = handler`, for compiled callers."""
        self._on_read = handler
        if handler is not None and not self._watching:
            self._watch()

    def _watch(self) -> None:
        if self.closed:
            raise ConnectionClosed(ECONNABORTED)
        self._watching = True
        self._reader.start(self._readable)

    def _mute(self) -> None:
        self._watching = False
        self._reader.stop()

    def _readable(self) -> None:
        """The read watcher's only callback."""
        self.ready = True
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            switch(waiter, (self,))
            return
        handler = self._on_read
        if handler is None:
            self._mute()
            return
        try:
            handler(self)
        except Exception as error:
            if not self.closed:
                self._mute()  # or the same event would bring the same error at once
            self.hub.report(error)

    def set_timeout(self, ms: float | None) -> None:
        """on_timeout(c) after *ms* unless moved, taken back (None) or a greenlet waits then."""
        self._set_deadline(ms)

    def _set_deadline(self, ms: float | None) -> None:
        timer = self.timer
        if ms is None:
            timer.deadline = NEVER
            return
        timer.deadline = _now() + ms * 0.001
        if timer.deadline < timer.due:
            self.timers.arm(timer)

    def reusable(self, flag: bool) -> None:
        """In or out of the queue of connections that the pool may drain; in again means to its young end."""
        queue = self.queue
        if self._reusable:
            del queue[self]
        self._reusable = flag
        if flag:
            queue[self] = None
        self.stat.put(_WAITING, len(queue))

    # ---- reading

    def wait_read(self, ms: float | None) -> bool:
        """Park until there is something to read (or the end); False when *ms* pass first (None: no limit)."""
        if self.ready:
            return True
        if not self._watching:
            self._watch()
        self._set_deadline(ms)
        self._waiter = current()
        try:
            if self.hub.park() is not None:
                return True
        finally:
            self._waiter = None
        self.timedout = True
        return False

    def recv(self, n: int) -> bytes | None:
        """Up to *n* bytes, not blocking: b"" at the end of file, None would block. Raises ConnectionClosed(errno)."""
        try:
            data = _receive(self.fd, n)
        except OSError as error:
            raise self.broken(error, "recv()") from None
        if data is None:
            self.ready = False
            return None
        size = len(data)
        if size != n:
            self.ready = False
            if size == 0:
                self.eof = True
        return data

    def read(self, n: int, ms: float | None) -> bytes:
        """Up to *n* bytes as soon as there are any, b"" at the end of file. Raises TimedOut, ConnectionClosed."""
        while True:
            if not self.ready and not self.wait_read(ms):
                raise TimedOut
            data = self.recv(n)
            if data is not None:
                return data

    # ---- writing

    def try_send(self, parts: Sequence[Bytes]) -> int:
        """How many bytes of *parts* the socket took in one call, not blocking (0: none now)."""
        count = len(parts)
        single = count == 1
        try:
            if single:
                part = parts[0]
                sent = _transmit(self.fd, part) if type(part) is bytes else os.write(self.fd, part)
                if sent < 0:
                    return 0
            else:
                sent = os.writev(self.fd, parts if count <= _IOV_MAX else parts[:_IOV_MAX])
        except BlockingIOError:
            return 0
        except OSError as error:
            raise self.broken(error, "send()" if single else "writev()") from None
        self.sent += sent
        return sent

    def send(self, parts: Sequence[Bytes], ms: float | None) -> None:
        """All of *parts*; each wait for progress lasts at most *ms*. Raises TimedOut, ConnectionClosed."""
        total = 0
        for part in parts:
            total += len(part)
        if total == 0:
            return
        if total <= _JOIN_MAX and len(parts) > 1:
            parts = (b"".join(parts),)
        sent = self.try_send(parts)
        if sent != total:
            self._send_rest(parts, sent, ms)

    def _send_rest(self, parts: Sequence[Bytes], n: int, ms: float | None) -> None:
        raise NotImplementedError  # Connection's

    def broken(self, error: OSError, call: str) -> ConnectionClosed:
        """Note an error of *call* on this connection; what to raise."""
        self.error = error.errno or 0
        self.ready = False
        return ConnectionClosed(self.error, call)
