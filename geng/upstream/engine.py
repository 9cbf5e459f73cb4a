"""One request's dealings with an upstream: pick a peer, send the request, read the head, pass the body, or try the next.

nginx: ngx_http_upstream.c

The engine knows no protocol. A module brings an Adapter, one per location, and a handler: `engine.handler(adapter)`.
A small exchange over an idle connection is four system calls: the client's request received, it sent on, the answer
received, that sent to the client; nothing here waits for an event that is not sure to be needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from errno import (
    ECONNREFUSED,
    ECONNRESET,
    EHOSTDOWN,
    EHOSTUNREACH,
    ENETDOWN,
    ENETUNREACH,
    ENOTCONN,
    EPIPE,
    ETIMEDOUT,
)
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from geng.conf.convert import holds, to_bytes
from geng.errors import Abandoned, ConnectionClosed, TimedOut
from geng.hot.greenlets import current
from geng.hot.http1 import DONE, EARLY_HINTS, HEAD, LOCK, NEED_MORE, PATCH, POST, ResponseHead
from geng.hot.uri import parse_unsafe_uri
from geng.http import output
from geng.http.body import BodyFailed, BodyStream
from geng.http.filters import DISCARD, ClientGone, FileSlice, Writer, send_head
from geng.http.module import DONE as ANSWERED
from geng.http.module import ERROR as FAILURE
from geng.net.address import address_of
from geng.net.answers import ResolveFailed
from geng.net.connect import NoConnections, connect
from geng.upstream import caching, peers
from geng.upstream import conf as ft
from geng.upstream.cache_rules import judge
from geng.upstream.headers import HeaderRules
from geng.upstream.peers import NoLivePeers, Picker
from geng.upstream.pipe import pass_body
from geng.upstream.round_robin import resolved
from geng.upstream.sender import Sender
from geng.upstream.state import UpstreamState, separator
from geng.upstream.storing import StoreKeeper, Storing
from geng.upstream.tunnel import tunnel

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request
    from geng.net.address import Url
    from geng.net.connection import Connection
    from geng.upstream.cache_access import CacheAccess
    from geng.upstream.cache_zone import CacheZone
    from geng.upstream.conf import UpstreamConf
    from geng.upstream.framing import Framing
    from geng.upstream.tls import UpstreamTls
    from geng.upstream.upstream import Upstream, Upstreams

NON_IDEMPOTENT = POST | LOCK | PATCH

#: A whole small answer, head and body, is received at once into what the location's buffers hold, at most so much.
RECEIVE = 16384

PLAIN = __file__.endswith((".py", ".pyc"))

AGAIN = -2  # the next peer is to be tried

# as C integers
_AGAIN = AGAIN
_DONE = DONE
_ANSWERED = ANSWERED
_FREED = peers.OK

# actions, as the error log names them
CONNECTING = "connecting to upstream"
SENDING = "sending request to upstream"
READING_HEAD = "reading response header from upstream"
READING = "reading upstream"

#: a response's status -> the word of proxy_next_upstream for it
NEXT_BY_STATUS = {
    500: ft.HTTP_500,
    502: ft.HTTP_502,
    503: ft.HTTP_503,
    504: ft.HTTP_504,
    403: ft.HTTP_403,
    404: ft.HTTP_404,
    429: ft.HTTP_429,
}

#: why there is no answer -> the status of the request; else 502
STATUS_OF = {
    ft.TIMEOUT: 504,
    ft.HTTP_504: 504,
    ft.HTTP_500: 500,
    ft.HTTP_503: 503,
    ft.HTTP_403: 403,
    ft.HTTP_404: 404,
    ft.HTTP_429: 429,
}

ORDINARY_ERRORS = frozenset(
    (0, ECONNRESET, EPIPE, ENOTCONN, ETIMEDOUT, ECONNREFUSED, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH)
)
"""What a network does; anything else goes to the log as an alert (ngx_connection_error)."""

AT_ONCE = frozenset((ECONNREFUSED, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH))
ASYNCHRONOUS = frozenset((ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ECONNRESET))


class Adapter:
    """What a protocol adds to the engine, for one location; made when the location is linked."""

    streams = False  # the request's body may be passed on as it arrives
    feeds = True  # a head that is not complete goes on with its feed(); else parse() is asked again with all there is

    def __init__(self, loc: CoreLoc, conf: UpstreamConf, schema: bytes = b"") -> None:
        number, each = conf.buffers
        self.conf = conf
        self.rules: HeaderRules = None  # type: ignore[assignment]  # the subclass has them
        self.upstream: Upstream | None = None
        self.upstreams: Upstreams = None  # type: ignore[assignment]  # needed where the upstream is not fixed
        self.schema = schema
        self.receive = max(min(RECEIVE, conf.buffer_size + number * each), 1)
        self.buffer_size = conf.buffer_size
        self.read_timeout = conf.read_timeout
        self.tries = conf.next_upstream_tries
        self.watches = not conf.ignore_client_abort and not conf.store
        self.cached = conf.cache
        self.caches: dict[str, CacheZone] = {}  # by name, for a zone that a variable chooses
        self.stores = conf.store
        self.silent = False  # nothing is sent and no head awaited: a connection is the answer
        self.keeps = True  # connections may serve further requests
        self.framed = False  # requests and responses are frames of HTTP/2 (geng.upstream.http2)
        self.buffering: bool = conf.buffering
        self.tls: UpstreamTls | None = None  # set where the address says so
        self.host = b""  # of the address: whose certificate it should be

    def begin(self, u: Exchange) -> int:
        """Before anything else: where to, when that depends on the request (u.aim). 0, or a status."""
        return 0

    def wants_stream(self, r: Request) -> bool:
        """Whether the body of *r* may be passed on as it arrives."""
        return self.streams

    def create_request(self, u: Exchange) -> Sequence[Any]:
        """What to send: bytes and FileSlices, to be sent again to the next peer as they are; () when there is a reason,
        which is logged, to answer with 500."""
        raise NotImplementedError

    def encode(self, u: Exchange, parts: list[bytes], last: bool) -> list[bytes]:
        """Body parts of a stream as they are sent."""
        return parts

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        """Begin to read a response's head; u.fault says why that cannot be, where a ResponseHead has no words for it."""
        raise NotImplementedError

    def spare(self, u: Exchange, data: bytes) -> bytes:
        """Of *data*, in which no head is complete, what parse() still needs."""
        return data

    def open(self, u: Exchange, c: Connection) -> Any:
        """Where that is more than to send the request: what sends it on *c*."""
        raise NotImplementedError

    def received(self, u: Exchange, data: bytes) -> bytes:
        """The received data, in which the head is that parse() has found."""
        return data

    def head_start(self, u: Exchange) -> int:
        """Where in the received data the head begins."""
        return 0

    def parse_stored(self, u: Exchange, data: bytes) -> ResponseHead:
        """Read the head of a response that comes from the cache."""
        return self.parse(u, data)

    def cache_key(self, u: Exchange) -> bytes:
        """The key of a response in the cache, where no directive gives one."""
        raise NotImplementedError

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        """The head is complete; set u.keepalive where the response has no body."""

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        """How the body of this response ends."""
        raise NotImplementedError


