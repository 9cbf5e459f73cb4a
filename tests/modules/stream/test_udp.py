"""Datagrams: sessions by address, proxy_requests and proxy_responses, what a worker that shuts down does with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.talk import Datagrams, udp

CONF = """
events {{}}
stream {{
    log_format m "$protocol $status $bytes_sent $bytes_received $upstream_addr";
    access_log %DIR%/access.log m;
    server {{ listen 127.0.0.1:%PORT% udp; {body} }}
}}
"""


@pytest.fixture
def datagrams() -> Iterator[Callable[..., Datagrams]]:
    started: list[Datagrams] = []

    def start(answer: Callable[[bytes], list[bytes]] = lambda data: [data.upper()]) -> Datagrams:
        started.append(Datagrams(answer))
        return started[-1]

    yield start
    for one in started:
        one.stop()


def test_return(server: Any) -> None:
    s = server(CONF.format(body='return "$remote_addr $protocol $bytes_received";'))
    with closing(udp(s.ports["PORT"])) as sock:
        sock.send(b"abc")
        assert sock.recv(100) == b"127.0.0.1 UDP 3"
        sock.send(b"")
        assert sock.recv(100) == b"127.0.0.1 UDP 0"


def test_a_session_keeps_its_upstream_socket(server: Any, datagrams: Any) -> None:
    up = datagrams()
    s = server(CONF.format(body="proxy_pass 127.0.0.1:%UP%; proxy_timeout 1s;"), UP=up.port)
    with closing(udp(s.ports["PORT"])) as sock, closing(udp(s.ports["PORT"])) as other:
        for data in (b"one", b"two", b"three"):
            sock.send(data)
            assert sock.recv(100) == data.upper()
        other.send(b"x")
        assert other.recv(100) == b"X"
    assert len(set(up.clients)) == 2
    wait_until(lambda: s.log("access.log").count("\n") == 2, "the sessions' ends")
    assert f"UDP 200 11 11 127.0.0.1:{up.port}\n" in s.log("access.log")
    assert "udp timed out, packets from/to client:3/3, bytes from/to client:11/11, bytes from/to upstream:11/11" in s.log()


def test_responses_end_a_session(server: Any, datagrams: Any) -> None:
    up = datagrams(lambda data: [data, data])
    s = server(CONF.format(body="proxy_pass 127.0.0.1:%UP%; proxy_responses 2;"), UP=up.port)
    with closing(udp(s.ports["PORT"])) as sock:
        for _ in range(2):
            sock.send(b"ab")
            assert [sock.recv(100), sock.recv(100)] == [b"ab", b"ab"]
            wait_until(lambda: "udp done" in s.log(), "the session's end")
    assert len(set(up.clients)) == 2
    assert "udp done, packets from/to client:1/2, bytes from/to client:2/4, bytes from/to upstream:4/2" in s.log()


def test_no_responses(server: Any, datagrams: Any) -> None:
    up = datagrams(lambda data: [])
    s = server(CONF.format(body="proxy_pass 127.0.0.1:%UP%; proxy_responses 0;"), UP=up.port)
    with closing(udp(s.ports["PORT"])) as sock:
        sock.send(b"x")
        wait_until(lambda: s.log("access.log"), "the session's end")
    assert s.log("access.log") == f"UDP 200 0 1 127.0.0.1:{up.port}\n"


def test_requests_of_a_session(server: Any, datagrams: Any) -> None:
    up = datagrams()
    s = server(CONF.format(body="proxy_pass 127.0.0.1:%UP%; proxy_requests 2; proxy_responses 1;"), UP=up.port)
    with closing(udp(s.ports["PORT"])) as sock:
        for data in (b"a", b"b", b"c", b"d"):
            sock.send(data)
            assert sock.recv(100) == data.upper()
    assert len(set(up.clients)) == 2


def test_an_upstream_that_says_too_little(server: Any, datagrams: Any) -> None:
    up = datagrams(lambda data: [])
    s = server(CONF.format(body="proxy_pass 127.0.0.1:%UP%; proxy_responses 1; proxy_timeout 200ms;"), UP=up.port)
    with closing(udp(s.ports["PORT"])) as sock:
        sock.send(b"x")
        wait_until(lambda: s.log("access.log"), "the session's end")
    assert s.log("access.log").startswith("UDP 502 ")
    assert "upstream timed out (110: Connection timed out) while proxying connection, udp client: 127.0.0.1" in s.log()


def test_every_address(server: Any) -> None:
    """Behind a wildcard, the answer comes from the address that was asked."""
    s = server('events {} stream { server { listen %PORT% udp; return "$server_addr"; } }')
    with closing(udp(s.ports["PORT"])) as sock:
        sock.connect(("127.0.0.2", s.ports["PORT"]))
        sock.send(b"x")
        assert sock.recv(100) == b"127.0.0.2"


def test_reload_and_shutdown(server: Any, datagrams: Any) -> None:
    up = datagrams()
    s = server(CONF.format(body="proxy_pass 127.0.0.1:%UP%; proxy_timeout 1s;"), UP=up.port)
    with closing(udp(s.ports["PORT"])) as sock:
        sock.send(b"a")
        assert sock.recv(100) == b"A"
        before = s.workers()
        s.reload()
        wait_until(lambda: s.workers() and s.workers() != before, "new workers")
        sock.send(b"b")
        assert sock.recv(100) == b"B"


def test_refused(configtest: Any) -> None:
    result = configtest("events {} stream { server { listen 127.0.0.1:%PORT% udp ssl; return x; } }")
    assert '"listen" directive "ssl" parameter is incompatible with "udp"' in result.stderr
