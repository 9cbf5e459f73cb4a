"""Range: parts of a body that is known in whole: 206 and 416.   nginx: ngx_http_range_filter_module.c.   RFC 9110 14"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from geng.hot.dates import parse_http_time
from geng.hot.http1 import request_number
from geng.http.filters import FileSlice, Parts, Writer, refuse
from geng.http.module import Module

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request
    from geng.http.response import ResponseOut

MAX_OFFSET = (1 << 63) - 1
UNLIMITED_RANGES = (1 << 31) - 1
PART_OVERHEAD = 256  # bytes that a part's head may take, by nginx's reckoning
SPARE = 4096

_RANGE = request_number(b"range")

ACCEPT_RANGES = (b"Accept-Ranges", b"bytes")

Range = tuple[int, int]  # first byte, and the one after the last

_boundary = count(123456).__next__


class NotSatisfiable(Exception):
    """A 416."""


def link(loc: CoreLoc) -> Filter | None:
    """The filter, unless `max_ranges 0`."""
    return ranged if loc.max_ranges else None


def ranged(r: Request, next: Send) -> Writer:
    if not r.allow_ranges:
        return next(r)
    out = r.out
    if out.status != 200 or out.content_length == -1 or r.head.http_version < 1000:
        return next(r)
    value = r.head.first(_RANGE)
    if value is None or len(value) < 7 or value[:6].lower() != b"bytes=" or not if_range(r, out):
        out.headers.append(ACCEPT_RANGES)
        return next(r)
    try:
        ranges = parse(value, out.content_length, 1 if r.single_range else r.loc.max_ranges)
    except NotSatisfiable:
        return not_satisfiable(r, out)
    if not ranges:
        out.headers.append(ACCEPT_RANGES)
        return next(r)
    out.status = 206
    out.line = b""
    if len(ranges) == 1:
        return single(r, out, ranges[0], next)
    return multiple(r, out, ranges, next)


def if_range(r: Request, out: ResponseOut) -> bool:
    """Whether If-Range, if sent, still holds."""
    value = r.head.if_range
    if value is None:
        return True
    if len(value) >= 2 and value.endswith(b'"'):
        return value == out.etag
    return out.last_modified != -1 and parse_http_time(value) == out.last_modified


# ---- reading


def parse(value: bytes, length: int, most: int) -> list[Range]:
    """The ranges of `bytes=0-4,9-` in *length* bytes; [] to send all of it. Raises NotSatisfiable."""
    ranges: list[Range] = []
    size = 0
    text = value + b"\0"
    at = 6
    while True:
        at, start, end = _range(text, at, length)
        if start < end:
            ranges.append((start, end))
            size += end - start
            if size > MAX_OFFSET:
                raise NotSatisfiable
            if len(ranges) > most:
                return []
        elif start == 0:
            return []
        if text[at] != 44:
            break
        at += 1
    if not ranges:
        raise NotSatisfiable
    if len(ranges) == 1:
        return ranges
    if size > length:
        return []
    if most == UNLIMITED_RANGES and size + len(ranges) * PART_OVERHEAD > length + SPARE:
        return []
    return ranges


def _range(text: bytes, at: int, length: int) -> tuple[int, int, int]:
    """One range from *at* on: (where it ends, first byte, the one after the last). Raises NotSatisfiable."""
    at = _spaces(text, at)
    suffix = text[at] == 45
    start = 0
    if not suffix:
        at, start = _number(text, at)
        at = _spaces(text, at)
        if text[at] != 45:
            raise NotSatisfiable
        at = _spaces(text, at + 1)
        if text[at] in b",\0":
            return at, start, length
    else:
        at += 1
    at, end = _number(text, at)
    at = _spaces(text, at)
    if text[at] not in b",\0":
        raise NotSatisfiable
    if suffix:
        start = length - end if end < length else 0
        end = length - 1
    return at, start, min(end + 1, length)


def _spaces(text: bytes, at: int) -> int:
    while text[at] == 32:
        at += 1
    return at


def _number(text: bytes, at: int) -> tuple[int, int]:
    start = at
    while 48 <= text[at] <= 57:
        at += 1
    if at == start or at - start > 4096:
        raise NotSatisfiable
    number = int(text[start:at])
    if number > MAX_OFFSET:
        raise NotSatisfiable
    return at, number


# ---- answering


def not_satisfiable(r: Request, out: ResponseOut) -> Writer:
    """416, with the length that there is."""
    out.set(b"Content-Range", b"bytes */%d" % out.content_length)
    out.content_length = -1
    return refuse(r, 416, keep=True)


def single(r: Request, out: ResponseOut, one: Range, next: Send) -> Writer:
    """One range is the body itself."""
    start, end = one
    _content_range(out, b"bytes %d-%d/%d" % (start, end - 1, out.content_length))
    out.content_length = end - start
    inner = next(r)
    if r.header_only:
        return inner
    writer = SinglePart(inner, start, end)
    if r.joins_pieces:
        writer.at = out.content_offset
        r.ctx[SinglePart] = writer
    return writer


def multiple(r: Request, out: ResponseOut, ranges: list[Range], next: Send) -> Writer:
    """Several ranges are parts of a multipart body."""
    boundary = b"%020d" % _boundary()
    kind = out.content_type
    if out.charset:
        kind += b"; charset=" + out.charset
        out.charset = b""
    head = b"\r\n--%s\r\n" % boundary
    if kind:
        head += b"Content-Type: %s\r\n" % kind
    out.content_type = b"multipart/byteranges; boundary=" + boundary
    length = out.content_length
    heads = [b"%sContent-Range: bytes %d-%d/%d\r\n\r\n" % (head, start, end - 1, length) for start, end in ranges]
    last = b"\r\n--%s--\r\n" % boundary
    out.content_length = len(last) + sum(map(len, heads)) + sum(end - start for start, end in ranges)
    _content_range(out, b"")
    inner = next(r)
    return inner if r.header_only else MultiPart(inner, list(zip(heads, ranges, strict=True)), last)


def _content_range(out: ResponseOut, value: bytes) -> None:
    if out.passed is not None or out.headers:
        out.remove(b"Content-Range")
    if value:
        out.headers.append((b"Content-Range", value))


def cut(part: Any, start: int, end: int) -> Any:
    """Bytes *start* to *end* of one part of a body."""
    if type(part) is FileSlice:
        return FileSlice(part.fd, part.offset + start, end - start)
    return memoryview(part)[start:end]


class SinglePart(Writer):
    """Lets one range through."""

    __slots__ = ("at", "end_at", "start")

    def __init__(self, inner: Writer, start: int, end: int) -> None:
        self.inner = inner
        self.start = start
        self.end_at = end
        self.at = 0

    def write(self, parts: Parts, flush: bool = False) -> None:
        kept = []
        for part in parts:
            first = self.at
            last = self.at = first + len(part)
            if first < self.end_at and last > self.start:
                kept.append(cut(part, max(self.start - first, 0), min(self.end_at, last) - first))
        if kept or flush:
            self.inner.write(kept, flush)


class MultiPart(Writer):
    """Keeps the body until it is complete (files stay where they are), then sends the parts that were asked for."""

    __slots__ = ("kept", "last", "ranges")

    def __init__(self, inner: Writer, ranges: list[tuple[bytes, Range]], last: bytes) -> None:
        self.inner = inner
        self.ranges = ranges
        self.last = last
        self.kept: list[Any] = []

    def write(self, parts: Parts, flush: bool = False) -> None:
        self.kept.extend(parts)

    def end(self) -> None:
        sent: list[Any] = []
        for head, (start, end) in self.ranges:
            sent.append(head)
            at = 0
            for part in self.kept:
                first, at = at, at + len(part)
                if first < end and at > start:
                    sent.append(cut(part, max(start - first, 0), min(end, at) - first))
        sent.append(self.last)
        self.inner.write(sent)
        self.inner.end()


module = Module(name="http_range_header_filter", header_filter=link, below_postpone=True)
