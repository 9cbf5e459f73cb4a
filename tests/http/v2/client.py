"""An HTTP/2 client that sends frames as it is told, and shows those that come."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from geng.hot.hpack import Decoder
from geng.hot.hpack import field as encode
from geng.wire import http2 as wire
from tests.harness.answers import Answer

PATIENCE = 30.0


@dataclass
class Frame:
    kind: int
    flags: int
    sid: int
    payload: bytes

    @property
    def number(self) -> int:
        """The last four bytes: a window, an error code."""
        return int.from_bytes(self.payload[-4:], "big")


class Client:
    """One connection; next_sid is the stream that ask() takes."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None, name: str = "localhost") -> None:
        self.sock: Any = socket.create_connection(address, timeout=PATIENCE)
        if context is not None:
            self.sock = context.wrap_socket(self.sock, server_hostname=name)
        self.buffer = b""
        self.decoder = Decoder(1 << 20, 1 << 20)
        self.next_sid = 1
        self.answers: dict[int, Answer] = {}
        self.frames: list[Frame] = []
        self.block = b""

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    # ---- sending

    def hello(self, *settings: tuple[int, int]) -> Client:
        """Preface and SETTINGS."""
        self.sock.sendall(wire.PREFACE + wire.settings(settings))
        return self

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is sent in here arrives at once."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        yield
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def send(self, kind: int, flags: int, sid: int, payload: bytes = b"") -> Client:
        self.sock.sendall(wire.frame_header(len(payload), kind, flags, sid) + payload)
        return self

    def ask(
        self,
        path: str = "/",
        *more: tuple[str, str],
        method: str = "GET",
        authority: str | None = "localhost",
        end: bool = True,
        scheme: str = "http",
    ) -> int:
        """HEADERS of a request; its stream."""
        lines = [(":method", method), (":scheme", scheme), (":path", path)]
        if authority is not None:
            lines.append((":authority", authority))
        return self.ask_raw([*lines, *more], end=end)

    def ask_raw(self, lines: list[tuple[str, str]], end: bool = True) -> int:
        sid = self.next_sid
        self.next_sid += 2
        block = b"".join(encode(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines)
        self.send(wire.HEADERS, wire.END_HEADERS | end, sid, block)
        return sid

    def data(self, sid: int, data: bytes = b"", end: bool = False) -> Client:
        return self.send(wire.DATA, int(end), sid, data)

    def window(self, size: int, sid: int = 0) -> Client:
        self.sock.sendall(wire.window_update(sid, size))
        return self

    # ---- receiving

    def frame(self) -> Frame | None:
        """The next frame; None when the connection ends."""
        while len(self.buffer) < wire.FRAME_HEADER or len(self.buffer) < wire.FRAME_HEADER + self._length():
            more = self._receive()
            if not more:
                return None
            self.buffer += more
        n = self._length()
        head, rest = self.buffer[: wire.FRAME_HEADER], self.buffer[wire.FRAME_HEADER :]
        self.buffer = rest[n:]
        made = Frame(head[3], head[4], int.from_bytes(head[5:], "big"), rest[:n])
        self.frames.append(made)
        self._take(made)
        return made

    def _length(self) -> int:
        return int.from_bytes(self.buffer[:3], "big")

    def _receive(self) -> bytes:
        try:
            data: bytes = self.sock.recv(65536)
            return data
        except (ConnectionResetError, ssl.SSLError):
            return b""

    def _take(self, made: Frame) -> None:
        if not made.sid:
            return
        answer = self.answers.setdefault(made.sid, Answer())
        if made.kind in (wire.HEADERS, wire.CONTINUATION):
            self.block += made.payload
            if made.flags & wire.END_HEADERS:
                fields = self.decoder.decode(self.block)
                answer.heads.append([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])
                self.block = b""
        elif made.kind == wire.DATA:
            answer.body += made.payload
            answer.sizes.append(len(made.payload))
        elif made.kind == wire.RST_STREAM:
            answer.reset = made.number
        if made.kind in (wire.HEADERS, wire.DATA) and made.flags & wire.END_STREAM:
            answer.ended = True

    def answer(self, sid: int) -> Answer:
        """What stream *sid* brings until it ends or is reset."""
        answer = self.answers.setdefault(sid, Answer())
        while not answer.ended and answer.reset is None:
            assert self.frame() is not None, f"the connection ended inside stream {sid}"
        return answer

    def body(self, sid: int, size: int) -> Answer:
        """Stream *sid*, once *size* bytes of its body are here."""
        answer = self.answers.setdefault(sid, Answer())
        while len(answer.body) < size:
            assert self.frame() is not None, f"the connection ended inside stream {sid}"
        return answer

    def until(self, kind: int, ack: bool = False) -> Frame:
        """The next frame of this kind."""
        while True:
            found = self.frame()
            assert found is not None, "the connection ended"
            if found.kind == kind and (not ack or found.flags & wire.ACK):
                return found

    def ping(self) -> Client:
        """A PING, and wait for its answer: all that was sent before has been seen."""
        self.send(wire.PING, 0, 0, b"12345678")
        self.until(wire.PING, ack=True)
        return self

    def goaway(self) -> tuple[int, int]:
        """Wait for GOAWAY: the last stream and the error code."""
        found = self.until(wire.GOAWAY)
        return int.from_bytes(found.payload[:4], "big"), int.from_bytes(found.payload[4:8], "big")

    def closed(self) -> bool:
        """Whether the connection ends, whatever comes before."""
        while self.frame() is not None:
            pass
        return True
