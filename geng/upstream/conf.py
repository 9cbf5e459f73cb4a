"""What proxy_, fastcgi_, uwsgi_, scgi_, grpc_ and memcached_ say alike: one table of directives, one set of checks.

nginx: ngx_http_upstream.h (ngx_http_upstream_conf_t), ngx_http_upstream.c (ngx_http_upstream_bind_set_slot,
ngx_http_upstream_hide_headers_hash), and what the modules' merge functions have in common.

    class ProxyConf(UpstreamConf, prefix="proxy"): ...
    class MemcachedConf(UpstreamConf, prefix="memcached", only=("connect_timeout", ...)): ...
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from geng.conf.convert import (
    Path,
    bitmask,
    bufs,
    complex_size,
    default_path,
    flag,
    lowat,
    msec,
    num,
    path,
    size,
    string,
    to_bytes,
    to_text,
    with_cf,
)
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HTTP, LOC, SRV
from geng.core.cidr import ipv4
from geng.errors import Invalid
from geng.net.address import BadAddress
from geng.upstream import cache_conf, tls_conf

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request
    from geng.http.script import Value
    from geng.upstream.tls import UpstreamTls

HSL = HTTP | SRV | LOC
PAGE = 4096

# Why the next peer is tried (NGX_HTTP_UPSTREAM_FT_…)
ERROR = 0x2
TIMEOUT = 0x4
INVALID_HEADER = 0x8
HTTP_500 = 0x10
HTTP_502 = 0x20
HTTP_503 = 0x40
HTTP_504 = 0x80
HTTP_403 = 0x100
HTTP_404 = 0x200
HTTP_429 = 0x400
UPDATING = 0x800
NON_IDEMPOTENT = 0x4000
NOLIVE = 0x40000000
OFF = 0x80000000

NEXT_UPSTREAM = {
    "error": ERROR,
    "timeout": TIMEOUT,
    "invalid_header": INVALID_HEADER,
    "non_idempotent": NON_IDEMPOTENT,
    "http_500": HTTP_500,
    "http_502": HTTP_502,
    "http_503": HTTP_503,
    "http_504": HTTP_504,
    "http_403": HTTP_403,
    "http_404": HTTP_404,
    "http_429": HTTP_429,
    "updating": UPDATING,
    "off": OFF,
}

# proxy_ignore_headers
IGNORE_REDIRECT = 0x2
IGNORE_XA_EXPIRES = 0x4
IGNORE_LIMIT_RATE = 0x8
IGNORE_BUFFERING = 0x10
IGNORE_CHARSET = 0x20
IGNORE_EXPIRES = 0x40
IGNORE_CACHE_CONTROL = 0x80
IGNORE_SET_COOKIE = 0x100
IGNORE_VARY = 0x200

IGNORE_HEADERS = {
    "X-Accel-Redirect": IGNORE_REDIRECT,
    "X-Accel-Expires": IGNORE_XA_EXPIRES,
    "X-Accel-Limit-Rate": IGNORE_LIMIT_RATE,
    "X-Accel-Buffering": IGNORE_BUFFERING,
    "X-Accel-Charset": IGNORE_CHARSET,
    "Expires": IGNORE_EXPIRES,
    "Cache-Control": IGNORE_CACHE_CONTROL,
    "Set-Cookie": IGNORE_SET_COOKIE,
    "Vary": IGNORE_VARY,
}


@dataclass(slots=True)
class Local:
    """Where `proxy_bind` binds: a fixed *sockaddr*, or the address that *value* gives for each request."""

    value: Value
    sockaddr: Any = None
    transparent: bool = False

    def of(self, r: Request) -> Any:
        """The address to bind to for *r*, None for the system's choice.   nginx: ngx_http_upstream_set_local"""
        if self.sockaddr is not None:
            return self.sockaddr
        text = self.value(r)
        if not text:
            return None
        try:
            return parse_addr_port(to_text(text))
        except BadAddress:
            r.log.error(f'invalid local address "{to_text(text)}"', ctx=r.c)
            return None


