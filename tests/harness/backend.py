"""Fake upstreams: a thread per connection, a Python function for each request, every request kept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from scripts.lib.servers import free_port

from .client import PATIENCE


@dataclass
class Request:
    """What the upstream received. `head` is as it came; `connection` counts the connections of this backend."""

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes
    connection: int

    def get(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(values) if values else None

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        assert value is not None, f"no header {name} in {self.head!r}"
        return value


@dataclass
class Answer:
    """A response; Content-Length is added unless the headers say how the body ends."""

    body: bytes | str = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    reason: str = "OK"

    def wire(self) -> bytes:
        body = self.body.encode() if isinstance(self.body, str) else self.body
        fields = dict(self.headers)
        if not {"content-length", "transfer-encoding"} & {name.lower() for name in fields}:
            fields["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"HTTP/1.1 {self.status} {self.reason}\r\n{lines}\r\n".encode("latin-1") + body


# What a handler returns: an answer, its text alone, raw bytes of a whole response, or None to close at once.
Reply = Answer | str | bytes | None
Handler = Callable[[Request], Reply]
Conversation = Callable[[socket.socket], None]


class Backend:
    """A listening fake. Either *handler* answers requests, or *talk* has each accepted socket to itself."""

    def __init__(self, handler: Handler | None = None, talk: Conversation | None = None, port: int = 0) -> None:
        self.handler, self.talk = handler, talk
        self.listening = socket.create_server(("127.0.0.1", port or free_port()), backlog=128)
        self.port: int = self.listening.getsockname()[1]
        self.requests: list[Request] = []
        self.connections = 0
        self.failure: BaseException | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Backend on {self.port}, {self.connections} connections, {len(self.requests)} requests>"

    def stop(self) -> None:
        """Closes everything; raises what went wrong in a handler, for a thread cannot fail a test itself."""
        self.listening.shutdown(socket.SHUT_RDWR)  # wakes the accept, which close() alone does not
        self.listening.close()
        with self._lock:
            for sock in self._open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # already gone
        self._thread.join(PATIENCE)
        if self.failure is not None:
            raise self.failure

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listening.accept()
            except OSError:
                return  # stopped
            with self._lock:
                self.connections += 1
                number = self.connections
                self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            with sock:
                if self.talk is not None:
                    self.talk(sock)
                else:
                    self._answer(sock, number)
        except (ConnectionError, TimeoutError):
            pass  # the other side may leave at any time
        except BaseException as failure:
            self.failure = failure
        finally:
            with self._lock:
                self._open.discard(sock)

    def _answer(self, sock: socket.socket, number: int) -> None:
        assert self.handler is not None
        sock.settimeout(60)
        stream = sock.makefile("rb")
        while (received := read_request(stream, number)) is not None:
            with self._lock:
                self.requests.append(received)
            reply = self.handler(received)
            if reply is None:
                return
            data = reply if isinstance(reply, bytes) else (Answer(reply) if isinstance(reply, str) else reply).wire()
            sock.sendall(data)
            if b"connection: close" in data.split(b"\r\n\r\n")[0].lower():
                return
            if received.version == "HTTP/1.0" or (received.get("Connection") or "").lower() == "close":
                return


def read_request(stream: BinaryIO, number: int = 0) -> Request | None:
    """The next request on a stream, its body complete; None when the other side has closed."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        head += line
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    found = Request(method, target, version, headers, b"", head, number)
    if (found.get("Transfer-Encoding") or "").lower() == "chunked":
        while size := int(stream.readline().split(b";")[0], 16):
            found.body += _exactly(stream, size)
            stream.readline()
        while stream.readline().strip():
            pass  # trailers
    else:
        found.body = _exactly(stream, int(found.get("Content-Length") or 0))
    return found


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = stream.read(count - len(data))
        if not more:
            raise ConnectionError("closed inside a body")
        data += more
    return data
