"""tunnel_pass: CONNECT to where the client says, or to an upstream; what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness import client

CONF = """
events {}
http {
    log_format f "$request_method $status $upstream_status";
    access_log access.log f;
    upstream u { %SERVERS% }
    server { listen 127.0.0.1:%PORT%; %BODY% }
}
"""


@pytest.fixture
def proxy(server: Any) -> Any:
    def start(body: str = "tunnel_pass;", servers: str = "server 127.0.0.1:1;", **places: Any) -> Any:
        return server(CONF.replace("%BODY%", body).replace("%SERVERS%", servers), **places)

    return start


def connect(s: Any, target: str, more: bytes = b"", version: str = "1.1", lines: str = "") -> client.Connection:
    c = client.Connection(s.address())
    c.send(f"CONNECT {target} HTTP/{version}\r\nHost: {target}\r\n{lines}\r\n".encode() + more)
    return c


def refused(s: Any, target: str, **options: Any) -> int:
    with connect(s, target, **options) as c:
        return c.response().status


def head_of(c: client.Connection) -> bytes:
    return c._until(b"\r\n\r\n")


def test_bytes_go_both_ways(proxy: Any, backend: Any) -> None:
    up = backend(lambda request: f"{request.method} {request.target}")
    s = proxy()
    with connect(s, f"127.0.0.1:{up.port}") as c:
        head = head_of(c)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"Connection: close" in head
        assert b"Transfer-Encoding" not in head and b"Content-Length" not in head
        for path in ("/1", "/2"):
            assert c.ask(path).text == f"GET {path}"
    assert up.connections == 1
    wait_until(lambda: s.log("access.log") == "CONNECT 200 200\n", "the log")


def test_what_comes_with_the_request_is_passed_on(proxy: Any, backend: Any) -> None:
    up = backend(lambda request: "here")
    with connect(proxy(), f"127.0.0.1:{up.port}", more=b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") as c:
        head_of(c)
        assert c.response().text == "here"


def test_an_upstream_and_its_next_server(proxy: Any, backend: Any) -> None:
    up = backend(lambda request: "here")
    s = proxy("tunnel_pass u;", "server 127.0.0.1:1; server 127.0.0.1:%UP%;", UP=up.port)
    with connect(s, "anywhere.example:443") as c:
        head_of(c)
        assert c.ask("/").text == "here"
    assert refused(proxy("tunnel_pass u; tunnel_next_upstream off;"), "anywhere.example:443") == 502


def test_a_host_header_is_not_the_target(proxy: Any, backend: Any) -> None:
    """$host is the request line's, as that of a URI with a host is."""
    up = backend(lambda request: "here")
    s = proxy("tunnel_pass 127.0.0.1:$request_port;")
    with connect(s, f"example.net:{up.port}") as c:
        head_of(c)
        assert c.ask("/").text == "here"


TARGETS = ["x", "x:", ":80", ":", "x:65536", "x:y", "x:80/", "x:80?", "u:p@x:80", "http://x:80"]


@pytest.mark.parametrize("target", TARGETS)
def test_bad_targets(proxy: Any, target: str) -> None:
    assert refused(proxy(), target) == 400


def test_other_requests(proxy: Any) -> None:
    s = proxy("tunnel_pass; location /there { return 200 x; }")
    assert s.get("/").status == 405
    assert s.get("/there").text == "x"
    assert refused(s, "127.0.0.1:1", version="1.0") == 405
    assert refused(s, "127.0.0.1:1", lines="Content-Length: 1\r\n", more=b"x") == 400
    assert refused(s, "127.0.0.1:1") == 502


def test_a_server_without_it_refuses_connect(proxy: Any) -> None:
    s = proxy("""
        location / { return 200; } }
        server { listen 127.0.0.1:%PORT%; server_name tunnel.example; tunnel_pass u;
    """)
    assert refused(s, "other.example:80") == 405
    assert refused(s, "tunnel.example:80") == 502


def test_only_for_some(proxy: Any, backend: Any) -> None:
    up = backend(lambda request: "here")
    s = proxy('location / { if ($request_method = CONNECT) { tunnel_pass; } return 200 "not a tunnel"; }')
    assert s.get("/").text == "not a tunnel"
    s = proxy("satisfy any; deny all; auth_basic x; auth_basic_user_file users; tunnel_pass;")
    s.file("users", "joe:{PLAIN}pass\n")
    assert refused(s, f"127.0.0.1:{up.port}") == 407
    with connect(s, f"127.0.0.1:{up.port}", lines="Proxy-Authorization: Basic am9lOnBhc3M=\r\n") as c:
        head_of(c)
        assert c.ask("/").text == "here"


def test_a_silent_tunnel_ends(proxy: Any, backend: Any) -> None:
    up = backend(talk=lambda sock: sock.recv(1))
    s = proxy("tunnel_pass; tunnel_read_timeout 100ms;")
    with connect(s, f"127.0.0.1:{up.port}") as c:
        head_of(c)
        assert c.sock.recv(1) == b""
    assert "upstream timed out (110: Connection timed out) while proxying upgraded connection" in s.log()


def test_no_name_without_a_resolver(proxy: Any) -> None:
    s = proxy()
    assert refused(s, "nobody.example:80") == 502
    assert "no resolver defined to resolve nobody.example" in s.log()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("tunnel_pass; tunnel_pass;", '"tunnel_pass" directive is duplicate'),
        ("tunnel_pass nowhere.invalid;", "no port in upstream"),
        ("tunnel_next_upstream http_500;", 'invalid value "http_500"'),
    ],
)
def test_faults(configtest: Any, body: str, message: str) -> None:
    result = configtest(CONF.replace("%BODY%", body).replace("%SERVERS%", "server 127.0.0.1:1;"))
    assert result.returncode == 1 and message in result.stderr, result.stderr
