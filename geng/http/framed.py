"""A request that came as fields (HTTP/2, HTTP/3), from them to the log.

nginx: ngx_http_v2.c (ngx_http_v2_run_request, …_close_stream), ngx_http_v3_request.c (ngx_http_v3_process_request)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenlet import GreenletExit

from geng.http.connection import answer_refused, choose_server, free_request, process_request
from geng.http.fields import BadHead, Fields, Head, head_of
from geng.http.filters import ClientGone
from geng.http.request import Request
from geng.net.connection import REQUESTS, WRITING
from geng.net.hub import describe
from geng.wire.http1 import DONE, HOST_KNOWN, RequestHead, RequestOptions, parse_request

if TYPE_CHECKING:
    from geng.http.conf import CoreSrv
    from geng.http.connection import HttpConnection

ANY_SIZE = 1 << 40


@dataclass(frozen=True, slots=True)
class Kind:
    """Where HTTP/2 and HTTP/3 differ.

    wanted(r): whether the server that *r* asks for speaks it; ended(hc): whether no body follows the head;
    flaw(hc, head): what else is wrong with a head, status and message; close(hc): the request is over.
    """

    major: int
    head: type[Head]
    wanted: Callable[[Request], bool]
    ended: Callable[[Any], bool]
    flaw: Callable[[Any, RequestHead], tuple[int, str]]
    close: Callable[[Any], object]

    def options(self, srv: CoreSrv, several: bool) -> RequestOptions:
        """How *srv* reads the heads; *several*: servers of the address differ in that."""
        made = srv.framed_options.get(self.major)
        if made is None:
            made = srv.framed_options[self.major] = options_for(srv, self.major, False), options_for(srv, self.major, True)
        return made[several]


def options_for(srv: CoreSrv, major: int, several: bool) -> RequestOptions:
    """What limits a head has been looked at when its fields were decoded."""
    return RequestOptions(
        underscores_in_headers=srv.underscores_in_headers,
        ignore_invalid_headers=srv.ignore_invalid_headers,
        merge_slashes=srv.merge_slashes,
        max_headers=ANY_SIZE,
        client_header_buffer_size=ANY_SIZE,
        large_client_header_buffers=(1, ANY_SIZE),
        stop_at_host=several,
        major=major,
    )


def take_over(hc: HttpConnection, above: HttpConnection, c: Any) -> None:
    """What HTTP keeps with the connection that carries *c*, a stream, holds for it too: *hc* is the stream's."""
    hc.default = hc.srv = above.default
    hc.default_hot = hc.keepalive_hot = above.default_hot
    hc.ssl, hc.proxy_protocol = above.ssl, above.proxy_protocol
    c.data = hc
    c.context = hc.log_context


def give_up(kind: Kind, hc: HttpConnection, length: int, status: int) -> None:
    """The request is over before its head was known: log it with *status*; in the hub."""
    hc.broken = True
    r = _headless(kind, hc, b"", length)
    r.out.status = status
    hc.c.stat.add(REQUESTS, 1)
    free_request(hc, r)
    hc.request = None
    r.main = r.current = None  # type: ignore[assignment]
    kind.close(hc)


def serve(
    kind: Kind, hc: HttpConnection, fields: list[tuple[bytes, bytes]], length: int, status: int = 0, fault: str = ""
) -> None:
    """Serve the request of *fields*, for which *length* bytes have come; in a greenlet of its own.

    *status*, *fault*: why there are not more of them, where some are missing.
    """
    c = hc.c
    c.set_timeout(None)
    stat = c.stat
    stat.add(REQUESTS, 1)
    stat.add(WRITING, 1)
    r: Request | None = None
    try:
        r, good = begin(kind, hc, fields, length, status, fault)
        if good:
            run(kind, r)
        free_request(hc, r)
    except (ClientGone, GreenletExit):
        pass
    except Exception as error:
        hc.srv.default.log.alert(f"{describe(error)}", ctx=c)
    finally:
        stat.add(WRITING, -1)
        hc.request = None
        if hc.timed_out:
            c.timedout = True
        if r is not None:
            # what refers to itself is only freed by the garbage collector
            r.main = r.current = r.upstream = r.sink = None  # type: ignore[assignment]
            if r.ctx:
                r.ctx.clear()
        kind.close(hc)


def begin(
    kind: Kind, hc: HttpConnection, fields: list[tuple[bytes, bytes]], length: int, status: int, fault: str
) -> tuple[Request, bool]:
    """The request that *fields* make, and whether it is good; what is not has been answered."""
    try:
        if status:
            raise BadHead(fault, line_of(kind, fields) if fields else b"", status)
        said, text = head_of(fields, kind.head)
        return _parsed(kind, hc, said, text, length)
    except BadHead as bad:
        r = _headless(kind, hc, bad.line, length)
        answer_refused(r, bad.status, bad.message, r.c)
        return r, False


def line_of(kind: Kind, fields: Fields) -> bytes:
    """The request line of a head that is not complete."""
    said = kind.head()
    said.read(fields)
    return said.line


def _headless(kind: Kind, hc: HttpConnection, line: bytes, length: int) -> Request:
    """The request of a head that cannot be parsed."""
    head = parse_request(b"%s\r\n" % line if line else b"", 0, -1, kind.options(hc.srv, False))
    head.as_fields()
    return _new(hc, head, length)


def _new(hc: HttpConnection, head: RequestHead, length: int) -> Request:
    hc.request = r = Request(hc.c, hc, head, hc.srv.default.hot, hc.request_start)
    r.request_length = length
    return r


def _parsed(kind: Kind, hc: HttpConnection, said: Head, text: bytes, length: int) -> tuple[Request, bool]:
    address = hc.address
    head = parse_request(text, 0, -1, kind.options(hc.srv, address.request_options.stop_at_host))
    head.as_fields()
    r = _new(hc, head, length)
    if address.names and head.server:
        choose_server(r, head)
    if head.rc == HOST_KNOWN:
        head.options = kind.options(r.srv, True)
        while head.rc == HOST_KNOWN:
            head.feed(text)
        r.uri, r.args = head.uri, head.args
    for note in head.notes or ():
        r.log.info(note, ctx=hc.c)
    status, message = _verdict(kind, r, head, said)
    if status:
        answer_refused(r, status, message, r.c)
        return r, False
    hc.action = ""
    return r, True


def _verdict(kind: Kind, r: Request, head: RequestHead, said: Head) -> tuple[int, str]:
    """(0, "") for a good head, else status and message."""
    if not kind.wanted(r):
        return 421, "client attempted to request the server name for which the negotiated protocol is disabled"
    if head.rc != DONE:
        message = head.message
        if said.host is None and message == "client sent invalid host header":
            message = 'client sent invalid ":authority" header'
        return head.rc, message
    if head.count - said.added > r.srv.max_headers:
        return 494, "client sent too many header lines"
    return kind.flaw(r.hc, head)


def run(kind: Kind, r: Request) -> None:
    """From the head to the end of the answer."""
    r.content_length_n = r.head.content_length_n
    r.chunked_body = r.content_length_n < 0 and not kind.ended(r.hc)
    process_request(r)
