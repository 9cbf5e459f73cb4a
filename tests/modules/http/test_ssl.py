"""listen … ssl: handshakes, SNI, certificates, what requests must have, and what the configuration must not say."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.harness.backend import Answer
from tests.harness.client import Response
from tests.harness.server import Server, wait_until
from tests.harness.tls import Authority, Connection

Start = Callable[..., Server]
Check = Callable[..., Any]

HTTP = "events {} http { access_log off; %s }"


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls"))
    for name in ("localhost", "one", "two", "star", "regex"):
        made.issue(name)
    return made.issue("rsa", "localhost", rsa=True)


def conf(ca: Authority, text: str, name: str = "localhost") -> str:
    """An http block with one TLS server that says *text*."""
    pair = f"ssl_certificate {ca.folder}/{name}.crt; ssl_certificate_key {ca.folder}/{name}.key;"
    return HTTP % f"{pair} server {{ listen 127.0.0.1:%PORT% ssl; {text} }}"


def ask(server: Server, target: str = "/", **options: Any) -> Response:
    headers = options.pop("headers", None)
    with Connection(server.address(), **options) as c:
        return c.ask(target, headers={"Connection": "close"} | (headers or {}))


def test_requests_over_one_connection(server: Start, ca: Authority) -> None:
    s = server(conf(ca, "location / { return 200 $scheme:$https:$ssl_protocol:$connection_requests; }"))
    with Connection(s.address(), ca.context()) as c:
        assert c.ask().text == "https:on:TLSv1.3:1"
        assert c.ask().text == "https:on:TLSv1.3:2"
        c.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        assert [c.response().text[-1] for _ in range(3)] == ["3", "4", "5"]


def test_request_byte_by_byte(server: Start, ca: Authority) -> None:
    s = server(conf(ca, "return 200 ok;"))
    with Connection(s.address()) as c:
        for byte in b"GET / HTTP/1.1\r\nHost: x\r\n\r\n":
            c.send(bytes([byte]))
        assert c.response().text == "ok"


def test_large_bodies_both_ways(server: Start, backend: Callable[..., Any], ca: Authority) -> None:
    data = os.urandom(1_500_000)
    up = backend(lambda request: Answer(body=request.body))
    s = server(
        conf(ca, "client_max_body_size 0; root html; location /up { proxy_pass http://127.0.0.1:%UP%; }"),
        files={"html/big": data},
        UP=up.port,
    )
    with Connection(s.address()) as c:
        assert c.ask("/big").body == data
        assert c.ask("/up", "POST", body=data).body == data


def test_slow_reader_gets_it_all(server: Start, ca: Authority) -> None:
    """A socket that is full in the middle of a record."""
    data = os.urandom(3_000_000)
    s = server(
        conf(ca, "root html; sendfile on; location /limited { alias html/; limit_rate 2m; }"), files={"html/big": data}
    )
    for target in ("/big", "/limited/big"):
        with Connection(s.address()) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target.encode())
            assert c.response().body == data


def test_tls_1_2_and_what_is_forbidden(server: Start, ca: Authority) -> None:
    s = server(
        conf(ca, "ssl_protocols TLSv1.2; ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256; return 200 $ssl_protocol:$ssl_cipher;")
    )
    assert ask(s).text == "TLSv1.2:ECDHE-ECDSA-AES128-GCM-SHA256"
    with pytest.raises(ssl.SSLError):
        ask(s, context=ca.context(minimum_version=ssl.TLSVersion.TLSv1_3))
    wait_until(lambda: "SSL_do_handshake() failed (SSL: error:" in s.log(), "the failure in the log")
    assert "[info]" in next(line for line in s.log().splitlines() if "SSL_do_handshake() failed" in line)
    assert "while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:" in s.log()


def test_plain_http_is_refused(server: Start, ca: Authority) -> None:
    s = server(conf(ca, "return 200 ok; error_page 497 =301 https://$host$request_uri;"), log_level="info")
    answer = s.get("/a?b")
    assert (answer.status, answer["Location"]) == (301, "https://localhost/a?b")
    assert "client sent plain HTTP request to HTTPS port while reading client request headers" in s.log()
    plain = server(conf(ca, "return 200 ok;"))
    assert plain.get().status == 400
    assert "The plain HTTP request was sent to HTTPS port" in plain.get().text


SNI = """
    server { listen 127.0.0.1:%PORT% ssl default_server; server_name localhost; return 200 default:$ssl_server_name;
             ssl_certificate %CA%/localhost.crt; ssl_certificate_key %CA%/localhost.key; }
    server { listen 127.0.0.1:%PORT% ssl; server_name one two.example; return 200 "one:$ssl_server_name";
             ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/one.key; }
    server { listen 127.0.0.1:%PORT% ssl; server_name *.star.example; return 200 "star:$ssl_server_name";
             ssl_certificate %CA%/star.crt; ssl_certificate_key %CA%/star.key; }
    server { listen 127.0.0.1:%PORT% ssl; server_name ~^(?<x>r.*)\\.example$; return 200 "$x:$ssl_server_name";
             ssl_certificate %CA%/regex.crt; ssl_certificate_key %CA%/regex.key; }
