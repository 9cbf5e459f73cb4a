"""The end of the filter chain: the head becomes bytes, the body gets its coding, and both go to the client.

nginx: ngx_http_header_filter_module.c, ngx_http_chunked_filter_module.c, ngx_http_write_filter_module.c
The head waits for the first bytes of the body, so that a small answer is one system call.
"""

from __future__ import annotations

from collections.abc import Callable
from os import pread
from time import monotonic
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from geng.conf.convert import holds
from geng.core import clock
from geng.core.clock import seconds
from geng.errors import ConnectionClosed, TimedOut
from geng.hot.dates import http_time
from geng.hot.decimal import decimal
from geng.hot.http1 import CONNECT, HEAD
from geng.hot.pieces import join
from geng.http.filters import ClientGone, FileSlice, Parts, Writer
from geng.wire.http1 import STATUS_LINES as _LINES
from geng.wire.http1 import last_chunk, status_line

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.linked import Linked
    from geng.http.request import Request
    from geng.net.connection import Connection

KEEP_ALIVE_LINE = b"Connection: keep-alive\r\n"
CLOSE_LINE = b"Connection: close\r\n"
CRLF = b"\r\n"
CHUNKED_LINE = b"Transfer-Encoding: chunked\r\n"
READ_SIZE = 65536

# as a C integer
_HEAD = HEAD
_CONNECT = CONNECT


def server_and_date(hot: Linked) -> bytes:
    """The two lines that every response begins with, made once a second."""
    second = seconds()
    if hot.dated_at != second:
        hot.dated = b"%sDate: %s\r\n" % (hot.server_line, clock.http_time())
        hot.dated_at = second
    return hot.dated


# What takes the place of output() and early_hints() for HTTP/2 and HTTP/3, by version; bound by geng.http.v2.output and
# geng.http.v3.output.
framed_outputs: dict[int, Callable[[Request], Writer]] = {}
framed_hints: dict[int, Callable[[Request, list[tuple[bytes, bytes]]], None]] = {}


def bind_framed(
    version: int, output: Callable[[Request], Writer], hints: Callable[[Request, list[tuple[bytes, bytes]]], None]
) -> None:
    """Answer requests of *version* (2000, 3000) with these."""
    framed_outputs[version], framed_hints[version] = output, hints


def output(r: Request) -> Writer:
    """The last filter: decide on the coding and the connection, write the head, give the writer for the body."""
    r.header_sent = True
    out = r.out
    hot = r.hot
    status = out.status
    version = r.head.http_version
    if version > 1999:
        return framed_outputs[version](r)
    if version == 9 or out.headless:
        return Output(r, b"")
    method = r.method_id
    if method == _HEAD and r.head.method_id == _HEAD:
        r.header_only = True
    chunked = False
    if status >= 200 and status != 304 and status != 204 and method != _HEAD:
        if out.content_length < 0 or out.expect_trailers:
            if method == _CONNECT and status < 300:
                r.keepalive = False  # what follows is no body
            elif version > 1000 and hot.chunked_transfer_encoding:
                out.content_length = -1
                chunked = out.chunked = True
            elif out.content_length < 0:
                r.keepalive = False
    if r.keepalive and r.hc.worker.exiting:
        r.keepalive = False
    if status == 304:
        r.header_only = True
    elif status == 204 and not out.line:
        r.header_only = True
        out.content_type = b""
        out.content_length = out.last_modified = -1
        out.last_modified_text = b""
    head = _head(r, out, hot, status, chunked)
    r.header_size = len(head)
    if r.header_only:
        writer: Output = HeadOnly(r, head)
        writer.end()
        return writer
    if chunked:
        return ChunkedOutput(r, head)
    plain = Output.__new__(Output)
    plain.begin(r, head)
    return plain


