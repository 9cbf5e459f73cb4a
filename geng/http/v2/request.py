"""A stream's request, from its fields to the log.   nginx: ngx_http_v2.c (ngx_http_v2_run_request, …_close_stream)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenlet import GreenletExit

from geng.conf.convert import holds
from geng.core.clock import msec
from geng.errors import Abandoned
from geng.http import phases
from geng.http.connection import HttpConnection, choose_server, clean_up, failed, post_action, read_early
from geng.http.filters import ClientGone
from geng.http.module import OK
from geng.http.request import Request
from geng.http.subrequest import wait_for_backgrounds
from geng.http.v2 import stream as streams
from geng.http.v2.head import BadHead, Head, head_of
from geng.net.connection import REQUESTS, WRITING
from geng.net.hub import describe
from geng.wire.http1 import DONE, HOST_KNOWN, RequestHead, RequestOptions, parse_request

if TYPE_CHECKING:
    from geng.http.conf import CoreSrv
    from geng.http.v2.stream import Stream

ANY_SIZE = 1 << 40


def options_for(srv: CoreSrv, several: bool) -> RequestOptions:
    """How *srv* reads the heads of HTTP/2 requests; *several*: servers of the address differ in that."""
    return RequestOptions(
        underscores_in_headers=srv.underscores_in_headers,
        ignore_invalid_headers=srv.ignore_invalid_headers,
        merge_slashes=srv.merge_slashes,
        max_headers=ANY_SIZE,
        client_header_buffer_size=ANY_SIZE,
        large_client_header_buffers=(1, ANY_SIZE),
        stop_at_host=several,
        http2=True,
    )


def _options_of(srv: CoreSrv, several: bool) -> RequestOptions:
    made = srv.http2_options
    if made is None:
        made = srv.http2_options = options_for(srv, False), options_for(srv, True)
    return made[several]


def _open(stream: Stream) -> HttpConnection:
    """What HTTP keeps with a connection, for *stream*."""
    above = stream.session.hc
    hc = HttpConnection(stream, above.address)
    hc.default, hc.default_hot, hc.srv, hc.ssl = above.default, above.default_hot, above.default, above.ssl
    hc.proxy_protocol = above.proxy_protocol
    hc.request_start = msec()
    hc.action = "reading client request headers"
    stream.data = hc
    stream.context = hc.log_context
    stream.started = True
    return hc


def give_up(stream: Stream, status: int) -> None:
    """*stream* is over before its request was known; in the hub."""
    hc = _open(stream)
    hc.broken = True
    head = parse_request(b"", 0, -1, _options_of(hc.srv, False))
    head.as_http2()
    r = _new(stream, hc, head)
    r.out.status = status
    stream.stat.add(REQUESTS, 1)
    finish(hc, r)
    hc.request = None
    r.main = r.current = None  # type: ignore[assignment]
    stream.close()


def serve(stream: Stream, fields: list[tuple[bytes, bytes]]) -> None:
    """Serve the request of *stream*; in a greenlet of its own."""
    hc = _open(stream)
    stream.set_timeout(None)
    stat = stream.stat
    stat.add(REQUESTS, 1)
    stat.add(WRITING, 1)
    r: Request | None = None
    try:
        r, good = begin(stream, hc, fields)
        if good:
            run(r)
        finish(hc, r)
    except (ClientGone, GreenletExit):
        pass
    except Exception as error:
        hc.srv.default.log.alert(f"{describe(error)}", ctx=stream)
    finally:
        stat.add(WRITING, -1)
        hc.request = None
        if hc.timed_out:
            stream.timedout = True
        if r is not None:
            # what refers to itself is only freed by the garbage collector
            r.main = r.current = r.upstream = r.sink = None  # type: ignore[assignment]
        stream.close()


def begin(stream: Stream, hc: HttpConnection, fields: list[tuple[bytes, bytes]]) -> tuple[Request, bool]:
    """The request that *fields* make, and whether it is good; what is not has been answered."""
    try:
        said, text = head_of(fields)
        return _parsed(stream, hc, said, text)
    except BadHead as bad:
        head = parse_request(b"%s\r\n" % bad.line if bad.line else b"", 0, -1, _options_of(hc.srv, False))
        head.as_http2()
        r = _new(stream, hc, head)
        refuse(r, bad.status, bad.message)
        return r, False


def _new(stream: Stream, hc: HttpConnection, head: RequestHead) -> Request:
    hc.request = r = Request(stream, hc, head, hc.srv.default.hot, hc.request_start)
    r.request_length = stream.request_length
    return r


def _parsed(stream: Stream, hc: HttpConnection, said: Head, text: bytes) -> tuple[Request, bool]:
    address = hc.address
    head = parse_request(text, 0, -1, _options_of(hc.srv, address.request_options.stop_at_host))
    head.as_http2()
    r = _new(stream, hc, head)
    if address.names and head.server:
        choose_server(r, head)
    if head.rc == HOST_KNOWN:
        head.options = _options_of(r.srv, True)
        while head.rc == HOST_KNOWN:
            head.feed(text)
        r.uri, r.args = head.uri, head.args
    for note in head.notes or ():
        r.log.info(note, ctx=stream)
    status, message = _verdict(r, head, said)
    if status:
        refuse(r, status, message)
        return r, False
    hc.action = ""
    return r, True


def _verdict(r: Request, head: RequestHead, said: Head) -> tuple[int, str]:
    """(0, "") for a good head, else status and message."""
    stream: Stream = r.c  # type: ignore[assignment]
    if not (r.srv.http2 or r.hc.address.http2):
        return 421, "client attempted to request the server name for which the negotiated protocol is disabled"
    if head.rc != DONE:
        message = head.message
        if said.host is None and message == "client sent invalid host header":
            message = 'client sent invalid ":authority" header'
        return head.rc, message
    if head.count - said.added > r.srv.max_headers:
        return 494, "client sent too many header lines"
    if head.content_length_n > 0 and stream.in_closed:
        stream.skip_body()
        return 400, "client prematurely closed stream"
    return 0, ""


def refuse(r: Request, status: int, message: str) -> None:
    """Answer a head that cannot be served."""
    try:
        if message:
            r.log.log("error" if status == 500 else "info", message, ctx=r.c)
        phases.use_location(r, r.srv.default)
        phases.finalize(r, status)
    except ClientGone:
        r.hc.broken = True
    except Exception as error:
        failed(r, error)


def run(r: Request) -> None:
    """From the head to the end of the answer (ngx_http_process_request)."""
    hot = r.hot
    head = r.head
    stream: Stream = r.c  # type: ignore[assignment]
    r.content_length_n = head.content_length_n
    r.chunked_body = head.content_length_n < 0 and not stream.in_closed
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
        phases.run(r)
    except ClientGone:
        r.hc.broken = True
    except Abandoned:
        r.log.info("client prematurely closed connection", ctx=r.c)
        phases.terminate(r, 499)
    except Exception as error:
        failed(r, error)


def finish(hc: HttpConnection, r: Request) -> None:
    """The request is over: log it and free it."""
    hot = r.hot
    if hot.post_action:
        post_action(r, hot.loc)
        hot = r.hot
    if r.backgrounds:
        wait_for_backgrounds(r)
    r.logged = True
    hc.action = "logging request"
    for log in hot.log_handlers:
        log(r)
    if r.cleanups is not None:
        clean_up(r)


streams.bind(give_up)
