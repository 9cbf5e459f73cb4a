"""A client connection that speaks HTTP/2: its streams, its windows, and the queue of frames to send.

nginx: ngx_http_v2.c (ngx_http_v2_init, …_read_handler, …_send_output_queue, …_handle_connection, …_finalize_connection)

All of it runs in the hub; each request has a greenlet of its own. What streams send while frames are being read, or in
one turn of the loop, goes out in one system call.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.errors import ConnectionClosed
from geng.hot.connection import NEVER
from geng.hot.hpack import Decoder
from geng.http.connection import cut_off, linger
from geng.http.v2 import frames
from geng.http.v2.priority import Tree
from geng.http.v2.stream import Stream
from geng.wire import http2 as wire

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.net.connection import Connection

FIRST_READ = 16384
MOST_PENDING = 65536  # bytes that wait for the socket before streams wait too
MOST_FRAMES = 10000
FLOOD = 1048576
MOST_PARTS = 512


class Session:
    """One HTTP/2 connection; `c.data`."""

    def __init__(self, c: Connection, conf: Any, recv_buffer_size: int) -> None:
        self.c = c
        self.hc = hc = c.data
        self.hub = c.hub
        self.loc: CoreLoc = hc.srv.default
        self.log = self.loc.log
        self.worker = hc.worker
        self.max_streams: int = conf.max_concurrent_streams
        self.preread_size: int = conf.body_preread_size
        self.recv_size = recv_buffer_size - 16
        number, size = hc.srv.large_client_header_buffers
        self.decoder = Decoder(size, number * size)
        self.header_limit = number * size
        self.tree = Tree()
        self.streams: dict[int, Stream] = {}
        # -- reading
        self.reader = frames.Reader(self)
        self.reading = False
        self.stirred: dict[Stream, None] = {}
        self.new_streams = 0
        self.refused_streams = 0
        self.priority_limit = max(self.max_streams, 100)
        self.idle_times = 0
        self.idle = False
        self.settings_ack = False
        self.last_sid = 0
        # -- flow control
        self.send_window = self.init_window = wire.DEFAULT_WINDOW
        self.recv_window = wire.MAX_WINDOW
        self.frame_size = wire.SMALLEST_FRAME_SIZE
        self.table_update = False
        self.total_bytes = 0
        self.payload_bytes = 0
        # -- writing
        self.partial: list[Any] = []  # the socket took a part of it
        self.control: list[bytes] = []  # before all data
        self.data: list[tuple[bytes, Stream | None]] = []  # by priority
        self.pending = 0
        self.most_pending = MOST_PENDING
        self.blocked = False  # the socket takes no more
        self.flushing = False  # flush() is on its way
        self.line: list[Stream] = []  # that wait for the connection's window
        self.waits_for_socket: list[Stream] = []
        # -- the end
        self.goaway = False
        self.broken = False
        self.over = False

    def __repr__(self) -> str:
        return f"<Session {self.c!r} {len(self.streams)} streams, {self.pending} bytes to send>"

    # ---- from the first byte

    def start(self, data: bytes) -> None:
        """Take the connection over, with what has come already."""
        c, hc = self.c, self.hc
        hc.action = "processing HTTP/2 connection"
        c.data, c.context = self, hc.log_context
        self.send_control(
            wire.settings(
                (
                    (wire.MAX_CONCURRENT_STREAMS, self.max_streams),
                    (wire.INITIAL_WINDOW_SIZE, self.preread_size),
                    (wire.MAX_FRAME_SIZE, wire.LARGEST_FRAME_SIZE),
                )
            )
        )
        self.send_control(wire.window_update(0, wire.MAX_WINDOW - wire.DEFAULT_WINDOW))
        c.on_timeout = self.timed_out
        c.on_drain = self.drained
        c.idle = True
        c.reusable(False)
        if self.worker.exiting:
            self.finalize(wire.NO_ERROR)
            return
        if c.timer.deadline == NEVER:
            c.set_timeout(hc.srv.client_header_timeout)
        if data:
            self.reading = True
            self.reader.feed(data)
            self.total_bytes += len(data)
            self.wake_stirred()
            self.reading = False
            if self.over:
                return
        c.on_read = self.readable
        if c.ready:
            self.readable(c)
        else:
            self.settle()

    def readable(self, c: Connection) -> None:
        """Bytes, or the end; a handler of read events."""
        if self.over:
            return
        if self.idle:
            self.wake()
            if self.over:
                return
        self.reading = True
        self.new_streams = 0
        try:
            self.read(c)
            self.wake_stirred()
        finally:
            self.reading = False
        if not (self.over or self.broken):
            self.flush()
            self.settle()

    def read(self, c: Connection) -> None:
        size = min(FIRST_READ, self.recv_size)
        while not (self.over or self.broken):
            try:
                data = c.recv(size)
            except ConnectionClosed as error:
                self.log.log(error.level("info"), error.message, err=error.error, ctx=c)
                self.cut()
                return
            if data is None:
                return
            if not data:
                if self.reader.incomplete or self.streams:
                    self.log.info("client prematurely closed connection", ctx=c)
                self.cut()
                return
            self.reader.feed(data)
            self.total_bytes += len(data)
            if self.total_bytes // 8 > self.payload_bytes + FLOOD and not self.over:
                self.flood()
                return
            if not c.ready:
                return
            size = self.recv_size

    def stir(self, stream: Stream) -> None:
        """Something has come for *stream*: it hears of all that came together at once."""
        if self.reading:
            self.stirred[stream] = None
        else:
            stream._readable()

    def wake_stirred(self) -> None:
        while self.stirred:
            stirred, self.stirred = self.stirred, {}
            for stream in stirred:
                if not (stream.closed or stream.gone):
                    stream._readable()

    def wake(self) -> None:
        """Something comes on an idle connection."""
        self.idle = False
        self.idle_times += 1
        self.c.reusable(False)
        if self.idle_times > 10 * self.loc.keepalive_requests:
            self.flood()

    def flood(self) -> None:
        """More is said than done."""
        self.log.info("http2 flood detected", ctx=self.c)
        self.finalize(wire.NO_ERROR)

    def fail(self, code: int, message: str) -> None:
        """The client broke a rule of the connection."""
        self.log.info(message, ctx=self.c)
        self.finalize(code)

    # ---- writing

    def send_control(self, frame: bytes) -> None:
        """A frame that goes before all data."""
        self.control.append(frame)
        self.pending += len(frame)
        self.total_bytes += len(frame)
        self.count_frames()
        self.flush_soon()

    def send_headers(self, frame: bytes) -> None:
        """A head: before all data, too."""
        self.control.append(frame)
        self.pending += len(frame)
        self.payload_bytes += len(frame)
        self.flush_soon()

    def count_frames(self) -> None:
        if len(self.control) + len(self.data) > MOST_FRAMES and not self.broken:
            self.log.info("http2 flood detected", ctx=self.c)
            self.broken = True
            self.control.clear()
            self.data.clear()
            self.pending = sum(map(len, self.partial))
            self.hub.call_soon(self.cut)

    def queue_data(self, frame: bytes, stream: Stream | None) -> None:
        """A frame that goes behind those of streams that are not less important."""
        data = self.data
        at = len(data)
        if stream is not None:
            node = stream.node
            while at:
                other = data[at - 1][1]
                if other is None or not node.goes_before(other.node):
                    break
                at -= 1
        data.insert(at, (frame, stream))
        self.pending += len(frame)

    def flush_soon(self) -> None:
        """Send when all that is to be sent in this turn is there."""
        if not (self.reading or self.flushing or self.blocked or self.over):
            self.flushing = True
            self.hub.call_soon(self.flush)

    def flush(self) -> None:
        """Send what the socket takes."""
        self.flushing = False
        c = self.c
        if self.blocked or c.closed or not self.pending:
            return
        try:
            while self.pending and not self.blocked:
                self.send_some(c)
        except ConnectionClosed as error:
            self.log.log(error.level("info"), error.message, err=error.error, ctx=c)
            self.pending = 0
            self.broken = True
            self.hub.call_soon(self.cut)
            return
        if not self.blocked:
            c.forget_write()
            if self.waits_for_socket:
                self.hub.call_soon(self.socket_free)
            if not (self.reading or self.streams):
                self.settle()

    def send_some(self, c: Connection) -> None:
        parts = self.partial
        if not parts:
            parts = self.control
            parts += [frame for frame, _ in self.data]
            self.control, self.data = [], []
        rest = parts[MOST_PARTS:]
        if rest:
            parts = parts[:MOST_PARTS]
        total = sum(map(len, parts))
        if total <= FIRST_READ and len(parts) > 1:
            parts = [b"".join(parts)]
        sent = c.try_send(parts)
        self.pending -= sent
        if sent == total:
            self.partial = rest
            return
        first = 0
        while sent >= len(parts[first]):
            sent -= len(parts[first])
            first += 1
        self.partial = [memoryview(parts[first])[sent:], *parts[first + 1 :], *rest]
        self.block(c)

    def block(self, c: Connection) -> None:
        """The socket is full: wait for it."""
        self.blocked = True
        c.expect_write(self)
        self.hub.timers.set(c.write_timer(), self.loc.send_timeout)

    def switch(self, c: Connection | None) -> None:
        """What a write watcher calls: the socket takes bytes again, or (None) has not for too long."""
        self.blocked = False
        self.c.write_timer().deadline = NEVER
        if c is None:
            self.c.timedout = True
            self.cut()
            return
        self.flush()

    def throw(self, error: BaseException) -> None:
        """The connection was closed from outside."""
        self.cut()

    def socket_free(self) -> None:
        """Streams that waited for the socket go on."""
        waiting, self.waits_for_socket = self.waits_for_socket, []
        for stream in waiting:
            stream.wake_writer()

    # ---- flow control

    def stand_in_line(self, stream: Stream) -> None:
        """*stream* waits for the connection's window, before less important ones."""
        if stream.in_line:
            return
        stream.in_line = True
        line = self.line
        at = len(line)
        while at and stream.node.goes_before(line[at - 1].node):
            at -= 1
        line.insert(at, stream)

    def serve_line(self) -> None:
        """The window is open: one after the other."""
        while self.line and self.send_window > 0:
            stream = self.line.pop(0)
            stream.in_line = False
            stream.wake_writer()

    def adjust_windows(self, delta: int) -> None:
        """The client changed what windows begin with."""
        self.init_window += delta
        for stream in list(self.streams.values()):
            if delta > 0 and stream.send_window > wire.MAX_WINDOW - delta:
                stream.abort(wire.FLOW_CONTROL_ERROR)
                continue
            stream.send_window += delta
            if stream.send_window > 0 and stream.exhausted:
                stream.exhausted = False
                stream.wake_writer()

    # ---- streams

    def refuse(self, sid: int, reason: str) -> bool:
        """Take no stream *sid*; False where that has happened too often."""
        self.log.info(reason, ctx=self.c)
        self.refused_streams += 1
        if self.refused_streams > max(self.max_streams, 100) + 1:
            self.fail(wire.NO_ERROR, "client sent too many refused streams")
            return False
        self.send_control(wire.rst_stream(sid, wire.REFUSED_STREAM))
        return True

    def acknowledge_settings(self) -> None:
        """SETTINGS with ACK, behind all that is queued."""
        self.total_bytes += wire.FRAME_HEADER
        self.queue_data(wire.SETTINGS_ACK, None)
        self.count_frames()
        self.flush_soon()

    def open(self, sid: int, last: bool, priority: tuple[int, int, bool] | None) -> Stream:
        """A new stream; *last*: it has no body; *priority*: weight, what it depends on, whether alone."""
        c, loc = self.c, self.loc
        node = self.tree.open(sid)
        if priority is not None:
            node.weight, depend, exclusive = priority
            self.tree.depend(node, depend, exclusive)
        c.requests += 1
        self.streams[sid] = node.stream = stream = Stream(self, sid, node, last)
        c.set_timeout(None)
        if loc.keepalive_timeout == 0 or c.requests >= loc.keepalive_requests or msec() - c.start_msec > loc.keepalive_time:
            self.go_away(wire.NO_ERROR)
        return stream

    def closed(self, stream: Stream) -> None:
        """The request of *stream* is over."""
        if not (stream.rst_sent or self.broken or self.over):
            if not stream.out_closed:
                stream.reset(wire.PROTOCOL_ERROR if stream.timedout else wire.INTERNAL_ERROR)
            elif not stream.in_closed:
                stream.reset(wire.NO_ERROR)
        if stream.in_line:
            self.line.remove(stream)
            stream.in_line = False
        del self.streams[stream.sid]
        self.tree.close(stream.node)
        if not self.streams and not self.reading:
            if self.broken:
                self.hub.call_soon(self.cut)
            elif not self.pending:
                self.hub.call_soon(self.settle)

    def settle(self) -> None:
        """Nothing is to be done: wait for the next request, or end."""
        if self.over or self.pending or self.streams:
            return
        c = self.c
        if self.broken:
            self.cut()
            return
        if self.goaway:
            self.leave()
            return
        if c.timer.deadline == NEVER:
            c.set_timeout(self.loc.keepalive_timeout)
        self.idle = True
        c.reusable(True)

    # ---- the end

    def timed_out(self, c: Connection) -> None:
        """Nothing was asked for long enough."""
        if self.idle and not self.reader.incomplete:
            self.finalize(wire.NO_ERROR)
            return
        self.log.info("client timed out", err=ETIMEDOUT, ctx=c)
        self.finalize(wire.PROTOCOL_ERROR)

    def drained(self, c: Connection) -> None:
        """The worker leaves, or the pool is short of connections."""
        if not self.streams:
            self.finalize(wire.NO_ERROR)
        else:
            self.go_away(wire.NO_ERROR)

    def go_away(self, code: int) -> None:
        """Take no new streams."""
        if not self.goaway:
            self.goaway = True
            self.send_control(wire.goaway(self.last_sid, code))

    def finalize(self, code: int) -> None:
        """Say GOAWAY and end: streams that are under way are lost."""
        if self.over:
            return
        if not self.broken:
            self.go_away(code)
            self.flush()
        if self.streams:
            self.drop_output()
        self.lose_streams()
        if self.streams:
            self.broken = True
            self.c.on_read = None
            return
        self.leave()

    def drop_output(self) -> None:
        if not self.blocked:
            return
        self.control, self.data = [], []
        self.pending = sum(map(len, self.partial))

    def lose_streams(self) -> None:
        for stream in list(self.streams.values()):
            stream.lost()

    def cut(self) -> None:
        """The connection is broken: close it, and end the streams."""
        if self.over:
            return
        self.broken = True
        self.lose_streams()
        if self.streams:
            if not self.c.closed:
                self.c.on_read = None
            return
        self.over = True
        self.c.close()

    def cut_off(self) -> None:
        """The time to shut down is over (worker_shutdown_timeout)."""
        self.broken = True
        for stream in list(self.streams.values()):
            cut_off(stream)
        self.cut()
        self.c.close()

    def leave(self) -> None:
        """The orderly end (ngx_http_v2_lingering_close)."""
        if self.over:
            return
        c = self.c
        self.over = True
        if c.closed:
            return
        if self.broken or self.loc.lingering_close == 0:
            c.close()
            return
        c.on_read = None
        c.idle = False
        c.on_timeout = c.on_drain = None
        self.hub.spawn(self.linger)

    def linger(self) -> None:
        if not self.c.closed:
            self.hc.c = self.c
            linger(self.hc, self.loc)
