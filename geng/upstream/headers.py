"""From an upstream's response head to the client's: what passes, what is hidden, what means something on the way.

nginx: ngx_http_upstream.c (ngx_http_upstream_headers_in, ngx_http_upstream_process_headers)

Lines that nobody looks at stay where they were received: `r.out.passed` and `r.out.hidden` let the head filter copy them
in one go. Only what filters look at becomes a field of `r.out`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.hot.dates import parse_http_time
from geng.hot.http1 import NameSet, ResponseHead, response_number
from geng.upstream.conf import (
    IGNORE_BUFFERING,
    IGNORE_CHARSET,
    IGNORE_LIMIT_RATE,
    IGNORE_REDIRECT,
    UpstreamConf,
)

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.upstream.engine import Exchange

#: (r, value, where in it the URL begins) -> the rewritten value, or None to leave it
RewriteRedirect = Callable[["Request", bytes, int], "bytes | None"]
#: (r, value) -> the rewritten Set-Cookie value, or None to leave it
RewriteCookie = Callable[["Request", bytes], "bytes | None"]

#: What describes the connection to the upstream or its coding, and what is a field of ResponseOut.
NEVER_PASSED = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"content-type", b"etag",
     b"content-encoding", b"server", b"date")
)  # fmt: skip

#: What an X-Accel-Redirect takes along.
WITH_REDIRECT = (b"set-cookie", b"content-disposition", b"cache-control", b"expires", b"accept-ranges")

# numbers of the headers that are looked at in each head
_CONTENT_TYPE = response_number(b"content-type")
_LAST_MODIFIED = response_number(b"last-modified")
_ETAG = response_number(b"etag")
_CONTENT_ENCODING = response_number(b"content-encoding")
_LOCATION = response_number(b"location")
_REDIRECT = response_number(b"x-accel-redirect")
_LIMIT_RATE = response_number(b"x-accel-limit-rate")
_BUFFERING = response_number(b"x-accel-buffering")
_CHARSET = response_number(b"x-accel-charset")
_SET_COOKIE = response_number(b"set-cookie")
_REFRESH = response_number(b"refresh")
_UPGRADE = response_number(b"upgrade")
_SERVER = response_number(b"server")
_DATE = response_number(b"date")

WITH_DATE = frozenset((200, 206, 304))
LOCATION, LAST_MODIFIED = 1, 2


class HeaderRules:
    """How one location treats its upstream's response heads; made when it is linked."""

    __slots__ = ("change_buffering", "cookie", "force_ranges", "hidden", "hidden_names", "hides", "ignored",
                 "bare", "passes_date", "passes_server", "redirect")  # fmt: skip

    def __init__(
        self, conf: UpstreamConf, redirect: RewriteRedirect | None = None, cookie: RewriteCookie | None = None
    ) -> None:
        self.redirect = redirect
        self.cookie = cookie
        self.ignored = conf.ignore_headers
        self.force_ranges = conf.force_ranges
        self.change_buffering = conf.change_buffering
        hides = conf.hidden_names()
        self.bare = conf.prefix == "proxy"  # Server and Date that pass and that the upstream did not send are left out
        self.passes_server = b"server" not in hides
        self.passes_date = b"date" not in hides
        if conf.force_ranges:
            hides.add(b"accept-ranges")
        self.hides = NameSet(hides)
        self.hidden_names = frozenset(hides)
        never = hides | NEVER_PASSED
        #: by LOCATION | LAST_MODIFIED: which of the two has become a field
        self.hidden = tuple(
            NameSet(never | ({b"location"} if n & LOCATION else set()) | ({b"last-modified"} if n & 2 else set()))
            for n in range(4)
        )

    def __repr__(self) -> str:
        return f"<HeaderRules hiding {self.hides!r}>"

    def redirected_to(self, head: ResponseHead) -> bytes | None:
        """Where X-Accel-Redirect sends the request, or None."""
        return None if self.ignored & IGNORE_REDIRECT else head.first(_REDIRECT)

    def apply(self, u: Exchange, head: ResponseHead) -> None:
        """Fill u.r.out from *head*."""
        r = u.r
        out = r.out
        hides = self.hidden_names
        status = head.status
        fields = 0
        out.status = status
        out.line = head.read_status_line()
        out.content_length = -1 if head.chunked else head.content_length_n
        value = head.first(_CONTENT_TYPE)
        if value is not None and b"content-type" not in hides:
            out.content_type = value
        value = head.first(_LAST_MODIFIED)
        if value is not None and status in WITH_DATE and b"last-modified" not in hides:
            out.last_modified_text = value
            out.last_modified = parse_http_time(value)
            fields = LAST_MODIFIED
        value = head.first(_ETAG)
        if value is not None and b"etag" not in hides:
            out.etag = value
        value = head.first(_CONTENT_ENCODING)
        if value is not None and b"content-encoding" not in hides:
            out.content_encoding = value
        value = head.first(_LOCATION)
        if value is not None and b"location" not in hides:
            fields |= self._location(r, value)
        if self.passes_server:
            out.server = head.first(_SERVER)
            if out.server is None and self.bare:
                out.server = b""
        if self.passes_date:
            out.date = head.first(_DATE)
            if out.date is None and self.bare:
                out.date = b""
        self.accelerate(u, head)
        out.passed = head
        out.hidden = self.hidden[fields]
        if self.cookie is not None and head.first(_SET_COOKIE) is not None:
            self._cookies(r, self.cookie)
        if self.redirect is not None and head.first(_REFRESH) is not None:
            self._refresh(r, self.redirect)
        if head.first(_UPGRADE) is not None and r.head.http_version >= 2000:
            out.remove(b"upgrade")
        r.disable_not_modified = True
        if self.force_ranges:
            r.allow_ranges = True
            r.single_range = True
        if u.access is not None:
            self._cacheable(u, head)

    def _cacheable(self, u: Exchange, head: ResponseHead) -> None:
        """A response that is cached, or will be, can be asked for in part."""
        r = u.r
        if u.cached and self.force_ranges:
            r.single_range = False
        if u.access is None or not (u.cached or u.access.cacheable):
            return
        r.disable_not_modified = not u.access.cacheable
        if not self.force_ranges and head.get(b"accept-ranges") is not None:
            r.out.remove(b"accept-ranges")
            r.allow_ranges = True
            r.single_range = not u.cached

    def _location(self, r: Request, value: bytes) -> int:
        """LOCATION when it became out.location, which may be made absolute; 0 when the line passes as it is."""
        if self.redirect is None:
            if value[:1] == b"/":
                return 0
            r.out.location = value
            return LOCATION
        rewritten = self.redirect(r, value, 0)
        if rewritten is None:
            return 0
        r.out.location = rewritten
        return LOCATION

    def _cookies(self, r: Request, rewrite: RewriteCookie) -> None:
        out = r.out
        out.unfold()
        lines = []
        for name, value in out.headers:
            if name.lower() == b"set-cookie":
                rewritten = rewrite(r, value)
                if rewritten is not None:
                    value = rewritten
            lines.append((name, value))
        out.headers = lines

    def _refresh(self, r: Request, rewrite: RewriteRedirect) -> None:
        out = r.out
        out.unfold()
        lines = []
        for name, value in out.headers:
            if name.lower() == b"refresh":
                at = value.lower().find(b"url=")
                rewritten = rewrite(r, value, at + 4) if at >= 0 else None
                if rewritten is not None:
                    value = rewritten
            lines.append((name, value))
        out.headers = lines

    def accelerate(self, u: Exchange, head: ResponseHead) -> None:
        """What X-Accel-… lines ask for, but for the redirect."""
        ignored = self.ignored
        value = head.first(_LIMIT_RATE)
        if value is not None and not ignored & IGNORE_LIMIT_RATE and value.isdigit():
            u.r.limit_rate = int(value)
        value = head.first(_BUFFERING)
        if value is not None and not ignored & IGNORE_BUFFERING and self.change_buffering:
            value = value.lower()
            if value == b"no":
                u.buffering = False
            elif value == b"yes":
                u.buffering = True
        value = head.first(_CHARSET)
        if value is not None and not ignored & IGNORE_CHARSET:
            u.r.out.override_charset = value

    def take_along(self, r: Request, head: ResponseHead) -> None:
        """What of *head* an X-Accel-Redirect keeps for the response to come."""
        out = r.out
        content_type = head.content_type
        if content_type is not None:
            out.content_type = content_type
        for name, value in head.items():
            key = name.lower()
            if key not in WITH_REDIRECT or (key == b"accept-ranges" and self.force_ranges):
                continue
            if key == b"set-cookie" and self.cookie is not None:
                value = self.cookie(r, value) or value
            out.add(name, value)
