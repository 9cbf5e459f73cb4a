"""A client's session: the phases it goes through, and how it ends.

nginx: ngx_stream_handler.c, ngx_stream_core_module.c (the phases)

A session runs in a pooled greenlet until its content handler takes over; what relays bytes gives the greenlet back and
goes on in the hub (geng.stream.relay).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from geng.core.log import DEBUG, DEBUG_STREAM, INFO
from geng.errors import ConnectionClosed
from geng.net import sockaddr as sa
from geng.net.hub import describe
from geng.stream.module import BAD_REQUEST, DECLINED, ENDED, ERROR, INTERNAL_SERVER_ERROR, OK, Phase
from geng.wire import proxy_protocol

if TYPE_CHECKING:
    from geng.http.ports import Address
    from geng.net.connection import Connection
    from geng.stream.conf import StreamServer

PROXY_HEADER = 4096  # longer than any
ETIMEDOUT = 110

#: The phases that are walked; then comes the content's handler.
WALKED = tuple(phase for phase in Phase if phase < Phase.CONTENT)


class Session:
    """One session; `s`. It has what code that http has too expects of a request: c, vars, captures, ctx, on_end, log.

    buffer: what has been read ahead; received: bytes from the client; content: what runs the session in the hub, with
    `shut_down()`; passes: how often `pass` has handed the connection on; upstream: what the session has to do with one,
    with `log_text()`.
    """

    __slots__ = ("action", "address", "buffer", "c", "captures", "cleanups", "content", "ctx", "ended", "passes",
                 "proxy_protocol", "received", "server", "start_msec", "status", "upstream", "upstream_states",
                 "vars")  # fmt: skip

    def __init__(self, c: Connection, address: Address) -> None:
        self.c = c
        self.address = address
        self.server: StreamServer = address.default
        self.action = "initializing session"
        self.buffer = b""
        self.vars: dict[str, Any] = {}
        self.captures: Any = None
        self.ctx: dict[Any, Any] = {}
        self.cleanups: list[Callable[[], object]] = []
        self.content: Any = None
        self.ended = False
        self.passes = 0
        self.proxy_protocol: Any = None
        self.received = 0
        self.start_msec = monotonic_ns() // 1_000_000
        self.status = 0
        self.upstream: Any = None
        self.upstream_states: list[Any] = []

    def __repr__(self) -> str:
        return f"<Session {self.c!r} {self.action}>"

    @property
    def main(self) -> Session:
        """A session has no parts."""
        return self

    @property
    def log(self) -> Any:
        return self.server.log

    @property
    def worker(self) -> Any:
        return self.server.main.worker

    @property
    def udp(self) -> bool:
        return self.address.udp

    @property
    def loc(self) -> Any:
        """What code that http has too takes for the location."""
        return self.server

    srv = loc

    @property
    def tcp(self) -> bool:
        """Whether the client's socket is one of TCP, whatever address `set_real_ip_from` has made its own."""
        return not self.udp and isinstance(self.address.sockaddr, tuple)

    def capture(self, n: int) -> bytes | None:
        """$1 … of the last regular expression that matched."""
        try:
            return None if self.captures is None else self.captures.group(n)
        except IndexError:
            return None

    def on_end(self, cleanup: Callable[[], object]) -> None:
        """Call *cleanup* when the session is over."""
        self.cleanups.append(cleanup)

    def log_text(self) -> str:
        """What a log line says after its message.   nginx: ngx_stream_log_error"""
        text = f" while {self.action}" if self.action else ""
        c = self.c
        text += f", {'udp ' if self.udp else ''}client: {c.addr_text.decode()}, server: {c.listening.text}"
        return text if self.upstream is None else text + self.upstream.log_text()

    @property
    def number(self) -> int:
        return int(self.c.number)

    def log_context(self) -> str:
        """A session is a context for the log, as its connection is."""
        return self.log_text()

    def tell(self, message: str) -> None:
        """Log *message* at level info, with nothing behind it but whose it is."""
        if self.log.enabled(INFO):
            self.log.info(message, ctx=Number(self.c.number))

    # ---- running

    def run(self) -> None:
        """The phases, and the content; in a greenlet."""
        try:
            rc = self._walk()
        except ConnectionClosed as error:
            if not self.ended:
                self.log.log(error.level("info"), error.message, err=error.error, ctx=self.c)
            rc = ENDED
        except Exception as error:
            self.log.alert(describe(error), ctx=self.c)
            rc = INTERNAL_SERVER_ERROR
        if rc:
            self.finalize(rc)

    def _walk(self) -> int:
        """0 when somebody else ends the session, else what to end it with."""
        if self.address.proxy_protocol and self.proxy_protocol is None:
            rc = self._read_proxy_protocol()
            if rc:
                return rc
        for phase in WALKED:
            for handler in self.server.handlers[phase]:
                rc = handler(self)
                self.debug(f"{phase.name.lower().replace('_', '-')} phase: {rc}")
                if rc == DECLINED:
                    continue
                if rc == OK:
                    break
                return INTERNAL_SERVER_ERROR if rc == ERROR else rc
        self.action = ""
        server = self.server
        self.debug("content phase")
        if server.tcp_nodelay and self.tcp:
            self.c.set_nodelay()
        if server.handler is None:
            return INTERNAL_SERVER_ERROR
        return server.handler(self)

    def _read_proxy_protocol(self) -> int:
        """Take the header off the front of what comes.   nginx: ngx_stream_proxy_protocol_handler"""
        c = self.c
        self.action = "reading PROXY protocol"
        if not c.wait_read(self.server.proxy_protocol_timeout):
            self.log.info("client timed out", err=ETIMEDOUT, ctx=c)
            return ENDED
        try:
            data = c.sock.recv(PROXY_HEADER, socket.MSG_PEEK)
        except OSError as error:
            raise c.broken(error, "recv()") from None
        try:
            found, size = proxy_protocol.read(data)
        except proxy_protocol.BrokenHeader as broken:
            self.log.error(broken.message, ctx=c)
            return BAD_REQUEST
        c.recv(size)
        c.ready = len(data) > size
        self.proxy_protocol = found
        self.action = "initializing session"
        return 0

    def debug(self, message: str) -> None:
        """A line for `error_log … debug`."""
        log = self.log
        if log.level >= DEBUG:
            log.debug(message, kind=DEBUG_STREAM, ctx=self.c)

    def finalize(self, status: int) -> None:
        """The end: it is logged, and the connection closed."""
        if self.ended:
            return
        self.debug(f"finalize stream session: {status}")
        self.ended = True
        self.status = status
        c = self.c
        try:
            for handler in self.server.handlers[Phase.LOG]:
                handler(self)
        except Exception as error:
            self.log.alert(describe(error), ctx=c)
        cleanups, self.cleanups = self.cleanups, []
        for cleanup in cleanups:
            cleanup()
        self.content = self.upstream = None
        c.forget_write()
        c.close()

    def leave(self) -> None:
        """The connection is somebody else's from here on (`pass`)."""
        self.ended = True
        cleanups, self.cleanups = self.cleanups, []
        for cleanup in cleanups:
            cleanup()

    def shut_down(self) -> None:
        """worker_shutdown_timeout has passed."""
        if self.content is not None:
            self.content.shut_down()
        else:
            self.finalize(ENDED)


class Number:
    """A log context that only says which connection it was."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def log_context(self) -> str:
        return ""


def accepted(c: Connection) -> None:
    """A connection has come, or a client's first datagram; in the hub.   nginx: ngx_stream_init_connection"""
    listening: Any = c.listening
    s = Session(c, listening.data.address(c))
    if type(c.data) is tuple:
        (s.passes,) = c.data
    c.data = s
    c.context = s.log_text
    if s.udp:
        s.buffer = c.buffer
        s.received = len(c.buffer)
    if s.log.enabled(INFO):
        kind = "udp " if s.udp else ""
        s.tell(f"{kind}client {sa.text(c.sockaddr)} connected to {listening.text}")
    c.hub.spawn(s.run)
