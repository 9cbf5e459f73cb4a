"""What stream{} has of modules: access, geo, map, split_clients, set, return, pass, limit_conn, logs, balancers."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.talk import ask, echo, named, say


def run(server: Any, body: str, **places: object) -> Any:
    return server("events {} stream { " + body + " }", probe=False, **places)


def test_variables(server: Any) -> None:
    s = run(
        server,
        """
        server { listen 127.0.0.1:%PORT%; server_name .example.com;
                 return "$server_addr:$server_port $protocol $status $server_name $nginx_version $bytes_received"; }
        """,
    )
    assert say(s.address()) == f"127.0.0.1:{s.ports['PORT']} TCP 000 example.com 1.31.5 0".encode()


def test_access(server: Any) -> None:
    s = run(
        server,
        """
        log_format m "$status";
        access_log %DIR%/access.log m;
        server { listen 127.0.0.1:%PORT%; deny 127.0.0.1; allow all; return in; }
        server { listen 127.0.0.1:%PORT2%; allow 127.0.0.0/8; deny all; return in; }
        server { listen 127.0.0.1:%PORT3%; deny 192.0.2.0/24; return in; }
        """,
    )
    assert [say(s.address(port)) for port in ("PORT", "PORT2", "PORT3")] == [b"", b"in", b"in"]
    wait_until(lambda: s.log("access.log").count("\n") == 3, "the sessions' ends")
    assert s.log("access.log") == "403\n200\n200\n"
    assert "access forbidden by rule while initializing session, client: 127.0.0.1, server: 127.0.0.1" in s.log()


def test_tables(server: Any) -> None:
    s = run(
        server,
        """
        geo $geo { default far; 127.0.0.0/8 near; }
        map $server_port $map { ~^(?<first>.)(?<rest>.*)$ "$first-$rest"; }
        split_clients x $split { 100% all; }
        set $unknown 1;
        server { listen 127.0.0.1:%PORT%; set $mine "$geo$split"; set $geo over; return "$mine $geo $map $split"; }
        """.replace("set $unknown 1;", ""),
    )
    port = str(s.ports["PORT"])
    assert say(s.address()) == f"nearall over {port[0]}-{port[1:]} all".encode()


def test_geo_knows_no_proxies(configtest: Any) -> None:
    result = configtest("events {} stream { geo $g { proxy 127.0.0.1; } server { listen %PORT%; return $g; } }")
    assert result.returncode == 1
    assert 'invalid network "proxy"' in result.stderr


def test_limit_conn(server: Any, backend: Any) -> None:
    s = run(
        server,
        """
        limit_conn_zone $remote_addr zone=z:1m;
        log_format m "$status $limit_conn_status";
        access_log %DIR%/access.log m;
        server { listen 127.0.0.1:%PORT%; proxy_pass 127.0.0.1:%UP%; limit_conn z 1; }
        server { listen 127.0.0.1:%PORT2%; return in; limit_conn z 1; limit_conn_dry_run on; }
        """,
        UP=backend(talk=echo).port,
    )
    with closing(s.connect().sock) as sock:
        assert ask(sock, b"x") == b"x"
        assert say(s.address(), b"") == b""
        assert say(s.address("PORT2")) == b"in"
    wait_until(lambda: s.log("access.log").count("\n") == 3, "the sessions' ends")
    assert s.log("access.log") == "503 REJECTED\n200 REJECTED_DRY_RUN\n200 PASSED\n"
    assert 'limiting connections by zone "z" while initializing session' in s.log()
    with closing(s.connect().sock) as sock:
        assert ask(sock, b"again") == b"again"


def test_pass(server: Any) -> None:
    s = server(
        """
        events {}
        stream {
            map $remote_addr $other { default 127.0.0.1:%PORT3%; }
            server { listen 127.0.0.1:%PORT%; pass 127.0.0.1:%PORT2%; }
            server { listen 127.0.0.1:%PORT4%; pass $other; }
            server { listen 127.0.0.1:%PORT3%; return "here $server_port"; }
            server { listen 127.0.0.1:%PORT5%; pass 127.0.0.1:%PORT5%; }
            server { listen 127.0.0.1:%PORT6%; pass 127.0.0.1:1; }
        }
        http { server { listen 127.0.0.1:%PORT2%; return 200 "http $server_port"; } }
        """,
    )
    assert s.get("/").text == f"http {s.ports['PORT2']}"
    assert say(s.address("PORT4")) == f"here {s.ports['PORT3']}".encode()
    assert say(s.address("PORT5")) == say(s.address("PORT6")) == b""
    assert "stream pass cycle while passing connection to port" in s.log()
    assert 'port not found for "127.0.0.1:1" while passing connection to port' in s.log()


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("", [b"a", b"b", b"a", b"b"]),
        ("least_conn;", [b"a", b"b", b"a", b"b"]),
        ("hash $remote_addr;", None),
        ("hash $remote_addr consistent;", None),
        ("random;", ...),
        ("random two; zone z 1m;", ...),
        ("zone z 1m;", [b"a", b"b", b"a", b"b"]),
    ],
)
def test_balancers(server: Any, backend: Any, method: str, expected: Any) -> None:
    a, b = backend(talk=named(b"a")), backend(talk=named(b"b"))
    body = "upstream u { METHOD server 127.0.0.1:%A%; server 127.0.0.1:%B%; } "
    body = body.replace("METHOD", method) + "server { listen 127.0.0.1:%PORT%; proxy_pass u; }"
    s = run(server, body, A=a.port, B=b.port)
    got = []
    for _ in range(4):
        got.append(say(s.address()))
    if expected is None:
        assert len(set(got)) == 1 and got[0] in (b"a", b"b")
    elif expected is ...:
        assert set(got) <= {b"a", b"b"}
    else:
        assert got == expected


def test_logs(server: Any) -> None:
    s = run(
        server,
        r"""
        log_format plain '$remote_addr "$text" $upstream_addr';
        log_format json escape=json '{"text": "$text", "up": "$upstream_addr"}';
        log_format raw escape=none '$text';
        map $protocol $text { default 'a"b\\c'; }
        server {
            listen 127.0.0.1:%PORT%;
            return x;
            access_log %DIR%/plain.log plain;
            access_log %DIR%/json.log json buffer=4k flush=10ms;
            access_log %DIR%/raw-$server_port.log raw;
            access_log %DIR%/never.log raw if=$upstream_addr;
        }
        server { listen 127.0.0.1:%PORT2%; return x; access_log off; }
        """,
    )
    assert say(s.address()) == say(s.address("PORT2")) == b"x"
    wait_until(lambda: s.log("json.log"), "the buffer to be written")
    assert s.log("plain.log") == '127.0.0.1 "a\\x22b\\x5Cc" -\n'
    assert s.log("json.log") == '{"text": "a\\"b\\\\c", "up": ""}\n'
    assert s.log(f"raw-{s.ports['PORT']}.log") == 'a"b\\c\n'
    assert s.log("never.log") == ""


@pytest.mark.parametrize("mode", ["connect", "first_byte", "last_byte"])
@pytest.mark.parametrize("inflight", ["", " inflight"])
def test_least_time_passes_sessions_on(server: Any, mode: str, inflight: str) -> None:
    s = server(
        f"""
        events {{}}
        stream {{
            upstream u {{ least_time {mode}{inflight}; server 127.0.0.1:%PORT2%; server 127.0.0.1:%PORT3%; }}
            server {{ listen 127.0.0.1:%PORT%; proxy_pass u; }}
            server {{ listen 127.0.0.1:%PORT2%; listen 127.0.0.1:%PORT3%; return x; }}
        }}
        """
    )
    assert [say(s.address()) for _ in range(4)] == [b"x"] * 4


def test_least_time_knows_its_modes(configtest: Any) -> None:
    result = configtest("events {} stream { upstream u { least_time header; server 127.0.0.1:1; } }")
    assert 'invalid value "header"' in result.stderr
