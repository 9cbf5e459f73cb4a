"""HTTP/3 over several workers, through reloads and shutdowns."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aioquic", reason="the QUIC client of these tests")

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3 import events as h3
from aioquic.h3.connection import H3Connection
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration

from scripts.lib.servers import wait_until
from tests.harness.server import Server
from tests.harness.tls import Authority

LIMIT = 30

CONF = """
worker_processes %WORKERS%;
events { }
http {
    ssl_certificate %TLS%.crt;
    ssl_certificate_key %TLS%.key;
    server {
        listen 127.0.0.1:%PORT% quic%OPTIONS%;
        quic_active_connection_id_limit 4;
        location / { return 200 "$pid $http3"; }
        location /big { alias %DIR%/big; limit_rate 400k; }
    }
}
"""
BIG = os.urandom(300_000)


@pytest.fixture
def site(server: Callable[..., Server], tmp_path: Path) -> Callable[..., Server]:
    """`site(workers=2, options=" reuseport")`"""

    def start(workers: int = 1, options: str = "") -> Server:
        Authority(tmp_path / "tls").issue("localhost")
        places = {"WORKERS": workers, "OPTIONS": options, "TLS": tmp_path / "tls/localhost"}
        return server(CONF, files={"big": BIG}, **places)

    return start


class Client(QuicConnectionProtocol):
    """GET over HTTP/3."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.h3 = H3Connection(self._quic)
        self.waiting: dict[int, asyncio.Future[bytes]] = {}
        self.bodies: dict[int, bytes] = {}
        self.ended: Any = None

    def quic_event_received(self, event: events.QuicEvent) -> None:
        if isinstance(event, events.ConnectionTerminated):
            self.ended = event
            for waiter in self.waiting.values():
                if not waiter.done():
                    waiter.set_exception(ConnectionError(event.reason_phrase))
        for found in self.h3.handle_event(event):
            if isinstance(found, h3.DataReceived | h3.HeadersReceived):
                sid = found.stream_id
                self.bodies[sid] = self.bodies.get(sid, b"") + getattr(found, "data", b"")
                if found.stream_ended and not self.waiting[sid].done():
                    self.waiting[sid].set_result(self.bodies[sid])

    async def get(self, path: str = "/") -> bytes:
        sid = self._quic.get_next_available_stream_id()
        self.waiting[sid] = asyncio.get_running_loop().create_future()
        head = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"localhost"), (b":path", path.encode())]
        self.h3.send_headers(sid, head, end_stream=True)
        self.transmit()
        return await asyncio.wait_for(self.waiting[sid], LIMIT)


@asynccontextmanager
async def client(port: int) -> AsyncIterator[Any]:
    made = QuicConfiguration(is_client=True, alpn_protocols=["h3"], verify_mode=ssl.CERT_NONE)
    async with connect("127.0.0.1", port, configuration=made, create_protocol=Client) as c:
        yield c


def run(work: Any) -> None:
    asyncio.run(asyncio.wait_for(work, 2 * LIMIT))


@pytest.mark.parametrize("options", ["", " reuseport"], ids=["shared", "reuseport"])
def test_every_datagram_finds_its_worker(site: Callable[..., Server], options: str) -> None:
    """Three workers, whichever the kernel wakes; clients that move."""
    server = site(3, options)
    port = server.ports["PORT"]

    async def one() -> bytes:
        async with client(port) as c:
            first = await c.get()
            assert first.endswith(b" h3")
            for _ in range(5):
                assert await c.get() == first
            c.change_connection_id()
            await _move(c, port)
            assert await c.get("/big") == BIG
            assert await c.get() == first
            return first

    async def work() -> set[bytes]:
        return set(await asyncio.gather(*[one() for _ in range(12)]))

    found: set[bytes] = set()

    async def until_several() -> None:
        while len(found) < 2:  # one worker may have been there before the others, or be the only one that the kernel wakes
            found.update(await work())

    wait_until(lambda: len(server.workers()) == 3, "three workers")
    run(until_several())


async def _move(c: Any, port: int) -> None:
    """Another port for the client, behind the server's back."""
    loop = asyncio.get_running_loop()
    old = c._transport
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0, 0, 0))
    c._transport, _ = await loop.create_datagram_endpoint(lambda: c, sock=sock)
    old.abort()


async def _begin_big(c: Any) -> asyncio.Future[bytes]:
    """A response that takes its time, once it has begun."""
    big = asyncio.ensure_future(c.get("/big"))
    while not c.bodies:
        await asyncio.sleep(0.01)
    return big


@pytest.mark.parametrize("options", ["", " reuseport"], ids=["shared", "reuseport"])
def test_a_reload_hurts_nobody(site: Callable[..., Server], options: str) -> None:
    """What is under way ends in the old workers; new connections go to the new ones at once."""
    server = site(2, options)
    port = server.ports["PORT"]
    wait_until(lambda: len(server.workers()) == 2, "two workers")

    async def work() -> None:
        async with client(port) as c:
            before = set(server.workers())
            big = await _begin_big(c)
            server.signal(signal.SIGHUP)
            while server.log().count("gracefully shutting down") < len(before):
                await asyncio.sleep(0.05)
            for _ in range(4):
                async with client(port) as other:
                    assert int((await other.get()).split()[0]) not in before
            assert await big == BIG
            while set(server.workers()) & before:
                await asyncio.sleep(0.05)
        async with client(port) as c:
            await c.get()

    run(work())


def test_a_graceful_shutdown_lets_requests_end(site: Callable[..., Server]) -> None:
    server = site()

    async def work() -> None:
        async with client(server.ports["PORT"]) as c:
            big = await _begin_big(c)
            server.signal(signal.SIGQUIT)
            assert await big == BIG
            await asyncio.wait_for(c.wait_closed(), LIMIT)

    run(work())


def test_idle_connections_do_not_keep_a_worker(site: Callable[..., Server]) -> None:
    server = site()

    async def work() -> None:
        async with client(server.ports["PORT"]) as c:
            await c.get()
            server.signal(signal.SIGQUIT)
            await asyncio.wait_for(c.wait_closed(), LIMIT)

    run(work())
