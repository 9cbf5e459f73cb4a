"""Pipes for splice(): bodies that nobody looks at go from one socket to another without entering Python.

A proxied body of 10 MB costs a quarter of what reading and writing it costs nginx. The pipes are made once and kept,
empty, in a pool per worker; each holds up to 1 MB. One that still holds bytes is closed instead of being given back.
"""

from __future__ import annotations

import fcntl
import os
from errno import EBUSY, EINVAL, ENOSYS, EPERM
from typing import TYPE_CHECKING

from geng.errors import ConnectionClosed, TimedOut

if TYPE_CHECKING:
    from geng.net.connection import Connection

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)
F_GETPIPE_SZ = getattr(fcntl, "F_GETPIPE_SZ", 1032)
SIZES = (1 << 20, 1 << 18, 1 << 16)  # an unprivileged user may have been refused the largest
SPLICE_F_MOVE, SPLICE_F_NONBLOCK = 1, 2
FLAGS = SPLICE_F_MOVE | SPLICE_F_NONBLOCK

try:
    from os import splice
except ImportError:  # not Linux: the caller asks AVAILABLE first
    AVAILABLE = False
else:
    AVAILABLE = True


class Pipe:
    """One pipe and how many bytes are in it."""

    __slots__ = ("read_fd", "write_fd", "size", "held")

    def __init__(self) -> None:
        self.read_fd, self.write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.size = _grow(self.write_fd)
        self.held = 0

    def __repr__(self) -> str:
        return f"<Pipe {self.held} of {self.size}>"

    def close(self) -> None:
        os.close(self.read_fd)
        os.close(self.write_fd)

    def fill(self, c: Connection, n: int) -> int:
        """Move up to *n* bytes from *c* into the pipe, not blocking: -1 none now (or no room), 0 end of file."""
        try:
            moved = splice(c.fd, self.write_fd, min(n, self.size), flags=FLAGS)
        except BlockingIOError:
            c.ready = False  # or the pipe is full; then the caller does not wait for *c*
            return -1
        except OSError as error:
            raise c.broken(error, "splice()") from None
        if moved == 0:
            c.eof = True
            c.ready = False
        self.held += moved
        return moved

    def empty(self, c: Connection, n: int) -> int:
        """Move up to *n* bytes from the pipe to *c*, not blocking: -1 would block."""
        try:
            moved = splice(self.read_fd, c.fd, n, flags=FLAGS)
        except BlockingIOError:
            return -1
        except OSError as error:
            raise c.broken(error, "splice()") from None
        self.held -= moved
        c.sent += moved
        return moved


def _grow(fd: int) -> int:
    """The largest of SIZES that the kernel allows (pipe-user-pages-soft limits all pipes of a user together)."""
    for size in SIZES:
        try:
            return fcntl.fcntl(fd, F_SETPIPE_SZ, size)
        except OSError as error:
            if error.errno not in (EPERM, EBUSY, EINVAL, ENOSYS):
                raise
    return fcntl.fcntl(fd, F_GETPIPE_SZ)


class PipePool:
    """The idle pipes of one worker; at most *keep* stay open."""

    __slots__ = ("keep", "_idle", "_lent")

    def __init__(self, keep: int = 16) -> None:
        self.keep = keep
        self._idle: list[Pipe] = []
        self._lent = 0

    def __repr__(self) -> str:
        return f"<PipePool {self._lent} lent, {len(self._idle)} idle>"

    def get(self) -> Pipe:
        """An empty pipe; raises OSError when there are no descriptors left."""
        pipe = self._idle.pop() if self._idle else Pipe()
        self._lent += 1
        return pipe

    def put(self, pipe: Pipe) -> None:
        self._lent -= 1
        if pipe.held or len(self._idle) >= self.keep:
            pipe.close()
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        for pipe in self._idle:
            pipe.close()
        self._idle.clear()


def splice_body(pipe: Pipe, source: Connection, target: Connection, n: int | None, read_ms: float, send_ms: float) -> int:
    """Move *n* bytes (None: until the end of file) from *source* to *target*; how many were moved.

    Fewer than *n* only if *source* ended early (source.eof). Raises TimedOut or ConnectionClosed; `target.timedout`
    or `target.error` tells that it was the client's side.
    """
    moved = 0
    left = (1 << 62) if n is None else n
    while True:
        if left and pipe.held < pipe.size and not source.eof:
            got = pipe.fill(source, left)
            if got > 0:
                left -= got
        if not pipe.held:
            if source.eof or not left:
                return moved
            if not source.wait_read(read_ms):
                raise TimedOut
            continue
        sent = pipe.empty(target, pipe.held)
        if sent > 0:
            moved += sent
        elif sent < 0 and not target.wait_write(send_ms):
            raise TimedOut
        elif sent == 0:
            raise ConnectionClosed(0, "splice()")
