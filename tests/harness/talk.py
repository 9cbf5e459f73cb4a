"""Conversations over plain TCP and UDP: what stream's clients and upstreams say."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import closing

from .client import PATIENCE

Address = tuple[str, int]


def receive_all(sock: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    parts = []
    while data := sock.recv(65536):
        parts.append(data)
    return b"".join(parts)


def say(address: Address | str, data: bytes = b"", end: bool = False) -> bytes:
    """Connect, send *data* (and the end, if *end*), and receive everything until the other side ends."""
    kind = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
    with closing(socket.socket(kind)) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(address)
        if data:
            sock.sendall(data)
        if end:
            sock.shutdown(socket.SHUT_WR)
        return receive_all(sock)


def ask(sock: socket.socket, data: bytes) -> bytes:
    """Send, and receive what comes at once."""
    sock.sendall(data)
    return sock.recv(65536)


def echo(sock: socket.socket) -> None:
    """An upstream that sends everything back."""
    while data := sock.recv(65536):
        sock.sendall(data)


def named(name: bytes) -> Callable[[socket.socket], None]:
    """An upstream that says its name, and ends."""

    def talk(sock: socket.socket) -> None:
        sock.sendall(name)

    return talk


class Datagrams:
    """An upstream for datagrams: *answer(data)* gives what goes back, a list of datagrams."""

    def __init__(self, answer: Callable[[bytes], list[bytes]]) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.clients: list[Address] = []
        self.answer = answer
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            data, client = self.sock.recvfrom(65536)
            if data == b"stop!" and client == self.sock.getsockname():
                return
            self.clients.append(client)
            for back in self.answer(data):
                self.sock.sendto(back, client)

    def stop(self) -> None:
        self.sock.sendto(b"stop!", self.sock.getsockname())
        self._thread.join(PATIENCE)
        self.sock.close()


def udp(port: int) -> socket.socket:
    """A client's socket, connected to a local *port*."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.connect(("127.0.0.1", port))
    return sock