def _head(r: Request, out: Any, hot: Linked, status: int, chunked: bool) -> bytes:
    if out.line:
        lines = [b"HTTP/1.1 ", out.line, CRLF]
    else:
        lines = [_LINES.get(status) or status_line(status)]
    if out.server is None and out.date is None:
        lines.append(server_and_date(hot))
    else:  # an upstream's own, b"" where it had none
        if out.server is None:
            lines.append(hot.server_line)
        elif out.server:
            add(lines, b"Server: ", out.server)
        if out.date is None or out.date:
            add(lines, b"Date: ", out.date or clock.http_time())
    if out.content_type:
        if out.charset:
            out.content_type += b"; charset=" + out.charset
            out.charset = b""
        add(lines, b"Content-Type: ", out.content_type)
    if out.content_length >= 0:
        add(lines, b"Content-Length: ", decimal(out.content_length))
    if out.last_modified_text and status in (200, 206, 304):
        add(lines, b"Last-Modified: ", out.last_modified_text)
    elif out.last_modified >= 0:
        if status in (200, 206, 304):
            add(lines, b"Last-Modified: ", http_time(out.last_modified))
        else:
            out.last_modified = -1
    location = out.location
    if location and hot.absolute_redirect and location[:1] == b"/":
        out.location = absolute(r, r.loc, location)
        add(lines, b"Location: ", out.location)
        location = b""
    if chunked:
        lines.append(CHUNKED_LINE)
    if status == 101:
        lines.append(b"Connection: upgrade\r\n")
    elif r.keepalive:
        lines.append(KEEP_ALIVE_LINE)
        if hot.keepalive_header:
            add(lines, b"Keep-Alive: timeout=", decimal(hot.keepalive_header))
    else:
        lines.append(CLOSE_LINE)
    if out.vary and hot.gzip_vary:
        lines.append(b"Vary: Accept-Encoding\r\n")
    if location:
        add(lines, b"Location: ", location)
    if out.etag:
        add(lines, b"ETag: ", out.etag)
    if out.content_encoding:
        add(lines, b"Content-Encoding: ", out.content_encoding)
    if out.passed is not None:
        out.passed.write_client(lines, out.hidden)
    for name, value in out.headers:
        lines.append(name)
        add(lines, b": ", value)
    lines.append(CRLF)
    return join(lines)


def add(lines: list[bytes], name: bytes, value: bytes) -> None:
    lines.append(name)
    lines.append(value)
    lines.append(CRLF)


def absolute(r: Request, loc: CoreLoc, location: bytes) -> bytes:
    """A local location as an absolute one, by absolute_redirect, server_name_in_redirect and port_in_redirect."""
    c = r.c
    local = c.local_addr()
    port = local[1] if isinstance(local, tuple) else 0
    if loc.server_name_in_redirect:
        host = r.srv.server_name
    elif r.server_name_asked:
        host = r.server_name_asked
    elif isinstance(local, tuple):
        host = local[0].encode()
        if b":" in host:
            host = b"[%s]" % host
    else:
        host = b"unix:" + (local if isinstance(local, bytes) else str(local).encode())
    schema = b"https" if r.hc.ssl else b"http"
    if not loc.port_in_redirect or port == (443 if r.hc.ssl else 80):
        port = 0
    return b"%s://%s:%d%s" % (schema, host, port, location) if port else b"%s://%s%s" % (schema, host, location)


def whole(part: FileSlice) -> bytes:
    """All bytes of *part*; raises ConnectionClosed where the file has become shorter."""
    data = pread(part.fd, part.length, part.offset)
    while len(data) < part.length:
        more = pread(part.fd, part.length - len(data), part.offset + len(data))
        if not more:
            raise ConnectionClosed(0, "pread()")
        data += more
    return data


