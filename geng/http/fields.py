"""A request's fields become a request head that all of geng reads: the same lines as HTTP/1 would have sent.

nginx: ngx_http_v2.c (ngx_http_v2_validate_header, …_pseudo_header, …_construct_request_line, …_run_request),
ngx_http_v3_request.c (ngx_http_v3_validate_header, …_process_pseudo_header, …_init_pseudo_headers, …_request_header)

The fields are checked here by the rules of HTTP/2 and HTTP/3; what HTTP/1 asks as well is checked by the head's parser.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from geng.errors import ProtocolError

Fields = Sequence[tuple[bytes, bytes]]

_BAD_NAME = re.compile(rb"[\x00-\x20\x7f:A-Z]")
_BAD_VALUE = re.compile(rb"[\x00\n\r]")
_BAD_PATH = re.compile(rb"[\x00-\x20\x7f]")
_METHOD = re.compile(rb"[A-Z_\-]+")
_SCHEME = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")

PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))

#: What HTTP/2 has no use for.
FORBIDDEN = {
    b"connection": "Connection", b"keep-alive": "Keep-Alive", b"transfer-encoding": "Transfer-Encoding",
    b"upgrade": "Upgrade",
}  # fmt: skip
SPECIAL = frozenset((b"cookie", b"host", b"te", *FORBIDDEN))

MOST_NAMES = 4096
known_names: set[bytes] = set()  # that were looked at and are good


class BadHead(ProtocolError):
    """A request that is refused; *line* tells what is known of its request line."""

    def __init__(self, message: str, line: bytes = b"", status: int = 400) -> None:
        super().__init__(status, message)
        self.line = line


MOST_HEADS, MOST_BYTES = 512, 2048


def head_of(fields: list[tuple[bytes, bytes]], kind: type[Head]) -> tuple[Head, bytes]:
    """What *fields* say, and the head as HTTP/1 writes it; raises BadHead.

    The same fields make the same head, and clients of APIs ask for the same again and again.
    """
    key = tuple(fields)
    heads = kind.heads
    found = heads.get(key)
    if found is None:
        said = kind()
        said.read(fields)
        text = said.text()
        said.check()
        found = said, text
        if len(text) <= MOST_BYTES:
            if len(heads) >= MOST_HEADS:
                heads.clear()
            heads[key] = found
    return found


class Head:
    """What the fields of one request say.

    protocol: as the request line has it; quote: around the names of pseudo-headers in messages; heads: of requests that
    come again.
    """

    __slots__ = ("authority", "cookies", "forbidden", "host", "line", "lines", "method", "path", "scheme", "te")

    protocol = b"HTTP/2.0"
    quote = ""
    heads: ClassVar[dict[Fields, tuple[Head, bytes]]] = {}

    def __init__(self) -> None:
        self.method = self.path = self.scheme = self.line = b""
        self.authority: bytes | None = None
        self.host: bytes | None = None
        self.lines: list[bytes] = []
        self.cookies: list[bytes] | None = None
        self.forbidden: str | None = None
        self.te: list[bytes] = []

    def read(self, fields: Fields) -> None:
        """Sort *fields*; raises BadHead."""
        lines = self.lines
        names = known_names
        for name, value in fields:
            if name in names:
                if not self.line:
                    self._begin_lines()
                lines += (name, b": ", value, b"\r\n")
            elif name[0] == 58:
                self._pseudo(name, value)
            else:
                if not self.line:
                    self._begin_lines()
                self._line(name, value)
        if not self.line:
            self._begin_lines()

    def _begin_lines(self) -> None:
        """The pseudo-headers have ended: the request line."""
        for name in ("method", "scheme", "path"):
            if not getattr(self, name):
                raise BadHead(f"client sent no {self._quoted(name)} header")
        self.line = b"%s %s %s" % (self.method, self.path, self.protocol)

    def _quoted(self, name: str) -> str:
        return f"{self.quote}:{name}{self.quote}"

    def _line(self, name: bytes, value: bytes) -> None:
        if _BAD_NAME.search(name):
            raise BadHead(f'client sent invalid header name: "{shown(name)}"', self.line)
        if name not in SPECIAL:
            if len(known_names) < MOST_NAMES:
                known_names.add(name)
        elif name == b"cookie":
            check_value(name, value, self.line)
            if self.cookies is None:
                self.cookies = []
            self.cookies.append(value)
            return
        elif name == b"host":
            if self.host is None:
                self.host = value
        elif name == b"te":
            self.te.append(value)
        elif self.forbidden is None:
            self.forbidden = FORBIDDEN[name]
        self.lines += (name, b": ", value, b"\r\n")

    def _pseudo(self, name: bytes, value: bytes) -> None:
        if _BAD_NAME.search(name, 1):
            raise BadHead(f'client sent invalid header name: "{shown(name)}"', self.line)
        check_value(name, value, self.line)
        if self.line or self.lines:
            raise BadHead("client sent out of order pseudo-headers", self.line)
        if name not in PSEUDO:
            raise BadHead(f'client sent unknown pseudo-header "{shown(name)}"')
        what = shown(name)[1:]
        if name == b":authority":
            if self.authority is not None:
                raise BadHead('client sent duplicate ":authority" header')
            self.authority = value
            return
        if getattr(self, what):
            raise BadHead(f"client sent duplicate {self._quoted(what)} header")
        if not value:
            raise BadHead(f"client sent empty {self._quoted(what)} header")
        if name == b":method":
            if not _METHOD.fullmatch(value):
                raise BadHead(f'client sent invalid method: "{shown(value)}"')
            self.method = value
        elif name == b":scheme":
            if not _SCHEME.fullmatch(value):
                raise BadHead(f'client sent invalid {self._quoted(what)} header: "{shown(value)}"')
            self.scheme = value
        else:
            if value[0] != 47 or _BAD_PATH.search(value):
                raise BadHead(f'client sent invalid {self._quoted(what)} header: "{shown(value)}"')
            self.path = value

    @property
    def added(self) -> int:
        """How many of the lines of text() are none of the client's that count for max_headers."""
        return (self.host is None and self.authority is not None) + (self.cookies is not None)

    def text(self) -> bytes:
        """The head as HTTP/1 writes it; raises BadHead. The host stands first: it decides on the server."""
        parts = [self.line, b"\r\n"]
        if self.host is None and self.authority is not None:
            parts += (b"host: ", self.authority, b"\r\n")
        if self.cookies is not None:
            parts += (*self.lines, b"cookie: ", b"; ".join(self.cookies), b"\r\n\r\n")
        else:
            parts += self.lines
            parts.append(b"\r\n")
        made = b"".join(parts)
        ends = len(self.lines) // 4 + 2 + self.added
        if made.count(b"\n") != ends or made.count(b"\r") != ends or b"\0" in made:
            for at in range(0, len(self.lines), 4):
                check_value(self.lines[at], self.lines[at + 2], self.line)
        return made

    def check(self) -> None:
        """The rules for the fields as a whole; raises BadHead."""
        if self.forbidden is not None:
            raise BadHead(f'client sent "{self.forbidden}" header', self.line)
        if self.te and (len(self.te) > 1 or self.te[0].lower() != b"trailers"):
            raise BadHead('client sent invalid "TE" header', self.line)
        if self.host is None:
            if self.authority is None:
                raise BadHead('client sent neither ":authority" nor "Host" header', self.line)
        elif self.authority is not None and self.host != self.authority:
            raise BadHead('client sent ":authority" and "Host" headers with different values', self.line)


class Head3(Head):
    """The same for HTTP/3."""

    __slots__ = ()

    protocol = b"HTTP/3.0"
    quote = '"'
    heads: ClassVar[dict[Fields, tuple[Head, bytes]]] = {}


def check_value(name: bytes, value: bytes, line: bytes) -> None:
    """Raises BadHead for what would end a line."""
    if _BAD_VALUE.search(value):
        raise BadHead(f'client sent header "{shown(name)}" with invalid value: "{shown(value)}"', line)


def shown(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
