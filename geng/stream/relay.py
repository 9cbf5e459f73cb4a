"""Bytes from client to upstream and back, in the hub: no greenlet is held while a session is open.

nginx: ngx_stream_proxy_module.c (ngx_stream_proxy_process, ngx_stream_proxy_test_finalize)

Each direction is a Flow. What arrives in small pieces is received and sent; once a piece fills the whole buffer the flow
takes a pipe from the worker's pool and splices, until there is little again. Neither is done over TLS.
"""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.errors import ConnectionClosed
from geng.net.connection import Connection
from geng.net.datagram import DatagramConnection
from geng.net.hub import describe
from geng.net.pipes import AVAILABLE, Pipe
from geng.stream.module import BAD_GATEWAY, ENDED, INTERNAL_SERVER_ERROR
from geng.upstream.pipe import pipe_pool

if TYPE_CHECKING:
    from geng.stream.session import Session

ETIMEDOUT = 110
LITTLE = 8192  # a spliced piece of less makes a flow give its pipe back


class Flow:
    """One direction. *count* is what has been received, *packets* in how many pieces."""

    __slots__ = ("blocked", "count", "delayed", "limit", "name", "packets", "pending", "pipe", "receiving", "relay",
                 "sending", "size", "source", "target", "timer")  # fmt: skip

    def __init__(self, relay: Relay, name: str, source: Connection, target: Connection, limit: int) -> None:
        self.relay = relay
        self.name = name
        self.source = source
        self.target = target
        self.limit = limit
        self.size = relay.size
        other = "upstream" if name == "client" else "client"
        self.receiving = f"proxying and reading from {name}"
        self.sending = f"proxying and sending to {other}"
        self.count = 0
        self.packets = 0
        self.pending: list[Any] = []
        self.pipe: Pipe | None = None
        self.blocked = False
        self.delayed = False
        self.timer: Any = None

    def __repr__(self) -> str:
        state = "blocked" if self.blocked else "delayed" if self.delayed else "open"
        return f"<Flow from {self.name}, {self.count} bytes, {state}>"

    @property
    def held(self) -> bool:
        """Whether something is received and not sent."""
        return bool(self.pending) or (self.pipe is not None and self.pipe.held > 0)

    def run(self) -> None:
        """Move what can be moved. Raises ConnectionClosed when the target is gone."""
        relay = self.relay
        source = self.source
        if self.blocked:
            return
        while True:
            if (self.pending or self.pipe is not None) and self.held and not self._flush():
                return
            if not source.ready or self.delayed or (source.eof and not relay.udp):
                return
            room = self.size
            if self.limit:
                left = self.limit * (int(time()) - relay.start_sec + 1) - self.count
                if left <= 0:
                    self._delay(-left * 1000 // self.limit + 1)
                    return
                if not relay.udp and left < room:
                    room = left
            if not self._receive(room):
                return

    def _receive(self, room: int) -> bool:
        """Take up to *room* bytes; False when there are none."""
        relay = self.relay
        source = self.source
        relay.session.action = self.receiving
        pipe = self.pipe
        try:
            if pipe is not None:
                n = pipe.fill(source, pipe.size)
                if n < 0:
                    self._leave_pipe()
                    return False
                if n < pipe.size:
                    source.ready = False
            else:
                data = source.recv(room)
                if data is None:
                    return False
                n = len(data)
        except ConnectionClosed as error:
            self._failed(error)
            n = 0
        else:
            if pipe is None and (n or relay.udp):
                self.pending.append(data)
        relay.received(self, n)
        if relay.udp:
            return True
        if n == 0:
            source.eof = True
            self._leave_pipe()
        elif pipe is None and n == self.size and not self.limit and relay.spliced:
            self._take_pipe()
        if self.limit and n:
            ms = n * 1000 // self.limit
            if ms > 0:
                self._delay(ms)
        return True

    def _failed(self, error: ConnectionClosed) -> None:
        """A connection that broke is at its end; a socket for datagrams has only lost some."""
        relay = self.relay
        log = relay.session.log
        level = error.level("error" if self.source is relay.upstream else "info")
        log.log(level, error.message, err=error.error or None, ctx=relay.client)
        if relay.udp:
            relay.failed = relay.failed or self.source is relay.upstream

    def _flush(self) -> bool:
        """Send what is held; False when not all of it went out. Raises ConnectionClosed."""
        self.relay.session.action = self.sending
        target = self.target
        pending = self.pending
        while pending:
            sent = target.try_send(pending[:1])
            if self.relay.udp:
                if sent < 0:
                    return self._wait()
                pending.pop(0)
                continue
            if sent == len(pending[0]):
                pending.pop(0)
                continue
            if sent:
                pending[0] = memoryview(pending[0])[sent:]
            return self._wait()
        pipe = self.pipe
        while pipe is not None and pipe.held:
            n = pipe.held
            sent = pipe.empty(target, n)
            if sent < 0:
                return self._wait()
            if not pipe.held and n < LITTLE:
                self._leave_pipe()
                pipe = None
        return True

    def _wait(self) -> bool:
        """The target takes no more: its write watcher calls switch()."""
        tls = self.target.ssl
        if tls is not None and tls.wants_read:
            tls.wants_read = False  # what it waits for is heard of anyhow
            return False
        self.blocked = True
        self.target.expect_write(self)
        return False

    # ---- called by the write watcher in place of a greenlet

    def switch(self, c: Any = None) -> None:
        """The target can be sent to again."""
        self.blocked = False
        self.relay.event()

    def throw(self, error: Any) -> None:
        """The target was closed."""
        self.blocked = False
        self.relay.event()

    # ---- rates

    def _delay(self, ms: int) -> None:
        self.delayed = True
        self.timer = self.source.hub.after(ms, self._go_on)

    def _go_on(self) -> None:
        self.delayed = False
        self.timer = None
        if self.source.ready:
            self.relay.event()
        else:
            self.relay.rest()

    # ---- pipes

    def _take_pipe(self) -> None:
        try:
            self.pipe = pipe_pool().get()
        except OSError:
            self.relay.spliced = False  # no descriptors left

    def _leave_pipe(self) -> None:
        pipe = self.pipe
        if pipe is not None and not pipe.held:
            self.pipe = None
            pipe_pool().put(pipe)

    def end(self) -> None:
        """Nothing flows any more. What refers to itself would only be freed by the garbage collector."""
        self.relay = None  # type: ignore[assignment]
        if self.timer is not None:
            self.timer.cancel()
        pipe, self.pipe = self.pipe, None
        if pipe is not None:
            pipe_pool().put(pipe)


class Relay:
    """Both directions of one session, from when the upstream is connected.

    *timeout*: ms without anything in either direction; *size*: of the buffers; *on_end(status)* is told how the session
    ends; *failed*: a datagram upstream has refused.
    """

    __slots__ = ("client", "done", "down", "failed", "half_close", "half_closed", "on_end", "requests", "responses",
                 "session", "size", "spliced", "start_sec", "timeout", "up", "upstream", "udp")  # fmt: skip

    def __init__(
        self,
        session: Session,
        upstream: Connection,
        *,
        timeout: int,
        size: int,
        start_sec: int,
        rates: tuple[int, int] = (0, 0),
        half_close: bool = False,
        requests: int = 0,
        responses: int | None = None,
        on_end: Any = None,
    ) -> None:
        self.session = session
        self.client = client = session.c
        self.upstream = upstream
        self.udp = session.udp
        self.timeout = timeout
        self.size = size
        self.start_sec = start_sec
        self.half_close = half_close
        self.requests, self.responses = requests, responses
        self.on_end = on_end
        self.spliced = AVAILABLE and not self.udp and client.ssl is None and upstream.ssl is None
        self.up = Flow(self, "client", client, upstream, rates[0])
        self.down = Flow(self, "upstream", upstream, client, rates[1])
        self.up.count = session.received
        self.up.packets = 1
        self.half_closed = self.failed = self.done = False

    def __repr__(self) -> str:
        return f"<Relay {self.up!r} {self.down!r}>"

    def start(self, first: list[Any]) -> None:
        """Begin, with what the upstream is to get *first*."""
        self.up.pending = first
        self.client.on_timeout = self._timed_out
        self.client.on_read = self._readable
        self.upstream.on_read = self._readable
        self.event()

    def _readable(self, c: Connection) -> None:
        self.event()

    def received(self, flow: Flow, n: int) -> None:
        """*n* bytes, or a datagram of so many, have come."""
        flow.count += n
        flow.packets += 1
        if flow is self.up:
            self.session.received = flow.count
            return
        state = self.session.upstream_states[-1]
        if state.header_time == -1:
            state.header_time = msec() - state.start
            picker = self.session.upstream.picker
            if picker.notifies:
                picker.headed()

    def event(self) -> None:
        """Something may have become possible."""
        if self.done:
            return
        try:
            self._run()
        except ConnectionClosed as error:  # of a send
            self._send_failed(error)
        except Exception as error:
            self.session.log.alert(describe(error), ctx=self.client)
            self.end(INTERNAL_SERVER_ERROR)

    def _send_failed(self, error: ConnectionClosed) -> None:
        to_upstream = self.session.action == self.up.sending
        if self.udp and to_upstream:
            self.failed = True
        level = error.level("error" if to_upstream else "info")
        self.session.log.log(level, error.message, err=error.error or None, ctx=self.client)
        self.end(ENDED)

    def _run(self) -> None:
        up, down = self.up, self.down
        if self.udp and self.session.server.main.worker.exiting:
            self.session.tell("disconnected on shutdown")
            self.end(ENDED)
            return
        for flow in (up, down):
            flow.run()
            self.session.action = "proxying connection"
            if self._over(flow):
                return
            if self.half_close and not self.udp:
                self._shut(flow)
        self.rest()

    def rest(self) -> None:
        """Wait for the next event: of those who have something that is not wanted yet none are heard."""
        for c in (self.client, self.upstream):
            if c.ready or c.eof:
                if c._watching:
                    c._mute()
            elif not c._watching:
                c.listen(self._readable)
        if not self.up.delayed and not self.down.delayed:
            self.client.set_timeout(self.timeout)
        else:
            self.client.set_timeout(None)

    # ---- the end

    def _over(self, flow: Flow) -> bool:
        """End the session if it is over.   nginx: ngx_stream_proxy_test_finalize"""
        up, down = self.up, self.down
        client, upstream = self.client, self.upstream
        if self.udp:
            return self._datagrams_over()
        if not client.eof and not upstream.eof:
            return False
        if (not client.eof and down.held) or (not upstream.eof and up.held):
            return False
        if self.half_close and not (client.eof and upstream.eof and not up.held and not down.held):
            return False
        self._tell(f"{flow.name} disconnected", up.count, client.sent, down.count, upstream.sent)
        self.end(ENDED)
        return True

    def _datagrams_over(self) -> bool:
        up, down = self.up, self.down
        if self.requests and up.packets < self.requests:
            return False
        if self.requests:
            forget = self.client
            assert isinstance(forget, DatagramConnection)
            forget.forget()
        if self.responses is None or down.packets < self.responses * up.packets or up.held or down.held:
            return False
        self._tell_datagrams("udp done")
        self.end(ENDED)
        return True

    def _tell(self, what: str, received: int, sent: int, taken: int, given: int) -> None:
        counts = f", bytes from/to client:{received}/{sent}, bytes from/to upstream:{taken}/{given}"
        self.session.tell(what + counts)

    def _tell_datagrams(self, what: str) -> None:
        up, down = self.up, self.down
        packets = f", packets from/to client:{up.packets}/{down.packets}"
        self._tell(what + packets, up.count, self.client.sent, down.count, self.upstream.sent)

    def _shut(self, flow: Flow) -> None:
        """Pass the end of one direction on (proxy_half_close)."""
        if flow.source.eof and not self.half_closed and not flow.held:
            self.half_closed = True
            Connection.shutdown_write(flow.target)  # of the socket: nothing more is said over TLS

    def _timed_out(self, c: Connection) -> None:
        log = self.session.log
        if not self.udp:
            log.info("connection timed out", err=ETIMEDOUT, ctx=self.client)
            self.end(ENDED)
        elif self.responses is None or self.down.packets >= self.responses * self.up.packets:
            self._tell_datagrams("udp timed out")
            self.end(ENDED)
        else:
            log.error("upstream timed out", err=ETIMEDOUT, ctx=self.client)
            self.failed = True
            self.end(BAD_GATEWAY)

    def shut_down(self) -> None:
        """worker_shutdown_timeout has passed."""
        self.session.log.info("shutdown timeout", ctx=self.client)
        self.end(ENDED)

    def end(self, status: int) -> None:
        """Stop both directions."""
        if self.done:
            return
        self.done = True
        self.client.set_timeout(None)
        self.client.on_timeout = None
        for c in (self.client, self.upstream):
            c.forget_write()
        on_end, self.on_end = self.on_end, None
        on_end(status)
        self.up.end()
        self.down.end()
