"""The variables of the core: what a request, its connection and its answer are.

nginx: ngx_http_variables.c
"""

from __future__ import annotations

import os
import socket
import struct
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.convert import to_bytes
from geng.core import clock
from geng.core.values import BadValue, parse_size
from geng.hot.dates import http_time
from geng.hot.decimal import decimal
from geng.hot.uri import arg
from geng.http.logline import status_of
from geng.http.module import CHANGEABLE, NOCACHEABLE, PREFIX, Getter, Variable
from geng.wire.http1 import find_value

if TYPE_CHECKING:
    from geng.http.request import Request

NGINX_VERSION = b"1.31.5"

# Where in the kernel's struct tcp_info the fields are (linux/tcp.h): eight bytes, then 32-bit integers.
TCP_INFO = {"tcpinfo_rtt": 15, "tcpinfo_rttvar": 16, "tcpinfo_snd_cwnd": 18, "tcpinfo_rcv_space": 23}


# ---- what was asked


def host(r: Request) -> bytes | None:
    return r.head.server or r.srv.server_name


def request_line(r: Request) -> bytes | None:
    return r.head.request_line


def request_uri(r: Request) -> bytes | None:
    return r.head.unparsed_uri or None


def uri(r: Request) -> bytes | None:
    """Empty, not missing, for a path that is refused after its request line was understood."""
    return r.uri or (b"" if r.head.method and getattr(r.head, "complex_uri", False) else None)


def referer(r: Request) -> bytes | None:
    return None if r.head.referer is None else r.head.joined(b"referer")


def user_agent(r: Request) -> bytes | None:
    return None if r.head.user_agent is None else r.head.joined(b"user-agent")


def remote_addr(r: Request) -> bytes | None:
    text: bytes = r.c.addr_text
    return text


def _args(r: Request) -> bytes | None:
    return r.args or None


def _set_args(r: Request, value: bytes) -> None:
    r.args = value
    r.valid_unparsed_uri = False


def _content_length(r: Request) -> bytes | None:
    value = r.head.content_length
    if value is not None or not r.chunked_body:
        return value
    if r.body is not None and not r.hc.reading_body:
        return b"%d" % r.body.length
    return b"0" if r.discarded and r.hc.discarding is None else None  # all of it has been thrown away


def _request_port(r: Request) -> bytes:
    port = r.head.port
    return b"%d" % port if port else b""


def _method(r: Request) -> bytes | None:
    return r.main.method or None


def _protocol(r: Request) -> bytes | None:
    head = r.head
    return head.protocol or (b"" if head.protocol_begun else None)  # a line broken there: nginx has no length


def remote_user(r: Request) -> bytes | None:
    """The name in `Authorization: Basic …`; None without one."""
    found = credentials(r)
    return found[0] if found is not None else None


def credentials(r: Request) -> tuple[bytes, bytes] | None:
    """Name and password of `Authorization: Basic …`.   nginx: ngx_http_auth_basic_user"""
    value = r.head.get(b"proxy-authorization") if r.method == b"CONNECT" else r.head.authorization
    if value is None or value[:6].lower() != b"basic ":
        return None
    encoded = value[6:].lstrip(b" ").partition(b"=")[0]  # what follows the padding does not count, nor need there be one
    try:
        text = b64decode(encoded + b"=" * (-len(encoded) % 4), validate=True)
    except (BadBase64, ValueError):
        return None
    name, colon, password = text.partition(b":")
    return (name, password) if name and colon else None


def _request_body(r: Request) -> bytes | None:
    return r.body.data() or None if r.body is not None else None


def _request_body_file(r: Request) -> bytes | None:
    if r.body is None or r.body.file is None or not r.body.file.name:
        return None
    return to_bytes(r.body.file.name)


def _request_id(r: Request) -> bytes:
    return os.urandom(16).hex().encode()


# ---- where it is served


def _document_root(r: Request) -> bytes:
    return r.loc.root(r)


def _realpath_root(r: Request) -> bytes | None:
    path = r.loc.root(r)
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        r.log.crit(f'realpath() "{path.decode("utf-8", "surrogateescape")}" failed', err=error.errno, ctx=r.c)
        return None


# ---- the connection


def _binary_remote_addr(r: Request) -> bytes:
    text = r.c.addr_text.decode("latin-1")
    if text.startswith("unix:"):
        return b"unix:"
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


def _remote_port(r: Request) -> bytes:
    return b"%d" % r.c.port if r.c.port else b""


def _server_addr(r: Request) -> bytes:
    local = r.c.local_addr()
    if isinstance(local, tuple):
        return str(local[0]).encode()
    return b"unix:" + (local if isinstance(local, bytes) else to_bytes(local))


def _server_port(r: Request) -> bytes:
    local = r.c.local_addr()
    return b"%d" % local[1] if isinstance(local, tuple) else b""


def _connection_time(r: Request) -> bytes:
    return seconds(clock.msec() - r.c.start_msec)


