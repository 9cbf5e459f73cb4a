"""A request stream, from its first byte to its end.   nginx: ngx_http_v3_request.c"""

from __future__ import annotations

from errno import ETIMEDOUT
from typing import TYPE_CHECKING, Any

from geng.core.clock import msec
from geng.errors import ConnectionClosed
from geng.hot.connection import NEVER
from geng.http import framed
from geng.http.connection import HttpConnection, end_now
from geng.http.fields import Head3
from geng.wire import http3 as wire
from geng.wire.http3 import FrameReader, Http3Error
from geng.wire.qpack import HeadReader, SectionReader, cancel

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.http.v3.session import Session

CLOSE = 444  # NGX_HTTP_CLOSE


class SessionStream(HttpConnection):
    """What HTTP keeps with a request stream of *session*, the QuicStream *s*; its `data`."""

    def __init__(self, session: Session, s: Any) -> None:
        HttpConnection.__init__(self, s, session.hc.address)
        framed.take_over(self, session.hc, s)
        self.ssl = session.c.ssl
        self.session = session


class RequestStream(SessionStream):
    """The same where the stream has HTTP/3, not HTTP/0.9 (hq-interop).

    frames: cuts what comes; head: reads the fields; received, counted: bytes that have come, and those that were looked at;
    over: the head is done with; begun: the session counts it; refused: the client may try elsewhere; answered: all of the
    response has been sent.
    """

    def __init__(self, session: Session, s: Any) -> None:
        super().__init__(session, s)
        self.frames = FrameReader()
        number, size = self.srv.large_client_header_buffers
        self.head = HeadReader(self.frames, SectionReader(session.table, size, number * size))
        self.received = self.counted = 0
        self.refused = self.answered = self.begun = self.over = False

    def start(self) -> None:
        """nginx: ngx_http_v3_init_request_stream"""
        s: Any = self.c
        self.begun = self.session.begin_request(s)
        if not self.begun:
            self.refused = self.session.goaway
            self.let_go()
            return
        s.on_timeout = _late
        s.on_drain = _drained
        self.wait_for_more()
        s.on_read = _readable

    # ---- the head, in the hub

    def read_head(self) -> None:
        """Take what is here (ngx_http_v3_wait_request_handler, ngx_http_v3_process_request)."""
        s: Any = self.c
        section = self.head.section
        while not section.blocked:
            try:
                data = s.recv(self.srv.client_header_buffer_size)
            except ConnectionClosed:
                self.give_up(400)
                return
            if data is None:
                self.wait_for_more()
                return
            if not data:
                what = "client prematurely closed connection" if self.received else "client closed connection"
                self.session.log.info(what, ctx=s)
                self.give_up(400)
                return
            if not self.received:
                self.request_start = msec()
                self.action = "reading client request"
                s.requests = (s.id >> 2) + 1
                s.reusable(False)
            self.received += len(data)
            self.frames.feed(data)
            if self.go_on():
                return
        if s.reset_code is not None:
            self.serve(400)
        elif self.session.block(self):
            self.wait_for_more()
        else:
            self.fail(Http3Error(wire.DECOMPRESSION_FAILED))

    def go_on(self) -> bool:
        """Look at what has come; whether the head is done with."""
        try:
            done = self.head.go_on()
        except Http3Error as error:
            self.fail(error)
            return True
        before, self.counted = self.counted, self.received - len(self.frames.buffer)
        payload = sum([len(name) + len(value) + 2 for name, value in self.head.section.fields]) if done else 0
        if not self.session.count(self.counted - before, payload):
            self.give_up(CLOSE)
            return True
        if done:
            self.finish_head(self.head.section)
        return done

    def finish_head(self, section: SectionReader) -> None:
        """All fields are there, or as many as may be."""
        s: Any = self.c
        if section.too_large:
            self.serve(494, "client sent too large header")
            return
        if section.required > 0:
            self.session.acknowledge(s.id, section.required)
        self.serve()

    def unblocked(self) -> None:
        """The table has what the fields need."""
        if not (self.c.closed or self.over or self.go_on()):
            self.read_head()

    def serve(self, status: int = 0, fault: str = "") -> None:
        """Serve the request, or answer what is there of it with *status*."""
        s: Any = self.c
        self.end_head()
        self.action = "reading client request headers"
        s.hub.start(framed.serve, (HTTP_3, self, self.head.section.fields, self.counted, status, fault))

    def end_head(self) -> None:
        """Nobody waits for more of it."""
        s: Any = self.c
        self.over = True
        s.set_timeout(None)
        s.on_read = s.on_drain = s.on_timeout = None

    def wait_for_more(self) -> None:
        s: Any = self.c
        if s.timer.deadline == NEVER:
            s.set_timeout(self.srv.client_header_timeout)
            if not self.received:
                s.reusable(True)

    def fail(self, error: Http3Error) -> None:
        """The head breaks a rule."""
        s: Any = self.c
        log = self.session.log
        if error.message:
            log.log(error.level, error.message, ctx=s)
        if not error.code:
            self.give_up(500)
            return
        s.reset(error.code)
        log.error("client sent invalid header", ctx=s)
        self.give_up(400)

    def give_up(self, status: int) -> None:
        """There will be no head."""
        self.end_head()
        if not self.received:
            self.let_go()
        else:
            framed.give_up(HTTP_3, self, self.counted, status)

    # ---- the end

    def cut_off(self) -> None:
        """The time to shut down is over."""
        s: Any = self.c
        s.reset(wire.INTERNAL_ERROR)
        end_now(s)

    def let_go(self) -> None:
        """The request is over (ngx_http_v3_reset_stream)."""
        s: Any = self.c
        if s.closed:
            return
        session = self.session
        self.head.section.buffer = b""
        session.blocked.pop(self, None)
        if not s.eof and wire.DECODER_STREAM in session.known and not session.c.closed:
            session.say(wire.DECODER_STREAM, cancel(s.id))
        if s.timedout:
            s.reset(wire.GENERAL_PROTOCOL_ERROR)
        elif self.refused:
            s.reset(wire.REQUEST_REJECTED)
        elif not self.answered:
            s.reset(wire.INTERNAL_ERROR)
        s.close()
        if self.begun:
            session.end_request()


