"""The making of one access log line, and its writing to a file: what every request ends with.

nginx: ngx_http_log_module.c (ngx_http_log_handler, ngx_http_log_variable, ngx_http_log_write)

A format is a row of parts. What most formats hold has a kind of its own and is taken from the request as it is; anything
else is a getter. Compiled, a line of the format "combined" costs 0.4 us; by one generated function it was 1.3.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.core.clock import http_log_time
from geng.hot.decimal import decimal
from geng.hot.escape import append, shown
from geng.hot.http1 import CONNECT, request_number
from geng.hot.pieces import join

if TYPE_CHECKING:
    from geng.core.log import OpenFile
    from geng.http.request import Request

# Kinds of parts. LITERAL: bytes. GET: a getter of bytes. SAFE: a getter, None and b"" are "-". SHOWN: a getter, escaped.
LITERAL, GET, SAFE, SHOWN, ADDRESS, TIME, REQUEST, STATUS, SENT, REFERER, AGENT, USER = range(12)

#: Variables that have a kind; USER is followed by a getter for when there is an Authorization.
KINDS = {
    "remote_addr": ADDRESS,
    "time_local": TIME,
    "request": REQUEST,
    "status": STATUS,
    "body_bytes_sent": SENT,
    "http_referer": REFERER,
    "http_user_agent": AGENT,
    "remote_user": USER,
}

# as C integers
_LITERAL = LITERAL
_CONNECT = CONNECT
_GET = GET
_SAFE = SAFE
_SHOWN = SHOWN
_ADDRESS = ADDRESS
_TIME = TIME
_REQUEST = REQUEST
_STATUS = STATUS
_SENT = SENT
_REFERER = REFERER
_AGENT = AGENT
_N_REFERER = request_number(b"referer")
_N_AGENT = request_number(b"user-agent")
_N_AUTHORIZATION = request_number(b"authorization")


class LogLine:
    """A format's parts: *kinds* and, for each, its bytes or its getter."""

    __slots__ = ("items", "kinds")

    def __init__(self, parts: list[tuple[int, Any]]) -> None:
        self.kinds = bytes(kind for kind, _ in parts)
        self.items = tuple(item for _, item in parts)

    def __repr__(self) -> str:
        return f"<LogLine of {len(self.items)} parts>"

    def make(self, r: Request) -> bytes:
        """The line of *r*, its end included."""
        out: list[bytes] = []
        kinds = self.kinds
        items = self.items
        head = r.head
        for i in range(len(kinds)):
            kind = kinds[i]
            if kind == _LITERAL:
                out.append(items[i])
            elif kind == _ADDRESS:
                out.append(r.c.addr_text or b"-")
            elif kind == _TIME:
                out.append(http_log_time())
            elif kind == _REQUEST:
                out.append(shown(head.read_line()))
            elif kind == _STATUS:
                out.append(status_of(r))
            elif kind == _SENT:
                sent = r.c.sent - r.header_size
                out.append(decimal(sent) if sent > 0 else b"0")
            elif kind == _REFERER:
                out.append(b"-" if head.first(_N_REFERER) is None else shown(head.joined(b"referer")))
            elif kind == _AGENT:
                out.append(b"-" if head.first(_N_AGENT) is None else shown(head.joined(b"user-agent")))
            elif kind == _GET:
                out.append(items[i](r))
            elif kind == _SAFE:
                out.append(items[i](r) or b"-")
            elif kind == _SHOWN or r.method_id == _CONNECT or head.first(_N_AUTHORIZATION) is not None:
                out.append(shown(items[i](r)))
            else:
                out.append(b"-")
        return join(out)


def status_of(r: Request) -> bytes:
    """$status: what the client is told, or would have been."""
    status = r.err_status or r.out.status
    if status > 99:
        return decimal(status)
    if not status and (r.head.http_version == 9 or r.out.headless):
        status = 9
    return b"%03d" % status


class FileLog:
    """One access_log to a file, not buffered. *complain(r, message, error)* hears of what went wrong."""

    __slots__ = ("complain", "file", "line")

    def __init__(self, line: LogLine, file: OpenFile, complain: Callable[[Request, str, OSError | None], None]) -> None:
        self.line = line
        self.file = file
        self.complain = complain

    def __repr__(self) -> str:
        return f"<FileLog {self.file!r}>"

    def write(self, r: Request) -> None:
        """Log *r*."""
        data = self.line.make(r)
        file = self.file
        try:
            n = append(file.fd, data)
        except OSError as error:
            self.complain(r, f'write() to "{file.name}" failed', error)
            return
        if n != len(data):
            self.complain(r, f'write() to "{file.name}" was incomplete: {n} of {len(data)}', None)
