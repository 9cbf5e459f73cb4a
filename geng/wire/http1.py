"""HTTP/1 as the floors above use it: the heads and bodies of geng.hot.http1, and what is only written.

nginx: ngx_http_header_filter_module.c (status lines).   RFC 9110 15.
"""

from __future__ import annotations

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
    "Chunked",
    "NameSet",
    "RequestHead",
    "RequestOptions",
    "ResponseHead",
    "chunk_header",
    "last_chunk",
    "parse_request",
    "parse_response",
    "status_line",
]

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"

# the reasons that nginx knows; a status without one is written as its number and a space
REASONS = {
    101: b"Switching Protocols",
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
}
