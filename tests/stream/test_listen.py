"""`listen` in stream{}: which sockets are opened, and what is refused."""

from __future__ import annotations

import socket
from contextlib import closing
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.talk import say


def test_addresses_behind_a_wildcard(server: Any) -> None:
    s = server(
        """
        events {}
        stream {
            server { listen %PORT%; return any; }
            server { listen 127.0.0.1:%PORT%; return local; }
            server { listen 127.0.0.2:%PORT%; return second; }
            server { listen 127.0.0.1:%PORT2% so_keepalive=30m::10 backlog=5; return first; }
            server { listen 127.0.0.1:%PORT2%; server_name x; return never; }
        }
        """,
        probe=False,
    )
    port = s.ports["PORT"]
    assert [say((f"127.0.0.{n}", port)) for n in (1, 2, 3)] == [b"local", b"second", b"any"]
    assert say(s.address("PORT2")) == b"first"


def test_reuseport_and_udp_on_one_port(server: Any) -> None:
    s = server(
        """
        worker_processes 2;
        events {}
        stream {
            server { listen 127.0.0.1:%PORT% reuseport; return tcp; }
            server { listen 127.0.0.1:%PORT% udp reuseport; return udp; }
        }
        """,
        probe=False,
    )
    for _ in range(4):
        assert say(s.address()) == b"tcp"
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sock:
            sock.settimeout(30)
            sock.sendto(b"x", s.address())
            assert sock.recv(10) == b"udp"


def test_worker_connections_run_out(server: Any) -> None:
    """A client for whom there is no connection left is turned away, and the next one is served again."""
    conf = """
        events { worker_connections 4; }
        stream { server { listen 127.0.0.1:%PORT%; proxy_pass 127.0.0.1:%PORT2%; }
                 server { listen 127.0.0.1:%PORT2%; return x; } }
    """
    s = server(conf, probe=False, alerts=True)
    waiting = [s.connect() for _ in range(3)]
    for one in waiting:
        one.close()

    def served() -> bool:
        try:
            return say(s.address("PORT2")) == b"x"
        except ConnectionResetError:
            return False

    wait_until(served, "a free connection")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server { return x; }", 'no "listen" is defined for server'),
        ("server { listen 127.0.0.1:x; return x; }", 'invalid port in "127.0.0.1:x" of the "listen" directive'),
        ("server { listen 127.0.0.1:%PORT% deferred=1; return x; }", 'invalid parameter "deferred=1"'),
        ("server { listen %PORT%; listen %PORT%; return x; }", "a duplicate listen 0.0.0.0:"),
    ],
)
def test_refused(configtest: Any, text: str, message: str) -> None:
    result = configtest("events {} stream { " + text + " }")
    assert result.returncode == 1
    assert message in result.stderr
