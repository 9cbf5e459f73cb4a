"""Whether a client takes a compressed answer: Accept-Encoding, and what the configuration says about who asks.

nginx: ngx_http_core_module.c (ngx_http_gzip_ok, ngx_http_gzip_accept_encoding, ngx_http_gzip_quantity)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.core import clock
from geng.hot.dates import parse_http_time
from geng.hot.http1 import MSIE6
from geng.http.conf import GZIP_PROXIED

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request

OFF, EXPIRED, NO_CACHE = GZIP_PROXIED["off"], GZIP_PROXIED["expired"], GZIP_PROXIED["no-cache"]
NO_STORE, PRIVATE, NO_LAST_MODIFIED = GZIP_PROXIED["no-store"], GZIP_PROXIED["private"], GZIP_PROXIED["no_last_modified"]
NO_ETAG, AUTH, ANY = GZIP_PROXIED["no_etag"], GZIP_PROXIED["auth"], GZIP_PROXIED["any"]

CACHE_CONTROL = ((NO_CACHE, b"no-cache"), (NO_STORE, b"no-store"), (PRIVATE, b"private"))


def gzip_ok(loc: CoreLoc) -> Callable[[Request], bool]:
    """The test that *loc*'s gzip_http_version, gzip_proxied and gzip_disable make, once r.out is filled."""
    version = loc.gzip_http_version
    proxied = loc.gzip_proxied
    disabled = loc.gzip_disable or ()
    msie6 = "msie6" in disabled
    patterns = tuple(one.pattern.search for one in disabled if one not in ("msie6", "degradation"))

    def test(r: Request) -> bool:
        if r.main is not r:
            return False
        head = r.head
        accepted = head.accept_encoding
        if accepted is None or not (accepted.startswith(b"gzip,") or accepts_gzip(accepted)):
            return False
        if msie6 and head.browser & MSIE6:
            return False
        if r.http_version < version:
            return False
        if head.via is not None and not proxied_ok(r, proxied):
            return False
        if patterns:
            agent = head.user_agent
            return agent is None or not any(search(agent) for search in patterns)
        return True

    return test


def takes(coding: bytes) -> Callable[[Request], bool]:
    """The test of modules that look at Accept-Encoding alone."""

    def test(r: Request) -> bool:
        accepted = r.head.accept_encoding
        return r.main is r and accepted is not None and accepts(accepted, coding)

    return test


def proxied_ok(r: Request, proxied: int) -> bool:
    """Whether gzip_proxied allows it for a request that came by way of another proxy."""
    if proxied & OFF:
        return False
    if proxied & ANY or (proxied & AUTH and r.head.authorization is not None):
        return True
    out = r.out
    lines = out.getall(b"expires")
    if lines:
        return bool(proxied & EXPIRED) and _expired(lines[0], out.date)
    lines = out.getall(b"cache-control")
    if lines:
        words = {word.strip(b" ").lower() for line in lines for word in line.split(b",")}
        return any(proxied & bit and word in words for bit, word in CACHE_CONTROL)
    if proxied & NO_LAST_MODIFIED and out.last_modified_text:
        return False
    return not (proxied & NO_ETAG and out.etag)


def _expired(line: bytes, date_line: bytes | None) -> bool:
    expires = parse_http_time(line)
    date = parse_http_time(date_line) if date_line else clock.seconds()
    return expires != -1 and date != -1 and expires < date


def accepts_gzip(value: bytes) -> bool:
    """Whether Accept-Encoding *value* takes gzip."""
    return accepts(value, b"gzip")


def accepts(value: bytes, coding: bytes) -> bool:
    """Whether Accept-Encoding *value* takes *coding*: `gzip;q=0.001` does, `gzip;q=0` and anything malformed does not."""
    lower = value.lower()
    size = len(coding)
    at = lower.find(coding)
    while at > 0 and lower[at - 1] not in b", ":
        at = lower.find(coding, at + size)
    if at < 0:
        return False
    rest = lower[at + size :].lstrip(b" ")
    if not rest or rest[:1] == b",":
        return True
    if rest[:1] != b";":
        return False
    rest = rest[1:].lstrip(b" ")
    if not rest:
        return True
    if rest[:2] != b"q=" or len(rest) < 3:
        return False
    return quantity(rest[2:]) > 0


def quantity(text: bytes) -> int:
    """A quality from 0 to 1 as 0 to 100, digits behind the point merely added up as nginx does; 0 for what is none."""
    first = text[0]
    if first not in b"01":
        return 0
    quality = (first - 48) * 100
    if len(text) == 1 or text[1] in b", ":
        return quality
    if text[1] != 46:
        return 0
    digits = 0
    for ch in text[2:]:
        if ch in b", ":
            break
        if not 48 <= ch <= 57:
            return 0
        quality += ch - 48
        digits += 1
    return 0 if quality > 100 or digits > 3 else quality
