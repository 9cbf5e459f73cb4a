"""HTTP/1 as the floors above use it: the heads and bodies of geng.hot.http1, and what is only written.

nginx: ngx_http_header_filter_module.c (status lines), ngx_http_parse.c (cookies).   RFC 9110 15, RFC 6265.
"""

from __future__ import annotations

from collections.abc import Iterable

from geng.hot.http1 import (
    CGI,
    CLOSE,
    DONE,
    EARLY_HINTS,
    EITHER,
    HOST_KNOWN,
    HTTP,
    INVALID,
    KEEP_ALIVE,
    METHODS,
    NEED_MORE,
    Chunked,
    NameSet,
    RequestHead,
    RequestOptions,
    ResponseHead,
    chunk_header,
    parse_request,
    parse_response,
)

__all__ = [
    "CGI",
    "CLOSE",
    "CONTINUE",
    "DONE",
    "EARLY_HINTS",
    "EITHER",
    "HOST_KNOWN",
    "HTTP",
    "INVALID",
    "KEEP_ALIVE",
    "LAST_CHUNK",
    "METHODS",
    "NEED_MORE",
    "REASONS",
    "STATUS_LINES",
    "Chunked",
    "NameSet",
    "RequestHead",
    "RequestOptions",
    "ResponseHead",
    "chunk_header",
    "find_set_cookie",
    "find_value",
    "last_chunk",
    "parse_request",
    "parse_response",
    "status_line",
]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

# the reasons that nginx knows; a status without one is written as its number and a space
REASONS = {
    103: b"Early Hints",
    200: b"OK",
    201: b"Created",
    202: b"Accepted",
    204: b"No Content",
    206: b"Partial Content",
    301: b"Moved Permanently",
    302: b"Moved Temporarily",
    303: b"See Other",
    304: b"Not Modified",
    307: b"Temporary Redirect",
    308: b"Permanent Redirect",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Not Allowed",
    406: b"Not Acceptable",
    407: b"Proxy Authentication Required",
    408: b"Request Time-out",
    409: b"Conflict",
    410: b"Gone",
    411: b"Length Required",
    412: b"Precondition Failed",
    413: b"Request Entity Too Large",
    414: b"Request-URI Too Large",
    415: b"Unsupported Media Type",
    416: b"Requested Range Not Satisfiable",
    421: b"Misdirected Request",
    429: b"Too Many Requests",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Temporarily Unavailable",
    504: b"Gateway Time-out",
    505: b"HTTP Version Not Supported",
    507: b"Insufficient Storage",
}

STATUS_LINES = {status: b"HTTP/1.1 %d %s\r\n" % (status, reason) for status, reason in REASONS.items()}


def status_line(status: int, line: bytes = b"") -> bytes:
    """b"HTTP/1.1 200 OK\\r\\n"; *line* is an upstream's "200 Fine", which goes before nginx's own words."""
    if line:
        return b"HTTP/1.1 %s\r\n" % line
    return STATUS_LINES.get(status) or b"HTTP/1.1 %03d \r\n" % status


def last_chunk(trailers: list[tuple[bytes, bytes]]) -> bytes:
    """The end of a chunked body, with trailer lines."""
    return b"0\r\n" + b"".join(b"%s: %s\r\n" % line for line in trailers) + b"\r\n"


def find_value(lines: Iterable[bytes], name: bytes, separator: bytes = b";") -> bytes | None:
    """The value of `name=value` in header values such as Cookie's, the name's case ignored; None without.

    nginx: ngx_http_parse_cookie_lines, and with separator "," ngx_http_parse_multi_header_lines. As there, an item
    without "=" hides the one behind it: "a; a=1" has no value for "a".
    """
    sought = name.lower()
    size = len(name)
    for line in lines:
        at = 0
        while at < len(line):
            if line[at : at + size].lower() == sought:
                at = _skip_spaces(line, at + size)
                if line[at : at + 1] == b"=":
                    return line[_skip_spaces(line, at + 1) :].partition(separator)[0]
                at += 1
            stop = line.find(separator, at)
            if stop < 0:
                break
            at = _skip_spaces(line, stop + 1)
    return None


def find_set_cookie(lines: Iterable[bytes], name: bytes) -> bytes | None:
    """The value of the cookie *name* among the values of Set-Cookie (nginx: ngx_http_parse_set_cookie_lines)."""
    sought = name.lower()
    size = len(name)
    for line in lines:
        if line[:size].lower() == sought:
            at = _skip_spaces(line, size)
            if line[at : at + 1] == b"=":
                return line[_skip_spaces(line, at + 1) :].partition(b";")[0]
    return None


def _skip_spaces(line: bytes, at: int) -> int:
    while line[at : at + 1] == b" ":
        at += 1
    return at
