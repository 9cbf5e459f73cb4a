"""A response's head as fields, coded by HPACK or QPACK.

nginx: ngx_http_v2_filter_module.c (ngx_http_v2_header_filter), ngx_http_v3_filter_module.c (ngx_http_v3_header_filter)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from geng.core import clock
from geng.hot import hpack
from geng.hot.dates import http_time
from geng.http.filters import ClientGone
from geng.http.output import absolute

if TYPE_CHECKING:
    from geng.http.linked import Linked
    from geng.http.request import Request
    from geng.http.response import ResponseOut

Lines = list[tuple[bytes, bytes]]

MOST_CACHED = 2048  # encoded fields that are kept
texts: dict[bytes, bytes] = {}
_dates: list[Any] = [0, b""]  # the second, and its date


class Coding:
    """How fields are written: a field whose name is in the static table begins with what *named* gives for its index.

    statuses: those that are in the table as a whole; status, server …: the index of the name; no_content: the field
    `content-length: 0`; vary: `vary: Accept-Encoding`; coded: one that is in no table; longest: bytes of a name or value.
    """

    __slots__ = ("coded", "content_length", "content_type", "date", "fields", "last_modified", "location", "longest",
                 "no_content", "server", "status", "statuses", "vary")  # fmt: skip

    def __init__(
        self,
        named: Callable[[int], bytes],
        coded: Callable[[bytes, bytes], bytes],
        *,
        statuses: Mapping[int, bytes],
        status: int,
        server: int,
        date: int,
        content_type: int,
        content_length: int,
        last_modified: int,
        location: int,
        vary: bytes,
        no_content: bytes = b"",
        longest: int = 1 << 40,
    ) -> None:
        self.coded = coded
        self.statuses = statuses
        self.status = named(status)
        self.server = named(server)
        self.date = named(date)
        self.content_type = named(content_type)
        self.content_length = named(content_length)
        self.last_modified = named(last_modified)
        self.location = named(location)
        self.vary = vary
        self.no_content = no_content or self.content_length + b"\x010"
        self.longest = longest
        self.fields: dict[tuple[bytes, bytes], bytes] = {}

    def field(self, r: Request, name: bytes, value: bytes) -> bytes:
        """One line, encoded; what comes again and again is looked up."""
        found = self.fields.get((name, value))
        if found is None:
            if len(value) > self.longest or len(name) > self.longest:
                said = value[:1024].decode("latin-1")
                r.log.crit(f'too long response header value: "{name[:1024].decode("latin-1")}: {said}"', ctx=r.c)
                raise ClientGone
            found = self.coded(name.lower(), value)
            if len(self.fields) >= MOST_CACHED:
                self.fields.clear()
            self.fields[name, value] = found
        return found

    def lines(self, r: Request, lines: Lines) -> bytes:
        """Several."""
        return b"".join([self.field(r, name, value) for name, value in lines])


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


def settle(r: Request, out: ResponseOut) -> int:
    """What the status decides about the rest of the head; the status."""
    status = out.status
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
    return status


def may_trail(r: Request) -> bool:
    """Whether trailers may follow a body whose length is known: an upstream's, which pass."""
    u = r.upstream
    return u is not None and u.conf.pass_trailers


def head_block(coding: Coding, r: Request, out: ResponseOut, hot: Linked, status: int) -> bytes:
    """The fields of a head."""
    known = coding.statuses.get(status)
    block = [coding.status, b"\x03%03d" % status] if known is None else [known]
    if out.server is None:
        block += coding.server, text(hot.server_line[8:-2])
    elif out.server:
        block.append(coding.field(r, b"server", out.server))
    if out.date is None:
        block += coding.date, date()
    elif out.date:
        block.append(coding.field(r, b"date", out.date))
    if out.content_type:
        if out.charset:
            out.content_type += b"; charset=" + out.charset
            out.charset = b""
        block += coding.content_type, text(out.content_type)
    if out.content_length > 0:
        size = b"%d" % out.content_length
        block += coding.content_length, bytes((len(size),)), size
    elif out.content_length == 0:
        block.append(coding.no_content)
    if out.last_modified_text:
        block += coding.last_modified, text(out.last_modified_text)
    elif out.last_modified >= 0:
        block += coding.last_modified, text(http_time(out.last_modified))
    location = out.location
    if location:
        if hot.absolute_redirect and location[:1] == b"/":
            out.location = location = absolute(r, r.loc, location)
        block += coding.location, text(location)
    if out.vary and hot.gzip_vary:
        block.append(coding.vary)
    field = coding.field
    if out.etag:
        block.append(field(r, b"etag", out.etag))
    if out.content_encoding:
        block.append(field(r, b"content-encoding", out.content_encoding))
    if out.passed is not None:
        hidden = out.hidden
        block += [field(r, name, value) for name, value in out.passed.items() if name.lower() not in hidden]
    block += [field(r, name, value) for name, value in out.headers]
    return b"".join(block)
