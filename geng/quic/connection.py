"""One QUIC connection: the Connection that its streams belong to.

nginx: ngx_event_quic.c, ngx_event_quic_streams.c; RFC 9000

The handler of a `quic` listening socket gets a new QuicConnection with `c.listening`, `c.sockaddr`, `c.addr_text`, sets
`c.data` (what TLS callbacks find as `ssl.data`) and `c.context`, and calls `c.run(conf)`. Everything runs in the hub.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import Any

from geng.core.clock import msec
from geng.core.log import DEBUG
from geng.hot.connection import NEVER, Timer
from geng.net.connection import Connection
from geng.net.tls import take_raised
from geng.quic import frames, input, output, params, paths, streams, tokens
from geng.quic.conf import QuicConf
from geng.quic.errors import Silent, TransportError
from geng.quic.frames import APPLICATION, HANDSHAKE, INITIAL
from geng.quic.paths import ClientId, Path, ServerId
from geng.quic.protection import CannotProtect, Keys
from geng.quic.recovery import Recovery
from geng.quic.stream import QuicStream
from geng.quic.tls import QuicTls
from geng.tls.errors import TlsBroken

CLOSE_INTERVAL = 1000  # ms between two CONNECTION_CLOSE
FLOOD = 1048576
LEAST_FRAMES = 100

MISSING_EXTENSION, NO_APPLICATION_PROTOCOL = 109, 120  # TLS alerts

# how a connection ends: with a word and a while for what is still under way, at once, without a word
GENTLY, AT_ONCE, SILENTLY = range(3)


class QuicConnection(Connection):
    """A client's connection.

    conf: what the server says; log: where its lines go; ssl: its Tls (SNI, ALPN, certificates: as over TCP), None before
    run(); streams: by id; handshaked: it is up; closing: CONNECTION_CLOSE has been sent or got; shutting_down: no new
    streams; local: the address that the client sent to, None where the socket has just one.
    """

    __slots__ = (
        "client_bidi", "client_ids", "client_params", "client_uni", "close_timer", "closing", "conf", "debugs",
        "draining", "error", "error_app", "error_frame", "error_level", "error_reason", "key_phase", "keys",
        "last_close", "local", "log", "max_client_bidi", "max_client_uni", "most_frames", "next_path",
        "next_server_id", "open", "params", "params_done", "path", "path_timer", "paths", "push", "push_posted",
        "received", "recovery", "recv_last", "recv_max_data", "recv_offset", "recv_window", "retired_before",
        "send_max_data", "send_offset", "send_timer_set", "sent_in_streams", "server_bidi", "server_ids",
        "server_max_bidi", "server_max_uni", "server_uni", "shutdown_code", "shutdown_reason", "shutting_down",
        "streams", "uninitialized", "via", "work_posted",
    )  # fmt: skip

    conf: QuicConf
    keys: Keys | None
    log: Any
    path: Path
    via: ServerId
    client_params: params.Params
    recovery: Recovery
    streams: dict[int, QuicStream]

    def __repr__(self) -> str:
        state = "closed" if self.closed else "closing" if self.closing else "open" if self.open else "early"
        return f"<QuicConnection *{self.number} {self.addr_text.decode('latin-1')} {state}>"

    @property
    def handshaked(self) -> bool:
        return self.ssl is not None and self.ssl.handshaked

    @property
    def worker(self) -> int:
        """Which worker this is, where no other one hands on what is ours; then a reset of another's would be a weapon."""
        if self.listening.receiver.sock is not None:
            return 0
        return (self.pool.number - 1) % self.pool.step

    # ---- the beginning

    def run(self, conf: QuicConf) -> None:
        """Begin, with the datagram that made this connection.   nginx: ngx_quic_run"""
        self.conf = conf
        self.log = conf.log or self.pool.log
        self.debugs = getattr(self.log, "level", 0) == DEBUG
        data, self.buffer = self.buffer, b""
        if not self.guarded(input.first_datagram, self, data):
            return
        self.set_timeout(self.params.max_idle_timeout)
        if not self.open:
            self.after(self.close_timer, conf.handshake_timeout)

    def create(self, packet: Any) -> None:
        """The client's first packet is good: keys, ids, limits.   nginx: ngx_quic_new_connection"""
        conf = self.conf
        self.params = own = params.of_server(conf)
        self.client_params = params.Params()
        self.params_done = self.open = self.key_phase = False
        if packet.validated and packet.retried:
            own.retry_scid = packet.dcid
        keys = Keys()
        keys.set_initial(packet.dcid)
        self.recv_max_data = self.recv_window = own.initial_max_data
        self.recv_last = self.recv_offset = self.received = 0
        self.send_max_data = self.send_offset = self.sent_in_streams = 0
        self.max_client_bidi, self.max_client_uni = own.initial_max_streams_bidi, own.initial_max_streams_uni
        self.client_bidi = self.client_uni = self.server_bidi = self.server_uni = 0
        self.server_max_bidi = self.server_max_uni = 0
        streams_most = conf.max_concurrent_streams_bidi + conf.max_concurrent_streams_uni
        self.most_frames = max(LEAST_FRAMES, streams_most * conf.stream_buffer_size // 2000)
        self.streams = {}
        self.uninitialized: list[QuicStream] = []
        self.client_ids: list[ClientId] = []
        self.server_ids: dict[int, ServerId] = {}
        self.paths: list[Path] = []
        self.next_path = self.next_server_id = self.retired_before = 0
        self.push = Timer(self._push_due)
        self.close_timer = Timer(self._close_due)
        self.path_timer = Timer(self._path_due)
        self.push_posted = self.work_posted = self.send_timer_set = False
        self.shutting_down = self.draining = False
        self.shutdown_code, self.shutdown_reason = 0, ""
        self.last_close = 0
        self.recovery = Recovery(self)
        paths.open_ids(self, packet)
        self.keys = keys
        self.idle = True
        self.on_timeout = _timed_out
        self.on_drain = _drained
        self.reusable(True)

    def begin_tls(self) -> None:
        """nginx: ngx_quic_init_connection"""
        self.params.reset_token = tokens.reset_token(self.conf, self.params.initial_scid, self.worker)
        self.ssl = QuicTls(self, self.conf.context, self.params.encode())
        self.ssl.data = self.data

    def start(self) -> None:
        """A new connection's slots that the first packet already looks at."""
        self.keys = None
        self.closing = False
        self.open = False
        self.error, self.error_reason, self.error_app = 0, "", False
        self.error_frame, self.error_level = 0, INITIAL
        self.local = None

    # ---- what comes

    def take(self, data: bytes, address: Any, via: ServerId) -> None:
        """A datagram from *address* to our id *via*."""
        self.via = via
        if self.guarded(input.datagram, self, data, address):
            self.send_timer_set = False
            self.set_timeout(self.params.max_idle_timeout)

    def guarded(self, work: Any, *args: Any) -> bool:
        """*work*, and the end of the connection if it fails; whether it has done something and the connection lives."""
        try:
            done = work(*args)
        except TransportError as error:
            self.error, self.error_reason, self.error_app = error.code, error.reason, False
            self.error_frame = error.frame_type
            self.close_with(AT_ONCE)
        except Silent:
            self.close_with(SILENTLY)
        except CannotProtect as error:
            self.log.info(str(error), ctx=self)
            self.close_with(AT_ONCE)
        except Exception as error:  # nothing that a datagram says may end the loop
            self.hub.report(error)
            self.close_with(AT_ONCE)
        else:
            return bool(done) and not self.closed
        return False

    def limit_flood(self) -> None:
        """Much is sent, but little that streams are about."""
        if (self.sent + self.received) // 8 > self.sent_in_streams + self.recv_last + FLOOD:
            self.log.info("quic flood detected", ctx=self)
            raise TransportError(frames.NO_ERROR, "QUIC flood detected")

    # ---- the handshake

    def hear(self, level: int, data: bytes) -> None:
        """The client's part of the handshake.   nginx: ngx_quic_handshake"""
        tls: QuicTls = self.ssl
        if tls.handshaked:
            return
        tls.provide(level, data)
        try:
            tls.proceed()
        except TlsBroken as broken:
            self._report()
            self.log.log(broken.level("info"), broken.message, ctx=self)
            if tls.alert and not self.error:
                self.error, self.error_reason = frames.CRYPTO_ERROR + tls.alert, "handshake failed"
            raise TransportError(self.error or frames.INTERNAL_ERROR, self.error_reason) from None
        self._report()
        if self.error:
            self.log.info("SSL_do_handshake() failed", ctx=self)
            raise TransportError(self.error, self.error_reason)
        if tls.handshaked:
            self._established()

    def _report(self) -> None:
        for error in take_raised():
            self.error = self.error or frames.INTERNAL_ERROR
            if isinstance(error, CannotProtect):
                self.log.info(str(error), ctx=self)
            else:
                self.hub.report(error)

    def say(self, level: int, data: bytes) -> None:
        """Our part, as OpenSSL makes it.   nginx: ngx_quic_add_handshake_data"""
        if not self.params_done:
            self._take_params()
            if self.error:
                return
        space = self.recovery.spaces[level]
        frame = frames.Crypto(space.crypto_sent, data)
        space.crypto_sent += len(data)
        frame.level = level
        self.queue_frame(frame)

    def _take_params(self) -> None:
        """Once, before the first answer: break off if something is wrong."""
        tls: QuicTls = self.ssl
        if not tls.alpn():
            self._wrong(NO_APPLICATION_PROTOCOL, "missing ALPN extension", "quic missing ALPN extension")
            return
        if not tls.peer_params:
            self._wrong(MISSING_EXTENSION, "missing transport parameters", "missing transport parameters")
            return
        try:
            found = params.parse(tls.peer_params)
            reason, message = params.why_not(found, self.path.cid.cid)
        except params.BadParams as bad:
            reason, message = "failed to process transport parameters", str(bad)
        if message:
            self.log.info(message, ctx=self)
            self.error, self.error_reason = frames.TRANSPORT_PARAMETER_ERROR, reason
            return
        if 0 < found.max_idle_timeout < self.params.max_idle_timeout:
            self.params.max_idle_timeout = found.max_idle_timeout
        self.client_params = found
        self.send_max_data = found.initial_max_data
        self.server_max_bidi, self.server_max_uni = found.initial_max_streams_bidi, found.initial_max_streams_uni
        self.params_done = True

    def _wrong(self, alert: int, reason: str, message: str) -> None:
        if not self.error:
            self.error, self.error_reason = frames.CRYPTO_ERROR + alert, reason
            self.log.info(message, ctx=self)

    def _established(self) -> None:
        self.queue_frame(frames.HandshakeDone())
        if self.conf.retry:
            self.queue_frame(frames.NewToken(tokens.make(self.conf, self.path.sockaddr, b"", False)))
        self.hub.call_soon(self.prepare_keys)
        self.discard(HANDSHAKE)
        paths.discover_mtu(self, self.path)
        paths.offer_ids(self)
        validate = self.conf.validate
        if validate is None:
            streams.begin(self)
        else:
            self.hub.spawn(self._validate, validate)

    def _validate(self, validate: Any) -> None:
        """What has to be asked of others about the client's certificate (OCSP); in a greenlet."""
        validate(self)
        if not (self.closed or self.closing):
            self.hub.call_soon(self.guarded, streams.begin, self)

    def prepare_keys(self) -> None:
        """Those of the next key phase, before they are asked for."""
        if self.keys is not None and not self.closed:
            self.keys.prepare_update(APPLICATION)

    def discard(self, level: int) -> None:
        """Nothing is sent or taken at *level* any more.   nginx: ngx_quic_discard_ctx"""
        keys = self.keys
        assert keys is not None
        if keys.read[level] is None and keys.write[level] is None:
            return
        keys.discard(level)
        recovery = self.recovery
        recovery.pto_count = 0
        space = recovery.spaces[level]
        for frame in space.sent:
            recovery.frame_acked(frame)
        space.clear()
        if level == INITIAL:
            paths.close_id(self, paths.TEMPORARY)
        recovery.set_timer()

    # ---- sending

    def queue_frame(self, frame: Any) -> None:
        """Send *frame* in one of the next packets."""
        if not self.closing:
            space = self.recovery.spaces[frame.level]
            space.frames.append(frame)
            if len(space.frames) + len(space.sent) > self.most_frames:
                self._flooded()
            self.post_push()

    def _flooded(self) -> None:
        """The client makes us say much, and acknowledges little."""
        if not self.error:
            self.log.info("quic flood detected", ctx=self)
            self.error, self.error_app = frames.INTERNAL_ERROR, False
            self.hub.call_soon(self.close_with, AT_ONCE)

    def fresh(self, frame: Any) -> Any:
        """*frame*, new in the place of an old one: to APPLICATION, as all are that change."""
        frame.level = APPLICATION
        return frame

    def post_push(self) -> None:
        """Send at the end of this turn of the loop."""
        if not self.push_posted and not self.closed:
            self.push_posted = True
            self.hub.call_soon(self._push)

    def push_after(self, ms: int) -> None:
        """Send in *ms* at the latest."""
        if self.push.deadline == NEVER:
            self.after(self.push, ms)

    def after(self, timer: Timer, ms: float) -> None:
        hub: Any = self.hub
        hub.timers.set(timer, ms)

    def _push(self) -> None:
        self.push_posted = False
        if not self.closed:
            self.guarded(output.flush, self)

    def _push_due(self, _: object) -> None:
        self._push()

    def _path_due(self, _: object) -> None:
        if not self.closed:
            self.guarded(paths.expired, self)

    # ---- streams

    def open_uni(self) -> QuicStream | None:
        """A new stream of ours, None when the client allows no more.   nginx: ngx_quic_open_stream"""
        return streams.open_uni(self)

    def stream_is_cancelable(self) -> None:
        """A stream has become one that the connection need not wait for."""
        if self.may_go():
            self.reusable(True)
            if self.shutting_down:
                self._shut_down()

    def stream_is_gone(self, stream: QuicStream) -> None:
        """Nothing more is to be said about *stream*."""
        streams.gone(self, stream)

    def stream_read(self, n: int) -> None:
        """*n* bytes of a stream were read: perhaps the client may send more."""
        self.recv_offset += n
        if self.recv_max_data <= self.recv_offset + self.recv_window // 2:
            self.update_max_data()

    def update_max_data(self) -> None:
        limit = self.recv_offset + self.recv_window
        if limit != self.recv_max_data:
            self.recv_max_data = limit
            self.queue_frame(frames.MaxData(limit))

    def may_go(self) -> bool:
        """Whether no stream is left that is worth waiting for."""
        return all(stream.cancelable for stream in self.streams.values())

    # ---- the end

    def finalize(self, code: int, reason: str) -> None:
        """Close with an application error at once.   nginx: ngx_quic_finalize_connection"""
        if self.closing or self.closed or self.keys is None:
            return
        self.error, self.error_reason, self.error_app, self.error_frame = code, reason, True, 0
        self.hub.call_soon(self.close_with, GENTLY)

    def shutdown(self, code: int, reason: str) -> None:
        """Close so as soon as the streams that are open (but cancelable ones) have ended; no new ones.

        nginx: ngx_quic_shutdown_connection
        """
        self.shutting_down = True
        self.shutdown_code, self.shutdown_reason = code, reason
        self._shut_down()

    def _shut_down(self) -> None:
        if self.is_reusable:
            self.finalize(self.shutdown_code, self.shutdown_reason)

    def stream_ended(self) -> None:
        """After a stream has gone: go too, if that is what it was waited for."""
        if not self.is_reusable and self.may_go():
            self.reusable(True)
        if self.shutting_down:
            self._shut_down()

    def drain_soon(self) -> None:
        """The client has closed, or forgotten, the connection."""
        self.draining = True
        self.hub.call_soon(self.close_with, GENTLY)

    def close_with(self, how: int) -> None:
        """Close, GENTLY, AT_ONCE or SILENTLY; goes on once all streams have ended.   nginx: ngx_quic_close_connection"""
        if self.closed:
            return
        if self.keys is None:
            self.close()
            return
        if not self.closing:
            self._say_goodbye(how)
            self.closing = True
        if how == AT_ONCE:
            self.close_timer.deadline = NEVER
        for stream in list(self.streams.values()):
            stream.lost()
            if stream.closed:
                stream.retire()
        self.finish()

    def _say_goodbye(self, how: int) -> None:
        for space in self.recovery.spaces.values():
            space.clear()
        self.close_timer.deadline = NEVER
        if how == SILENTLY:
            return
        if not self.error and how == AT_ONCE and not self.error_reason:
            self.error, self.error_app = frames.INTERNAL_ERROR, False
        for level in (INITIAL, HANDSHAKE, APPLICATION):
            if self.keys is not None and self.keys.write[level] is not None:
                self.error_level = level
                self.send_close()
                if how == GENTLY:
                    self.after(self.close_timer, 3 * self.recovery.pto(level))

    def send_close(self) -> None:
        """CONNECTION_CLOSE, not too often.   nginx: ngx_quic_send_cc"""
        now = msec()
        if self.draining or (self.closing and now - self.last_close < CLOSE_INTERVAL):
            return
        self.last_close = now
        app = self.error_app
        reason = self.error_reason.encode()
        if app and self.error_level != APPLICATION:
            # RFC 9000, 10.2.3: nothing of the application is said before the handshake is over
            frame = frames.ConnectionClose(frames.APPLICATION_ERROR, b"")
        else:
            frame = frames.ConnectionClose(self.error, reason, self.error_frame, app)
        frame.level = self.error_level
        frame.ignore_congestion = True
        try:
            output.send_alone(self, frame, 0, self.path)
        except Silent:
            return

    def finish(self) -> None:
        """The rest of close_with(), when no stream is left and the time for stragglers is over."""
        if self.closed or not self.closing or self.streams:
            return
        self.push.deadline = self.path_timer.deadline = NEVER
        self.recovery.stop()
        if self.close_timer.deadline == NEVER:
            self.close()

    def _close_due(self, _: object) -> None:
        """The handshake took too long, or the time for stragglers is over."""
        self.close_timer.deadline = NEVER
        self.close_with(GENTLY)

    def close(self) -> None:
        """Be gone at once, without a word to the client; whoever waits on a stream hears of it."""
        if self.closed:
            return
        if self.keys is not None and self.streams:
            self.closing = True
            for stream in list(self.streams.values()):
                stream.lost()
        Connection.close(self)

    def _release(self) -> None:
        if self.keys is not None:
            self.push.deadline = self.path_timer.deadline = self.close_timer.deadline = NEVER
            self.recovery.stop()
            paths.close_ids(self)
            self.keys = None
        if self.ssl is not None:
            self.ssl.no_send_shutdown = True
            self.ssl.shutdown()
            self.ssl.free()
        self.fd = -1
        self.pool.put(self)

    # ---- what a Connection has

    def listen(self, handler: Any) -> None:
        """No watcher: the listening socket's tells, and the streams hear."""
        self._on_read = handler

    @property
    def sock(self) -> Any:
        return self.listening.sock

    def local_addr(self) -> Any:
        bound = self.listening.sockaddr
        return bound if self.local is None else (self.local, *bound[1:])


def _timed_out(c: QuicConnection) -> None:
    """Nothing has come for too long."""
    c.log.info("quic client timed out", err=ETIMEDOUT, ctx=c)
    c.close_with(SILENTLY)


def _drained(c: QuicConnection) -> None:
    """The pool needs room, or the worker is shutting down."""
    if not c.pool.exiting or not c.open:
        c.error, c.error_reason, c.error_app = frames.NO_ERROR, "graceful shutdown", False
        c.close_with(AT_ONCE)
    elif not c.closing:
        c.conf.on_shutdown(c)
