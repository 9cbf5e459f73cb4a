"""grpc_pass and what surrounds it: requests passed on over HTTP/2.   nginx: ngx_http_grpc_module.c"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Cf
from geng.conf.convert import keyval, to_bytes, to_text
from geng.conf.directive import UNSET, command, directive, own_or_nameless, value
from geng.conf.tables import LIF, LOC
from geng.errors import Refused
from geng.hot.uri import escape_uri
from geng.http.module import NOCACHEABLE, Module, Variable
from geng.http.script import Value, compile_value, count_variables
from geng.modules.http.cgi import take_over
from geng.modules.http.proxy import compiled
from geng.modules.http.proxy_request import Assembler, Default, ProxyVars, assembler
from geng.modules.http.upstream import upstreams
from geng.net.address import BadAddress, Url, parse_url
from geng.upstream import tls_conf
from geng.upstream.conf import HSL, NEXT_UPSTREAM, UpstreamConf
from geng.upstream.engine import Adapter, Exchange, handler
from geng.upstream.http2 import ALPN, Http2, Http2Rules

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler
    from geng.http.request import Request
    from geng.upstream.upstream import Upstream

WORDS = (
    "bind", "socket_keepalive", "socket_rcvbuf", "socket_sndbuf", "connect_timeout", "send_timeout", "read_timeout",
    "intercept_errors", "buffer_size", "next_upstream", "next_upstream_tries", "next_upstream_timeout", "pass_header",
    "hide_header", "ignore_headers",
)  # fmt: skip
REASONS = {name: bit for name, bit in NEXT_UPSTREAM.items() if name != "updating"}
FIXED = {"buffering": False, "request_buffering": False, "pass_trailers": True, "max_temp_file_size": 0}
SCHEMES = {"grpc://": False, "grpcs://": True}


def content_length(r: Request) -> bytes | None:
    """$content_length"""
    length: bytes | None = r.head.get(b"content-length")
    return length


def internal_trailers(r: Request) -> bytes | None:
    """$grpc_internal_trailers: what the client's TE says of trailers."""
    te = r.head.joined(b"te")
    return b"trailers" if te is not None and b"trailers" in te.lower() else None


#: Header lines that a request gets unless grpc_set_header says otherwise.
DEFAULT_HEADERS: tuple[Default, ...] = (
    (b"Content-Length", content_length),
    (b"TE", internal_trailers),
    (b"Host", b""),
    (b"Connection", b""),
    (b"Proxy-Connection", b""),
    (b"Transfer-Encoding", b""),
    (b"Keep-Alive", b""),
    (b"Expect", b""),
    (b"Upgrade", b""),
)


class Target:
    """What one grpc_pass says: a fixed *upstream* and *vars*, or the *value* to ask for each request.

    secure: over TLS (it may be, where a variable decides); host: of the address, whose certificate it should be.
    """

    __slots__ = ("host", "secure", "upstream", "value", "vars")

    def __init__(self, secure: bool) -> None:
        self.secure = secure
        self.host = b""
        self.upstream: Upstream | None = None
        self.vars: ProxyVars | None = None
        self.value: Value | None = None

    def __repr__(self) -> str:
        return f"<Target {self.upstream or self.value!r}>"


def without_scheme(text: str) -> tuple[str, str]:
    """A URL's scheme, "" for none, and the rest."""
    for scheme in SCHEMES:
        if text[: len(scheme)].lower() == scheme and len(text) > len(scheme):
            return text[: len(scheme)], text[len(scheme) :]
    return "", text


def vars_of(url: Url) -> ProxyVars:
    """What :authority says where no grpc_set_header does."""
    if url.unix:
        return ProxyVars(b"localhost", b"", b"")
    host = to_bytes(url.host)
    return ProxyVars(host if url.no_port else b"%s:%d" % (host, url.port), b"", b"")


