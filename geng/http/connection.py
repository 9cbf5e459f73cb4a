"""A client's connection: idle, a request after the other, and how it ends.

nginx: ngx_http_request.c (ngx_http_init_connection … ngx_http_set_keepalive, ngx_http_set_lingering_close)

An idle connection holds no greenlet: the hub calls back when bytes arrive, and a pooled greenlet serves requests until
there is nothing more to read.
"""

from __future__ import annotations

import socket
import struct
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit

from geng.conf.convert import holds
from geng.core.clock import msec
from geng.errors import Abandoned, ConnectionClosed, TimedOut
from geng.hot.http1 import CLOSE, CONNECT, DONE, HOST_KNOWN, NEED_MORE, parse_request
from geng.http import phases, tls
from geng.http.body import finish_discard
from geng.http.filters import ClientGone
from geng.http.module import OK
from geng.http.phases import run
from geng.http.request import Request
from geng.http.subrequest import wait_for_backgrounds
from geng.net.connection import READING, REQUESTS, WRITING
from geng.net.hub import describe
from geng.wire import proxy_protocol
from geng.wire.http2 import PREFACE

if TYPE_CHECKING:
    from geng.http.body import BodyReader
    from geng.http.conf import CoreLoc, CoreSrv, HttpAddress
    from geng.http.linked import Linked
    from geng.net.connection import Connection
    from geng.wire.http1 import RequestHead

READ_SIZE = 8192
LINGERING_SIZE = 4096
ECONNRESET = 104

# as C integers
_DONE = DONE
_CLOSE = CLOSE
_CONNECT = CONNECT
_REQUESTS = REQUESTS
_WRITING = WRITING
NO_LINGER = struct.pack("ii", 1, 0)


class HttpConnection:
    """What HTTP keeps with a client connection; `c.data`."""

    __slots__ = (
        "action", "address", "broken", "buffer", "busy", "c", "default", "default_hot", "detects", "discarding",
        "keepalive_hot", "keepalive_rest", "named", "options", "pipelined", "proxy_protocol", "reading_body",
        "request", "request_start", "room", "served", "srv", "ssl", "timed_out", "wants_proxy_protocol",
        "worker",
    )  # fmt: skip

    def __init__(self, c: Connection, address: HttpAddress) -> None:
        self.c = c
        self.address = address
        self.default: CoreSrv = address.default
        self.default_hot: Linked = self.default.default.hot
        self.named = bool(address.names)  # whether Host chooses among servers
        self.options = address.request_options
        self.srv: CoreSrv = address.default
        self.worker: Any = self.srv.main.worker
        self.buffer = b""  # received and not consumed
        self.action = "waiting for request"
        self.request: Request | None = None
        self.request_start = 0
        self.broken = False
        self.timed_out = False
        self.reading_body = False
        self.discarding: BodyReader | None = None
        self.ssl: Any = None
        self.proxy_protocol: Any = None
        self.wants_proxy_protocol = address.proxy_protocol
        self.detects = address.start_http2 is not None
        self.keepalive_rest = 0
        self.keepalive_hot: Linked = self.srv.default.hot  # of the request before
        self.served = False
        self.pipelined = False  # the request came together with the one before
        self.room, self.busy = -1, 0  # of the header buffers, for a pipelined request

    def __repr__(self) -> str:
        return f"<HttpConnection {self.c!r} {self.action}>"

    def start_http(self) -> None:
        """Wait for the first request, now that TLS, where there is any, is established."""
        c = self.c
        c.on_read = _readable
        if c.ready:
            _readable(c)

    # ---- what is received

    def take_buffer(self) -> bytes:
        """The bytes behind the head that was read last."""
        data, self.buffer = self.buffer, b""
        return data

    def give_back(self, data: bytes) -> None:
        """Bytes that belong to what comes next."""
        if data:
            self.buffer = data + self.buffer if self.buffer else data

    # ---- logging

    def doing(self, action: str) -> Any:
        """A log context in which the connection was *action*."""
        return Doing(self, action)

    def log_context(self) -> str:
        """What a log line says after its message (ngx_http_log_error)."""
        return self.log_text(self.action)

    def log_text(self, action: str) -> str:
        """The same, with another action."""
        text = f" while {action}" if action else ""
        text += f", client: {self.c.addr_text.decode()}"
        r = self.request
        if r is None:
            return f"{text}, server: {self.c.listening.text}"
        return text + _request_text(r)


