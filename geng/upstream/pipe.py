"""The body on its way from an upstream to a client: read ahead of a slow client, or straight through.

nginx: ngx_event_pipe.c, ngx_http_upstream.c (ngx_http_upstream_send_response, …process_non_buffered_request)

Three ways, chosen per response:
- *buffered*: while the greenlet is blocked in a write to the client, the hub's callback on the upstream's connection goes
  on reading: into memory up to the size of the location's buffers, then into a temporary file. The upstream is free as
  soon as all of its response is here.
- *spliced*: a large body that no filter looks at goes through a pipe and never enters Python. The pipe is what is read
  ahead; when it is full and the client still does not read, the rest goes the buffered way.
- *unbuffered*: what comes goes out at once, and nothing is read ahead.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from errno import ETIMEDOUT
from time import time
from typing import TYPE_CHECKING, Any, cast

from geng.core.tempfile import TempFile
from geng.errors import ConnectionClosed
from geng.http.filters import FileSlice, Writer
from geng.http.module import DONE, ERROR
from geng.http.output import Output
from geng.net import pipes
from geng.net.pipes import Pipe, PipePool

if TYPE_CHECKING:
    from geng.net.connection import Connection
    from geng.upstream.engine import Exchange
    from geng.upstream.framing import Framing

READING = "reading upstream"

#: A body of which at least so much is still to come is worth a pipe.
SPLICE_MIN = 65536

#: One receive into fresh memory.
MOST_AT_ONCE = 65536

#: So long (ms) a client may keep a full pipe waiting before the upstream's response goes to a file.
PATIENCE = 200

#: A file's part that is given to the writers at once: a filter may want it in memory.
SLICE = 1 << 20

_pipes: list[PipePool] = []


def pipe_pool() -> PipePool:
    """This process's pipes."""
    if not _pipes:
        _pipes.append(PipePool())
    return _pipes[0]


def pass_body(u: Exchange, c: Connection, w: Writer, framing: Framing, parts: Sequence[Any]) -> int:
    """Pass the body on, of which *parts* are here; releases the upstream. The request's verdict."""
    if not u.buffering:
        return Unbuffered(u, c, w, framing).run(parts)
    way = Buffered(u, c, w, framing)
    if framing.left >= SPLICE_MIN and framing.plain and not way.rate and c.ssl is None and pipes.AVAILABLE:
        if parts:
            w.write(parts)
            parts = ()
        target = w.splice_target()
        if target is not None:
            return Spliced(u, c, w, framing, target, way).run()
    return way.run(parts)


def warn_of_file(u: Exchange) -> None:
    """nginx names the file; here it has lost its name already."""
    folder = u.conf.temp_path.name
    u.r.log.warn(f"an upstream response is buffered to a temporary file in {folder}", ctx=u.r.hc.doing(READING))


class Passing:
    """What the ways have in common: reading, and how it ends."""

    __slots__ = ("c", "failed", "framing", "size", "u", "w")

    def __init__(self, u: Exchange, c: Connection, w: Writer, framing: Framing) -> None:
        self.u = u
        self.c = c
        self.w = w
        self.framing = framing
        self.failed = ""  # why there is no more: logged already
        self.size = u.conf.buffer_size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.framing!r}{' failed' if self.failed else ''}>"

    @property
    def ended(self) -> bool:
        return bool(self.framing.done or self.failed)

    def receive(self, n: int) -> Sequence[Any]:
        """What is there, up to *n* bytes, as body parts; sets *failed*."""
        try:
            data = self.c.recv(n)
        except ConnectionClosed as error:
            self.u.log_broken(error, READING)
            self.failed = "error"
            return ()
        if data is None:
            return ()
        if not data:
            return self.at_end()
        size = len(data)
        state = self.u.state
        state.bytes_received += size
        state.response_length += size
        return self.feed(data)

    def feed(self, data: bytes) -> Sequence[Any]:
        framing = self.framing
        parts = framing.feed(data)
        if framing.error:
            self.u.log_error(framing.error, READING)
            self.failed = framing.failure
        return parts

    def at_end(self) -> Sequence[Any]:
        """The upstream has closed the connection."""
        framing = self.framing
        if framing.left == -1:
            framing.done = True
        else:
            self.u.log_error("upstream prematurely closed connection", READING)
            self.failed = "eof"
        return ()

    def timed_out(self) -> None:
        self.u.log_error("upstream timed out", READING, ETIMEDOUT)
        self.failed = "timeout"

    def settle(self) -> None:
        """Nothing more is read: the upstream is free."""
        u = self.u
        framing = self.framing
        if framing.warning:
            u.r.log.warn(framing.warning, ctx=u.r.hc.doing(READING))
        if self.failed:
            u.drop()
        else:
            head = u.head
            u.release(framing.left == 0 and not framing.over and head is not None and not head.connection_close)

    def close(self, parts: Sequence[Any] = ()) -> int:
        """Tell the client that the body is complete, or that it never will be."""
        if not self.failed:
            self.u.finish(self.w, self.framing, parts)
            return DONE
        r = self.u.r
        r.keepalive = False
        if self.failed != "invalid":
            if parts and self.failed != "timeout":  # nginx forgets a buffer that was not full when the time was over
                self.w.write(parts, True)
            self.w.abort()
        return ERROR