def _readable(s: Any) -> None:
    """More of a head; in the hub."""
    hc: RequestStream = s.data
    hc.read_head()


def _late(s: Any) -> None:
    """The head did not come in time."""
    hc: RequestStream = s.data
    hc.session.log.info("client timed out", err=ETIMEDOUT, ctx=s)
    s.timedout = True
    hc.give_up(408)


def _drained(s: Any) -> None:
    """The pool is short of connections."""
    hc: RequestStream = s.data
    hc.refused = True
    hc.let_go()


def start_hq(session: Session, s: Any) -> None:
    """nginx: ngx_http_v3_init_request_stream"""
    hc = SessionStream(session, s)
    if not session.begin_request(s):
        s.reset(wire.REQUEST_REJECTED)
        s.close()
        return
    s.on_timeout = _hq_late
    s.set_timeout(hc.srv.client_header_timeout)
    s.reusable(True)
    hc.start_http()


def _hq_late(s: Any) -> None:
    hc: SessionStream = s.data
    hc.session.log.info("client timed out", err=ETIMEDOUT, ctx=s)
    s.close()


def _wanted(r: Request) -> bool:
    return r.srv.http3


def _ended(hc: Any) -> bool:
    """Whether no body follows: the end of the stream is known already, as nginx looks for it."""
    if hc.frames.buffer:
        return False
    s = hc.c
    try:
        data = s.recv(hc.srv.client_header_buffer_size)
    except ConnectionClosed:
        return True
    if data is None:
        return False
    if not data:
        return True
    hc.received += len(data)
    hc.frames.feed(data)
    return False


HTTP_3 = framed.Kind(
    major=3,
    head=Head3,
    wanted=_wanted,
    ended=_ended,
    flaw=lambda hc, head: (0, ""),
    close=lambda hc: hc.let_go(),
)