class Doing:
    """A log context: a connection and what it was doing."""

    __slots__ = ("_action", "_hc", "number")

    def __init__(self, hc: HttpConnection, action: str) -> None:
        self._hc = hc
        self._action = action
        self.number = hc.c.number

    def log_context(self) -> str:
        return self._hc.log_text(self._action)


class NumberOnly:
    """A log context that only says which connection it was."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def log_context(self) -> str:
        return ""


def _request_text(r: Request) -> str:
    main = r.main
    text = f", server: {_shown(main.srv.server_name)}"
    line = main.head.request_line
    if line:
        text += f', request: "{_shown(line)}"'
    current = main.current
    if current is not main:
        text += f', subrequest: "{_shown(current.uri)}"'
    upstream = current.upstream
    if upstream is not None:
        where = upstream.log_text()
        if where:
            text += f', upstream: "{where}"'
    host = main.head.host
    if host is not None:
        text += f', host: "{_shown(host)}"'
    referer = main.head.referer
    if referer is not None:
        text += f', referrer: "{_shown(referer)}"'
    return text


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


# ---- in the hub


def accepted(c: Connection) -> None:
    """A connection has come (ngx_http_init_connection)."""
    hc = HttpConnection(c, c.listening.data.address(c))
    c.data = hc
    c.context = True
    if hc.wants_proxy_protocol:
        hc.action = "reading PROXY protocol"
    c.on_timeout = _wait_timed_out
    c.on_drain = _drained
    c.set_timeout(hc.srv.client_header_timeout)
    c.reusable(True)
    if hc.address.ssl:
        if not hc.wants_proxy_protocol:
            hc.action = "SSL handshaking"
        c.on_read = tls.begin
        return
    c.on_read = _readable


def _readable(c: Connection) -> None:
    """Bytes, or the end, on an idle connection (ngx_http_wait_request_handler, ngx_http_keepalive_handler)."""
    hc: HttpConnection = c.data
    try:
        data = c.recv(READ_SIZE)
    except ConnectionClosed as error:
        if not (hc.served and error.error == ECONNRESET):
            hc.srv.default.log.log(error.level("info"), error.message, err=error.error, ctx=c)
        c.close()
        return
    if data is None:
        return
    if not data:
        if hc.served:
            log = hc.srv.default.log
            log.info(f"client {c.addr_text.decode()} closed keepalive connection", ctx=NumberOnly(c.number))
        else:
            hc.srv.default.log.info("client closed connection", ctx=c)
        c.close()
        return
    c.idle = False
    c.reusable(False)
    c.listen(None)
    hc.buffer = hc.buffer + data if hc.buffer else data
    c.hub.start(serve, (hc,))


def _wait_timed_out(c: Connection) -> None:
    hc: HttpConnection = c.data
    if hc.served:
        if hc.keepalive_rest and not hc.worker.exiting:
            c.idle = True
            c.reusable(True)
            c.set_timeout(hc.keepalive_rest)
            hc.keepalive_rest = 0
            return
    else:
        hc.srv.default.log.info("client timed out", err=110, ctx=c)
    c.close()


def _drained(c: Connection) -> None:
    c.close()


def cut_off(c: Connection) -> None:
    """The time to shut down is over: end what the client of *c* waits for, without an answer (ngx_http_terminate_request).

    Whoever waits on the connection itself is woken by its end; who waits for an upstream has to be told.
    """
    cut = getattr(c.data, "cut_off", None)  # HTTP/2 and HTTP/3 have streams to end
    if cut is not None:
        cut()
    else:
        end_now(c)


def end_now(c: Connection) -> None:
    """Close *c* under its request."""
    r = getattr(c.data, "request", None)
    c.close()
    u = r.current.upstream if r is not None else None
    peer = getattr(u, "connection", None)
    waiter = getattr(peer, "_waiter", None) or getattr(peer, "_write_waiter", None)
    if waiter is not None:
        waiter.throw(ClientGone())


# ---- in a greenlet


def serve(hc: HttpConnection) -> None:
    """Serve requests until the connection is idle or at its end."""
    c = hc.c
    try:
        if hc.wants_proxy_protocol and not _read_proxy_protocol(hc):
            return
        if hc.detects and _is_http2(hc):
            return
        while _serve_one(hc):
            if not hc.buffer:
                _go_idle(hc)
                return
            hc.pipelined = True
    except (ClientGone, GreenletExit):
        c.close()
    except Exception as error:
        hc.srv.default.log.alert(f"{describe(error)}", ctx=c)
        c.close()


def _read_proxy_protocol(hc: HttpConnection) -> bool:
    """Take the PROXY header off the front; False: the connection is closed or waits for its first request."""
    c = hc.c
    log = hc.srv.default.log
    try:
        hc.proxy_protocol, size = proxy_protocol.read(hc.buffer)
    except proxy_protocol.BrokenHeader as broken:
        log.error(broken.message, ctx=c)
        c.close()
        return False
    hc.wants_proxy_protocol = False
    hc.buffer = hc.buffer[size:]
    hc.action = "waiting for request"
    if hc.buffer:
        return True
    c.set_timeout(hc.srv.client_header_timeout)
    c.reusable(True)
    c.on_read = _readable
    return False


def _is_http2(hc: HttpConnection) -> bool:
    """Whether the first bytes are HTTP/2's preface: the connection has gone to where that is spoken, or is closed."""
    hc.detects = False
    if hc.ssl is not None:
        return False
    c = hc.c
    while len(hc.buffer) < len(PREFACE) and PREFACE.startswith(hc.buffer):
        try:
            more = c.read(READ_SIZE, hc.srv.client_header_timeout)
        except (ConnectionClosed, TimedOut):
            more = b""
        if not more:
            hc.srv.default.log.info("client timed out" if c.timedout else "client closed connection", ctx=c)
            c.close()
            return True
        hc.buffer += more
    if not hc.buffer.startswith(PREFACE):
        return False
    c.hub.call_soon(hc.address.start_http2, c)
    return True