class Unbuffered(Passing):
    """proxy_buffering off, or an upstream that asks for it."""

    __slots__ = ()

    def run(self, parts: Sequence[Any]) -> int:
        u, c, w = self.u, self.c, self.w
        u.r.limit_rate = 0
        if u.r.loc.tcp_nodelay and u.r.main is u.r:
            u.r.c.set_nodelay()
        self.note_error()
        timeout = u.conf.read_timeout
        w.write(parts, True)
        parts = ()  # it may have been all there is
        while not self.ended:
            if not c.ready and not c.wait_read(timeout):
                self.timed_out()
                break
            parts = self.receive(self.size)
            if parts and not self.ended:
                w.write(parts, True)
                parts = ()
        self.settle()
        return self.close(parts)

    def note_error(self) -> None:
        """What came with the head may be wrong already."""
        if self.framing.error:
            self.u.log_error(self.framing.error, READING)
            self.failed = self.framing.failure


class Buffered(Unbuffered):
    """proxy_buffering on.

    held: bytes in *queue*; busy: bytes that a write is busy with; file: where what found no room went, from which
    *slices* are to be sent before the queue is.

    Where the framing tells the least that must still come (*need*: a chunk, a record), what has *arrived* goes to the
    client as soon as it is that much and nothing more is there (*due*); else a buffer must be full (p->length).
    """

    __slots__ = ("arrived", "busy", "busy_size", "due", "file", "full", "held", "least", "most", "need", "parked", "queue",
                 "rate", "room", "slices", "start", "taken")  # fmt: skip

    def __init__(self, u: Exchange, c: Connection, w: Writer, framing: Framing) -> None:
        Passing.__init__(self, u, c, w, framing)
        conf = u.conf
        number, each = conf.buffers
        self.least = each
        self.most = conf.buffer_size + number * each
        self.busy_size = max(conf.busy_buffers_size, self.most // 2)
        self.queue: deque[Any] = deque()
        self.held = 0
        self.busy = 0
        self.file: TempFile | None = None
        self.slices: deque[FileSlice] = deque()
        self.rate = 0 if conf.limit_rate is None else conf.limit_rate(u.r)
        self.start = int(time()) if self.rate else 0
        self.taken = 0
        self.parked = False
        self.need = -1 if framing.plain else framing.left
        self.arrived = 0
        self.due = False

    def run(self, parts: Sequence[Any]) -> int:
        self.note_error()
        self.due = self.need >= 0 and len(parts) > 0
        for part in parts:
            self.queue.append(part)
            self.held += len(part)
        return self.pump()

    def pump(self) -> int:
        """Read and write until there is nothing left to read; then what is still held goes out."""
        try:
            self.pass_on()
            while self.slices or len(self.queue) > 1 and self.held > self.busy_size:
                self.write()
            return self.close(list(self.queue))
        finally:
            if self.file is not None:
                self.file.close()

    def pass_on(self) -> None:
        u, c = self.u, self.c
        timeout = u.conf.read_timeout
        while not self.ended:
            if self.slices or self.held >= self.least or (self.due and self.held and not c.ready):
                self.write()
                continue
            if self.rate and self.limited():
                continue
            if not c.ready and not c.wait_read(timeout):
                self.timed_out()
                break
            self.read()
        if u.connection is not None:
            self.settle()

    def feed(self, data: bytes) -> Sequence[Any]:
        parts = Passing.feed(self, data)
        if self.need >= 0:
            self.arrived += len(data)
            if self.arrived >= self.need:
                self.arrived = 0
                self.need = self.framing.left
                self.due = True
        return parts

    def read(self) -> None:
        """Take what is there, as far as there is room."""
        n = self.most - self.held - self.busy
        if n > MOST_AT_ONCE:
            n = MOST_AT_ONCE
        elif n <= 0:
            n = self.busy_size  # the writers have it all, in one part: there must be something that can go to the file
        if self.rate:
            n = min(n, self.rate * (int(time()) - self.start + 1) - self.taken)
        before = self.u.state.response_length
        parts = self.receive(n)
        for part in parts:
            self.queue.append(part)
            self.held += len(part)
        if self.rate:
            self.taken += self.u.state.response_length - before
            self.u.r.c.hub.sleep((self.u.state.response_length - before) * 1000 // self.rate)

    def limited(self) -> bool:
        """proxy_limit_rate: whether it had to wait before more may be read."""
        limit = self.rate * (int(time()) - self.start + 1) - self.taken
        if limit > 0:
            return False
        self.u.r.c.hub.sleep(-limit * 1000 // self.rate + 1)
        return True

    # ---- writing, while the hub reads on

    def write(self) -> None:
        """Give the writers the next parts; meanwhile the upstream's events are read_ahead()'s."""
        c = self.c
        watched = not self.rate and self.u.connection is not None and not self.ended
        if watched:
            c.on_read = self.read_ahead
        try:
            if self.slices:
                self.w.write((self.next_slice(),))
            else:
                self.w.write(self.next_parts())
            if self.due and not self.held and not self.slices:
                self.due = False
                self.push()
        finally:
            self.busy = 0
            if watched and self.u.connection is not None:  # else the cache of idle connections may have it
                c.on_read = None

    def push(self) -> None:
        """What has come through the filters goes out; what they keep for themselves (gzip) they keep, as nginx's do."""
        r = self.u.r
        w: Writer | None = self.w
        while w is not None and not isinstance(w, Output):
            w = getattr(w, "inner", None)
        if w is not None and r.main is r:
            w.write((), True)

    def next_slice(self) -> FileSlice:
        first = self.slices[0]
        if first.length <= SLICE:
            return self.slices.popleft()
        self.slices[0] = FileSlice(first.fd, first.offset + SLICE, first.length - SLICE)
        return FileSlice(first.fd, first.offset, SLICE)

    def next_parts(self) -> list[Any]:
        queue = self.queue
        parts: list[Any] = []
        size = 0
        while queue and (not parts or size + len(queue[0]) <= self.busy_size):
            part = queue.popleft()
            parts.append(part)
            size += len(part)
        self.held -= size
        self.busy = size
        return parts

    def read_ahead(self, c: Connection) -> None:
        """In the hub: more has come while the client is slow."""
        if self.most - self.held - self.busy <= 0 and self.held and not self.spill():
            c.on_read = None  # nothing is read until the client has taken something
            c._mute()
            return
        self.read()
        if self.ended:
            self.settle()

    def spill(self) -> bool:
        """Move what is held to the temporary file; False when it must not grow any more."""
        u = self.u
        conf = u.conf
        size = 0
        parts: list[Any] = []
        offset = 0 if self.file is None else self.file.size
        for part in self.queue:
            n = len(part)
            if offset + size + n > conf.max_temp_file_size or (parts and size + n > conf.temp_file_write_size):
                break
            parts.append(part)
            size += n
        if not parts:
            return False
        try:
            if self.file is None:
                self.file = file = TempFile(conf.temp_path)
                warn_of_file(u)
            else:
                file = self.file
            file.write(parts)
        except OSError as error:
            u.r.log.crit("write() to the temporary file of a response failed", err=error.errno, ctx=u.r.hc.doing(READING))
            self.failed = "invalid"
            return False
        for _ in parts:
            self.queue.popleft()
        self.held -= size
        self.add_slice(file, offset, size)
        return True

    def add_slice(self, file: TempFile, offset: int, size: int) -> None:
        slices = self.slices
        if slices and slices[-1].offset + slices[-1].length == offset:
            slices[-1] = FileSlice(file.fd, slices[-1].offset, slices[-1].length + size)
        else:
            slices.append(FileSlice(file.fd, offset, size))


class Spliced(Passing):
    """Past Python, from socket to socket; *otherwise* takes over when the client is too slow."""

    __slots__ = ("otherwise", "out", "target")

    def __init__(
        self, u: Exchange, c: Connection, w: Writer, framing: Framing, target: Connection, otherwise: Buffered
    ) -> None:
        Passing.__init__(self, u, c, w, framing)
        self.target = target
        self.otherwise = otherwise
        self.out = cast(Output, w)  # nobody else has a splice_target()

    def run(self) -> int:
        pool = pipe_pool()
        pipe = pool.get()
        try:
            if self.move(pipe):
                return self.close()
            self.to_file(pipe)
        finally:
            pool.put(pipe)
        return self.otherwise.pump()

    def move(self, pipe: Pipe) -> bool:
        """Move all of the body; False when the client is too slow and the pipe is full."""
        u, c, target = self.u, self.c, self.target
        send_timeout = u.r.loc.send_timeout
        read_timeout = u.conf.read_timeout
        full = fresh = False
        while True:
            if c.ready and not full and not self.ended:
                # of EAGAIN right after an event only a full pipe can be the cause
                full = not self.fill(pipe) and fresh
                fresh = False
            if not pipe.held:
                if self.ended:
                    break
                if not c.ready and not c.wait_read(read_timeout):
                    self.timed_out()
                continue
            try:
                sent = pipe.empty(target, pipe.held)
            except ConnectionClosed as error:
                self.out.gone(error)
            if sent >= 0:
                full = False
            elif self.ended:
                self.let_go()  # the upstream need not wait for the client
                self.wait_client(send_timeout)
            elif full:
                if u.conf.max_temp_file_size < pipe.held:
                    self.wait_client(send_timeout)
                elif not target.wait_write(PATIENCE):
                    return False
            elif not c.ready:
                ready = target.hub.wait(min(read_timeout, send_timeout), (c,), (target,))
                fresh = ready is c
                if ready is None and read_timeout > send_timeout:
                    self.out.timed_out()
                elif ready is None:
                    self.timed_out()
        self.let_go()
        return True

    def wait_client(self, ms: int) -> None:
        if not self.target.wait_write(ms):
            self.out.timed_out()

    def let_go(self) -> None:
        if self.u.connection is not None:
            self.settle()

    def fill(self, pipe: Pipe) -> bool:
        """From the upstream into the pipe; False when nothing went."""
        framing = self.framing
        left = framing.left
        try:
            got = pipe.fill(self.c, left)
        except ConnectionClosed as error:
            self.u.log_broken(error, READING)
            self.failed = "error"
            return False
        if got > 0:
            state = self.u.state
            state.bytes_received += got
            state.response_length += got
            framing.skipped(got)
        elif got == 0:
            self.at_end()
        return got > 0

    def to_file(self, pipe: Pipe) -> None:
        """What the pipe holds goes to the temporary file, where the buffered way begins."""
        u = self.u
        way = self.otherwise
        try:
            way.file = file = TempFile(u.conf.temp_path)
            warn_of_file(u)
            while pipe.held:
                moved = os.splice(pipe.read_fd, file.fd, pipe.held, offset_dst=file.size)
                pipe.held -= moved
                file.size += moved
        except OSError as error:
            u.r.log.crit("write() to the temporary file of a response failed", err=error.errno, ctx=u.r.hc.doing(READING))
            way.failed = "invalid"
            return
        way.add_slice(file, 0, file.size)
