"""proxy_pass of TCP connections: bytes both ways, the next upstream, timeouts, rates, half_close, PROXY headers, logs."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import closing
from typing import Any

import pytest

from scripts.lib.servers import free_port, wait_until
from tests.harness.talk import ask, echo, named, receive_all, say

CONF = """
events {{}}
stream {{
    log_format m "$status $bytes_sent $bytes_received $upstream_addr $upstream_bytes_sent $upstream_bytes_received";
    access_log %DIR%/access.log m;
    {main}
    server {{ listen 127.0.0.1:%PORT%; {server} }}
}}
"""


def run(server: Any, body: str, main: str = "", **places: object) -> Any:
    return server(CONF.format(main=main, server=body), probe=False, **places)


def test_echo(server: Any, backend: Any) -> None:
    up = backend(talk=echo)
    s = run(server, "proxy_pass 127.0.0.1:%UP%;", UP=up.port)
    with closing(s.connect().sock) as sock:
        assert ask(sock, b"one") == b"one"
        assert ask(sock, b"two") == b"two"
    wait_until(lambda: s.log("access.log"), "the session's end")
    assert s.log("access.log") == f"200 6 6 127.0.0.1:{up.port} 6 6\n"
    log = s.log()
    assert f"connected to 127.0.0.1:{s.ports['PORT']}" in log
    assert f"connected to 127.0.0.1:{up.port}" in log
    assert "client disconnected, bytes from/to client:6/6, bytes from/to upstream:6/6" in log


def test_much_in_both_directions(server: Any, backend: Any) -> None:
    data = bytes(range(256)) * 40000  # splice takes over
    up = backend(talk=echo)
    s = run(server, "proxy_pass 127.0.0.1:%UP%; proxy_half_close on;", UP=up.port)
    with closing(s.connect().sock) as sock:

        def send() -> None:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        assert receive_all(sock) == data
        sender.join()
    wait_until(lambda: s.log("access.log"), "the session's end")
    assert s.log("access.log").startswith(f"200 {len(data)} {len(data)} ")


def test_a_slow_reader(server: Any, backend: Any) -> None:
    data = b"0123456789" * 500_000

    def talk(sock: socket.socket) -> None:
        sock.sendall(data)

    s = run(server, "proxy_pass 127.0.0.1:%UP%;", UP=backend(talk=talk).port)
    with closing(socket.socket()) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(20)
        sock.connect(s.address())
        got = 0
        while piece := sock.recv(3000):
            assert data[got : got + len(piece)] == piece
            got += len(piece)
    assert got == len(data)


def test_without_half_close_the_end_of_one_side_ends_both(server: Any, backend: Any) -> None:
    def talk(sock: socket.socket) -> None:
        receive_all(sock)
        sock.sendall(b"too late")

    up = backend(talk=talk)
    s = run(server, "proxy_pass 127.0.0.1:%UP%;", UP=up.port)
    assert say(s.address(), b"x", end=True) == b""


def test_half_close(server: Any, backend: Any) -> None:
    def talk(sock: socket.socket) -> None:
        sock.sendall(receive_all(sock)[::-1])

    s = run(server, "proxy_pass 127.0.0.1:%UP%; proxy_half_close on;", UP=backend(talk=talk).port)
    assert say(s.address(), b"abc", end=True) == b"cba"


def test_next_upstream(server: Any, backend: Any) -> None:
    up = backend(talk=named(b"good"))
    dead = free_port()
    main = "upstream u { server 127.0.0.1:%DEAD%; server 127.0.0.1:%UP%; }"
    s = run(server, "proxy_pass u;", main, UP=up.port, DEAD=dead)
    for _ in range(3):
        assert say(s.address()) == b"good"
    wait_until(lambda: s.log("access.log").count("\n") == 3, "the sessions' ends")
    first = s.log("access.log").splitlines()[0].split(" ")
    assert first[:3] == ["200", "4", "0"]
    assert f"127.0.0.1:{dead}, 127.0.0.1:{up.port}" in s.log("access.log")
    message = "connect() failed (111: Connection refused) while connecting to upstream, client: 127.0.0.1, "
    assert message + f'server: 127.0.0.1:{s.ports["PORT"]}, upstream: "127.0.0.1:{dead}"' in s.log()
    assert "bytes from/to client:0/0, bytes from/to upstream:0/0" in s.log()
    assert "upstream server temporarily disabled while connecting to upstream" in s.log()


@pytest.mark.parametrize("directive", ("proxy_next_upstream off;", "proxy_next_upstream_tries 1;"))
def test_no_next_upstream(server: Any, backend: Any, directive: str) -> None:
    main = "upstream u { server 127.0.0.1:%DEAD%; server 127.0.0.1:%UP% backup; }"
    body = f"proxy_pass u; {directive}"
    s = run(server, body, main, UP=backend(talk=named(b"good")).port, DEAD=free_port())
    assert say(s.address()) == b""
    wait_until(lambda: s.log("access.log"), "the session's end")
    assert s.log("access.log").startswith("502 0 0 ")


def test_no_live_upstreams(server: Any) -> None:
    s = run(server, "proxy_pass u;", "upstream u { server 127.0.0.1:%DEAD% down; }", DEAD=free_port())
    assert say(s.address()) == b""
    wait_until(lambda: s.log("access.log"), "the session's end")
    assert s.log("access.log").startswith("502 0 0 u ")
    assert "no live upstreams while connecting to upstream" in s.log()


def test_timeout(server: Any, backend: Any) -> None:
    s = run(server, "proxy_pass 127.0.0.1:%UP%; proxy_timeout 1s;", UP=backend(talk=echo).port)
    assert say(s.address(), b"x") == b"x"
    assert "connection timed out (110: Connection timed out) while proxying connection" in s.log()


def test_variables_and_implied_upstreams(server: Any, backend: Any) -> None:
    first, second = backend(talk=named(b"first")), backend(talk=named(b"second"))
    s = server(
        """
        events {}
        stream {
            upstream named { server 127.0.0.1:%FIRST%; }
            map $server_port $up { %PORT% named; %PORT2% 127.0.0.1:%SECOND%; %PORT3% "bad:0"; default "127.0.0.1"; }
            server { listen 127.0.0.1:%PORT%; listen 127.0.0.1:%PORT2%; listen 127.0.0.1:%PORT3%; proxy_pass $up; }
            server { listen 127.0.0.1:%PORT4%; proxy_pass $up; }
            server { listen 127.0.0.1:%PORT5%; proxy_pass $server_port.test:1; }
        }
        """,
        FIRST=first.port,
        SECOND=second.port,
    )
    assert [say(s.address(port)) for port in ("PORT", "PORT2", "PORT3", "PORT4", "PORT5")] == [
        b"first", b"second", b"", b"", b""
    ]  # fmt: skip
    log = s.log()
    assert 'invalid port in upstream "bad:0"' in log
    assert 'no port in upstream "127.0.0.1"' in log
    assert f"no resolver defined to resolve {s.ports['PORT5']}.test" in log


def test_proxy_protocol_both_ways(server: Any, backend: Any) -> None:
    def talk(sock: socket.socket) -> None:
        sock.sendall(sock.recv(1000))

    s = server(
        """
        events {}
        stream {
            server { listen 127.0.0.1:%PORT%; proxy_pass 127.0.0.1:%PORT2%; proxy_protocol on; }
            server { listen 127.0.0.1:%PORT4%; proxy_pass 127.0.0.1:%PORT2%; proxy_protocol v2; }
            server { listen 127.0.0.1:%PORT2% proxy_protocol; return "$proxy_protocol_addr:$proxy_protocol_port
                     $proxy_protocol_server_port $remote_addr"; set_real_ip_from 127.0.0.1; }
            server { listen 127.0.0.1:%PORT3%; proxy_pass 127.0.0.1:%UP%; proxy_protocol on; }
        }
        """,
        UP=backend(talk=talk).port,
    )
    for port in ("PORT", "PORT4"):
        with closing(s.connect(port).sock) as sock:
            own = sock.getsockname()
            expected = f"127.0.0.1:{own[1]}\n                     {s.ports[port]} 127.0.0.1"
            assert receive_all(sock).decode() == expected
    with closing(s.connect("PORT3").sock) as sock:
        own = sock.getsockname()
        assert receive_all(sock).decode() == f"PROXY TCP4 127.0.0.1 127.0.0.1 {own[1]} {s.ports['PORT3']}\r\n"
    header = b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n"
    assert say(s.address("PORT2"), header).endswith(b"5678 192.0.2.1")
    with contextlib.suppress(ConnectionResetError):
        assert say(s.address("PORT2"), b"GET / HTTP/1.0\r\n") == b""
    assert 'broken header: "GET / HTTP/1.0" while reading PROXY protocol' in s.log()


def test_rates(server: Any, backend: Any) -> None:
    """A second's worth goes at once; more takes longer."""
    data = b"x" * 1500

    def talk(sock: socket.socket) -> None:
        sock.sendall(data)

    s = run(server, "proxy_pass 127.0.0.1:%UP%; proxy_download_rate 1000;", UP=backend(talk=talk).port)
    with closing(s.connect().sock) as sock:
        assert len(sock.recv(5000)) <= 1000
        assert sock.recv(5000)


def test_unix_sockets(server: Any) -> None:
    s = server(
        """
        events {}
        stream {
            server { listen unix:%DIR%/one.sock; proxy_pass unix:%DIR%/two.sock; }
            server { listen unix:%DIR%/two.sock; return "$server_addr|$remote_addr|$remote_port"; }
            server { listen 127.0.0.1:%PORT%; proxy_pass unix:%DIR%/none.sock; }
        }
        """,
    )
    assert say(str(s.folder / "one.sock")) == f"unix:{s.folder}/two.sock|unix:|".encode()
    assert say(s.address()) == b""
    assert f"[crit] {s.workers()[0]}#0: *" in s.log()
    assert f"connect() to unix:{s.folder}/none.sock failed (2: No such file or directory)" in s.log()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("proxy_pass 127.0.0.1;", 'no port in upstream "127.0.0.1"'),
        ("proxy_pass 127.0.0.1:1; proxy_pass 127.0.0.1:2;", '"proxy_pass" directive is duplicate'),
        ("proxy_pass 127.0.0.1:1; proxy_protocol maybe;", 'invalid value "maybe"'),
        ("proxy_pass 127.0.0.1:1; proxy_bind nowhere;", 'invalid address "nowhere"'),
    ],
)
def test_refused(configtest: Any, body: str, message: str) -> None:
    result = configtest(CONF.format(main="", server=body))
    assert result.returncode == 1
    assert message in result.stderr
