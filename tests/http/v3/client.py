"""An HTTP/3 client over aioquic's transport: it sends frames as it is told, and shows those that come."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable

import pylsqpack
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection

from geng.wire import http3 as wire
from tests.harness.answers import Answer, Lines

PATIENCE = 30.0


class Client:
    """One connection. closed: error code and reason that the server ended it with; uni: what its streams brought, by type.

    *table*: bytes of the dynamic table that the encoder uses; *settings*: whether to send them at once; *certificate*: the
    path of the client's own, without `.crt` and `.key`.
    """

    def __init__(
        self,
        address: tuple[str, int],
        alpn: str = "h3",
        name: str = "localhost",
        table: int = 0,
        settings: bool = True,
        certificate: str = "",
    ) -> None:
        conf = QuicConfiguration(
            is_client=True, alpn_protocols=[alpn], server_name=name, verify_mode=ssl.CERT_NONE, idle_timeout=30
        )
        if certificate:
            conf.load_cert_chain(f"{certificate}.crt", f"{certificate}.key")
        self.quic = QuicConnection(configuration=conf)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(address)
        self.peer = address
        self.answers: dict[int, Answer] = {}
        self.streams: dict[int, bytes] = {}
        self.closed: tuple[int, str] | None = None
        self.up = False
        self.encoder = pylsqpack.Encoder()
        self.decoder = pylsqpack.Decoder(0, 0)
        self.quic.connect(address, now=time.monotonic())
        self.until(lambda: self.up or self.closed is not None)
        if alpn != "h3" or self.closed:
            return
        if settings:
            self.control = self.uni(wire.CONTROL_STREAM, wire.settings(()))
            self.encoding = self.uni(wire.ENCODER_STREAM, self.encoder.apply_settings(table, 16))
            self.decoding = self.uni(wire.DECODER_STREAM)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.quic.close()
        self.flush()
        self.sock.close()

    # ---- sending

    def flush(self) -> None:
        try:
            for data, _ in self.quic.datagrams_to_send(now=time.monotonic()):
                self.sock.send(data)
        except ConnectionRefusedError:
            pass

    def uni(self, kind: int, data: bytes = b"", fin: bool = False) -> int:
        """A new unidirectional stream of type *kind*."""
        sid = self.quic.get_next_available_stream_id(is_unidirectional=True)
        self.send(sid, wire.varint(kind) + data, fin)
        return sid

    def send(self, sid: int, data: bytes, fin: bool = False) -> Client:
        self.quic.send_stream_data(sid, data, fin)
        self.flush()
        return self

    def raw(self, data: bytes, fin: bool = True) -> int:
        """A new request stream that says *data*."""
        sid = self.quic.get_next_available_stream_id()
        self.answers[sid] = Answer()
        self.send(sid, data, fin)
        return sid

    def head(self, lines: Lines, sid: int | None = None) -> bytes:
        """HEADERS; what the encoder wants to say first has been sent."""
        sid = self.quic.get_next_available_stream_id() if sid is None else sid
        more, block = self.encoder.encode(sid, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines])
        if more:
            self.send(self.encoding, more)
        return wire.frame(wire.HEADERS, block)

    def ask(
        self,
        path: str = "/",
        *more: tuple[str, str],
        method: str = "GET",
        authority: str | None = "localhost",
        body: bytes = b"",
        end: bool = True,
    ) -> int:
        """A request; its stream."""
        lines = [(":method", method), (":scheme", "https"), (":path", path)]
        if authority is not None:
            lines.append((":authority", authority))
        return self.ask_raw([*lines, *more], body, end)

    def ask_raw(self, lines: Lines, body: bytes = b"", end: bool = True) -> int:
        return self.raw(self.head(lines) + (wire.frame(wire.DATA, body) if body else b""), end)

    # ---- receiving

    def until(self, met: Callable[[], object], patience: float = PATIENCE) -> None:
        """Run the connection until *met* says so."""
        deadline = time.monotonic() + patience
        self.flush()
        while not met():
            now = time.monotonic()
            assert now < deadline, f"nothing (more) came: closed {self.closed}, streams {self.streams}, {self.answers}"
            timer = self.quic.get_timer()
            self.sock.settimeout(max(0.001, min(deadline, timer if timer is not None else deadline) - now))
            try:
                self.quic.receive_datagram(self.sock.recv(65536), self.peer, now=time.monotonic())
            except TimeoutError:
                pass
            except ConnectionRefusedError:
                time.sleep(0.01)
            now = time.monotonic()
            timer = self.quic.get_timer()
            if timer is not None and timer <= now:
                self.quic.handle_timer(now=now)
            while (event := self.quic.next_event()) is not None:
                self._take(event)
            self.flush()

    def _take(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.HandshakeCompleted):
            self.up = True
        elif isinstance(event, events.ConnectionTerminated):
            self.closed = event.error_code, event.reason_phrase
        elif isinstance(event, events.StreamReset):
            self.answers[event.stream_id].reset = event.error_code
        elif isinstance(event, events.StreamDataReceived):
            if event.stream_id & 2:
                self.streams[event.stream_id] = self.streams.get(event.stream_id, b"") + event.data
                return
            answer = self.answers[event.stream_id]
            answer.rest += event.data
            answer.ended = event.end_stream
            self._frames(event.stream_id, answer)

    def _frames(self, sid: int, answer: Answer) -> None:
        data = answer.rest
        while True:
            kind, at = wire.read_varint(data, 0, len(data))
            size, at = wire.read_varint(data, at, len(data)) if at > 0 else (0, -1)
            if at < 0 or len(data) < at + size:
                break
            payload, data = data[at : at + size], data[at + size :]
            if kind == wire.HEADERS:
                fields = self.decoder.feed_header(sid, payload)[1]
                answer.heads.append([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])
            elif kind == wire.DATA:
                answer.body += payload
                answer.sizes.append(len(payload))
        answer.rest = data

    def answer(self, sid: int) -> Answer:
        """What stream *sid* brings until it ends or is reset."""
        answer = self.answers[sid]
        self.until(lambda: answer.ended or answer.reset is not None or self.closed is not None)
        return answer

    def get(self, path: str = "/", *more: tuple[str, str], **options: str) -> Answer:
        return self.answer(self.ask(path, *more, **options))  # type: ignore[arg-type]

    def of_server(self, kind: int) -> bytes:
        """What the server's stream of type *kind* has brought."""
        return next((data[1:] for data in self.streams.values() if data[:1] == bytes((kind,))), b"")

    def end(self) -> tuple[int, str]:
        """How the server ends the connection."""
        self.until(lambda: self.closed is not None)
        assert self.closed is not None
        return self.closed