def parse_addr_port(text: str) -> Any:
    """The sockaddr of `address` or `address:port`; raises BadAddress.   nginx: ngx_parse_addr_port"""
    plain = _addr(text)
    if plain is not None:
        return _sockaddr(plain, 0)
    if text[:1] == "[":
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and rest[0] != ":"):
            raise BadAddress("invalid address")
        port = rest[1:] if rest else "1"
    else:
        host, colon, port = text.partition(":")
        rest = colon
        if not colon:
            raise BadAddress("invalid address")
    plain = _addr(host)
    if plain is None or not (port.isascii() and port.isdigit() and len(port) < 10 and 1 <= int(port) <= 65535):
        raise BadAddress("invalid address")
    return _sockaddr(plain, int(port) if rest else 0)


def _addr(text: str) -> str | None:
    """*text* if it is an address without port, in its plain form."""
    plain = ipv4(text)
    if plain:
        return plain
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return None


def _sockaddr(host: str, port: int) -> Any:
    return (host, port, 0, 0) if ":" in host else (host, port)


@with_cf
def local(cf: Cf, address: str, *words: str) -> Local | None:
    """`address [transparent] | off`.   nginx: ngx_http_upstream_bind_set_slot"""
    if address == "off" and not words:
        return None
    made = Local(cf.scope.value(cf, address))
    if made.value.literal is not None:
        try:
            made.sockaddr = parse_addr_port(address)
        except BadAddress:
            raise Invalid(f'invalid address "{address}"') from None
    if words:
        if words[0] != "transparent":
            raise Invalid(f'invalid parameter "{words[0]}"')
        made.transparent = True
        cf.cycle.core.transparent = True  # workers keep what it needs
    return made


#: attribute (and, behind the prefix, the directive's name) -> converter, default, gathered over several directives
TABLE: dict[str, tuple[Callable[..., Any], Any, bool]] = {
    "bind": (local, None, False),
    "socket_keepalive": (flag, False, False),
    "socket_rcvbuf": (size, 0, False),
    "socket_sndbuf": (size, 0, False),
    "connect_timeout": (msec, 60_000, False),
    "send_timeout": (msec, 60_000, False),
    "send_lowat": (lowat, 0, False),
    "read_timeout": (msec, 60_000, False),
    "next_upstream": (bitmask(NEXT_UPSTREAM), ERROR | TIMEOUT, False),
    "next_upstream_tries": (num, 0, False),
    "next_upstream_timeout": (msec, 0, False),
    "buffering": (flag, True, False),
    "request_buffering": (flag, True, False),
    "ignore_client_abort": (flag, False, False),
    "intercept_errors": (flag, False, False),
    "pass_request_headers": (flag, True, False),
    "pass_request_body": (flag, True, False),
    "pass_trailers": (flag, False, False),
    "buffer_size": (size, PAGE, False),
    "buffers": (bufs, (8, PAGE), False),
    "busy_buffers_size": (size, None, False),
    "max_temp_file_size": (size, None, False),
    "temp_file_write_size": (size, None, False),
    "temp_path": (path, None, False),
    "force_ranges": (flag, False, False),
    "limit_rate": (complex_size, None, False),
    "pass_header": (string, (), True),
    "hide_header": (string, (), True),
    "ignore_headers": (bitmask(IGNORE_HEADERS), 0, False),
}


NOTHING_FIXED: dict[str, Any] = {}


