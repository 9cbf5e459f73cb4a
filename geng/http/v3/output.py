"""The end of the filter chain for a request stream: the head becomes HEADERS, the body DATA.

nginx: ngx_http_v3_filter_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.errors import ConnectionClosed
from geng.http.filters import ClientGone, Parts, Writer
from geng.http.headblock import Coding, Lines, head_block, may_trail, settle
from geng.http.output import Output, StreamOutput, bind_framed
from geng.http.v3.request import RequestStream
from geng.wire import http3 as wire
from geng.wire import qpack

if TYPE_CHECKING:
    from geng.http.request import Request

QPACK = Coding(
    qpack.named,
    qpack.field,
    statuses={200: qpack.indexed(25)},
    status=25,
    server=92,
    date=6,
    content_type=53,
    content_length=4,
    last_modified=10,
    location=12,
    vary=qpack.indexed(59),
    no_content=qpack.indexed(4),
)
EARLY_HINTS = qpack.NO_TABLE + qpack.indexed(24)


def output(r: Request) -> Writer:
    """The last filter, for a request stream."""
    out = r.out
    hc: RequestStream = r.hc  # type: ignore[assignment]
    if r.c.send_error:  # type: ignore[attr-defined]
        hc.broken = True
        raise ClientGone
    status = settle(r, out)
    block = qpack.NO_TABLE + head_block(QPACK, r, out, r.hot, status)
    head = wire.frame(wire.HEADERS, block)
    hc.session.count(len(head), len(block))
    if r.header_only:
        r.header_size += len(head)
        nothing = NoBody(r, head)
        nothing.end()
        return nothing
    if out.content_length < 0 or out.expect_trailers or may_trail(r):
        r.header_size += len(head)
        return FramedOutput(r, head)
    head += wire.data_header(out.content_length)
    r.header_size += len(head)
    hc.session.count(out.content_length, out.content_length)
    return DataOutput(r, head)


class DataOutput(StreamOutput):
    """A body of known length: one DATA frame."""

    __slots__ = ()

    def end(self) -> None:
        Output.end(self)
        self.finish()

    def finish(self) -> None:
        """All of the response is on its way."""
        hc: RequestStream = self.r.hc  # type: ignore[assignment]
        hc.answered = True
        self.c.shutdown_write()

    def gone(self, error: ConnectionClosed) -> None:
        """Where the client has reset the stream, or the connection is over, the log need not have it."""
        if not self.c.send_error:  # type: ignore[attr-defined]
            Output.gone(self, error)
        self.r.keepalive = False
        self.r.hc.broken = True
        raise ClientGone from None


class FramedOutput(DataOutput):
    """A body of unknown length, or with trailers: DATA frames as it comes."""

    __slots__ = ()

    def write(self, parts: Parts, flush: bool = False) -> None:
        size = sum(map(len, parts))
        if size:
            header = wire.data_header(size)
            self.count(len(header) + size, size)
            parts = (header, *parts)
        Output.write(self, parts, flush)

    def count(self, total: int, payload: int) -> None:
        hc: RequestStream = self.r.hc  # type: ignore[assignment]
        hc.session.count(total, payload)

    def end(self) -> None:
        trailers = self.r.out.trailers
        if trailers:
            block = qpack.NO_TABLE + QPACK.lines(self.r, trailers)
            frame = wire.frame(wire.HEADERS, block)
            self.count(len(frame), len(block))
            self.held.append(frame)
        DataOutput.end(self)


class NoBody(DataOutput):
    """No body follows this head, whatever the handler writes."""

    __slots__ = ()

    def write(self, parts: Parts, flush: bool = False) -> None:
        pass

    def end(self) -> None:
        if self.held:
            DataOutput.end(self)


def early_hints(r: Request, lines: Lines) -> None:
    """A 103 before the response (ngx_http_v3_early_hints_filter)."""
    if r.c.send_error:  # type: ignore[attr-defined]
        raise ClientGone
    hc: RequestStream = r.hc  # type: ignore[assignment]
    block = EARLY_HINTS + QPACK.lines(r, lines)
    frame = wire.frame(wire.HEADERS, block)
    hc.session.count(len(frame), len(block))
    r.header_size += len(frame)
    Output.end(DataOutput(r, frame))


bind_framed(3000, output, early_hints)
