"""The request that goes to an HTTP upstream: one generated function per location assembles its head.

nginx: ngx_http_proxy_module.c (ngx_http_proxy_create_request, ngx_http_proxy_init_headers)

What is known when the configuration is read becomes literals, joined; what depends on the request is one call each; the
client's own header lines are copied as they were received (geng.hot.http1: write_upstream).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.hot.decimal import decimal
from geng.hot.http1 import GET, NameSet
from geng.hot.pieces import join
from geng.hot.uri import escape_uri
from geng.upstream import caching

if TYPE_CHECKING:
    from geng.http.request import Request
    from geng.http.script import Value
    from geng.upstream.engine import Exchange

#: Header lines that a request gets unless proxy_set_header says otherwise; None: computed from the body.
DEFAULT_HEADERS: tuple[tuple[bytes, bytes | None], ...] = (
    (b"Host", b""),
    (b"Connection", b""),
    (b"Proxy-Connection", b""),
    (b"Content-Length", None),
    (b"Transfer-Encoding", None),
    (b"TE", b""),
    (b"Keep-Alive", b""),
    (b"Expect", b""),
    (b"Upgrade", b""),
)

Default = tuple[bytes, "bytes | None | Callable[[Request], bytes | None]"]

#: The same for a response that shall be cached: the whole of it is asked for, or whether the one that is there is good.
CACHE_HEADERS: tuple[Default, ...] = (
    *DEFAULT_HEADERS,
    (b"If-Modified-Since", caching.last_modified_of),
    (b"If-Unmodified-Since", b""),
    (b"If-None-Match", caching.etag_of),
    (b"If-Match", b""),
    (b"Range", b""),
    (b"If-Range", b""),
)

Assemble = Callable[["Request", "Exchange"], bytes]


class ProxyVars:
    """Where a request goes: $proxy_host, $proxy_port, and the URI of proxy_pass ("" for the client's own)."""

    __slots__ = ("host_header", "port", "uri")

    def __init__(self, host_header: bytes, port: bytes, uri: bytes) -> None:
        self.host_header = host_header
        self.port = port
        self.uri = uri

    def __repr__(self) -> str:
        return f"<ProxyVars {self.host_header!r} {self.uri!r}>"


def replaced_uri(r: Request, uri: bytes, location: bytes) -> bytes:
    """r's URI with *location*, its beginning, replaced by *uri*; with the arguments."""
    path = r.uri
    if r.valid_location and uri:
        path = path[len(location) :]
    if r.internal or r.head.quoted_uri:
        path = escape_uri(path)
    if r.valid_location:
        path = uri + path
    return b"%s?%s" % (path, r.args) if r.args else path


# Kinds of the parts of a head. LITERAL: bytes. HEADER: (b"Name: ", getter), left out when the value is empty. HOST: the
# same, with u's host in place of an empty value. LENGTH: Content-Length. CHUNKED: Transfer-Encoding. LINES: the client's
# own lines but those in a NameSet.
LITERAL, HEADER, HOST, LENGTH, CHUNKED, LINES = range(6)

# as C integers
_LITERAL = LITERAL
_HEADER = HEADER
_HOST = HOST
_LENGTH = LENGTH
_CHUNKED = CHUNKED
_GET = GET


class Assembler:
    """What makes the head of each request of one location (and the body of proxy_set_body): `assemble(r, u)`.

    *method*, *body*: getters, or None; *vars*: where requests go, None where that depends on the request (u.vars);
    *streams*: a body may be passed on as it arrives, in chunks; *parts*: pairs of a kind and what belongs to it.
    """

    def __init__(
        self,
        method: Callable[[Request], bytes] | None,
        vars: ProxyVars | None,
        location: bytes,
        body: Callable[[Request], bytes] | None,
        streams: bool,
        parts: Sequence[tuple[int, Any]],
    ) -> None:
        self.method = method
        self.vars = vars
        self.uri = vars.uri if vars is not None else b""
        self.location = location
        self.body = body
        self.streams = streams
        self.kinds = bytes(kind for kind, _ in parts)
        self.items = tuple(item for _, item in parts)

    def __repr__(self) -> str:
        return f"<Assembler of {len(self.items)} parts>"

    def assemble(self, r: Request, u: Exchange) -> bytes:
        """The head for *r*; sets u.uri, u.body_length, u.head_method and, for a stream in chunks, u.chunked."""
        head = r.head
        out: list[bytes] = []
        if self.method is not None:
            method = self.method(r)
            u.head_method = method.upper() == b"HEAD"
            out.append(method)
        elif r.method_id == _GET or u.as_get:
            out.append(b"GET")
        else:
            method = r.method_name or head.method
            u.head_method = method == b"HEAD"
            out.append(method)
        out.append(b" ")
        uri = self.target(r, u)
        u.uri = uri
        out.append(uri)
        body = None
        if self.body is not None:
            body = self.body(r)
            length = len(body)
            u.body_length = length
        else:
            length = r.content_length_n
            if r.chunked_body:
                length = self.length_in_chunks(r, u)
        kinds = self.kinds
        items = self.items
        for i in range(len(kinds)):
            kind = kinds[i]
            item = items[i]
            if kind == _LITERAL:
                out.append(item)
            elif kind in (_HEADER, _HOST):
                value = item[1](r)
                if not value and kind == _HOST:
                    value = u.vars.host_header if self.vars is None else self.vars.host_header
                if value:
                    out.append(item[0])
                    out.append(value)
                    out.append(b"\r\n")
            elif kind == _LENGTH:
                if length >= 0:
                    out.append(b"Content-Length: ")
                    out.append(decimal(length))
                    out.append(b"\r\n")
            elif kind == _CHUNKED:
                if u.chunked:
                    out.append(b"Transfer-Encoding: chunked\r\n")
            else:
                head.write_upstream(out, item)
        out.append(b"\r\n")
        if body is not None:
            out.append(body)
        return join(out)

    def target(self, r: Request, u: Exchange) -> bytes:
        """The URI of the request line."""
        uri = self.uri
        if uri:
            return replaced_uri(r, uri, self.location)
        if self.vars is None:
            uri = u.vars.uri
            if uri:
                return uri
        if r.valid_unparsed_uri and not r.head.empty_path:
            return r.head.read_target()
        return replaced_uri(r, b"", b"")

    def length_in_chunks(self, r: Request, u: Exchange) -> int:
        """The length of a body that came in chunks: -1 where it goes on as it comes."""
        if self.streams and u.stream is not None:
            u.chunked = True
            length = -1
        else:
            length = r.body.length  # type: ignore[union-attr]
        u.body_length = length
        return length


def assembler(
    *,
    version: int,
    method: Value | None,
    vars: ProxyVars | None,
    location: bytes,
    headers: Sequence[tuple[str, Value]],
    body: Value | None,
    pass_headers: bool,
    streams: bool,
    defaults: Sequence[Default] = DEFAULT_HEADERS,
    kind: type[Assembler] = Assembler,
) -> Assemble:
    """The function that makes the request's head. *version*: 10 or 11; *defaults*: lines it has unless *headers* says
    otherwise; *kind*: what makes the head; the others: see there.
    """
    set_headers = [(to_bytes(name), value) for name, value in headers]
    host = next((value for name, value in set_headers if name.lower() == b"host"), None)
    merged = _merged(set_headers, defaults)
    parts: list[tuple[int, Any]] = [(LITERAL, b" HTTP/1.%d\r\n" % (version - 10))]
    parts += _host(version, vars, host)
    for name, value in merged:
        parts += _header(name, value, streams)
    if pass_headers:
        parts.append((LINES, NameSet(name.lower() for name, _ in merged)))
    made = kind(
        None if method is None else method.fn, vars, location, None if body is None else body.fn, streams, _joined(parts)
    )
    return made.assemble


def target_uri(r: Request, vars: ProxyVars, location: bytes, variable: bool) -> bytes:
    """The URI that a request to *vars* has; *variable*: they came from proxy_pass with variables."""
    if vars.uri:
        return vars.uri if variable else replaced_uri(r, vars.uri, location)
    if r.valid_unparsed_uri and not r.head.empty_path:
        return r.head.read_target()
    return replaced_uri(r, b"", b"")


def _joined(parts: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
    """The same, neighbouring literals as one."""
    made: list[tuple[int, Any]] = []
    for kind, item in parts:
        if kind == LITERAL and made and made[-1][0] == LITERAL:
            made[-1] = (LITERAL, made[-1][1] + item)
        else:
            made.append((kind, item))
    return made


def _merged(set_headers: Sequence[tuple[bytes, Value]], defaults: Sequence[Default]) -> list[tuple[bytes, Any]]:
    """What was set, but Host, and the defaults of what was not."""
    merged: list[tuple[bytes, Any]] = [h for h in set_headers if h[0].lower() != b"host"]
    known = {name.lower() for name, _ in merged}
    return merged + [(name, value) for name, value in defaults if name.lower() not in known]


def _nothing(r: Request) -> bytes:
    return b""


def _host(version: int, vars: ProxyVars | None, value: Value | None) -> list[tuple[int, Any]]:
    if value is None:
        if vars is None:
            return [(HOST, (b"Host: ", _nothing))]
        return [(LITERAL, b"Host: %s\r\n" % vars.host_header)] if vars.host_header else []
    if value.literal:
        return [(LITERAL, b"Host: %s\r\n" % value.literal)]
    if value.literal is None:
        return [(HOST if version == 11 else HEADER, (b"Host: ", value.fn))]
    return [(HOST, (b"Host: ", _nothing))] if version == 11 else []


def _header(name: bytes, value: Any, streams: bool) -> list[tuple[int, Any]]:
    if value is None:
        if name == b"Content-Length":
            return [(LENGTH, None)]
        return [(CHUNKED, None)] if streams else []
    if not isinstance(value, bytes):
        if not hasattr(value, "literal"):  # a getter
            return [(HEADER, (name + b": ", value))]
        if value.literal is None:
            return [(HEADER, (name + b": ", value.fn))]
        value = value.literal
    return [(LITERAL, b"%s: %s\r\n" % (name, value))] if value else []