class GrpcConf(UpstreamConf, prefix="grpc", only=WORDS, tls=True, next_upstream=REASONS, fixed=FIXED):
    """What one location says about its gRPC server."""

    default_hide = (
        b"Date", b"Server", b"X-Accel-Expires", b"X-Accel-Redirect", b"X-Accel-Limit-Rate", b"X-Accel-Buffering",
        b"X-Accel-Charset",
    )  # fmt: skip
    change_buffering = False
    pass_early_hints = True

    target: Target | None = value(None, own_or_nameless)
    set_header: Any = directive("grpc_set_header", HSL, keyval, default=(), repeat=True)

    @command("grpc_pass", LOC | LIF)
    def set_pass(self, cf: Cf) -> None:
        """`grpc_pass [grpc://|grpcs://]host[:port]`"""
        if self.target is not UNSET:
            raise Refused("is duplicate")
        take_over(cf, link)
        text = cf.args[0]
        if count_variables(text):
            target = Target(True)
            target.value = compile_value(cf, text)
        else:
            scheme, rest = without_scheme(text)
            target = Target(SCHEMES.get(scheme.lower(), False))
            target.upstream, url = upstreams(cf).add(cf, rest, 0, uri_part=False)
            target.vars = vars_of(url)
            target.host = to_bytes(url.host)
        self.target = target

    def check(self, cf: Cf) -> None:
        super().check(cf)
        if self.target and self.target.secure:
            self.tls = tls_conf.make(self, cf)
            self.tls.alpn = ALPN
        self.header_lines = compiled(cf, self.set_header)
        self.all_upstreams = upstreams(cf)


class GrpcAssembler(Assembler):
    """The URI is the client's; where that has been changed, it is written anew."""

    def target(self, r: Request, u: Exchange) -> bytes:
        if r.valid_unparsed_uri and not r.head.empty_path:
            return r.head.read_target()
        path = escape_uri(r.uri)
        return b"%b?%b" % (path, r.args) if r.args else path


class GrpcAdapter(Http2, Adapter):
    """One location's way to its gRPC server."""

    streams = True
    empty_is_known = True

    def __init__(self, loc: CoreLoc, conf: GrpcConf, target: Target) -> None:
        Adapter.__init__(self, loc, conf, b"grpcs://" if target.secure else b"grpc://")
        self.assemble = assembler(
            version=11,
            method=None,
            vars=target.vars,
            location=b"",
            headers=conf.header_lines,
            body=None,
            pass_headers=True,
            streams=True,
            defaults=DEFAULT_HEADERS,
            kind=GrpcAssembler,
        )
        self.rules = Http2Rules(conf)
        self.upstream = target.upstream
        self.upstreams = conf.all_upstreams
        self.host = target.host
        self.tls = conf.tls if target.secure and target.value is None else None
        self.value = target.value
        self.setup()

    def begin(self, u: Exchange) -> int:
        """nginx: ngx_http_grpc_eval"""
        if self.value is None:
            return 0
        r = u.r
        scheme, text = without_scheme(to_text(self.value.fn(r)))
        u.schema = to_bytes(scheme) or b"grpc://"
        if SCHEMES.get(scheme.lower()):
            u.tls = self.conf.tls
        try:
            u.aim = url = parse_url(text)
        except BadAddress as bad:
            r.log.error(f'{bad} in upstream "{text}"', ctx=r.c)
            return 500
        u.vars = vars_of(url)
        return 0

    def create_request(self, u: Exchange) -> Sequence[Any]:
        r = u.r
        made: list[Any] = [self.assemble(r, u)]
        if u.stream is None and r.body is not None:
            made += r.body.parts()
        return self.framed_request(u, made)


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with grpc_pass."""
    conf = loc[GrpcConf]
    assert conf.target is not None
    return handler(GrpcAdapter(loc, conf, conf.target))


module = Module(
    name="http_grpc",
    confs=(GrpcConf,),
    variables=(Variable("grpc_internal_trailers", internal_trailers, NOCACHEABLE),),
)