def _serve_one(hc: HttpConnection) -> bool:
    """Read a request's head and serve it; whether the connection may have another."""
    c = hc.c
    buf = hc.buffer
    hc.srv = hc.default
    hc.request_start = msec()
    hc.action = "reading client pipelined request line" if hc.pipelined else "reading client request line"
    c.requests += 1
    c.sent = 0
    stat = c.stat
    stat.add(_REQUESTS, 1)
    head = parse_request(buf, 0, -1, hc.options, hc.room, hc.busy)
    if head.rc != _DONE:
        r = _read_rest(hc, head)
        if r is None:
            return False
    else:
        hc.buffer = buf[head.end :] if head.end < len(buf) else b""
        r = Request.__new__(Request)
        r.begin(c, hc, head, hc.default_hot, hc.request_start)
        hc.request = r
        if hc.named:
            choose_server(r, head)
    stat.add(_WRITING, 1)
    try:
        hc.action = ""
        _process(r, head)
        return _finish(hc, r)
    finally:
        stat.add(_WRITING, -1)
        hc.request = None
        # what refers to itself is only freed by the garbage collector
        r.main = r.current = r.upstream = r.sink = None  # type: ignore[assignment]
        if r.ctx:
            r.ctx.clear()


def choose_server(r: Request, head: RequestHead) -> None:
    host = head.server or b""
    hc = r.hc
    srv = hc.address.find(host, r) if hc.ssl is None else tls.choose_server(r, host)
    if srv is not None and srv is not r.srv:
        r.srv = srv
        r.loc = srv.default
        r.hot = r.loc.hot
        r.log = r.hot.log


def _read_rest(hc: HttpConnection, head: RequestHead) -> Request | None:
    """The head was not complete with the first bytes: read on. None: there is no request, the connection is closed."""
    c = hc.c
    stat = c.stat
    stat.add(READING, 1)
    buf = hc.buffer
    deadline = hc.request_start + hc.srv.client_header_timeout
    r: Request | None = None
    try:
        while True:
            rc = head.rc
            if rc == HOST_KNOWN:
                hc.request = r = Request(c, hc, head, hc.srv.default.hot, hc.request_start)
                if head.server:
                    choose_server(r, head)
                head.options = r.srv.options
                head.feed(buf)
                continue
            if rc != NEED_MORE:
                break
            if head.line_done:
                hc.action = "reading client request headers"
            more = _receive(hc, head, deadline)
            if more is None:
                return None
            buf += more
            head.feed(buf)
    finally:
        stat.add(READING, -1)
    hc.buffer = buf[head.end :] if head.rc == DONE else b""
    if r is None:
        hc.request = r = Request(c, hc, head, hc.srv.default.hot, hc.request_start)
        if hc.address.names and (head.server is not None or head.complete):
            choose_server(r, head)  # what breaks before it says whom it is for is the default server's
    else:
        r.uri, r.args = head.uri, head.args
    return r


