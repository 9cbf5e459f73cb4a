"""The end of the filter chain for a stream: the head becomes a header block, the body DATA frames.

nginx: ngx_http_v2_filter_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.errors import ConnectionClosed
from geng.hot import hpack
from geng.http.filters import DISCARD, ClientGone, FileSlice, Parts, Writer
from geng.http.headblock import Coding, Lines, head_block, may_trail, settle
from geng.http.output import Output, StreamOutput, bind_framed
from geng.wire import http2 as wire

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.http.v2.stream import Stream

NO_SIZE_BUT_ZERO = b"\x20"  # the dynamic table is given up: this side uses none

# literal fields, to be indexed, with the name from the static table
HPACK = Coding(
    lambda index: bytes((0x40 | index,)),
    hpack.field,
    statuses={200: b"\x88", 204: b"\x89", 206: b"\x8a", 304: b"\x8b", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"},
    status=8,
    server=54,
    date=33,
    content_type=31,
    content_length=28,
    last_modified=44,
    location=46,
    vary=b"\x7b" + hpack.text(b"Accept-Encoding"),
    longest=127 + (1 << 21) - 1,
)


def output(r: Request) -> Writer:
    """The last filter, for a stream."""
    out = r.out
    stream: Stream = r.c  # type: ignore[assignment]
    if stream.gone:
        r.hc.broken = True
        raise ClientGone
    status = settle(r, out)
    session = stream.session
    block = head_block(HPACK, r, out, r.hot, status)
    if session.table_update:
        session.table_update = False
        block = NO_SIZE_BUT_ZERO + block
    last = r.header_only or (out.content_length == 0 and not out.expect_trailers)
    r.header_size = send_block(stream, block, last)
    if last:
        stream.out_closed = True
        return DISCARD
    return DataOutput(r)


def send_block(stream: Stream, block: bytes, last: bool) -> int:
    """HEADERS, and CONTINUATION where needed; their size."""
    session = stream.session
    frame = wire.headers(stream.sid, block, last, session.frame_size)
    stream.sent += len(frame)
    session.send_headers(frame)
    return len(frame)


class DataOutput(StreamOutput):
    """The body of a response in DATA frames. END_STREAM goes with the last byte where the length is known."""

    __slots__ = ()

    def __init__(self, r: Request) -> None:
        self.begin(r, b"")
        stream: Stream = r.c  # type: ignore[assignment]
        stream.chunk = r.loc.http2_chunk_size
        out = r.out
        if out.content_length >= 0 and not (out.expect_trailers or may_trail(r)):
            stream.rest = out.content_length

    def write(self, parts: Parts, flush: bool = False) -> None:
        stream: Stream = self.c  # type: ignore[assignment]
        if stream.out_closed and not stream.gone and any(map(len, parts)):
            self.r.log.error("output on closed stream", ctx=self.r.c)
            self.gone(ConnectionClosed(0, "send()"))
        Output.write(self, parts, flush)
        if flush and not stream.session.reading:
            stream.session.flush()

    def end(self) -> None:
        stream: Stream = self.c  # type: ignore[assignment]
        trailers = self.r.out.trailers
        if self.held and not trailers and stream.rest < 0:
            stream.rest = self.held_size
        Output.end(self)
        if trailers and not stream.out_closed:
            self.send_trailers(stream, trailers)
            return
        stream.end()

    def send_trailers(self, stream: Stream, trailers: Lines) -> None:
        block = HPACK.lines(self.r, trailers)
        frame = wire.headers(stream.sid, block, True, stream.session.frame_size)
        stream.sent += len(frame)
        stream.out_closed = True
        stream.session.payload_bytes += len(frame)
        stream.session.queue_data(frame, stream)
        stream.session.flush_soon()

    def send_files(self, parts: list[Any]) -> None:
        """A file is read as the windows open, so that frames are as large as can be."""
        stream: Stream = self.c  # type: ignore[assignment]
        timeout = self.loc.send_timeout
        before: list[Any] = []
        for part in parts:
            if type(part) is not FileSlice:
                before.append(part)
                continue
            if before:
                stream.send(before, timeout)
                before = []
            stream.sendfile(part.fd, part.offset, part.length, timeout)
        if before:
            stream.send(before, timeout)

    def gone(self, error: ConnectionClosed) -> None:
        stream: Stream = self.c  # type: ignore[assignment]
        if stream.gone or stream.out_closed:  # the log has it already
            self.r.keepalive = False
            self.r.hc.broken = True
            raise ClientGone from None
        Output.gone(self, error)


def early_hints(r: Request, lines: Lines) -> None:
    """A 103 before the response (ngx_http_v2_early_hints_filter)."""
    stream: Stream = r.c  # type: ignore[assignment]
    if stream.gone:
        raise ClientGone
    block = HPACK.status + b"\x03103" + HPACK.lines(r, lines)
    if stream.session.table_update:
        stream.session.table_update = False
        block = NO_SIZE_BUT_ZERO + block
    send_block(stream, block, False)
    if not stream.session.reading:
        stream.session.flush()


bind_framed(2000, output, early_hints)
