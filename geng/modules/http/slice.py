"""`slice`: a large answer is fetched, and cached, in pieces of one size.   nginx: ngx_http_slice_filter_module.c

The first piece comes by the request itself, each other one by a subrequest that is its clone. Whatever part of the whole
the client has asked for is cut out by the range filter, below the place where subrequests join.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geng.conf.convert import size
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.http import subrequest
from geng.http.filters import DISCARD, ClientGone, Writer
from geng.http.module import NOCACHEABLE, Module, Variable
from geng.modules.http.range import SinglePart

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

MAX_OFFSET = (1 << 63) - 1

_CONTENT_RANGE = re.compile(rb"bytes  *(\d+) *- *(\d+) */ *(\d+|\*) *")
_FIRST = re.compile(rb"(?i:bytes=) *(\d+)")


class SliceConf(Conf, level=Level.LOCATION):
    """How large the pieces are; 0: no pieces."""

    size: int = directive("slice", HSL, size, default=0)


class Slices:
    """Where a request and its subrequests are. start: of the piece that is asked for; end: of what the client gets."""

    __slots__ = ("active", "end", "etag", "range", "start")

    def __init__(self, start: int, size: int) -> None:
        self.end = 0
        self.etag = b""
        self.active = False  # the piece asked for has come
        self.ask(start, size)

    def __repr__(self) -> str:
        return f"<Slices {self.range.decode()} up to {self.end}>"

    def ask(self, start: int, size: int) -> None:
        """The piece from *start* is wanted now."""
        self.start = start
        self.range = b"bytes=%d-%d" % (start, start + size - 1)


# ---- $slice_range


def _slice_range(r: Request) -> bytes | None:
    slices: Slices | None = r.ctx.get(SliceConf)
    if slices is None:
        if r.main is not r or r.out.status:
            return None
        size = r.loc[SliceConf].size
        if not size:
            return None
        slices = r.ctx[SliceConf] = Slices(_first_byte(r) // size * size, size)
    return slices.range


def _first_byte(r: Request) -> int:
    """Where what the client asks for begins, as far as one can know before the length is known."""
    if r.head.if_range is not None:
        return 0
    value = r.head.get(b"range")
    if value is None or len(value) < 7 or b"," in value:
        return 0
    match = _FIRST.match(value)
    start = int(match[1]) if match is not None and len(match[1]) <= 4096 else 0
    return start if start <= MAX_OFFSET else 0


# ---- the answer


def link(loc: CoreLoc) -> Filter | None:
    """The filter that puts pieces together, where there may be any."""
    size = loc[SliceConf].size
    if not size:
        return None

    def sliced(r: Request, next: Send) -> Writer:
        slices: Slices | None = r.ctx.get(SliceConf)
        if slices is None:
            return next(r)
        if r.out.status != 206:
            if r.main is not r:
                raise failed(r, f"unexpected status code {r.out.status} in slice response")
            del r.ctx[SliceConf]
            r.joins_pieces = False
            return next(r)
        length = accept(r, slices, size)
        if r.main is not r:
            return next(r)
        return first(r, slices, size, length, next)

    return sliced


def failed(r: Request, message: str) -> ClientGone:
    """What to raise where the pieces do not fit together: the client must notice, so the connection is closed."""
    r.log.error(message, ctx=r.c)
    r.main.keepalive = False
    r.hc.broken = True
    return ClientGone()


def accept(r: Request, slices: Slices, size: int) -> int:
    """Check the head of one piece and make it one of a whole answer, whose length this returns."""
    out = r.out
    if slices.etag and out.etag != slices.etag:
        raise failed(r, "etag mismatch in slice response")
    slices.etag = out.etag or slices.etag
    told = out.getall(b"content-range")
    match = _CONTENT_RANGE.fullmatch(told[0]) if told else None
    numbers = [int(text) for text in match.groups() if text != b"*"] if match is not None else []
    if not numbers or max(numbers) > MAX_OFFSET:
        raise failed(r, "invalid range in slice response")
    if len(numbers) == 2:
        raise failed(r, "no complete length in slice response")
    start, last, length = numbers
    end = min(start + size, length)
    if start != slices.start or last + 1 != end:
        raise failed(r, f"unexpected range in slice response: {start}-{last + 1}, expected: {slices.start}-{end}")
    slices.start = end
    slices.active = True
    out.status = 200
    out.line = b""
    out.content_length = length
    out.content_offset = start
    out.remove(b"content-range")
    out.remove(b"accept-ranges")
    r.allow_ranges = r.single_range = True
    return length


def first(r: Request, slices: Slices, size: int, length: int, next: Send) -> Writer:
    """The whole answer's head: how much of it the client wants is known when it has passed the range filter."""
    r.joins_pieces = True
    inner = next(r)
    if r.header_only or inner is DISCARD:
        return inner
    r.preserve_body = True
    part: SinglePart | None = r.ctx.get(SinglePart)
    slices.end = length
    if part is not None:
        if slices.start + size <= part.start:
            slices.start = part.start // size * size
        slices.end = part.end_at
    return Pieces(inner, r, slices, size, part)


class Pieces(Writer):
    """Passes the first piece on; at its end it fetches the others."""

    __slots__ = ("part", "r", "size", "slices")

    def __init__(self, inner: Writer, r: Request, slices: Slices, size: int, part: SinglePart | None) -> None:
        self.inner = inner
        self.r = r
        self.slices = slices
        self.size = size
        self.part = part

    def end(self) -> None:
        r, slices = self.r, self.slices
        self.inner.end()  # as far as the place where subrequests join
        while slices.start < slices.end:
            self.fetch(r, slices)
        r.ctx.pop(SliceConf, None)
        if r.sink is not None:
            r.sink.end()

    def fetch(self, r: Request, slices: Slices) -> None:
        try:
            sub = subrequest.make(r, r.uri, r.args, clone=True)
        except subrequest.SubrequestsCycle:
            r.hc.broken = True
            raise ClientGone from None
        slices.ask(slices.start, self.size)
        slices.active = False
        sub.ctx[SliceConf] = slices
        if self.part is not None:
            self.part.at = slices.start
        subrequest.run(sub, r.hot.content_handler)
        r.main.subrequests += 1  # it is over: only how many there are at a time is limited
        if r.hc.broken:
            raise ClientGone
        if not slices.active:
            raise failed(r, "missing slice response")


module = Module(
    name="http_slice_filter",
    configure_flag="--with-http_slice_module",
    confs=(SliceConf,),
    variables=(Variable("slice_range", _slice_range, NOCACHEABLE),),
    header_filter=link,
)