def _now() -> int:
    """Milliseconds, of the clock that clock.msec() has."""
    if PLAIN:
        return monotonic_ns() // 1_000_000
    clock_gettime(CLOCK_MONOTONIC, at)  # type: ignore[name-defined]  # noqa: F821
    return at[0].tv_sec * 1000 + at[0].tv_nsec // 1_000_000  # type: ignore[name-defined]  # noqa: F821


def stirred(client: Connection) -> None:
    """In the hub: the client of an exchange sent something, or went; its request ends with 499 then."""
    r = client.data.request
    u = r.current.upstream or r.upstream
    if u is not None and client.peek_closed():
        client.on_read = None
        u.greenlet.throw(Abandoned(client.error))
    elif client.ready:
        client._mute()  # a pipelined request: nobody wants it yet


class Exchange:
    """What a request has under way with an upstream; `r.upstream`.   nginx: ngx_http_upstream_t

    picked: a peer is held, free() is due; name: of the peer that was last tried; aim: where to, when it came from a
    variable; vars: the protocol's own; request: what is sent, sender: what is left of it; began: ms, when the first peer
    was asked for; head_method: the upstream was asked with HEAD; body_length, chunked: of the request, as told to the
    upstream; redirect: X-Accel-Redirect; cached: the response comes from the cache; fault: what is wrong with the
    response ("": it is logged already), found outside of its head; framed: the stream of HTTP/2.

    All attributes are declared in engine.pxd: with a dictionary, each call of a method would look there first.
    """

    def __init__(self, r: Request, adapter: Adapter) -> None:
        self.begin(r, adapter)

    def begin(self, r: Request, adapter: Adapter) -> None:
        """__init__(), for compiled callers."""
        self.r = r
        self.adapter = adapter
        self.conf = adapter.conf
        self.buffering = adapter.buffering
        self.schema = adapter.schema
        self.tls = adapter.tls
        self.picker: Picker = None  # type: ignore[assignment]  # until start()
        self.picked = False
        self.chunked = False
        self.aim: Url | None = None
        self.redirect: bytes | None = None
        self.stream: BodyStream | None = None
        self.access: CacheAccess | None = None
        self.as_get = False  # a HEAD that is asked as a GET, so that the response can be cached
        self.connection: Connection | None = None
        self.head: ResponseHead | None = None
        self.uri = b""
        self.name = b""
        self.vars: Any = None
        self.sender: Sender | None = None
        self.request: Sequence[Any] = ()
        self.request_sent = False
        self.keepalive = False
        self.header_sent = False
        self.head_method = False
        self.upgrade = False
        self.acted = False  # the connection's action, for the log, was changed
        self.body_length = -1
        self.began = 0
        self.state: UpstreamState = None  # type: ignore[assignment]  # until a peer is asked for
        self.greenlet: Any = None
        self.trailers: Sequence[tuple[bytes, bytes]] = ()
        self.hints_length = 0
        self.cache_status: bytes | None = None
        self.cached = False
        self.fault: str | None = None
        self.framed: Any = None

    def __repr__(self) -> str:
        return f"<Exchange {self.log_text() or 'begun'}>"

    # ---- the whole

    def run(self) -> int:
        """Serve the request; a verdict for the phases."""
        r = self.r
        client = r.c
        watch = self.adapter.watches and not (r.background or r.post_action)
        if self.adapter.cached:
            rc = caching.begin(self)
            if rc != caching.GO_ON:
                return self.from_cache(rc)
            watch = watch and self.access is None
        try:
            if watch:
                self.greenlet = current()
                client.ready = False
                client.listen(stirred)
            rc = self.start()
            while rc == _AGAIN:
                rc = self.attempt()
        except Abandoned:
            rc = self.client_left()
        except BodyFailed as failed:
            self.drop()
            rc = FAILURE if self.header_sent else failed.status
        except BaseException:
            self.drop()
            raise
        finally:
            if watch and not client.closed:
                client.listen(None)
            if self.acted:
                r.hc.action = "sending to client"
        if self.access is not None:
            caching.finish(self, rc)
        if self.redirect is not None:
            return self.go_elsewhere(self.redirect)
        return rc

    def from_cache(self, rc: int) -> int:
        """The cache had the answer: a verdict."""
        if self.access is not None:
            self.access.release()
        return rc if self.redirect is None else self.go_elsewhere(self.redirect)

    def start(self) -> int:
        """Up to the picker; AGAIN, or a status."""
        r = self.r
        adapter = self.adapter
        self.request = adapter.create_request(self)
        if not self.request:
            return 500
        if r.upstream_states:
            r.upstream_states.append(separator())
        if self.aim is None:
            upstream = adapter.upstream
            if upstream is None:
                raise AssertionError("no upstream configuration")
            self.picker = picker = upstream.picker(upstream, r, self.conf)
        else:
            rc = self.resolve(self.aim)
            if rc:
                return rc
            picker = self.picker
        if adapter.tries and picker.tries > adapter.tries:
            picker.tries = adapter.tries
        return AGAIN

    def resolve(self, aim: Url) -> int:
        """A picker for what a variable said; 0, or a status."""
        r = self.r
        found = self.adapter.upstreams.find(aim.host, aim.port, aim.no_port)
        if found is not None:
            self.picker = found.picker(found, r, self.conf)
            return 0
        host = aim.host.encode("utf-8", "surrogateescape")
        if not aim.port and not aim.unix:
            return self.refuse(f'no port in upstream "{aim.host}"', 500)
        if aim.addresses:
            address = aim.addresses[0]
            self.picker = resolved(r, host, [(address.sockaddr, address.name)])
            return 0
        settings = r.loc.resolver
        if settings is None:
            return self.refuse(f"no resolver defined to resolve {aim.host}", 502)
        try:
            addresses = settings.get(r.hc.worker).resolve(aim.host, r.loc.resolver_timeout, aim.port)
        except ResolveFailed as failed:
            return self.refuse(str(failed), 502)
        self.picker = resolved(r, host, [(sockaddr, address_of(sockaddr).name) for sockaddr in addresses])
        return 0

    def refuse(self, message: str, status: int) -> int:
        self.r.log.error(message, ctx=self.r.c)
        return status

    # ---- one try

    def attempt(self) -> int:
        """Ask one peer. AGAIN for the next one; else the request's verdict."""
        r = self.r
        state = UpstreamState.__new__(UpstreamState)
        state.begin(_now())
        self.state = state
        if r.upstream_states:
            r.upstream_states.append(state)
        else:
            r.upstream_states = [state]
        if not self.began:
            self.began = state.start
        picker = self.picker
        try:
            picker.get()
        except NoLivePeers as none:
            self.name = state.peer = none.name
            self.log_error("no live upstreams", CONNECTING)
            return self.next(ft.NOLIVE)
        self.picked = True
        self.name = state.peer = picker.name
        c = picker.connection
        if c is None:
            rc = self.connect(picker, state)
            if rc:
                return rc
            c = self.connection
        else:
            self.connection = c
            state.connect_time = 0
        c.requests += 1
        self.head = None
        self.request_sent = True
        if self.adapter.silent:
            return self.answered(c, self.adapter.parse(self, b""), b"")
        request = self.request
        try:
            if self.adapter.framed:
                return self.read_framed(c)
            if len(request) == 1 and self.stream is None:
                data = request[0]
                if c.try_send(request) != len(data):
                    self.sender = Sender(self, c, request, c.sent)
            else:
                self.send_body(c, request)
                if self.sender is not None:
                    return self.read_head(c, None)
            if self.sender is None and not c.ready and not c.wait_read(self.adapter.read_timeout):
                return self.timed_out(READING_HEAD)
            data = c.recv(self.adapter.receive)
        except ConnectionClosed as error:
            return self.broken(error, SENDING if error.call[:4] != "recv" else READING_HEAD)
        except TimedOut:
            return self.timed_out(SENDING)
        if data:
            head = self.adapter.parse(self, data)
            if head.rc == _DONE and head.end <= self.adapter.buffer_size:
                state.bytes_received = len(data)
                return self.answered(c, head, data)
        return self.read_head(c, data)

    def connect(self, picker: Picker, state: UpstreamState) -> int:
        """Connect to the picked peer: 0, or what attempt() shall return."""
        r = self.r
        conf = self.conf
        bind = conf.bind
        client = r.c
        try:
            self.connection = c = connect(
                client.hub,
                client.pool,
                picker.sockaddr,
                ms=conf.connect_timeout,
                local=None if bind is None else bind.of(r),
                transparent=bind is not None and bind.transparent,
                rcvbuf=conf.socket_rcvbuf,
                sndbuf=conf.socket_sndbuf,
                keepalive=conf.socket_keepalive,
            )
        except TimedOut:
            return self.timed_out(CONNECTING)
        except NoConnections:
            return self.next(ft.ERROR)
        except ConnectionClosed as error:
            return self.not_connected(error)
        c.number = client.number
        if self.tls is not None:
            host = to_bytes(self.aim.host) if self.aim is not None else self.adapter.host
            rc = self.tls.establish(self, c, host)
            if rc:
                return rc
        state.connect_time = _now() - state.start
        return 0

    def not_connected(self, error: ConnectionClosed) -> int:
        name = self.name.decode("utf-8", "surrogateescape")
        ctx = self.doing(CONNECTING)
        log = self.r.log
        if error.call == "connect()":
            if error.error in ASYNCHRONOUS and not name.startswith("unix:"):
                log.error("connect() failed", err=error.error, ctx=ctx)
            else:
                level = "error" if error.error in AT_ONCE else "crit"
                log.log(level, f"connect() to {name} failed", err=error.error, ctx=ctx)
            return self.next(ft.ERROR)
        log.log("crit" if error.call == "bind()" else "alert", f"{error.call} failed", err=error.error, ctx=ctx)
        self.drop()
        return 500

    def send_body(self, c: Connection, request: Sequence[Any]) -> None:
        """Send a request with a body; what cannot be sent at once is left in self.sender."""
        if not c._nodelay and self.r.loc.tcp_nodelay:
            c.set_nodelay()  # the end of a long body would wait for the upstream to acknowledge the rest: 40 ms
        sent = 0
        if self.stream is None and FileSlice not in map(type, request):
            sent = c.try_send(request)
            if sent == sum(map(len, request)):
                return
        sender = Sender(self, c, request, sent)
        if not sender.pump():
            self.sender = sender

    # ---- the head

    def read_framed(self, c: Connection) -> int:
        """Send the request as frames, which may take as long as the response does, and read the head."""
        sender = self.adapter.open(self, c)
        if not sender.pump():
            self.sender = sender
        return self.read_head(c, None)

    def read_head(self, c: Connection, data: bytes | None) -> int:
        """Go on reading the head where *data*, what came first, was not all of it."""
        conf = self.conf
        state = self.state
        adapter = self.adapter
        sent = state.bytes_received
        buf = b""
        head: ResponseHead | None = None
        while True:
            if data == b"":
                self.log_error("upstream prematurely closed connection", READING_HEAD)
                return self.next(ft.ERROR)
            if data:
                buf += data
                sent += len(data)
                state.bytes_received = sent
                if head is None or not adapter.feeds:
                    head = adapter.parse(self, buf)
                else:
                    head.feed(buf)
                if self.fault is not None:
                    return self.faulty(self.fault)
                while head is not None and head.rc == EARLY_HINTS:
                    buf = self.early_hints(head, buf)
                    head = adapter.parse(self, buf) if buf else None
                if head is not None and head.rc != NEED_MORE:
                    break
                buf = adapter.spare(self, buf)
                if len(buf) >= conf.buffer_size:
                    return self.too_big()
            try:
                if not self.wait(c):
                    return self.timed_out(SENDING if self.sender is not None else READING_HEAD)
                data = c.recv(adapter.receive)
            except ConnectionClosed as error:
                return self.broken(error, READING_HEAD)
        if head.rc != DONE:
            self.note(head)
            self.log_error(head.message, READING_HEAD)
            return self.next(ft.INVALID_HEADER)
        if head.end - adapter.head_start(self) > conf.buffer_size and not adapter.framed:
            return self.too_big()
        return self.answered(c, head, adapter.received(self, buf))

    def wait(self, c: Connection) -> bool:
        """Until *c* is readable, sending on what is left of the request meanwhile; False when the time is over."""
        while self.sender is not None and not c.ready:
            sender = self.sender
            if not sender.wait(self.conf.send_timeout):
                return False
            if sender.pump():
                self.sender = None
        return c.ready or c.wait_read(self.conf.read_timeout)

    def too_big(self) -> int:
        self.log_error("upstream sent too big header", READING_HEAD)
        return self.next(ft.INVALID_HEADER)

    def faulty(self, message: str) -> int:
        self.fault = None
        if message:
            self.log_error(message, READING_HEAD)
        return self.next(ft.INVALID_HEADER)

    def note(self, head: ResponseHead) -> None:
        """Log what was odd in a head."""
        for text in head.notes or ():
            self.r.log.warn(text, ctx=self.r.hc.doing(READING_HEAD))

    def early_hints(self, head: ResponseHead, buf: bytes) -> bytes:
        """Pass a 103 on; what follows it.   nginx: ngx_http_upstream_process_early_hints"""
        r = self.r
        state = self.state
        if not state.status:
            state.status = head.status
        if self.conf.pass_early_hints:
            self.hints_length += head.end
            if self.hints_length > self.conf.buffer_size:
                r.log.info("upstream sent too big early hints", ctx=r.hc.doing(READING_HEAD))
            elif r.loc.early_hints and holds(r.loc.early_hints, r) and not r.post_action:
                hides = self.adapter.rules.hides
                output.early_hints(r, [line for line in head.items() if line[0].lower() not in hides])
        return buf[head.end :]

    def answered(self, c: Connection, head: ResponseHead, data: bytes) -> int:
        """The head is here, and what came with it."""
        state = self.state
        self.head = head
        if head.notes:
            self.note(head)
        status = head.status
        if head.http_version == 9:
            self.log_error(head.message, READING_HEAD)
            state.status = 200
        elif not state.status:
            state.status = status
        state.header_time = _now() - state.start
        adapter = self.adapter
        adapter.headed(self, head)
        if self.access is not None:
            judge(self.access, head, self.conf.ignore_headers)
        if status >= 300:
            rc = self.test_next(status)
            if rc:
                return rc
            if self.intercepts(status):
                return self.intercept(status, head)
        if self.picker.notifies:
            self.picker.headed()
        to = adapter.rules.redirected_to(head)
        if to is not None:
            self.release(self.keepalive)
            adapter.rules.accelerate(self, head)
            adapter.rules.take_along(self.r, head)
            self.redirect = to
            return ANSWERED
        return self.respond(c, head, data)

    def test_next(self, status: int) -> int:
        """Whether a response of this status lets the next peer be tried: its verdict, or 0."""
        reason = NEXT_BY_STATUS.get(status)
        if reason is None:
            if status == 304 and self.cache_status == caching.EXPIRED and self.conf.cache_revalidate:
                self.release(self.keepalive)
                return caching.revalidated(self)
            return 0
        conf = self.conf
        mask = reason | ft.NON_IDEMPOTENT if self.is_unsafe() else reason
        if conf.next_upstream & mask != mask or self.picker.tries <= 1 or self.stream is not None or self.is_late():
            if self.access is not None and self.cache_status == caching.EXPIRED and conf.cache_use_stale & reason:
                self.release(self.keepalive)
                return caching.send_stale(self)
            return 0
        return self.next(reason)

    def is_unsafe(self) -> bool:
        """Whether the request was sent and is one that must not be sent twice."""
        return self.request_sent and bool(self.r.method_id & NON_IDEMPOTENT)

    def is_late(self) -> bool:
        timeout = self.conf.next_upstream_timeout
        return bool(timeout) and _now() - self.began >= timeout

    def intercepts(self, status: int) -> bool:
        if status == 404 and self.conf.intercept_404:
            return True
        pages = self.r.loc.error_pages
        return self.conf.intercept_errors and bool(pages) and status in pages

    def intercept(self, status: int, head: ResponseHead) -> int:
        """The error page of the configuration instead of the upstream's.   nginx: ngx_http_upstream_intercept_errors"""
        if status == 401:
            for value in head.getall(b"www-authenticate"):
                self.r.out.add(b"WWW-Authenticate", value)
        self.release(self.keepalive)
        caching.intercepted(self, status)
        return status

    # ---- the response

    def respond(self, c: Connection, head: ResponseHead, data: bytes) -> int:
        """Pass the response on."""
        r = self.r
        adapter = self.adapter
        adapter.rules.apply(self, head)
        if head.http_version == 9:
            r.out.headless = True
            r.keepalive = False
        framing = adapter.framing(self, head)
        w = send_head(r)
        self.header_sent = True
        if self.access is not None:
            return caching.respond(self, c, head, data, framing, w)
        return self.pass_response(c, head, data, framing, w)

    def pass_response(self, c: Connection, head: ResponseHead, data: bytes, framing: Framing, w: Writer) -> int:
        """The response behind the head: to the client as it comes, and nowhere else."""
        r = self.r
        if self.upgrade:
            return tunnel(self, c, w, data[head.end :])
        if self.adapter.stores and self.buffering and not r.post_action:
            keeper = StoreKeeper.begin(self, head)
            if keeper is not None:
                return Storing(self, c, DISCARD if r.header_only else w, framing, keeper).take(head, data)
        if r.header_only or r.post_action:
            self.release(self.keepalive and head.end == len(data))
            return _ANSWERED
        state = self.state
        parts: Sequence[Any] = ()
        size = len(data) - head.end
        if size:
            parts = framing.feed(data[head.end :])
            state.response_length = size
        if framing.done and not framing.over:
            # all of it is here, as most are: the upstream is free before the client has its answer
            self.release(framing.left == 0 and not head.connection_close)
            self.finish(w, framing, parts)
            return _ANSWERED
        return pass_body(self, c, w, framing, parts)

    def finish(self, w: Writer, framing: Framing, parts: Sequence[Any]) -> None:
        """The last parts of the body, and its end."""
        if framing.trailers:
            self.trailers = framing.trailers
            if self.conf.pass_trailers:
                hides = self.adapter.rules.hides
                self.r.out.trailers += [line for line in framing.trailers if line[0].lower() not in hides]
        if parts:
            w.write(parts)
        w.end()

    # ---- how it ends

    def release(self, keepalive: bool) -> None:
        """The exchange with this peer is over: the cache may have the connection when *keepalive*."""
        c = self.connection
        if c is None:
            return
        state = self.state
        picker = self.picker
        state.response_time = _now() - state.start
        state.bytes_sent = c.sent
        if self.adapter.framed:
            self.framed.upload.stop()
        self.connection = None
        self.picked = False
        kept = keepalive and self.adapter.keeps and self.sender is None and (self.stream is None or self.stream.done)
        if not picker.free(picker, _FREED, c, kept):
            c.close()

    def drop(self) -> None:
        """Give up, whatever the state is; no log line."""
        state = self.state
        if state is not None and state.response_time == -1:
            state.response_time = _now() - state.start
        c, self.connection = self.connection, None
        if self.framed is not None:
            self.framed.upload.stop()
        if c is not None:
            state.bytes_sent = c.sent
        if self.picked:
            self.picked = False
            self.picker.free(self.picker, peers.OK)
        if c is not None:
            c.close()

    def next(self, reason: int) -> int:
        """This peer did not answer: AGAIN when another may be tried, else a status.   nginx: ngx_http_upstream_next"""
        state = self.state
        picker = self.picker
        c, self.connection = self.connection, None
        if self.framed is not None:
            self.framed.upload.stop()
            self.framed = None
        self.sender = None
        if c is not None:
            state.bytes_sent = c.sent
        if self.picked:
            self.picked = False
            picker.free(picker, peers.NEXT if reason in (ft.HTTP_403, ft.HTTP_404) else peers.FAILED)
        if reason == ft.ERROR and picker.cached:
            picker.tries += 1  # the connection was stale; that is not the peer's fault
        if c is not None:
            c.close()
        state.response_time = _now() - state.start
        state.status = status = STATUS_OF.get(reason, 502)
        mask = reason | ft.NON_IDEMPOTENT if self.is_unsafe() else reason
        allowed = self.conf.next_upstream
        if picker.tries == 0 or allowed & mask != mask or (self.request_sent and self.stream is not None) or self.is_late():
            if self.access is not None and caching.stale_for(self, reason):
                return caching.send_stale(self)
            return status
        self.head = None
        self.keepalive = False
        self.upgrade = False
        self.hints_length = 0
        self.request_sent = False
        return AGAIN

    def timed_out(self, action: str) -> int:
        self.log_error("upstream timed out", action, ETIMEDOUT)
        return self.next(ft.TIMEOUT)

    def broken(self, error: ConnectionClosed, action: str) -> int:
        """The connection failed while the head was awaited."""
        self.log_broken(error, action)
        return self.next(ft.ERROR)

    def log_broken(self, error: ConnectionClosed, action: str) -> None:
        message = "writev() failed" if error.call == "send()" else error.message
        level = error.level("error" if error.error in ORDINARY_ERRORS else "alert")
        self.r.log.log(level, message, err=error.error, ctx=self.doing(action))

    def client_left(self) -> int:
        """nginx: ngx_http_upstream_check_broken_connection"""
        r = self.r
        message = "client prematurely closed connection"
        if self.connection is not None:
            message += ", so upstream connection is closed too"
        r.log.info(message, err=r.c.error or None, ctx=r.hc.doing(self.action()))
        self.drop()
        return 499

    def action(self) -> str:
        """What the exchange was doing, for the log."""
        if self.connection is None:
            return CONNECTING
        if self.header_sent:
            return "sending to client"
        return SENDING if self.sender is not None else READING_HEAD

    def go_elsewhere(self, uri: bytes) -> int:
        """X-Accel-Redirect.   nginx: ngx_http_upstream_process_headers"""
        r = self.r
        if uri[:1] == b"@":
            return r.named_location(uri)
        parsed = parse_unsafe_uri(uri)
        if parsed is None:
            self.log_error(f'unsafe URI "{uri.decode("utf-8", "surrogateescape")}" was detected', READING_HEAD)
            return 404
        if r.method_id != HEAD:
            r.set_method(b"GET")
        return r.internal_redirect(*parsed)

    # ---- the log

    def log_error(self, message: str, action: str, err: int | None = None) -> None:
        self.r.log.error(message, err=err, ctx=self.doing(action))

    def doing(self, action: str) -> Connection:
        """The context of a log line in which the connection was *action*; so are later lines, the peers' say."""
        self.acted = True
        self.r.hc.action = action
        return self.r.c

    def log_text(self) -> str:
        """The upstream as log lines show it; "" before one was picked."""
        if not self.name:
            return ""
        between = b":" if self.picked and self.name[:5] == b"unix:" else b""
        return (self.schema + self.name + between + self.uri).decode("utf-8", "surrogateescape")