class Output(Writer):
    """A body of known length, or one that ends with the connection."""

    __slots__ = ("c", "held", "held_size", "hot", "loc", "r")

    def __init__(self, r: Request, head: bytes) -> None:
        self.begin(r, head)

    def begin(self, r: Request, head: bytes) -> None:
        """__init__(), for compiled callers."""
        self.r = r
        self.c = r.c
        self.loc = r.loc
        self.hot = r.hot
        self.held: list[Any] = [head] if head else []
        self.held_size = len(head)

    def write(self, parts: Parts, flush: bool = False) -> None:
        held = self.held
        size = self.held_size
        for part in parts:
            n = len(part)
            if n:
                held.append(part)
                size += n
        if size and (flush or size >= self.hot.postpone_output):
            self.held = []
            self.held_size = 0
            self.send(held)
        else:
            self.held_size = size

    def end(self) -> None:
        held = self.held
        if held:
            self.held = []
            self.held_size = 0
            self.send(held)
        if self.r.pushing:
            self.uncork()

    def abort(self) -> None:
        """What was written goes out, and the connection will be closed before the body is complete."""
        self.r.keepalive = False
        self.write((), True)

    def splice_target(self) -> Connection | None:
        if self.rate() or self.r.hc.ssl:
            return None
        self.write((), True)
        return self.c

    def spliced(self, n: int) -> None:
        pass  # the pipe has counted them: net.pipes.Pipe.empty

    def rate(self) -> int:
        """Bytes per second that this response may take, 0 for no limit."""
        r = self.r
        if r.limit_rate is None:
            if self.loc.limit_rate is None:
                return 0
            r.limit_rate = self.loc.limit_rate(r)
        return r.limit_rate

    def send(self, parts: list[Any]) -> None:
        """All of *parts* to the client, waiting as long as it makes progress; raises ClientGone."""
        r = self.r
        try:
            if r.limit_rate is not None or self.hot.limit_rate is not None:
                rate = self.rate()
                if rate:
                    self.send_slowly(parts, rate)
                    return
            for part in parts:
                if type(part) is FileSlice:
                    self.send_files(parts)
                    return
            self.c.send(parts, self.hot.send_timeout)
        except ConnectionClosed as error:
            self.gone(error)
        except TimedOut:
            self.timed_out()

    def gone(self, error: ConnectionClosed) -> None:
        r = self.r
        r.keepalive = False
        r.hc.broken = True
        if error.call not in ("sendfile()", "pread()") or error.error:
            r.log.log(error.level("info"), error.message, err=error.error, ctx=r.hc.doing("sending to client"))
        else:
            r.log.alert("a file is shorter than it was while sending to client", ctx=r.c)
        raise ClientGone from None

    def timed_out(self) -> None:
        r = self.r
        r.keepalive = False
        r.hc.broken = True
        r.hc.timed_out = True
        r.log.info("client timed out", err=110, ctx=r.hc.doing("sending response to client"))
        raise ClientGone from None

    def send_files(self, parts: list[Any]) -> None:
        """Parts of which some are in files: by sendfile where the location has it on, and they are large enough."""
        c, loc = self.c, self.loc
        timeout = loc.send_timeout
        if sum(map(len, parts)) <= READ_SIZE:
            # one pread and one send with the head cost less than send and sendfile, with two setsockopt around them
            # for tcp_nopush: 1 KB 21 us instead of 27, 16 KB 26 instead of 27, 64 KB 30 instead of 31
            c.send([whole(part) if type(part) is FileSlice else part for part in parts], timeout)
            return
        before: list[Any] = []
        for part in parts:
            if type(part) is not FileSlice:
                before.append(part)
            elif not loc.sendfile or self.r.hc.ssl:
                self.send_read(before, part)
                before = []
            else:
                if loc.tcp_nopush and not self.r.pushing and before:
                    self.r.pushing = True
                    c.set_cork(True)
                if before:
                    c.send(before, timeout)
                    before = []
                chunk = loc.sendfile_max_chunk or part.length
                offset, left = part.offset, part.length
                while left > 0:
                    n = min(chunk, left)
                    c.sendfile(part.fd, offset, n, timeout)
                    offset += n
                    left -= n
        if before:
            c.send(before, timeout)

    def send_read(self, before: list[Any], part: FileSlice) -> None:
        """A file's bytes through memory (sendfile off), the first piece together with what stands before it."""
        offset, left = part.offset, part.length
        size = self.loc.output_buffer_size
        while left > 0:
            data = pread(part.fd, min(left, size), offset)
            if not data:
                raise ConnectionClosed(0, "pread()")
            before.append(data)
            self.c.send(before, self.loc.send_timeout)
            before = []
            offset += len(data)
            left -= len(data)

    def uncork(self) -> None:
        self.r.pushing = False
        if not self.c.closed:
            self.c.set_cork(False)
            if self.loc.tcp_nodelay:
                self.c.set_nodelay()

    def send_slowly(self, parts: list[Any], rate: int) -> None:
        """limit_rate: so much per second, after limit_rate_after bytes (ngx_http_write_filter)."""
        r, c = self.r, self.c
        after = r.limit_rate_after
        if after is None:
            value = self.loc.limit_rate_after
            after = r.limit_rate_after = value(r) if value is not None else 0
        start = r.start_msec / 1000
        for part in parts:
            offset, left = 0, len(part)
            while left > 0:
                limit = int(rate * (int(monotonic()) - int(start) + 1)) - (c.sent - after)
                if limit <= 0:
                    self.pause(-limit * 1000 / rate + 1)
                    continue
                n = min(left, limit)
                if type(part) is FileSlice:
                    self.send_files([FileSlice(part.fd, part.offset + offset, n)])
                else:
                    c.send((memoryview(part)[offset : offset + n],), self.loc.send_timeout)
                offset += n
                left -= n
                if left > 0:
                    self.pause(n * 1000 / rate)

    def pause(self, ms: float) -> None:
        """Send nothing for *ms*; raises Abandoned when the client goes meanwhile."""
        c = self.c
        c.abort_on_close(getcurrent())
        try:
            c.hub.sleep(ms)
        finally:
            c.on_read = None
        if c.closed:
            raise ConnectionClosed(0, "send()")


