"""proxy_pass to https: names, certificates, sessions, bodies, faults."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.harness.server import Server
from tests.harness.tls import Authority

Start = Callable[..., Server]


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("proxy-tls"))
    for name in ("localhost", "one.example", "client"):
        made.issue(name)
    return made


def conf(ca: Authority, front: str, back: str = "return 200 $ssl_server_name:$ssl_client_s_dn:$ssl_session_reused;") -> str:
    """A front server that says *front*, and a TLS server for it to talk to, with the certificate of one.example."""
    if "location" not in front:
        front = f"location / {{ {front} }}"
    pair = f"ssl_certificate {ca.folder}/one.example.crt; ssl_certificate_key {ca.folder}/one.example.key;"
    return (
        "events {} http { access_log off; client_max_body_size 0; root html;"
        f" server {{ listen 127.0.0.1:%PORT%; {front} }}"
        f" server {{ listen 127.0.0.1:%PORT2% ssl; {pair} {back} }} }}"
    )


@pytest.fixture
def start(server: Start, ca: Authority) -> Callable[..., Server]:
    def begin(front: str, *back: str, **options: Any) -> Server:
        options.setdefault("log_level", "info")
        return server(conf(ca, front, *back), CA=ca.folder, **options)

    return begin


VERIFY = "proxy_ssl_trusted_certificate %CA%/ca.crt; proxy_ssl_verify on; proxy_ssl_verify_depth 2;"


def test_without_verification(start: Start) -> None:
    s = start("proxy_pass https://127.0.0.1:%PORT2%;")
    assert s.get("/").text == "::."


def test_name_and_verification(start: Start) -> None:
    s = start(f"{VERIFY} proxy_ssl_name one.example:80; proxy_ssl_server_name on; proxy_pass https://127.0.0.1:%PORT2%;")
    assert s.get("/").text.startswith("one.example:")


def test_address_from_a_variable(start: Start) -> None:
    s = start("set $to https; location / { proxy_pass $to://127.0.0.1:%PORT2%; }")
    assert s.get("/").status == 200


def test_certificate_for_another_name(start: Start) -> None:
    s = start(f"{VERIFY} proxy_ssl_name two.example; proxy_pass https://127.0.0.1:%PORT2%;")
    assert s.get("/").status == 502
    assert 'upstream SSL certificate does not match "two.example" while SSL handshaking to upstream, client: ' in s.log()


def test_certificate_of_an_unknown_authority(start: Start, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    s = start(
        f"proxy_ssl_trusted_certificate {other.path}; proxy_ssl_verify on; proxy_ssl_name one.example;"
        " proxy_pass https://127.0.0.1:%PORT2%;"
    )
    assert s.get("/").status == 502
    assert "upstream SSL certificate verify error: (" in s.log()


@pytest.mark.parametrize("name", ["client", "$arg_name"])
def test_client_certificate(start: Start, name: str) -> None:
    s = start(
        f"proxy_ssl_certificate %CA%/{name}.crt; proxy_ssl_certificate_key %CA%/{name}.key;"
        " proxy_pass https://127.0.0.1:%PORT2%;",
        "ssl_verify_client on; ssl_client_certificate %CA%/ca.crt; ssl_verify_depth 2;"
        " return 200 $ssl_client_verify:$ssl_client_s_dn;",
    )
    assert s.get("/?name=client").text.startswith("SUCCESS:CN=client")
    if name != "client":
        assert s.get("/?name=missing").status == 500
        assert "cannot load certificate " in s.log()


@pytest.mark.parametrize(("reuse", "second"), [("on", "r"), ("off", ".")])
@pytest.mark.parametrize("protocol", ["TLSv1.2", "TLSv1.3"])
def test_sessions(start: Start, reuse: str, second: str, protocol: str) -> None:
    s = start(
        f"proxy_ssl_session_reuse {reuse}; proxy_ssl_protocols {protocol};"
        " proxy_http_version 1.0; proxy_pass https://127.0.0.1:%PORT2%;",
        "return 200 $ssl_protocol:$ssl_session_reused;",
    )
    assert s.get("/").text == f"{protocol}:."
    assert s.get("/").text == f"{protocol}:{second}"


def test_large_bodies_both_ways(start: Start) -> None:
    data = os.urandom(1_500_000)
    s = start(
        "location / { proxy_pass https://127.0.0.1:%PORT2%; }"
        " location /stream { proxy_request_buffering off; proxy_buffering off; proxy_pass https://127.0.0.1:%PORT2%/; }",
        "location / { dav_methods PUT; }",
        files={"html/big": data},
    )
    assert s.get("/big").body == data
    assert s.get("/streambig").body == data
    for target in ("/up", "/streamup2"):
        with s.connect() as c:
            assert c.ask(target, "PUT", body=data).status == 201
    assert (s.folder / "html/up").read_bytes() == (s.folder / "html/up2").read_bytes() == data


def test_keepalive(start: Start) -> None:
    s = start(
        "location / { proxy_pass https://back; proxy_set_header Connection ''; }",
        "return 200 $connection_requests; } upstream back { server 127.0.0.1:%PORT2%; keepalive 4;",
    )
    assert [s.get("/").text for _ in range(3)] == ["1", "2", "3"]


def test_a_server_without_tls(start: Start, backend: Callable[..., Any]) -> None:
    plain = backend(talk=lambda sock: sock.recv(65536) and sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    s = start(f"proxy_pass https://127.0.0.1:{plain.port};")
    assert s.get("/").status == 502
    assert "[error]" in s.log()
    line = next(line for line in s.log().splitlines() if "[error]" in line)
    assert "SSL_do_handshake() failed (SSL: error:" in line or "peer closed connection in SSL handshake" in line
    assert "while SSL handshaking to upstream" in line


def test_a_server_that_never_answers(start: Start, backend: Callable[..., Any]) -> None:
    silent = backend(talk=lambda sock: sock.recv(1 << 20) and sock.recv(1))
    s = start(f"proxy_connect_timeout 300ms; proxy_pass https://127.0.0.1:{silent.port};")
    assert s.get("/").status == 504
    assert "upstream timed out (110: Connection timed out) while SSL handshaking to upstream" in s.log()


FAULTS = [
    ("proxy_ssl_verify on;", "no proxy_ssl_trusted_certificate for proxy_ssl_verify"),
    (
        "proxy_ssl_certificate %CA%/client.crt;",
        'no "proxy_ssl_certificate_key" is defined for certificate "%CA%/client.crt"',
    ),
    ("proxy_ssl_ciphers none;", 'SSL_CTX_set_cipher_list("none") failed (SSL: error:'),
    ("proxy_ssl_conf_command none x;", 'SSL_CONF_cmd("none", "x") failed (SSL: error:'),
    ("proxy_ssl_trusted_certificate none.crt; proxy_ssl_verify on;", 'none.crt": BIO_new_file() failed (SSL: error:'),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_faulty_configurations(configtest: Callable[..., Any], ca: Authority, text: str, message: str) -> None:
    location = f"location / {{ {text} proxy_pass https://127.0.0.1:1; }}"
    done = configtest(f"events {{}} http {{ server {{ listen 127.0.0.1:%PORT%; {location} }} }}", CA=ca.folder)
    assert done.returncode == 1
    assert message.replace("%CA%", str(ca.folder)) in done.stderr
