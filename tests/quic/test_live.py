"""A real client (aioquic) and a real socket: handshakes, streams, losses, new addresses, and ends of all kinds."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("aioquic", reason="the QUIC client of these tests")

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicErrorCode
from aioquic.tls import CipherSuite, Epoch

from geng.quic import frames
from geng.quic import packet as packets
from geng.quic.frames import ConnectionClose, parse
from geng.quic.protection import Keys

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 30


class Echo:
    """A server whose streams send back what they get (echo.py)."""

    def __init__(self, folder: Path, words: tuple[str, ...]) -> None:
        certificate, key = folder / "q.crt", folder / "q.key"
        if not certificate.exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "9",
                 "-keyout", str(key), "-out", str(certificate)],
                check=True, capture_output=True,
            )  # fmt: skip
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("echo.py")), str(certificate), str(key), *words],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline() or 0)
        assert self.port, self.log.read_text()

    def stop(self) -> str:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.log.read_text()


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[Callable[..., Echo]]:
    started: list[Echo] = []

    def start(*words: str) -> Echo:
        started.append(Echo(tmp_path, words))
        return started[-1]

    yield start
    for server in started:
        log = server.stop()
        assert "Error" not in log and "alert" not in log, log


class Nowhere(asyncio.DatagramTransport):
    """Where a client's datagrams go that has fallen silent."""

    def sendto(self, data: Any, addr: Any = None) -> None:
        pass

    def close(self) -> None:
        pass


class Client(QuicConnectionProtocol):
    """Keeps what ends it; *deaf* to a stream, whose data nobody here reads."""

    ended: events.ConnectionTerminated | None = None
    deaf: int | None = None

    def fall_silent(self) -> None:
        """Not a word more from here, whatever this side believes to send."""
        self._transport.abort()
        self._transport = Nowhere()

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ConnectionTerminated):
            self.ended = event
        if isinstance(event, events.StreamDataReceived) and event.stream_id == self.deaf:
            return
        super().quic_event_received(event)


def configuration(**changes: Any) -> QuicConfiguration:
    made = QuicConfiguration(is_client=True, alpn_protocols=["echo"], verify_mode=ssl.CERT_NONE)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@asynccontextmanager
async def client(server: Echo, port: int = 0, **changes: Any) -> AsyncIterator[Any]:
    made = configuration(**changes)
    async with connect("127.0.0.1", port or server.port, configuration=made, create_protocol=Client) as c:
        yield c


async def talk(c: Any, data: bytes) -> None:
    reader, writer = await c.create_stream()
    writer.write(data)
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(), LIMIT) == data


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, LIMIT * 2))


@pytest.mark.parametrize("words", [(), ("retry",), ("gso",)], ids=["plain", "retry", "gso"])
def test_bytes_come_back(echo: Callable[..., Echo], words: tuple[str, ...]) -> None:
    server = echo(*words)

    async def work() -> None:
        async with client(server) as c:
            await talk(c, b"hello")
            await asyncio.gather(*[talk(c, bytes((i,)) * 30_000) for i in range(20)])
            await talk(c, os.urandom(1_000_000))
            await c.ping()

    run(work())


@pytest.mark.parametrize("suite", ["AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305_SHA256"])
def test_ciphers_and_key_updates(echo: Callable[..., Echo], suite: str) -> None:
    server = echo()

    async def work() -> None:
        async with client(server, cipher_suites=[CipherSuite[suite]]) as c:
            for _ in range(3):
                await talk(c, b"x" * 5000)
                c.request_key_update()
            await talk(c, b"y" * 5000)

    run(work())


def test_more_streams_than_at_once(echo: Callable[..., Echo]) -> None:
    """MAX_STREAMS lets the client go on."""
    server = echo()

    async def work() -> None:
        async with client(server) as c:
            for _ in range(4):
                await asyncio.gather(*[talk(c, b"z" * 100) for _ in range(100)])

    run(work())


def test_what_nobody_reads_does_not_fill_the_connection(echo: Callable[..., Echo]) -> None:
    """Streams are closed with a body unread, of more bytes together than the connection's window has."""
    server = echo()

    async def work() -> None:
        async with client(server) as c:
            for _ in range(200):
                reader, writer = await c.create_stream()
                writer.write(b"drop")
                await c.ping()
                writer.write(bytes(60_000))
                writer.write_eof()
                await asyncio.wait_for(reader.read(), LIMIT)
            await talk(c, b"still room")

    run(work())