def _receive(hc: HttpConnection, head: RequestHead, deadline: int) -> bytes | None:
    """More of a head; None when it will not come: logged, and the connection is closed."""
    c = hc.c
    left = deadline - monotonic_ns() // 1_000_000
    lost: ConnectionClosed | None = None
    data: bytes | None = None
    try:
        while left > 0:
            if c.ready or c.wait_read(left):
                data = c.recv(READ_SIZE)
                if data is not None:
                    break
            left = deadline - monotonic_ns() // 1_000_000
    except ConnectionClosed as error:
        lost = error
    if data:
        return data
    r = hc.request
    if r is None:
        hc.request = r = Request(c, hc, head, hc.srv.default.hot, hc.request_start)
    status = 400
    if lost is not None:
        r.log.log(lost.level("info"), lost.message, err=lost.error, ctx=c)
    elif data is None:
        r.log.info("client timed out", err=110, ctx=c)
        status = 408
    else:
        r.log.info("client prematurely closed connection", ctx=c)
    r.out.status = status
    hc.broken = True
    hc.timed_out = status == 408
    _finish(hc, r)
    return None


def _process(r: Request, head: RequestHead) -> None:
    """What the head says of body and connection; then the request."""
    for note in head.notes or ():
        r.log.info(note, ctx=r.hc.doing("reading client request headers"))
    if head.rc != _DONE:
        refuse(r, head)
        return
    r.request_length = head.size
    r.content_length_n = head.content_length_n
    r.chunked_body = head.chunked
    connection = head.connection_type
    if connection == 0:
        r.keepalive = head.http_version > 1000
    else:
        r.keepalive = connection != _CLOSE
    if r.method_id == _CONNECT:
        r.keepalive = False
    r.lingering = r.content_length_n > 0 or r.chunked_body
    process_request(r)


def process_request(r: Request) -> None:
    """From the head to the end of the answer; for HTTP/2 and HTTP/3 too.   nginx: ngx_http_process_request"""
    hot = r.hot
    try:
        if hot.early_read is not None and holds(hot.early_read, r):
            rc = read_early(r)
            if rc != OK:
                phases.finalize(r, rc)
                return
        for handler in hot.post_read:
            rc = handler(r)
            if rc >= 200:
                phases.finalize(r, rc)
                return
        run(r)
    except ClientGone:
        r.hc.broken = True
    except Abandoned:
        r.log.info("client prematurely closed connection", ctx=r.c)
        phases.terminate(r, 499)
    except Exception as error:
        failed(r, error)


def read_early(r: Request) -> int:
    """client_body_early_read: the body before anything else (ngx_http_read_early_body)."""
    if phases.body_too_large(r):
        return 413
    return r.read_body()


def refuse(r: Request, head: RequestHead) -> None:
    """A head that cannot be served (ngx_http_process_request_line and …_headers)."""
    status = head.rc
    r.request_length = head.size
    r.lingering = status == 494 or status == 414 or status == 413
    r.keepalive = False
    answer_refused(r, status, head.message, r.hc.doing(_phase_of(r.hc, head)))


def answer_refused(r: Request, status: int, message: str, ctx: Any) -> None:
    """Answer a head that cannot be served, and log why."""
    try:
        if message:
            r.log.log("error" if status == 500 else "info", message, ctx=ctx)
        phases.use_location(r, r.srv.default)
        phases.finalize(r, status)
    except ClientGone:
        r.hc.broken = True
    except Exception as error:
        failed(r, error)


def _phase_of(hc: HttpConnection, head: RequestHead) -> str:
    if head.line_done:
        return "reading client request headers"
    return "reading client pipelined request line" if hc.pipelined else "reading client request line"


