"""allow and deny: the first rule that fits decides; who is inherited; what it refuses."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from tests.harness.client import Connection

CONF = """
events {}
http {
    deny all;
    server {
        listen 127.0.0.1:%PORT%;
        listen [::]:%PORT2% ipv6only=off;
        listen unix:%DIR%/unix.sock;
        location /inherited/ { return 200 "rewritten"; }
        location /none/ { try_files /t =404; }
        location /v4/ { allow 127.0.0.1; deny all; try_files /t =404; }
        location /net/ { deny 127.0.0.0/30; allow all; try_files /t =404; }
        location /v6/ { allow ::1; deny all; try_files /t =404; }
        location /only6/ { deny ::/0; try_files /t =404; }
        location /unix/ { allow unix:; deny all; try_files /t =404; }
        location /order/ { allow all; deny all; try_files /t =404; }
        location /outer/ {
            allow all;
            try_files /t =404;
            location /outer/in/ { try_files /t =404; }
            location /outer/own/ { deny 192.0.2.1; try_files /t =404; }
        }
        location /methods/ { allow all; limit_except GET { deny all; } try_files /t =404; }
    }
}
"""


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files={"html/t": "text"})


CASES = [
    # location, from 127.0.0.1, from 127.0.0.1 to an IPv6 socket, from ::1, from a Unix socket
    ("/inherited/", 200, 200, 200, 200),
    ("/none/", 403, 403, 403, 403),
    ("/v4/", 200, 200, 403, 403),
    ("/net/", 403, 403, 200, 200),
    ("/v6/", 403, 403, 200, 403),
    ("/only6/", 200, 403, 403, 200),
    ("/unix/", 403, 403, 403, 200),
    ("/order/", 200, 200, 200, 200),
    ("/outer/in/", 200, 200, 200, 200),
    ("/outer/own/", 200, 200, 200, 200),
    ("/methods/", 200, 200, 200, 200),
]


@pytest.mark.live
def test_rules(s: Any) -> None:
    mapped = ("127.0.0.1", s.ports["PORT2"])
    six = ("::1", s.ports["PORT2"])
    for location, *expected in CASES:
        found = []
        for address in (s.address(), mapped, six, f"{s.folder}/unix.sock"):
            with Connection(address) as c:
                found.append(c.ask(location).status)
        assert found == expected, location


@pytest.mark.live
def test_limit_except(s: Any) -> None:
    assert s.get("/methods/").status == 200
    assert s.get("/methods/", method="DELETE").status == 403


@pytest.mark.live
def test_the_log_says_so(s: Any) -> None:
    assert s.get("/v6/").status == 403
    assert "access forbidden by rule, client: 127.0.0.1" in s.log()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("allow nobody;", 'invalid parameter "nobody" in'),
        ("deny 192.0.2.300;", 'invalid parameter "192.0.2.300" in'),
        ("deny 192.0.2.0/33;", 'invalid parameter "192.0.2.0/33" in'),
        ("deny 2001:db8::/129;", 'invalid parameter "2001:db8::/129" in'),
        ("deny unix:/tmp/x;", 'invalid parameter "unix:/tmp/x" in'),
        ("deny 192.0.2.1/24;", "low address bits of 192.0.2.1/24 are meaningless in"),
        ("deny 2001:db8::1/32;", "low address bits of 2001:db8::1/32 are meaningless in"),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr


def test_ipv6_is_there() -> None:
    """Without it test_rules would not show what it is for."""
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
