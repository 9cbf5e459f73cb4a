"""The end of the filter chain for a stream: the head becomes a header block, the body DATA frames.

nginx: ngx_http_v2_filter_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.core import clock
from geng.errors import ConnectionClosed
from geng.hot import hpack
from geng.hot.dates import http_time
from geng.http.filters import DISCARD, ClientGone, FileSlice, Parts, Writer
from geng.http.output import Output, absolute, bind_framed
from geng.wire import http2 as wire

if TYPE_CHECKING:
    from geng.http.linked import Linked
    from geng.http.request import Request
    from geng.http.response import ResponseOut
    from geng.http.v2.stream import Stream
    from geng.net.connection import Connection

Lines = list[tuple[bytes, bytes]]

MAX_FIELD = 127 + (1 << 21) - 1
NO_SIZE_BUT_ZERO = b"\x20"  # the dynamic table is given up: this side uses none

STATUS = {200: b"\x88", 204: b"\x89", 206: b"\x8a", 304: b"\x8b", 400: b"\x8c", 404: b"\x8d", 500: b"\x8e"}
VARY = b"\x7b" + hpack.text(b"Accept-Encoding")

# literal fields, to be indexed, with the name from the static table
STATUS_NAME, SERVER, DATE, CONTENT_TYPE, CONTENT_LENGTH, LAST_MODIFIED, LOCATION = (
    bytes((0x40 | index,)) for index in (8, 54, 33, 31, 28, 44, 46)
)

MOST_CACHED = 2048  # encoded fields that are kept
fields: dict[tuple[bytes, bytes], bytes] = {}
texts: dict[bytes, bytes] = {}
_dates: list[Any] = [0, b""]  # the second, and its date


def field(r: Request, name: bytes, value: bytes) -> bytes:
    """One line, encoded; what comes again and again is looked up."""
    found = fields.get((name, value))
    if found is None:
        if len(value) > MAX_FIELD or len(name) > MAX_FIELD:
            said = value[:1024].decode("latin-1")
            r.log.crit(f'too long response header value: "{name[:1024].decode("latin-1")}: {said}"', ctx=r.c)
            raise ClientGone
        found = hpack.field(name.lower(), value)
        if len(fields) >= MOST_CACHED:
            fields.clear()
        fields[name, value] = found
    return found


def text(value: bytes) -> bytes:
    """A value, encoded."""
    found = texts.get(value)
    if found is None:
        found = hpack.text(value)
        if len(texts) >= MOST_CACHED:
            texts.clear()
        texts[value] = found
    return found


def date() -> bytes:
    """This second, encoded."""
    second = clock.seconds()
    if _dates[0] != second:
        _dates[:] = second, hpack.text(clock.http_time())
    encoded: bytes = _dates[1]
    return encoded


def output(r: Request) -> Writer:
    """The last filter, for a stream."""
    out = r.out
    stream: Stream = r.c  # type: ignore[assignment]
    status = out.status
    if stream.gone:
        r.hc.broken = True
        raise ClientGone
    if r.method == b"HEAD":
        r.header_only = True
    if status == 204:
        r.header_only = True
        out.content_type = b""
        out.content_length = -1
    elif status == 304:
        r.header_only = True
    if status not in (200, 206, 304):
        out.last_modified = -1
        out.last_modified_text = b""
    session = stream.session
    block = head_block(r, out, r.hot, status)
    if session.table_update:
        session.table_update = False
        block = NO_SIZE_BUT_ZERO + block
    last = r.header_only or (out.content_length == 0 and not out.expect_trailers)
    r.header_size = send_block(stream, block, last)
    if last:
        stream.out_closed = True
        return DISCARD
    return StreamOutput(r)


def send_block(stream: Stream, block: bytes, last: bool) -> int:
    """HEADERS, and CONTINUATION where needed; their size."""
    session = stream.session
    frame = wire.headers(stream.sid, block, last, session.frame_size)
    stream.sent += len(frame)
    session.send_headers(frame)
    return len(frame)


def head_block(r: Request, out: ResponseOut, hot: Linked, status: int) -> bytes:
    known = STATUS.get(status)
    block = [STATUS_NAME, b"\x03%03d" % status] if known is None else [known]
    if out.server is None:
        block += SERVER, text(hot.server_line[8:-2])
    elif out.server:
        block.append(field(r, b"server", out.server))
    if out.date is None:
        block += DATE, date()
    elif out.date:
        block.append(field(r, b"date", out.date))
    if out.content_type:
        if out.charset:
            out.content_type += b"; charset=" + out.charset
            out.charset = b""
        block += CONTENT_TYPE, text(out.content_type)
    if out.content_length >= 0:
        size = b"%d" % out.content_length
        block += CONTENT_LENGTH, bytes((len(size),)), size
    if out.last_modified_text:
        block += LAST_MODIFIED, text(out.last_modified_text)
    elif out.last_modified >= 0:
        block += LAST_MODIFIED, text(http_time(out.last_modified))
    location = out.location
    if location:
        if hot.absolute_redirect and location[:1] == b"/":
            out.location = location = absolute(r, r.loc, location)
        block += LOCATION, text(location)
    if out.vary and hot.gzip_vary:
        block.append(VARY)
    if out.etag:
        block.append(field(r, b"etag", out.etag))
    if out.content_encoding:
        block.append(field(r, b"content-encoding", out.content_encoding))
    if out.passed is not None:
        hidden = out.hidden
        block += [field(r, name, value) for name, value in out.passed.items() if name.lower() not in hidden]
    block += [field(r, name, value) for name, value in out.headers]
    return b"".join(block)


class StreamOutput(Output):
    """The body of a stream's response. END_STREAM goes with the last byte where the length is known."""

    __slots__ = ()

    def __init__(self, r: Request) -> None:
        self.begin(r, b"")
        stream: Stream = r.c  # type: ignore[assignment]
        stream.chunk = r.loc.http2_chunk_size
        out = r.out
        if out.content_length >= 0 and not out.expect_trailers:
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
        block = b"".join([field(self.r, name, value) for name, value in trailers])
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

    def uncork(self) -> None:
        self.r.pushing = False

    def splice_target(self) -> Connection | None:
        return None

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
    block = STATUS_NAME + b"\x03103" + b"".join([field(r, name, value) for name, value in lines])
    if stream.session.table_update:
        stream.session.table_update = False
        block = NO_SIZE_BUT_ZERO + block
    send_block(stream, block, False)
    if not stream.session.reading:
        stream.session.flush()


bind_framed(2000, output, early_hints)
