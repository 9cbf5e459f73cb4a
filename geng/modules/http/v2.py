"""HTTP/2.   nginx: ngx_http_v2_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, num, size, with_cf
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL, HTTP, SRV
from geng.errors import Invalid, Refused
from geng.http.conf import CoreLoc, CoreSrv, pool_size
from geng.http.module import Module, Variable
from geng.http.servertls import Protocol
from geng.wire.http2 import MAX_WINDOW

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.connection import HttpConnection
    from geng.http.request import Request
    from geng.net.connection import Connection

STATE_BUFFER_SIZE = 16
HS = HTTP | SRV


def recv_buffer_size(word: str) -> int:
    made = size(word)
    if made <= STATE_BUFFER_SIZE:
        raise Refused("value is too small")
    return made


def preread_size(word: str) -> int:
    made = size(word)
    if made > MAX_WINDOW:
        raise Invalid(f"the maximum body preread buffer size is {MAX_WINDOW}")
    return made


def chunk_size(word: str) -> int:
    made = size(word)
    if made == 0:
        raise Invalid("the http2 chunk size cannot be zero")
    return min(made, 2**24 - 1)


def power_of_two(word: str) -> int:
    """A number with one bit set."""
    made = num(word)
    if made == 0 or made & (made - 1):
        raise Refused("must be a power of two")
    return made


def instead(successor: str) -> Any:
    """The converter of an obsolete directive: nothing but a warning.   nginx: ngx_http_v2_obsolete"""

    @with_cf
    def warn(cf: Cf, *given: str) -> Any:
        what = f'use the "{successor}" directive instead' if successor else "ignored"
        cf.warn(f'the "{cf.node.name}" directive is obsolete, {what}')
        return None

    return warn


class Http2Main(Conf, level=Level.MAIN):
    """What http{} says."""

    recv_buffer_size: int = directive("http2_recv_buffer_size", HTTP, recv_buffer_size, default=262144)


class Http2Server(Conf, level=Level.SERVER):
    """What a server says. Pools and indices, which nginx has and geng has no use for, are only read."""

    enable: bool = directive("http2", HS, flag, default=False)
    pool_size: int = directive("http2_pool_size", HS, pool_size, default=4096)
    max_concurrent_streams: int = directive("http2_max_concurrent_streams", HS, num, default=128)
    body_preread_size: int = directive("http2_body_preread_size", HS, preread_size, default=65536)
    streams_index_size: int = directive("http2_streams_index_size", HS, power_of_two, default=32)

    max_concurrent_pushes: Any = directive("http2_max_concurrent_pushes", HS, instead(""), default=None, repeat=True)
    max_requests: Any = directive("http2_max_requests", HS, instead("keepalive_requests"), default=None, repeat=True)
    max_field_size: Any = directive(
        "http2_max_field_size", HS, instead("large_client_header_buffers"), default=None, repeat=True
    )
    max_header_size: Any = directive(
        "http2_max_header_size", HS, instead("large_client_header_buffers"), default=None, repeat=True
    )
    recv_timeout: Any = directive("http2_recv_timeout", HS, instead("client_header_timeout"), default=None, repeat=True)
    idle_timeout: Any = directive("http2_idle_timeout", HS, instead("keepalive_timeout"), default=None, repeat=True)

    def check(self, cf: Cf) -> None:
        cf[CoreSrv].http2 = self.enable


class Http2Location(Conf):
    """What a location says."""

    chunk_size: int = directive("http2_chunk_size", HSL, chunk_size, default=8192)
    push_preload: Any = directive("http2_push_preload", HSL, instead(""), default=None, repeat=True)
    push: Any = directive("http2_push", HSL, instead(""), default=None, repeat=True)

    def check(self, cf: Cf) -> None:
        cf[CoreLoc].http2_chunk_size = self.chunk_size


def enable(cf: Cf) -> None:
    """Let the addresses speak HTTP/2 whose default server, or whose `listen`, says so; ALPN asks the one of SNI."""
    main = cf.scope.main
    for address in main.ports.all():
        if (address.default.http2 or address.http2) and not address.ssl:
            address.start_http2 = start
    if any(srv.http2 for srv in main.servers) or any(address.http2 for address in main.ports.all()):
        from geng.http.v2 import body, output  # noqa: F401  (they bind themselves to the floor below)

        main.protocols.append(Protocol(b"h2", wanted, start))


def wanted(hc: HttpConnection) -> bool:
    """Whether ALPN may choose HTTP/2."""
    return hc.srv.http2 or hc.address.http2


def start(c: Connection) -> None:
    """HTTP/2 from here on; in the hub."""
    from geng.http.v2.session import Session

    if c.closed:
        return
    hc: HttpConnection = c.data
    Session(c, hc.srv[Http2Server], hc.srv.main[Http2Main].recv_buffer_size).start(hc.take_buffer())


def http2(r: Request) -> bytes | None:
    """$http2"""
    if r.head.http_version // 1000 != 2:
        return None
    return b"h2" if r.hc.ssl is not None else b"h2c"


module = Module(
    name="http_v2",
    confs=(Http2Main, Http2Server, Http2Location),
    variables=(Variable("http2", http2),),
    postconfiguration=enable,
)