class Relay(asyncio.DatagramProtocol):
    """Stands between: *spoil(datagram, n)* gives what becomes of the n-th one; `move()` changes its address."""

    def __init__(self, server: tuple[str, int], spoil: Callable[[bytes, int], list[bytes]]) -> None:
        self.server = server
        self.spoil = spoil
        self.count = 0
        self.client: Any = None
        self.front: Any = None
        self.back: Any = None

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        self.front, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        await self.move()
        return int(self.front.get_extra_info("sockname")[1])

    async def move(self) -> None:
        outer = self

        class Back(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                outer.count += 1
                for part in outer.spoil(data, outer.count):
                    outer.front.sendto(part, outer.client)

        loop = asyncio.get_running_loop()
        old, (self.back, _) = self.back, await loop.create_datagram_endpoint(Back, remote_addr=self.server)
        if old is not None:
            loop.call_later(1, old.close)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.client = addr
        self.count += 1
        for part in self.spoil(data, self.count):
            self.back.sendto(part)

    def close(self) -> None:
        self.front.close()
        self.back.close()


def test_every_seventh_datagram_is_lost_and_others_come_twice(echo: Callable[..., Echo]) -> None:
    server = echo()

    def spoil(data: bytes, n: int) -> list[bytes]:
        return [] if n % 7 == 0 else [data, data] if n % 5 == 0 else [data]

    async def work() -> None:
        relay = Relay(("127.0.0.1", server.port), spoil)
        port = await relay.start()
        async with client(server, port) as c:
            await talk(c, os.urandom(300_000))
        relay.close()

    run(work())


def test_the_client_moves(echo: Callable[..., Echo]) -> None:
    """A new address in the middle of a transfer: the server looks whether it is true, and goes on there."""
    server = echo()

    async def work() -> None:
        relay = Relay(("127.0.0.1", server.port), lambda data, n: [data])
        port = await relay.start()
        async with client(server, port) as c:
            await talk(c, b"before")
            c.change_connection_id()
            await relay.move()
            await talk(c, os.urandom(100_000))
            await relay.move()  # behind the client's back
            await talk(c, b"after")
        relay.close()

    run(work())
    log = server.log.read_text()
    assert "quic migrated to path seq:1" in log
    assert "successfully validated" in log


def test_garbage_ends_nothing(echo: Callable[..., Echo]) -> None:
    server = echo()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    target = ("127.0.0.1", server.port)

    async def work() -> None:
        async with client(server) as c:
            for size in (0, 1, 5, 20, 21, 42, 1200, 1500):
                sock.sendto(os.urandom(size), target)
                sock.sendto(bytes((0xC0,)) + b"\0\0\0\x01" + os.urandom(size), target)
                sock.sendto(bytes((0x40,)) + os.urandom(size), target)
            await talk(c, b"still here")

    run(work())
    sock.close()


def _ask(server: Echo, datagram: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(LIMIT)
        sock.sendto(datagram, ("127.0.0.1", server.port))
        return sock.recv(2000)


def test_an_unknown_version_is_negotiated(echo: Callable[..., Echo]) -> None:
    server = echo()
    answer = _ask(server, bytes((0xC0,)) + b"\x1a\x2a\x3a\x4a" + b"\x08clientid\x04mine" + bytes(1200))
    assert answer == b"\xc0\0\0\0\0\x04mine\x08clientid\0\0\0\x01"


def test_a_forgotten_connection_is_reset(echo: Callable[..., Echo]) -> None:
    """The token is made of the id and the host key: the same id, the same token."""
    server = echo()
    cid = os.urandom(20)
    first, second = (_ask(server, b"\x40" + cid + os.urandom(size)) for size in (200, 300))
    assert first[-16:] == second[-16:]
    assert len(first) < 221 and not first[0] & 0x80


def test_a_token_that_nobody_has_made(echo: Callable[..., Echo], monkeypatch: pytest.MonkeyPatch) -> None:
    server = echo("retry")
    monkeypatch.setattr(packets, "LEAST_INITIAL", 0)  # which is a rule for clients
    keys = Keys()
    keys.set_initial(b"clientid", server=False)
    datagram = b"\xc3\0\0\0\x01\x08clientid\x04mine\x2d" + bytes(45) + b"\x44\x90" + bytes(1168)
    packet = packets.parse(_ask(server, datagram), 0)
    secret = keys.read[0]
    assert secret is not None
    assert packets.open_payload(packet, secret, packets.unhide(packet, secret, -1))
    (close,) = parse(packet.payload, packet.level)
    assert close == ConnectionClose(0x0B, b"cannot decrypt token")


def test_a_client_that_says_nothing_of_its_protocol(echo: Callable[..., Echo]) -> None:
    server = echo()

    async def work() -> None:
        with pytest.raises(ConnectionError):
            async with client(server, alpn_protocols=None):
                pass

    run(work())
    assert "quic missing ALPN extension" in server.log.read_text()


def test_a_client_that_breaks_a_rule(echo: Callable[..., Echo]) -> None:
    """Data on a stream that the server has not opened: the connection ends with that error."""
    server = echo()

    async def work() -> None:
        async with client(server) as c:
            await talk(c, b"fine")
            quic = c._quic
            quic._remote_max_streams_bidi = 1 << 20
            quic.send_stream_data(4 * 100_000, b"x")
            c.transmit()
            await asyncio.wait_for(c.wait_closed(), LIMIT)
            assert c.ended.error_code == QuicErrorCode.STREAM_LIMIT_ERROR

    run(work())


def test_a_reset_stream_ends_its_reader(echo: Callable[..., Echo]) -> None:
    server = echo()

    async def work() -> None:
        async with client(server) as c:
            c.deaf = 0
            c._quic.send_stream_data(0, b"half")
            c.transmit()
            await c.ping()
            c._quic.reset_stream(0, 7)
            c.transmit()
            await talk(c, b"others go on")

    run(work())
    assert "closed" in server.log.read_text()


def test_an_idle_connection_is_forgotten(echo: Callable[..., Echo]) -> None:
    server = echo()

    async def work() -> None:
        async with client(server, idle_timeout=0.6) as c:
            await talk(c, b"hello")
            c.fall_silent()
            while "quic client timed out" not in server.log.read_text():
                await asyncio.sleep(0.05)

    run(work())


def _anything(random: Random) -> bytes:
    """A frame of any kind with any fields, now and then a broken one."""

    def number() -> int:
        return random.choice((0, 1, 2, 4, 8, 100, 1 << 14, 1 << 30, (1 << 62) - 1, random.getrandbits(62)))

    def text() -> bytes:
        return random.randbytes(random.choice((0, 1, 8, 16, 20, 50)))

    made: list[Callable[[], frames.Frame]] = [
        frames.Ping,
        lambda: frames.ResetStream(number(), number(), number()),
        lambda: frames.StopSending(number(), number()),
        lambda: frames.Crypto(number(), text()),
        lambda: frames.StreamFrame(number(), number(), text(), random.random() < 0.3),
        lambda: frames.MaxData(number()),
        lambda: frames.MaxStreamData(number(), number()),
        lambda: frames.MaxStreamsBidi(number()),
        lambda: frames.DataBlocked(number()),
        lambda: frames.StreamDataBlocked(number(), number()),
        lambda: frames.NewConnectionId(number(), number(), text(), random.randbytes(16)),
        lambda: frames.RetireConnectionId(number()),
        lambda: frames.PathChallenge(random.randbytes(8)),
        lambda: frames.PathResponse(random.randbytes(8)),
        lambda: frames.NewToken(text()),
        lambda: frames.Ack([(0, random.choice((0, 3, 1000)))], number()),
        lambda: frames.HandshakeDone(),
    ]
    data = random.choice(made)().encode()
    return random.randbytes(20) if random.random() < 0.03 else data


def test_well_protected_nonsense(echo: Callable[..., Echo]) -> None:
    """Whatever frames a client thinks of: its connection may end, the server does not."""
    server = echo()
    random = Random(42)

    async def work() -> None:
        for _ in range(60):
            async with client(server) as c:
                await talk(c, b"first")
                quic = c._quic
                pair = quic._cryptos[Epoch.ONE_RTT]
                for _ in range(10):
                    payload = b"".join(_anything(random) for _ in range(random.choice((1, 1, 1, 2, 5))))
                    number, quic._packet_number = quic._packet_number, quic._packet_number + 1
                    head = bytes((0x41,)) + quic._peer_cid.cid + number.to_bytes(2, "big")
                    payload += bytes(4)  # or the header could not be protected
                    c._transport.sendto(pair.encrypt_packet(head, payload, number), quic._network_paths[0].addr)
                await asyncio.sleep(0)
                c.fall_silent()
        async with client(server) as c:
            await talk(c, b"still here")

    run(work())


def test_nonsense_before_the_handshake(echo: Callable[..., Echo]) -> None:
    server = echo()
    random = Random(7)

    async def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for i in range(300):
                dcid = random.randbytes(random.choice((8, 8, 20)))
                keys = Keys()
                keys.set_initial(dcid, server=False)
                secret = keys.write[0]
                assert secret is not None
                payload = b"".join(_anything(random) for _ in range(3))
                payload += bytes(1200 - len(payload)) if len(payload) < 1200 else b""
                sock.sendto(packets.build(0, secret, dcid, b"mine", i, 4, payload, False), ("127.0.0.1", server.port))
        async with client(server) as c:
            await talk(c, b"still here")

    run(work())