def failed(r: Request, error: Exception) -> None:
    """Something in here is wrong: the client gets a 500, the log the place."""
    r.log.alert(f"{describe(error)}", ctx=r.c)
    r.keepalive = False
    if r.main.header_sent:
        r.hc.broken = True
        return
    try:
        phases.finalize(r, 500)
    except Exception as second:
        r.hc.broken = True
        if not isinstance(second, ClientGone):
            r.log.alert(f"{describe(second)}", ctx=r.c)


def _finish(hc: HttpConnection, r: Request) -> bool:
    """The request is over: log it, free it, and decide what becomes of the connection."""
    c = hc.c
    free_request(hc, r)
    hot = r.hot
    loc = hot.loc
    if hc.broken:
        return _close(hc, loc)
    if hc.reading_body:
        r.keepalive = False
        r.lingering = True
    if hc.discarding is not None:
        reader, hc.discarding = hc.discarding, None
        if r.keepalive and not finish_discard(r, reader):
            c.close()
            return False
    if r.keepalive and (not hc.worker.exiting or hot.keepalive_min_timeout > 0):
        hc.keepalive_hot = hot
        # the buffer that holds what follows stays in use, the others are free again
        hc.room, hc.busy = (r.head.room, min(r.head.busy, 1)) if hc.buffer else (-1, 0)
        return True
    pending = hc.buffer or c.ready
    if hot.lingering_close == 2 or (hot.lingering_close == 1 and (r.lingering or pending)):
        linger(hc, loc)
        return False
    c.close()
    return False


def free_request(hc: HttpConnection, r: Request) -> None:
    """Log it and let its modules go; for HTTP/2 and HTTP/3 too.   nginx: ngx_http_free_request"""
    if r.hot.post_action:
        post_action(r, r.hot.loc)
    if r.backgrounds:
        wait_for_backgrounds(r)
    r.logged = True
    hc.action = "logging request"
    for log in r.hot.log_handlers:
        log(r)
    if r.cleanups is not None:
        clean_up(r)


def clean_up(r: Request) -> None:
    cleanups, r.cleanups = r.cleanups, None
    for cleanup in reversed(cleanups or []):
        try:
            cleanup()
        except Exception as error:
            r.log.alert(f"{describe(error)}", ctx=r.c)


def post_action(r: Request, loc: CoreLoc) -> None:
    """Run the location of post_action after the answer (ngx_http_post_action); its output goes nowhere."""
    r.header_only = True
    r.post_action = True
    r.header_sent = False
    uri = loc.post_action.encode("utf-8", "surrogateescape")
    try:
        if uri[:1] == b"/":
            phases.internal_redirect(r, uri, None)
        else:
            phases.named_location(r, uri)
    except ClientGone:
        r.hc.broken = True
    except Exception as error:
        r.log.alert(f"{describe(error)}", ctx=r.c)


def _close(hc: HttpConnection, loc: CoreLoc) -> bool:
    c = hc.c
    if hc.timed_out and loc.reset_timedout_connection and not c.closed:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    c.close()
    return False


def _go_idle(hc: HttpConnection) -> None:
    """Wait for the next request without a greenlet (ngx_http_set_keepalive)."""
    c = hc.c
    hot = hc.keepalive_hot
    if not hc.served and hot.loc.tcp_nodelay:
        c.set_nodelay()  # the end of a long answer would wait for the client to acknowledge the rest: 40 ms
    hc.served = True
    hc.pipelined = False
    hc.action = "keepalive"
    hc.keepalive_rest = 0
    timeout = hot.keepalive_timeout
    least = hot.keepalive_min_timeout
    if least == 0:
        c.idle = True
        c.reusable(True)
    elif timeout > least:
        hc.keepalive_rest = timeout - least
        timeout = least
    c.set_timeout(timeout)
    c.listen(_readable)


def linger(hc: HttpConnection, loc: CoreLoc) -> None:
    """Let a client that still sends get its answer: no more from here, and read for a while."""
    c = hc.c
    c.shutdown_write()
    if c.error:
        c.close()
        return
    until = monotonic_ns() // 1_000_000 + loc.lingering_time
    c.reusable(True)
    try:
        while True:
            left = until - monotonic_ns() // 1_000_000
            if left <= 0 or not (c.ready or c.wait_read(min(left, loc.lingering_timeout))):
                break
            if c.recv(LINGERING_SIZE) == b"":
                break
    except ConnectionClosed:
        pass
    c.close()