"""


@pytest.mark.parametrize(
    ("name", "certificate", "answer"),
    [
        (None, "localhost", "default:"),
        ("unknown.example", "localhost", "default:unknown.example"),
        ("one", "one", "one:one"),
        ("ONE", "one", "one:ONE"),
        ("two.example", "one", "one:two.example"),
        ("a.b.star.example", "star", "star:a.b.star.example"),
        ("rst.example", "regex", "rst:rst.example"),
    ],
)
def test_sni(server: Start, ca: Authority, name: str | None, certificate: str, answer: str) -> None:
    s = server(HTTP % SNI, CA=ca.folder)
    with Connection(s.address(), ca.context(), server_name=name) as c:
        assert c.common_name() == certificate
        assert c.ask(headers={"Host": name or "localhost"}).text == answer


def test_host_chooses_after_sni(server: Start, ca: Authority) -> None:
    s = server(HTTP % SNI, CA=ca.folder)
    with Connection(s.address(), ca.context(), server_name="one") as c:
        assert c.ask(headers={"Host": "x.star.example"}).text == "star:one"
        assert c.ask(headers={"Host": "nowhere"}).text == "default:one"
        assert c.ask(headers={"Host": "one"}).text == "one:one"


def test_two_kinds_of_certificates(server: Start, ca: Authority) -> None:
    pairs = "".join(
        f"ssl_certificate {ca.folder}/{name}.crt; ssl_certificate_key {ca.folder}/{name}.key;"
        for name in ("localhost", "rsa")
    )
    s = server(HTTP % f"server {{ listen 127.0.0.1:%PORT% ssl; {pairs} ssl_protocols TLSv1.2; return 200 $ssl_cipher; }}")
    for cipher in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"):
        context = ca.context()
        context.set_ciphers(cipher)
        assert ask(s, context=context).text == cipher


def test_client_certificates(server: Start, ca: Authority) -> None:
    other = Authority(ca.folder / "other").issue("stranger")
    shown = "return 200 $ssl_client_verify:$ssl_client_s_dn:$ssl_client_i_dn_legacy:$ssl_client_v_remain;"
    ca.issue("client")
    context, stranger = ca.context(), ca.context()
    context.load_cert_chain(ca.folder / "client.crt", ca.folder / "client.key")
    stranger.load_cert_chain(other.folder / "stranger.crt", other.folder / "stranger.key")
    s = server(conf(ca, f"ssl_verify_client on; ssl_client_certificate {ca.path}; {shown}"))
    assert "No required SSL certificate was sent" in ask(s).text
    found = ask(s, context=context).text
    assert found.startswith("SUCCESS:CN=client,") and "/O=" in found
    assert ask(s, context=stranger).status == 400
    assert "client SSL certificate verify error: (" in s.log()
    assert "client sent no required SSL certificate" in s.log()
    s = server(conf(ca, f"ssl_verify_client optional_no_ca; {shown}"))
    assert ask(s).text == "NONE:::"
    assert ask(s, context=stranger).text.startswith("FAILED:unable to")
    s = server(conf(ca, f"ssl_verify_client optional; ssl_trusted_certificate {ca.path}; {shown}"))
    assert ask(s).text == "NONE:::"
    assert ask(s, context=context).text.startswith("SUCCESS:")


REFUSED = {
    "expired": "10:certificate has expired",
    "early": "9:certificate is not yet valid",
    "revoked": "23:certificate revoked",
    "stranger": "",  # words that OpenSSL has changed
}


def test_client_certificates_that_are_not_accepted(server: Start, ca: Authority, tmp_path: Path) -> None:
    own, now = Authority(tmp_path), datetime.now(timezone.utc)
    own.issue("expired", not_before=now - timedelta(days=9), not_after=now - timedelta(days=2)).issue("revoked").issue(
        "good"
    )
    own.issue("early", not_before=now + timedelta(days=2), not_after=now + timedelta(days=9))
    Authority(tmp_path, "other").issue("stranger")
    s = server(
        conf(
            ca,
            f"ssl_verify_client on; ssl_client_certificate {own.path}; ssl_crl {own.revoke('revoked')};"
            "return 200 $ssl_client_verify:$ssl_client_s_dn;",
        )
    )
    for name in ("good", *REFUSED):
        context = ca.context()
        context.load_cert_chain(tmp_path / f"{name}.crt", tmp_path / f"{name}.key")
        for _ in range(2):  # the session of the first does not help the second
            answer = ask(s, context=context)
            if name == "good":
                assert answer.status == 200 and answer.text.startswith("SUCCESS:CN=good,")
                continue
            assert answer.status == 400 and "The SSL certificate error" in answer.text
            assert f"client SSL certificate verify error: ({REFUSED[name]}" in s.log(), name
    assert s.log().times(2 * len(REFUSED), "while reading client request headers, client: ")


def test_misdirected(server: Start, ca: Authority) -> None:
    text = SNI.replace(
        "server_name one two.example;", f"server_name one; ssl_verify_client on; ssl_client_certificate {ca.path};"
    )
    s = server(HTTP % text, CA=ca.folder)
    with Connection(s.address(), ca.context(), server_name="a.star.example") as c:
        assert c.ask(headers={"Host": "one"}).status == 421
    assert "client attempted to request the server name different from the one that was negotiated" in s.log()


def test_rejected_handshakes(server: Start, ca: Authority) -> None:
    text = SNI.replace("return 200 default:$ssl_server_name;", "ssl_reject_handshake on;")
    s = server(HTTP % text, CA=ca.folder)
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        ask(s)
    assert ask(s, server_name="one", headers={"Host": "one"}).text == "one:one"
    assert "handshake rejected while SSL handshaking" in s.log()


def test_alpn(server: Start, ca: Authority) -> None:
    s = server(conf(ca, "return 200 $ssl_alpn_protocol;"))
    context = ca.context()
    context.set_alpn_protocols(["foo", "http/1.1"])
    assert ask(s, context=context).text == "http/1.1"
    context.set_alpn_protocols(["foo"])
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        ask(s, context=context)


def test_proxy_protocol_before_the_handshake(server: Start, ca: Authority) -> None:
    text = conf(ca, "return 200 $proxy_protocol_addr:$ssl_protocol;").replace(" ssl;", " ssl proxy_protocol;", 1)
    s = server(text)
    with socket.create_connection(s.address()) as plain:
        plain.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 5678\r\n")
        with ca.context().wrap_socket(plain, server_hostname="localhost") as tls:
            tls.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert tls.recv(1000).endswith(b"192.0.2.1:TLSv1.3")


def test_close_notify_ends_an_answer(server: Start, ca: Authority) -> None:
    s = server(conf(ca, "return 200 ok;"))
    context = ca.context()
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    with Connection(s.address(), context) as c:
        c.tls.suppress_ragged_eofs = False
        c.send(b"GET / HTTP/1.0\r\n\r\n")
        assert c.rest().endswith(b"ok")


def test_clients_that_go_away(server: Start, ca: Authority) -> None:
    s = server(conf(ca, "client_header_timeout 3s; return 200 ok;"))
    with s.connect() as c:
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        assert c.closed()
    wait_until(lambda: "client timed out (110: Connection timed out) while SSL handshaking" in s.log(), "the time-out")
    s.connect().send(b"\x16\x03\x01").close()
    wait_until(lambda: "peer closed connection in SSL handshake while SSL handshaking" in s.log(), "the end")
    with s.connect() as c:
        c.send(b"\x16garbage, not a record at all")
        c.rest()
    assert ask(s).text == "ok"


FAULTS = [
    (
        "server { listen 127.0.0.1:%PORT% ssl; }",
        'no "ssl_certificate" is defined for the "listen ... ssl" directive in %DIR%/nginx.conf:1',
    ),
    (
        "ssl_certificate %CA%/one.crt; server { listen 127.0.0.1:%PORT% ssl; }",
        'no "ssl_certificate_key" is defined for certificate "%CA%/one.crt"',
    ),
    (
        "ssl_certificate none.crt; ssl_certificate_key %CA%/one.key; server { listen 127.0.0.1:%PORT% ssl; }",
        'cannot load certificate "%DIR%/none.crt": BIO_new_file() failed (SSL: error:80000002:system library::'
        "No such file or directory:calling fopen(%DIR%/none.crt, r) error:10000080:BIO routines::no such file)",
    ),
    (
        "ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/two.key; server { listen 127.0.0.1:%PORT% ssl; }",
        'SSL_CTX_use_PrivateKey("%CA%/two.key") failed (SSL: error:05800074:x509 certificate routines::key values mismatch)',
    ),
    (
        "ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/one.crt; server { listen 127.0.0.1:%PORT% ssl; }",
        'cannot load certificate key "%CA%/one.crt": PEM_read_bio_PrivateKey() failed (SSL: error:',
    ),
    (
        "ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/one.key; ssl_ciphers none;"
        " server { listen 127.0.0.1:%PORT% ssl; }",
        'SSL_CTX_set_cipher_list("none") failed (SSL: error:0A0000B9:SSL routines::no cipher match)',
    ),
    (
        "ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/one.key; ssl_verify_client on;"
        " server { listen 127.0.0.1:%PORT% ssl; }",
        "no ssl_client_certificate or ssl_trusted_certificate for ssl_verify_client",
    ),
    ("ssl_protocols TLSv9; ", 'invalid value "TLSv9" in %DIR%/nginx.conf:1'),
]


@pytest.mark.parametrize(("text", "message"), FAULTS)
def test_configuration_faults(configtest: Check, ca: Authority, tmp_path: Path, text: str, message: str) -> None:
    done = configtest(HTTP % text, CA=ca.folder)
    assert done.returncode == 1
    expected = message.replace("%DIR%", str(tmp_path)).replace("%CA%", str(ca.folder))
    assert f"[emerg] {expected}" in done.stderr.replace(f"{tmp_path}//", f"{tmp_path}/")