Handler = Callable[["Request"], int]


def handler(adapter: Adapter) -> Handler:
    """The content handler of a location whose requests go to an upstream."""
    begin = None if type(adapter).begin is Adapter.begin else adapter.begin

    def handle(r: Request) -> int:
        return exchange(r, adapter, begin)

    handle.adapter = adapter  # type: ignore[attr-defined]  # for geng.upstream.debug
    return handle


def exchange(r: Request, adapter: Adapter, begin: Callable[[Exchange], int] | None) -> int:
    """Serve *r* by an upstream."""
    return serve(Exchange.__new__(Exchange), r, adapter, begin)


def serve(u: Exchange, r: Request, adapter: Adapter, begin: Callable[[Exchange], int] | None) -> int:
    """Serve *r* by the new exchange *u*."""
    u.begin(r, adapter)
    r.upstream = u
    if begin is not None:
        rc = begin(u)
        if rc:
            return rc
    length = r.content_length_n
    if length > 0 or r.chunked_body or r.main is not r or r.head.expect is not None or (length == 0 and is_stream(r)):
        rc = receive_body(r, u, adapter)
        if rc:
            return rc
    return u.run()


def is_stream(r: Request) -> bool:
    """HTTP/2 says the end of a body apart from its length, so that one of no length has to be waited for."""
    return r.head.http_version > 1999


def receive_body(r: Request, u: Exchange, adapter: Adapter) -> int:
    """Have the request's body, all of it or as a stream: 0, or a status."""
    if not (adapter.streams and adapter.wants_stream(r)):
        return r.read_body()
    if r.body is not None:  # an error page's upstream gets what the first one got
        return 0
    try:
        stream = BodyStream(r)
        stream.take_what_is_here()
    except BodyFailed as failed:
        return failed.status
    if stream.reader.done:
        r.body = stream.whole()  # nothing is left to wait for: as if it were buffered
    else:
        u.stream = stream
    return 0


__all__ = ["Adapter", "ClientGone", "Exchange", "handler"]