def _tcpinfo(name: str) -> Getter:
    index = TCP_INFO[name]

    def get(r: Request) -> bytes | None:
        if not r.c.is_tcp:
            return None
        try:
            raw = r.c.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
        except OSError:
            return None
        return b"%d" % struct.unpack_from("=24I", raw, 8)[index]

    return get


def _proxy_protocol(field: str) -> Getter:
    def get(r: Request) -> bytes | None:
        told = r.hc.proxy_protocol
        if told is None:
            return None
        value = getattr(told, field)
        return value if isinstance(value, bytes) else b"%d" % value

    return get


def _tlv(name: str) -> Getter:
    wanted = name.removeprefix("proxy_protocol_tlv_")

    def get(r: Request) -> bytes | None:
        told = r.hc.proxy_protocol
        return None if told is None else told.tlv(wanted)

    return get


# ---- the answer


def seconds(ms: int) -> bytes:
    """Milliseconds as $request_time shows them."""
    ms = max(ms, 0)
    return b"%d.%03d" % (ms // 1000, ms % 1000)


def request_time(r: Request) -> bytes:
    ms = clock.msec() - r.start_msec
    return b"%d.%03d" % (ms // 1000, ms % 1000) if ms > 0 else b"0.000"


def body_bytes_sent(r: Request) -> bytes:
    sent = r.c.sent - r.header_size
    return decimal(sent) if sent > 0 else b"0"


def _sent_content_type(r: Request) -> bytes | None:
    return r.out.content_type or None


def _sent_content_length(r: Request) -> bytes | None:
    n = r.out.content_length
    return b"%d" % n if n >= 0 else None


def _sent_location(r: Request) -> bytes | None:
    return r.out.location or _joined(r, b"location")


def _sent_last_modified(r: Request) -> bytes | None:
    out = r.out
    if out.last_modified_text:
        return out.last_modified_text
    return http_time(out.last_modified) if out.last_modified >= 0 else None


def _sent_connection(r: Request) -> bytes:
    if r.out.status == 101:
        return b"upgrade"
    return b"keep-alive" if r.keepalive and not r.logged else b"close"  # a log is written when nginx has let go of it


def _sent_keep_alive(r: Request) -> bytes | None:
    header = r.loc.keepalive_header
    return b"timeout=%d" % header if r.keepalive and not r.logged and header else None


def _sent_transfer_encoding(r: Request) -> bytes | None:
    return b"chunked" if r.out.chunked else None


def _joined(r: Request, name: bytes) -> bytes | None:
    values = r.out.getall(name)
    return b", ".join(values) if values else None


#: Lines of the answer that are fields of ResponseOut.
_SENT_FIELDS: dict[str, Callable[[Request], bytes | None]] = {
    "etag": lambda r: r.out.etag or None,
    "content_encoding": lambda r: r.out.content_encoding or None,
    "server": lambda r: r.out.server or None,
    "date": lambda r: r.out.date or None,
}


def _sent_http(name: str) -> Getter:
    short = name.removeprefix("sent_http_")
    field = _SENT_FIELDS.get(short)
    if field is not None:
        return field
    wanted = short.replace("_", "-").encode()
    if "_" not in short:
        return lambda r: _joined(r, wanted)
    same = to_bytes(short)  # "_" is also what it says
    return lambda r: _joined(r, wanted) or _joined(r, same)


def _sent_trailer(name: str) -> Getter:
    wanted = to_bytes(name.removeprefix("sent_trailer_"))

    def get(r: Request) -> bytes | None:
        values = [value for key, value in r.out.trailers if key.lower().replace(b"-", b"_") == wanted]
        return b", ".join(values) if values else None

    return get


# ---- prefixes


def _http(name: str) -> Getter:
    wanted = to_bytes(name.removeprefix("http_"))
    return lambda r: r.head.variable(wanted)


def _cookie(name: str) -> Getter:
    wanted = to_bytes(name.removeprefix("cookie_"))
    return lambda r: find_value(r.head.getall(b"cookie"), wanted)


def _arg(name: str) -> Getter:
    wanted = to_bytes(name.removeprefix("arg_"))
    return lambda r: arg(r.args, wanted) if r.args else None


# ---- limit_rate, which may be set


def _limit_rate(r: Request) -> bytes:
    return b"%d" % (r.limit_rate or 0)  # the location's counts from when the response goes out


def _set_limit_rate(r: Request, value: bytes) -> None:
    try:
        r.limit_rate = parse_size(value)
    except BadValue:
        r.log.error(f'invalid $limit_rate "{value.decode("utf-8", "surrogateescape")}"', ctx=r.c)


def _joined_in(name: bytes) -> Getter:
    return lambda r: r.head.joined(name)


def _geng_server(r: Request) -> bytes:
    """Where the request's server stands: file:line."""
    return to_bytes(f"{r.srv.file}:{r.srv.line}")


def _geng_location(r: Request) -> bytes:
    """Where the block stands that serves the request (a location, or an `if` in one; else the server): file:line."""
    return to_bytes(f"{r.loc.file}:{r.loc.line}") if r.loc.file else _geng_server(r)


HOSTNAME = socket.gethostname().lower().encode()

VARIABLES: tuple[Variable, ...] = (
    Variable("http_host", _joined_in(b"host")),
    Variable("http_user_agent", user_agent),
    Variable("http_referer", referer),
    Variable("http_via", _joined_in(b"via")),
    Variable("http_x_forwarded_for", _joined_in(b"x-forwarded-for")),
    Variable("http_cookie", lambda r: r.head.joined(b"cookie", b"; ")),
    Variable("content_length", _content_length, NOCACHEABLE),
    Variable("content_type", _joined_in(b"content-type")),
    Variable("host", host),
    Variable("binary_remote_addr", _binary_remote_addr),
    Variable("remote_addr", remote_addr),
    Variable("remote_port", _remote_port),
    Variable("proxy_protocol_addr", _proxy_protocol("src_addr")),
    Variable("proxy_protocol_port", _proxy_protocol("src_port")),
    Variable("proxy_protocol_server_addr", _proxy_protocol("dst_addr")),
    Variable("proxy_protocol_server_port", _proxy_protocol("dst_port")),
    Variable("proxy_protocol_tlv_", flags=PREFIX, prefix_get=_tlv),
    Variable("server_addr", _server_addr),
    Variable("server_port", _server_port),
    Variable("server_protocol", _protocol),
    Variable("scheme", lambda r: b"https" if r.hc.ssl else b"http"),
    Variable("https", lambda r: b"on" if r.hc.ssl else b""),
    Variable("request_port", _request_port),
    Variable("is_request_port", lambda r: b":" if r.head.port else b""),
    Variable("request_uri", request_uri),
    Variable("uri", uri, NOCACHEABLE),
    Variable("document_uri", uri, NOCACHEABLE),
    Variable("request", request_line),
    Variable("document_root", _document_root, NOCACHEABLE),
    Variable("realpath_root", _realpath_root, NOCACHEABLE),
    Variable("query_string", _args, NOCACHEABLE),
    Variable("args", _args, CHANGEABLE | NOCACHEABLE, set=_set_args),
    Variable("is_args", lambda r: b"?" if r.args else b"", NOCACHEABLE),
    Variable("request_filename", lambda r: r.loc.path_of(r), NOCACHEABLE),
    Variable("server_name", lambda r: r.srv.server_name),
    Variable("request_method", _method, NOCACHEABLE),
    Variable("remote_user", remote_user),
    Variable("bytes_sent", lambda r: b"%d" % r.c.sent),
    Variable("body_bytes_sent", body_bytes_sent),
    Variable("pipe", lambda r: b"p" if r.hc.pipelined else b"."),
    Variable("request_completion", lambda r: b"OK" if r.logged and not r.hc.broken else b""),
    Variable("request_body", _request_body),
    Variable("request_body_file", _request_body_file),
    Variable("request_length", lambda r: b"%d" % r.request_length, NOCACHEABLE),
    Variable("request_time", request_time, NOCACHEABLE),
    Variable("request_id", _request_id),
    Variable("status", status_of, NOCACHEABLE),
    Variable("sent_http_content_type", _sent_content_type),
    Variable("sent_http_content_length", _sent_content_length),
    Variable("sent_http_location", _sent_location),
    Variable("sent_http_last_modified", _sent_last_modified),
    Variable("sent_http_connection", _sent_connection),
    Variable("sent_http_keep_alive", _sent_keep_alive),
    Variable("sent_http_transfer_encoding", _sent_transfer_encoding),
    Variable("limit_rate", _limit_rate, CHANGEABLE | NOCACHEABLE, set=_set_limit_rate),
    Variable("connection", lambda r: b"%d" % r.c.number),
    Variable("connection_requests", lambda r: b"%d" % r.c.requests),
    Variable("connection_time", _connection_time, NOCACHEABLE),
    Variable("nginx_version", lambda r: NGINX_VERSION),
    Variable("hostname", lambda r: HOSTNAME),
    Variable("geng_server", _geng_server, NOCACHEABLE),
    Variable("geng_location", _geng_location, NOCACHEABLE),
    Variable("pid", lambda r: b"%d" % os.getpid()),
    Variable("msec", lambda r: b"%.3f" % clock.now(), NOCACHEABLE),
    Variable("time_iso8601", lambda r: clock.iso8601(), NOCACHEABLE),
    Variable("time_local", lambda r: clock.http_log_time(), NOCACHEABLE),
    *(Variable(name, _tcpinfo(name), NOCACHEABLE) for name in TCP_INFO),
    Variable("http_", flags=PREFIX | NOCACHEABLE, prefix_get=_http),  # as quickly asked again as remembered
    Variable("sent_http_", flags=PREFIX, prefix_get=_sent_http),
    Variable("sent_trailer_", flags=PREFIX, prefix_get=_sent_trailer),
    Variable("cookie_", flags=PREFIX | NOCACHEABLE, prefix_get=_cookie),
    Variable("arg_", flags=PREFIX | NOCACHEABLE, prefix_get=_arg),
)