class UpstreamConf(Conf):
    """What one location says about its upstream. Times in ms, sizes in bytes."""

    prefix: ClassVar[str] = ""
    default_hide: ClassVar[tuple[bytes, ...]] = ()
    default_levels: ClassVar[tuple[int, ...]] = (1, 2)

    bind: Local | None
    socket_keepalive: bool
    socket_rcvbuf: int
    socket_sndbuf: int
    connect_timeout: int
    send_timeout: int
    read_timeout: int
    next_upstream: int
    next_upstream_tries: int
    next_upstream_timeout: int
    buffering: bool
    request_buffering: bool
    ignore_client_abort: bool
    intercept_errors: bool
    pass_request_headers: bool
    pass_request_body: bool
    pass_trailers: bool
    buffer_size: int
    buffers: tuple[int, int]
    busy_buffers_size: int
    max_temp_file_size: int
    temp_file_write_size: int
    temp_path: Path
    force_ranges: bool
    limit_rate: Any
    pass_header: Iterable[str]
    hide_header: Iterable[str]
    ignore_headers: int

    tls: UpstreamTls | None = None  # where check() has found that TLS is needed

    cache: bool
    cache_zone: Any
    cache_value: Any
    cache_key: Any
    cache_bypass: tuple[Any, ...]
    no_cache: tuple[Any, ...]
    cache_valid: tuple[tuple[int, int], ...]
    cache_min_uses: int
    cache_max_range_offset: int
    cache_use_stale: int
    cache_methods: int
    cache_lock: bool
    cache_lock_timeout: int
    cache_lock_age: int
    cache_revalidate: bool
    cache_convert_head: bool
    cache_background_update: bool
    store: bool
    store_value: Any
    store_access: int

    # what a protocol without the directive does
    change_buffering = True
    pass_early_hints = False
    intercept_404 = False

    def __init_subclass__(
        cls, level: Level = Level.LOCATION, prefix: str = "", only: Iterable[str] = (), without: Iterable[str] = (),
        caches: bool = False, tls: bool = False, next_upstream: dict[str, int] = NEXT_UPSTREAM,
        fixed: Mapping[str, Any] = NOTHING_FIXED, **kwargs: Any,
    ) -> None:  # fmt: skip
        """*caches*: the protocol's responses may be cached and stored; *tls*: it may be spoken over TLS; *next_upstream*:
        the words of that directive; *fixed*: what a protocol without the directive does, where that is not the default.
        """
        cls.prefix = prefix or cls.prefix
        if caches:
            cache_conf.declare(cls, prefix, next_upstream)
        elif prefix:
            for attr, default in cache_conf.WITHOUT.items():
                setattr(cls, attr, default)
        if tls:
            tls_conf.declare(cls, prefix)
        wanted = (tuple(only) or tuple(TABLE)) if prefix else ()
        for attr in TABLE if prefix else ():
            convert, default, repeat = TABLE[attr]
            if attr == "next_upstream":
                convert = bitmask(next_upstream)
            if attr in wanted and attr not in without:
                setattr(cls, attr, directive(f"{prefix}_{attr}", HSL, convert, default=default, repeat=repeat))
            else:
                setattr(cls, attr, default)
        for attr, at_all_times in fixed.items():
            setattr(cls, attr, at_all_times)
        super().__init_subclass__(level=level, **kwargs)

    def check(self, cf: Cf) -> None:
        """The rules that cross fields.   nginx: ngx_http_proxy_merge_loc_conf"""
        if "buffers" in self.fields:
            self._check_buffers()
        if "cache" in self.fields:
            cache_conf.check(self, cf, OFF, ERROR, NOLIVE)
        if self.next_upstream & OFF:
            self.next_upstream = OFF
        if self.temp_path is None and "temp_path" in self.fields:
            self.temp_path = default_path(cf, f"{self.prefix}_temp", *self.default_levels)

    def _check_buffers(self) -> None:
        name = self.prefix
        number, each = self.buffers
        if number < 2:
            raise Invalid(f'there must be at least 2 "{name}_buffers"')
        largest = max(self.buffer_size, each)
        maximum = f'the maximum of the value of "{name}_buffer_size" and one of the "{name}_buffers"'
        if self.busy_buffers_size is None:
            self.busy_buffers_size = 2 * largest
        if self.busy_buffers_size < largest:
            raise Invalid(f'"{name}_busy_buffers_size" must be equal to or greater than {maximum}')
        if self.busy_buffers_size > (number - 1) * each:
            raise Invalid(f'"{name}_busy_buffers_size" must be less than the size of all "{name}_buffers" minus one buffer')
        if self.temp_file_write_size is None:
            self.temp_file_write_size = 2 * largest
        if self.temp_file_write_size < largest:
            raise Invalid(f'"{name}_temp_file_write_size" must be equal to or greater than {maximum}')
        if self.max_temp_file_size is None:
            self.max_temp_file_size = 1 << 30
        if self.max_temp_file_size and self.max_temp_file_size < largest:
            raise Invalid(
                f'"{name}_max_temp_file_size" must be equal to zero to disable temporary files usage'
                f" or must be equal to or greater than {maximum}"
            )

    def hidden_names(self) -> set[bytes]:
        """The response headers that do not pass, in lower case.   nginx: ngx_http_upstream_hide_headers_hash"""
        hidden = {name.lower() for name in self.default_hide}
        hidden |= {to_bytes(name).lower() for name in self.hide_header}
        return hidden - {to_bytes(name).lower() for name in self.pass_header}
