"""If-Modified-Since, If-None-Match and their opposites: 304 and 412.

nginx: ngx_http_not_modified_filter_module.c.   RFC 9110 13.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.hot.dates import parse_http_time
from geng.hot.http1 import request_number
from geng.http.filters import Writer, refuse
from geng.http.module import Module

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

_UNMODIFIED_SINCE = request_number(b"if-unmodified-since")
_MATCH = request_number(b"if-match")
_MODIFIED_SINCE = request_number(b"if-modified-since")
_NONE_MATCH = request_number(b"if-none-match")

OFF, EXACT, BEFORE = range(3)
"""if_modified_since"""


def link(loc: CoreLoc) -> Filter:
    """Always there; most requests ask nothing of it."""
    return not_modified


def not_modified(r: Request, next: Send) -> Writer:
    out = r.out
    if r.disable_not_modified or out.status != 200 or r.main is not r:
        return next(r)
    head = r.head
    value = head.first(_UNMODIFIED_SINCE)
    if value is not None and not unmodified(value, out.last_modified):
        return refuse(r, 412)
    value = head.first(_MATCH)
    if value is not None and not matches(value, out.etag):
        return refuse(r, 412)
    since = head.first(_MODIFIED_SINCE)
    tags = head.first(_NONE_MATCH)
    if since is None and tags is None:
        return next(r)
    if since is not None and modified(since, out.last_modified, r.loc.if_modified_since):
        return next(r)
    if tags is not None and not matches(tags, out.etag, weak=True):
        return next(r)
    out.status = 304
    out.line = out.content_type = out.content_encoding = b""
    out.content_length = -1
    out.remove(b"accept-ranges")
    return next(r)


def unmodified(value: bytes, last_modified: int) -> bool:
    """Whether what was changed at *last_modified* (-1: unknown) is as it was at *value*."""
    return last_modified != -1 and parse_http_time(value) >= last_modified


def modified(value: bytes, last_modified: int, mode: int) -> bool:
    """Whether If-Modified-Since asks for the answer, by if_modified_since *mode*."""
    if last_modified == -1 or mode == OFF:
        return True
    since = parse_http_time(value)
    return since != last_modified and (mode == EXACT or since < last_modified)


def matches(tags: bytes, etag: bytes, weak: bool = False) -> bool:
    """Whether *etag* is one of *tags* (`"a", W/"b"`, or `*`). *weak*: W/ makes no difference."""
    if tags == b"*":
        return True
    if not etag:
        return False
    if weak and len(etag) > 2:
        etag = etag.removeprefix(b"W/")
    at, end = 0, len(tags)
    while at < end:
        if weak and end - at > 2 and tags.startswith(b"W/", at):
            at += 2
        if len(etag) > end - at:
            return False
        if tags.startswith(etag, at):
            at = _skip(tags, at + len(etag), b" \t")
            if at == end or tags[at] == 44:
                return True
        comma = tags.find(b",", at)
        if comma < 0:
            return False
        at = _skip(tags, comma, b" \t,")
    return False


def _skip(text: bytes, at: int, chars: bytes) -> int:
    while at < len(text) and text[at] in chars:
        at += 1
    return at


module = Module(name="http_not_modified_filter", header_filter=link)
