"""A stream's request.   nginx: ngx_http_v2.c (ngx_http_v2_run_request, …_close_stream)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.core.clock import msec
from geng.http import framed
from geng.http.connection import HttpConnection
from geng.http.fields import Head
from geng.http.v2 import stream as streams

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.http.v2.stream import Stream
    from geng.wire.http1 import RequestHead


def _open(stream: Stream) -> HttpConnection:
    """What HTTP keeps with a connection, for *stream*."""
    above = stream.session.hc
    hc = HttpConnection(stream, above.address)
    framed.take_over(hc, above, stream)
    hc.request_start = msec()
    hc.action = "reading client request headers"
    stream.started = True
    return hc


def give_up(stream: Stream, status: int) -> None:
    """*stream* is over before its request was known; in the hub."""
    framed.give_up(HTTP_2, _open(stream), stream.request_length, status)


def serve(stream: Stream, fields: list[tuple[bytes, bytes]]) -> None:
    """Serve the request of *stream*; in a greenlet of its own."""
    framed.serve(HTTP_2, _open(stream), fields, stream.request_length)


def _wanted(r: Request) -> bool:
    return r.srv.http2 or r.hc.address.http2


def _flaw(hc: HttpConnection, head: RequestHead) -> tuple[int, str]:
    stream: Stream = hc.c  # type: ignore[assignment]
    if head.content_length_n > 0 and stream.in_closed:
        stream.skip_body()
        return 400, "client prematurely closed stream"
    return 0, ""


HTTP_2 = framed.Kind(
    major=2,
    head=Head,
    wanted=_wanted,
    ended=lambda hc: hc.c.in_closed,
    flaw=_flaw,
    close=lambda hc: hc.c.close(),
)

streams.bind(give_up)
