"""Fake application servers: FastCGI, SCGI and uwsgi requests read off a socket, answered with whatever a test says.

app = FastcgiApp(lambda request: stdout(b"Status: 200\r\n\r\nhello") + end())
up = backend(talk=app)
app.requests[0].params["SCRIPT_NAME"], app.requests[0].body
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

STDIN, STDOUT, STDERR = 5, 6, 7


@dataclass
class Request:
    """What an application received. *modifiers*: of a uwsgi packet; *records*: (type, content) of each FastCGI record."""

    params: dict[str, str] = field(default_factory=dict)
    pairs: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    keep: bool = False
    modifiers: tuple[int, int] = (0, 0)
    records: list[tuple[int, bytes]] = field(default_factory=list)


Handler = Callable[[Request], "bytes | None"]


class App:
    """Conversation of one protocol: reads requests, sends what *handler* returns, closes at None or where one must."""

    hello: bytes

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.requests: list[Request] = []

    def __call__(self, sock: socket.socket) -> None:
        sock.settimeout(30)
        while (request := self.read(sock)) is not None:
            self.requests.append(request)
            answer = self.handler(request)
            if answer is None:
                return
            sock.sendall(answer)
            if not request.keep:
                return

    def read(self, sock: socket.socket) -> Request | None:
        raise NotImplementedError


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionError("closed inside a request")
        data += more
    return data


# --- FastCGI


def record(kind: int, content: bytes, padding: int = 0, version: int = 1, id: int = 1) -> bytes:
    return struct.pack(">BBHHBx", version, kind, id, len(content), padding) + content + bytes(padding)


def stdout(content: bytes, padding: int = 0) -> bytes:
    return record(STDOUT, content, padding)


def stderr(content: bytes, padding: int = 0) -> bytes:
    return record(STDERR, content, padding)


def end(padding: int = 0) -> bytes:
    """The empty STDOUT record, and END_REQUEST."""
    return record(STDOUT, b"") + record(3, bytes(8), padding)


CONF = """
events {}
http {
    %HTTP%
    upstream u { server 127.0.0.1:%UP%; keepalive 8; }
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        %BODY%
    }
}
"""


def conf(body: str, http: str = "") -> str:
    """*body* in a server, *http* beside it; the application is `u`."""
    return CONF.replace("%BODY%", body).replace("%HTTP%", http)


class Pair:
    """A server, and behind it an application of *kind*: `pair(body, answer)` starts both. up: the application's backend."""

    up: Any

    def __init__(self, kind: type[App], server: Any, backend: Any) -> None:
        self.kind = kind
        self.server = server
        self.backend = backend

    def __call__(self, body: str, answer: Any = None, http: str = "", **options: Any) -> Any:
        """The server with *body* in its server block, and the application, which says hello, or *answer*."""
        said = self.kind.hello if answer is None else answer
        app = self.kind(said if callable(said) else lambda request: said)
        return self.talking(app, body, http, **options), app

    def talking(self, talk: Any, body: str, http: str = "", **options: Any) -> Any:
        """The server, and behind it whatever talks."""
        self.up = self.backend(talk=talk)
        return self.server(conf(body, http), UP=self.up.port, **options)


def ask_with_body(c: Any, body: bytes, chunked: bool) -> str:
    """What *body* is answered with."""
    if not chunked:
        return c.ask("/", "POST", {"Content-Length": str(len(body))}, body).text
    c.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    for at in range(0, len(body), 100_000):
        piece = body[at : at + 100_000]
        c.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    return c.send(b"0\r\n\r\n").response().text


class FastcgiApp(App):
    hello = stdout(b"Content-Type: text/plain\r\n\r\nhello") + end()

    def read(self, sock: socket.socket) -> Request | None:
        request = Request()
        content = {4: b"", STDIN: b""}
        while True:
            head = sock.recv(8, socket.MSG_WAITALL)
            if not head:
                return None
            version, kind, id, length, padding = struct.unpack(">BBHHBx", head)
            assert (version, id) == (1, 1), head
            data = exactly(sock, length)
            assert exactly(sock, padding) == bytes(padding) and (length + padding) % 8 == 0
            request.records.append((kind, data))
            if kind == 1:
                role, flags = struct.unpack(">HB5x", data)
                assert role == 1
                request.keep = flags == 1
            elif data:
                content[kind] += data
            elif kind == STDIN:
                break
        request.pairs = list(self.pairs(content[4]))
        request.params = dict(request.pairs)
        request.body = content[STDIN]
        return request

    @staticmethod
    def pairs(data: bytes) -> list[tuple[str, str]]:
        found = []
        while data:
            sizes = []
            for _ in range(2):
                if data[0] < 128:
                    sizes.append(data[0])
                    data = data[1:]
                else:
                    sizes.append(int.from_bytes(data[:4], "big") & 0x7FFFFFFF)
                    data = data[4:]
            name, value, data = data[: sizes[0]], data[sizes[0] : sum(sizes)], data[sum(sizes) :]
            found.append((name.decode("latin-1"), value.decode("latin-1")))
        return found


# --- SCGI


class ScgiApp(App):
    hello = b"Content-Type: text/plain\r\n\r\nhello"

    def read(self, sock: socket.socket) -> Request | None:
        digits = b""
        while (ch := sock.recv(1)) not in (b":", b""):
            digits += ch
        if not ch:
            return None
        head = exactly(sock, int(digits))
        assert exactly(sock, 1) == b","
        words = head.split(b"\0")
        assert words.pop() == b"" and words[0] == b"CONTENT_LENGTH"
        texts = [word.decode("latin-1") for word in words]
        request = Request(pairs=list(zip(texts[::2], texts[1::2], strict=True)))
        request.params = dict(request.pairs)
        request.body = exactly(sock, int(words[1]))
        return request


# --- uwsgi


class UwsgiApp(App):
    hello = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"

    def read(self, sock: socket.socket) -> Request | None:
        head = sock.recv(4, socket.MSG_WAITALL)
        if not head:
            return None
        modifier1, size, modifier2 = struct.unpack("<BHB", head)
        data = exactly(sock, size)
        request = Request(modifiers=(modifier1, modifier2))
        while data and not modifier1:
            words = []
            for _ in range(2):
                (length,) = struct.unpack_from("<H", data)
                words.append(data[2 : 2 + length].decode("latin-1"))
                data = data[2 + length :]
            request.pairs.append((words[0], words[1]))
        request.params = dict(request.pairs)
        request.body = exactly(sock, int(request.params.get("CONTENT_LENGTH") or 0)) if not modifier1 else data
        return request
