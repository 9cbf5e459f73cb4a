"""memcached toward a client: a key's value is a response.   nginx: ngx_http_memcached_module.c"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_text
from geng.hot.http1 import CGI, ResponseHead, parse_response
from geng.hot.uri import MEMCACHED, escape_uri
from geng.upstream.engine import Adapter, Exchange
from geng.upstream.framing import NOTHING, Framing
from geng.upstream.headers import HeaderRules
from geng.upstream.pipe import READING
from geng.wire.memcached import END, Found, InvalidAnswer, get, parse_line

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.request import Request
    from geng.upstream.conf import UpstreamConf

NOT_FOUND = parse_response(b"Status: 404\n\n", 0, -1, CGI)
"""The head that an answer without value amounts to."""


class Lookup:
    """One request's key, as it was sent, and what was found."""

    __slots__ = ("found", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.found = Found(-1)

    def __repr__(self) -> str:
        return f"<Lookup {self.key!r} {self.found}>"


class MemcachedAdapter(Adapter):
    """*key*: the getter of $memcached_key; *gzip_flag*: the flag that says that a value is gzipped, 0 for none."""

    feeds = False

    def __init__(self, loc: CoreLoc, conf: UpstreamConf, key: Callable[[Request], bytes | None], gzip_flag: int) -> None:
        Adapter.__init__(self, loc, conf, b"memcached://")
        self.key = key
        self.gzip_flag = gzip_flag
        self.rules = MemcachedRules(conf)
        self.rules.gzip_flag = gzip_flag

    def create_request(self, u: Exchange) -> Sequence[Any]:
        key = self.key(u.r)
        if not key:
            u.r.log.error('the "$memcached_key" variable is not set', ctx=u.r.c)
            return ()
        escaped = escape_uri(key, MEMCACHED)
        u.vars = Lookup(escaped)
        return (get(escaped),)

    def parse(self, u: Exchange, data: bytes) -> ResponseHead:
        """nginx: ngx_http_memcached_process_header"""
        line, newline, _ = data.partition(b"\n")
        if not newline:
            return parse_response(b"", 0, -1, CGI)
        lookup: Lookup = u.vars
        try:
            lookup.found = parse_line(line, lookup.key, bool(self.gzip_flag))
        except InvalidAnswer as invalid:
            u.fault = str(invalid)
            return parse_response(b"", 0, -1, CGI)
        if lookup.found.length < 0:
            u.r.log.info(f'key: "{to_text(lookup.key)}" was not found by memcached', ctx=u.r.c)
            return NOT_FOUND
        # an empty head that ends where the line does
        return parse_response(bytes(len(line)) + b"\n", len(line), -1, CGI)

    def headed(self, u: Exchange, head: ResponseHead) -> None:
        u.keepalive = head.status == 404

    def framing(self, u: Exchange, head: ResponseHead) -> Framing:
        return Value(u, u.vars.found.length)


class MemcachedRules(HeaderRules):
    """There are no header lines: only a length, and what the flags say."""

    gzip_flag = 0

    def apply(self, u: Exchange, head: ResponseHead) -> None:
        HeaderRules.apply(self, u, head)
        out = u.r.out
        found: Found = u.vars.found
        out.line = b""
        out.content_length = found.length
        if found.flags & self.gzip_flag:
            out.content_encoding = b"gzip"


class Value(Framing):
    """A value and the END behind it. *matched*: how much of that came."""

    __slots__ = ("matched", "rest", "u")

    plain = False

    def __init__(self, u: Exchange, length: int) -> None:
        Framing.__init__(self, length + len(END))
        self.u = u
        self.rest = length
        self.matched = 0

    def feed(self, data: bytes) -> Sequence[Any]:
        """nginx: ngx_http_memcached_filter"""
        if self.done:
            self.over = True
            return NOTHING
        body = data[: self.rest]
        tail = data[self.rest :]
        self.rest -= len(body)
        self.left -= len(data)
        if tail:
            self._match(tail)
        return (body,) if body else NOTHING

    def _match(self, tail: bytes) -> None:
        matched = self.matched
        if tail != END[matched : matched + len(tail)]:
            self.u.log_error("memcached sent invalid trailer", READING)
            self.left = 0
            self.done = self.over = True
            return
        self.matched = matched + len(tail)
        self.done = self.matched == len(END)
