"""An HTTP/1.1 client on a plain socket: sends what it is given, byte for byte, and shows what came back."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

PATIENCE = 30.0  # seconds; longer than anything here takes, also on a busy machine


class Truncated(Exception):
    """The connection ended inside a response; holds what had come."""


@dataclass
class Response:
    """One response. `headers` in order and as written; `head` the bytes before the body."""

    version: str
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    head: bytes = b""

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def __getitem__(self, name: str) -> str:
        """The value of a header that must be there."""
        values = self.all(name)
        assert values, f"no header {name} in {self.head!r}"
        return ", ".join(values)

    def get(self, name: str) -> str | None:
        values = self.all(name)
        return ", ".join(values) if values else None

    def __contains__(self, name: str) -> bool:
        return bool(self.all(name))

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class Connection:
    """One connection to a server; the reader keeps what came after a response for the next one."""

    def __init__(self, address: tuple[str, int] | str, patience: float = PATIENCE) -> None:
        if isinstance(address, str):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(patience)
            self.sock.connect(address)
        else:
            self.sock = socket.create_connection(address, timeout=patience)
        self.buffer = b""

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.sock.close()

    def send(self, data: bytes) -> Connection:
        self.sock.sendall(data)
        return self

    def shutdown_write(self) -> Connection:
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def ask(
        self, target: str = "/", method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Sends a request and reads its response; the connection stays usable."""
        self.send(request(target, method, headers, body))
        return self.response(head_only=method == "HEAD")

    def response(self, head_only: bool = False) -> Response:
        """The next response, its body complete."""
        head = self._until(b"\r\n\r\n")
        found = _parse_head(head)
        if head_only or found.status in (204, 304) or found.status < 200:
            return found
        if "chunked" in (found.get("Transfer-Encoding") or "").lower():
            self._chunked(found)
        elif "Content-Length" in found:
            found.body = self.exactly(int(found["Content-Length"]))
        else:
            found.body = self.rest()
        return found

    def exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def rest(self) -> bytes:
        """Everything until the other side closes."""
        while True:
            data = self.sock.recv(65536)
            if not data:
                break
            self.buffer += data
        data, self.buffer = self.buffer, b""
        return data

    def closed(self) -> bool:
        """Whether the other side closes now, having sent nothing more. Waits for it."""
        try:
            return self.buffer == b"" and self.sock.recv(1) == b""
        except ConnectionResetError:
            return True

    def _chunked(self, found: Response) -> None:
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            found.body += self.exactly(size)
            assert self.exactly(2) == b"\r\n", "no line end after a chunk"
        while (line := self._until(b"\r\n")) != b"\r\n":
            found.trailers.append(_pair(line))

    def _until(self, mark: bytes) -> bytes:
        while (end := self.buffer.find(mark)) < 0:
            self._more()
        end += len(mark)
        data, self.buffer = self.buffer[:end], self.buffer[end:]
        return data

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise Truncated(self.buffer)
        self.buffer += data


def request(
    target: str = "/", method: str = "GET", headers: dict[str, str] | None = None, body: bytes | None = None
) -> bytes:
    """The bytes of a request; `Host: localhost` and a Content-Length where none are given."""
    fields = {"Host": "localhost"} | (headers or {})
    if body is not None and "Transfer-Encoding" not in fields:
        fields.setdefault("Content-Length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + (body or b"")


def fetch(
    address: tuple[str, int] | str,
    target: str = "/",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes | None = None,
) -> Response:
    """One request on a connection of its own, which the server is asked to close."""
    with Connection(address) as c:
        return c.ask(target, method, {"Connection": "close"} | (headers or {}), body)


def raw(address: tuple[str, int] | str, data: bytes) -> list[Response]:
    """Sends *data* as it is and reads every response until the server closes."""
    with Connection(address) as c:
        c.send(data)
        c.buffer = c.rest()
        found = []
        while c.buffer:
            found.append(c.response())
        return found


def _parse_head(head: bytes) -> Response:
    first, *lines = head[:-4].split(b"\r\n")
    version, status, *reason = first.decode("latin-1").split(" ", 2)
    return Response(version, int(status), reason[0] if reason else "", [_pair(line) for line in lines], head=head)


def _pair(line: bytes) -> tuple[str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name, value.strip(" \t\r\n")
