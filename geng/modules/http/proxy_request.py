"""The request that goes to an HTTP upstream: one generated function per location assembles its head.

nginx: ngx_http_proxy_module.c (ngx_http_proxy_create_request, ngx_http_proxy_init_headers)

What is known when the configuration is read becomes literals, joined; what depends on the request is one call each; the
client's own header lines are copied as they were received (geng.hot.http1: write_upstream).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.hot.http1 import NameSet
from geng.hot.uri import escape_uri

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


class Code:
    """The source of one function, with what it refers to."""

    def __init__(self, streams: bool) -> None:
        self.streams = streams
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self.literal = b""
        self.first: list[str] | None = ["method", "b' '", "uri"]  # what the list of parts begins with

    def name(self, value: Any) -> str:
        """A name for *value* in the function."""
        name = f"v{len(self.names)}"
        self.names[name] = value
        return name

    def line(self, text: str, depth: int = 1) -> None:
        self.lines.append("    " * depth + text)

    def text(self, literal: bytes) -> None:
        """More literal bytes at this place."""
        self.literal += literal

    def flush(self) -> None:
        """Write the literal bytes gathered so far."""
        literal, self.literal = self.literal, b""
        if self.first is not None:
            self.line(f"out = [{', '.join([*self.first, repr(literal)])}]")
            self.line("put = out.append")
            self.first = None
        elif literal:
            self.line(f"put({literal!r})")

    def header(self, name: bytes, expression: str) -> None:
        """A header line that is left out when its value is empty."""
        self.flush()
        self.line(f"value = {expression}")
        self.line("if value:")
        self.line(f"put({name + b': '!r} + value + b'\\r\\n')", 2)

    def compile(self, name: str) -> Any:
        source = "\n".join([f"def {name}(r, u):", *self.lines, ""])
        exec(compile(source, f"<{name}>", "exec"), self.names)  # our own text
        return self.names[name]


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
) -> Assemble:
    """The function that makes the request's head (and the body of proxy_set_body).

    *version*: 10 or 11; *vars*: None where they depend on the request (u.vars); *streams*: a body may be passed on as
    it arrives, in chunks.
    """
    code = Code(streams)
    set_headers = [(to_bytes(name), value) for name, value in headers]
    code.line("head = r.head")
    _method(code, method)
    _uri(code, vars, location)
    code.line("u.uri = uri")
    _body_length(code, body)
    code.text(b" HTTP/1.%d\r\n" % (version - 10))
    _host(code, version, vars, next((value for name, value in set_headers if name.lower() == b"host"), None))
    merged = _merged(set_headers)
    for name, value in merged:
        _header(code, name, value)
    code.flush()
    if pass_headers:
        skipped = NameSet(name.lower() for name, _ in merged)
        code.line(f"head.write_upstream(out, {code.name(skipped)})")
    code.line("put(b'\\r\\n')" if body is None else "put(b'\\r\\n' + body)")
    code.line("return join(out)")
    code.names["join"] = b"".join
    assemble: Assemble = code.compile("assemble")
    return assemble


def _merged(set_headers: Sequence[tuple[bytes, Value]]) -> list[tuple[bytes, Value | bytes | None]]:
    """What was set, but Host, and the defaults of what was not."""
    merged: list[tuple[bytes, Value | bytes | None]] = [h for h in set_headers if h[0].lower() != b"host"]
    known = {name.lower() for name, _ in merged}
    return merged + [(name, value) for name, value in DEFAULT_HEADERS if name.lower() not in known]


def _method(code: Code, method: Value | None) -> None:
    if method is None:
        code.line("method = r.method_name or head.method")
        code.line("if method == b'HEAD':")
    else:
        code.line(f"method = {code.name(method.fn)}(r)" if method.literal is None else f"method = {method.literal!r}")
        code.line("if method.upper() == b'HEAD':")
    code.line("u.head_method = True", 2)


def _uri(code: Code, vars: ProxyVars | None, location: bytes) -> None:
    replaced = code.name(replaced_uri)
    if vars is not None and vars.uri:
        code.line(f"uri = {replaced}(r, {vars.uri!r}, {location!r})")
        return
    if vars is None:
        code.line("uri = u.vars.uri")
        code.line("if uri:")
        code.line("pass", 2)
        code.line("elif r.valid_unparsed_uri and head.valid_unparsed_uri:")
    else:
        code.line("if r.valid_unparsed_uri and head.valid_unparsed_uri:")
    code.line("uri = head.unparsed_uri", 2)
    code.line("else:")
    code.line(f"uri = {replaced}(r, b'', b'')", 2)


def _body_length(code: Code, body: Value | None) -> None:
    if body is not None:
        code.line(f"body = {code.name(body.fn)}(r)")
        code.line("u.body_length = length = len(body)")
        return
    code.line("length = r.content_length_n")
    code.line("if r.chunked_body:")
    if code.streams:
        code.line("if u.stream is not None:", 2)
        code.line("u.chunked = True", 3)
        code.line("length = -1", 3)
        code.line("else:", 2)
        code.line("length = r.body.length", 3)
    else:
        code.line("length = r.body.length", 2)
    code.line("u.body_length = length", 2)


def _host(code: Code, version: int, vars: ProxyVars | None, value: Value | None) -> None:
    default = "u.vars.host_header" if vars is None else repr(vars.host_header)
    if value is None:
        if vars is None:
            code.header(b"Host", default)
        elif vars.host_header:
            code.text(b"Host: %s\r\n" % vars.host_header)
    elif value.literal:
        code.text(b"Host: %s\r\n" % value.literal)
    elif value.literal is None:
        fallback = f" or {default}" if version == 11 else ""
        code.header(b"Host", f"{code.name(value.fn)}(r){fallback}")
    elif version == 11:
        code.header(b"Host", default)


def _header(code: Code, name: bytes, value: Value | bytes | None) -> None:
    if value is None:
        if name == b"Content-Length":
            code.flush()
            code.line("if length >= 0:")
            code.line("put(b'Content-Length: %d\\r\\n' % length)", 2)
        elif code.streams:
            code.flush()
            code.line("if u.chunked:")
            code.line("put(b'Transfer-Encoding: chunked\\r\\n')", 2)
    elif isinstance(value, bytes):
        if value:
            code.text(b"%s: %s\r\n" % (name, value))
    elif value.literal is None:
        code.header(name, f"{code.name(value.fn)}(r)")
    elif value.literal:
        code.text(b"%s: %s\r\n" % (name, value.literal))
