"""How long a response may be kept, by what its head says.   nginx: ngx_http_upstream.c (ngx_http_upstream_process_…)

RFC 9111 5.2, RFC 5861
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geng.core import clock
from geng.hot.dates import parse_http_time
from geng.upstream.conf import (
    IGNORE_CACHE_CONTROL,
    IGNORE_EXPIRES,
    IGNORE_SET_COOKIE,
    IGNORE_VARY,
    IGNORE_XA_EXPIRES,
)

if TYPE_CHECKING:
    from geng.hot.http1 import ResponseHead
    from geng.upstream.cache_access import CacheAccess

MAX_TIME = (1 << 63) - 1

_FORBIDS = re.compile(rb"no-cache|no-store|private", re.IGNORECASE)


class _Life:
    """What the lines of one head come to."""

    __slots__ = ("access", "accel", "expired", "forbidden")

    def __init__(self, access: CacheAccess) -> None:
        self.access = access
        self.forbidden = self.expired = self.accel = False


def judge(access: CacheAccess, head: ResponseHead, ignored: int) -> None:
    """Read X-Accel-Expires, Expires, Cache-Control, Set-Cookie and Vary, in the order of the head's lines."""
    life = _Life(access)
    access.header.vary = b""
    expires = False
    vary: list[bytes] = []
    for name, value in head.items():
        lower = name.lower()
        if lower == b"cache-control":
            if not ignored & IGNORE_CACHE_CONTROL:
                _cache_control(life, value)
        elif lower == b"expires":
            if not expires and not ignored & IGNORE_EXPIRES:
                _expires(life, value)
            expires = True
        elif lower == b"x-accel-expires":
            if not life.accel and not ignored & IGNORE_XA_EXPIRES:
                _accel_expires(life, value)
            life.accel = True
        elif lower == b"set-cookie":
            if not ignored & IGNORE_SET_COOKIE:
                access.cacheable = False
        elif lower == b"vary":
            vary.append(value)
    if vary and not ignored & IGNORE_VARY:
        access.vary_of(vary)
    if life.forbidden or life.expired:
        access.cacheable = False


def _cache_control(life: _Life, value: bytes) -> None:
    access = life.access
    header = access.header
    text = value.lower()
    if not (header.valid and life.accel):
        if _FORBIDS.search(text):
            life.forbidden = True
            return
        seconds = _delta(text, b"s-maxage=")
        if seconds is None:
            seconds = _delta(text, b"max-age=")
        if seconds is not None:
            if seconds < 0:
                access.cacheable = False
                return
            if seconds == 0:
                life.forbidden = True
                return
            header.valid = min(clock.seconds() + seconds, MAX_TIME)
            life.expired = False
    for name, sets_both in ((b"stale-while-revalidate=", True), (b"stale-if-error=", False)):
        seconds = _delta(text, name)
        if seconds is None:
            continue
        if seconds < 0:
            access.cacheable = False
            return
        if sets_both:
            header.updating = seconds
        header.error = seconds


def _delta(text: bytes, name: bytes) -> int | None:
    """The seconds that follow *name*: None without it, -1 when they are no number."""
    at = text.find(name)
    if at < 0:
        return None
    start = at + len(name)
    stop = start
    while stop < len(text) and 48 <= text[stop] <= 57:
        stop += 1
    if stop < len(text) and text[stop : stop + 1] not in (b",", b";", b" "):
        return -1
    return min(int(text[start:stop] or b"0"), MAX_TIME >> 1)


def _expires(life: _Life, value: bytes) -> None:
    header = life.access.header
    if header.valid:
        return
    when = parse_http_time(value)
    if when == -1 or when < clock.seconds():
        life.expired = True
    else:
        header.valid = when


def _accel_expires(life: _Life, value: bytes) -> None:
    header = life.access.header
    absolute = value[:1] == b"@"
    text = value[1:] if absolute else value
    if not text.isdigit():
        return
    seconds = int(text)
    if not absolute:
        if not seconds:
            life.access.cacheable = False
            return
        seconds += clock.seconds()
    header.valid = seconds
    life.forbidden = life.expired = False