class ChunkedOutput(Output):
    """A body in chunks."""

    __slots__ = ()

    def write(self, parts: Parts, flush: bool = False) -> None:
        size = 0
        for part in parts:
            size += len(part)
        if size:
            parts = (b"%x\r\n" % size, *parts, b"\r\n")
        Output.write(self, parts, flush)

    def end(self) -> None:
        trailers = self.r.out.trailers
        self.held.append(last_chunk(trailers) if trailers else b"0\r\n\r\n")
        Output.end(self)

    def splice_target(self) -> Connection | None:
        return None


class StreamOutput(Output):
    """A body that leaves in frames of a stream (HTTP/2, HTTP/3): there is no socket to cork, and none to splice into."""

    __slots__ = ()

    def uncork(self) -> None:
        self.r.pushing = False

    def splice_target(self) -> Connection | None:
        return None


class HeadOnly(Output):
    """No body follows this head, whatever the handler writes."""

    __slots__ = ()

    def write(self, parts: Parts, flush: bool = False) -> None:
        pass

    def splice_target(self) -> Connection | None:
        return None


def early_hints(r: Request, lines: list[tuple[bytes, bytes]]) -> None:
    """A 103 before the response (ngx_http_early_hints_filter)."""
    if r.main is not r or r.head.http_version < 1001 or not lines or r.header_sent or r.post_action:
        return
    if r.loc.early_hints is None or not holds(r.loc.early_hints, r):
        return
    if r.head.http_version > 1999:
        framed_hints[r.head.http_version](r, lines)
        return
    parts = [b"HTTP/1.1 103 Early Hints\r\n", *(b"%s: %s\r\n" % line for line in lines), b"\r\n"]
    Output(r, b"".join(parts)).end()
