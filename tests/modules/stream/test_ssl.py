"""TLS in stream{}: of its servers, toward upstreams, chosen by SNI, read ahead without being terminated."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.talk import echo, named, receive_all
from tests.harness.tls import Authority, Connection


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls"))
    for name in ("localhost", "one", "two"):
        made.issue(name)
    return made


def run(server: Any, ca: Authority, body: str, **places: object) -> Any:
    pair = f"ssl_certificate {ca.folder}/localhost.crt; ssl_certificate_key {ca.folder}/localhost.key;"
    return server("events {} stream { " + pair + body + " }", probe=False, CA=ca.folder, **places)


def hear(s: Any, port: str = "PORT", **options: Any) -> bytes:
    """All that comes over TLS."""
    with Connection(s.address(port), **options) as c:
        return receive_all(c.tls)


def test_terminated(server: Any, ca: Authority, backend: Any) -> None:
    body = 'server { listen 127.0.0.1:%PORT% ssl; return "$ssl_protocol $ssl_server_name $protocol"; }'
    body += "server { listen 127.0.0.1:%PORT2% ssl; proxy_pass 127.0.0.1:%UP%; proxy_half_close on; }"
    s = run(server, ca, body, UP=backend(talk=echo).port)
    assert hear(s, context=ca.context(), server_name="localhost") == b"TLSv1.3 localhost TCP"
    data = bytes(range(256)) * 2000
    with Connection(s.address("PORT2"), ca.context()) as c:
        for at in range(0, len(data), 60_000):
            piece = data[at : at + 60_000]
            c.tls.sendall(piece)
            got = b""
            while len(got) < len(piece):
                got += c.tls.recv(100_000)
            assert got == piece


def test_not_tls(server: Any, ca: Authority) -> None:
    s = run(server, ca, "server { listen 127.0.0.1:%PORT% ssl; return x; ssl_handshake_timeout 1s; }")
    with contextlib.closing(s.connect().sock) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            receive_all(sock)
    wait_until(lambda: "SSL_do_handshake() failed" in s.log(), "the complaint")
    assert "while SSL handshaking, client: 127.0.0.1, server: 127.0.0.1:" in s.log()
    with contextlib.closing(s.connect().sock) as sock:
        assert receive_all(sock) == b""  # the handshake has timed out


def test_names(server: Any, ca: Authority) -> None:
    body = """
        server { listen 127.0.0.1:%PORT% ssl; server_name one; return "one";
                 ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/one.key; }
        server { listen 127.0.0.1:%PORT% ssl; server_name ~^(?<name>t.o)$; return "regex $name";
                 ssl_certificate %CA%/$ssl_server_name.crt; ssl_certificate_key %CA%/$ssl_server_name.key; }
        server { listen 127.0.0.1:%PORT% ssl default_server; ssl_reject_handshake on; return no; }
    """
    s = run(server, ca, body)
    context = ca.context(check_hostname=True)
    assert hear(s, context=context, server_name="one") == b"one"
    assert hear(s, context=context, server_name="two") == b"regex two"
    with pytest.raises(ssl.SSLError, match="(?i)unrecognized.name"):
        hear(s, context=context, server_name="other")


def test_alpn(server: Any, ca: Authority) -> None:
    s = run(server, ca, 'server { listen 127.0.0.1:%PORT% ssl; ssl_alpn first second; return "$ssl_alpn_protocol"; }')
    context = ca.context()
    context.set_alpn_protocols(["second", "first"])
    assert hear(s, context=context) == b"first"
    context.set_alpn_protocols(["third"])
    with pytest.raises(ssl.SSLError):
        hear(s, context=context)


def test_client_certificates(server: Any, ca: Authority) -> None:
    body = """
        ssl_client_certificate %CA%/ca.crt;
        log_format m "$status $ssl_client_verify";
        access_log %DIR%/access.log m;
        server { listen 127.0.0.1:%PORT% ssl; ssl_verify_client on; return $ssl_client_verify; }
        server { listen 127.0.0.1:%PORT2% ssl; ssl_verify_client optional; return $ssl_client_verify; }
    """
    s = run(server, ca, body)
    context = ca.context()
    with contextlib.suppress(ssl.SSLError, ConnectionResetError):
        assert hear(s, context=context) == b""
    assert hear(s, "PORT2", context=context) == b"NONE"
    context.load_cert_chain(f"{ca.folder}/one.crt", f"{ca.folder}/one.key")
    assert hear(s, context=context) == b"SUCCESS"
    assert "client sent no required SSL certificate while SSL handshaking" in s.log()
    assert s.log("access.log").startswith("500 NONE\n")


def test_toward_upstreams(server: Any, ca: Authority) -> None:
    body = """
        proxy_ssl on;
        proxy_ssl_trusted_certificate %CA%/ca.crt;
        upstream u { server 127.0.0.1:%PORT9%; }
        server { listen 127.0.0.1:%PORT%; proxy_pass u; proxy_ssl_server_name on; proxy_ssl_name one; proxy_ssl_verify on; }
        server { listen 127.0.0.1:%PORT2%; proxy_pass u; proxy_ssl_verify on; }
        server { listen 127.0.0.1:%PORT3%; proxy_pass u; proxy_ssl_alpn $protocol x;
                 proxy_ssl_certificate %CA%/two.crt; proxy_ssl_certificate_key %CA%/two.key; }
        server { listen 127.0.0.1:%PORT4%; proxy_pass 127.0.0.1:%PORT8%; proxy_protocol on; }
        server { listen 127.0.0.1:%PORT9% ssl; ssl_certificate %CA%/one.crt; ssl_certificate_key %CA%/one.key;
                 ssl_verify_client optional_no_ca; ssl_alpn TCP;
                 return "[$ssl_server_name] [$ssl_alpn_protocol] $ssl_client_s_dn"; }
        server { listen 127.0.0.1:%PORT8% ssl proxy_protocol; return "$proxy_protocol_addr $ssl_protocol"; }
    """
    s = run(server, ca, body)

    def answer(port: str) -> bytes:
        with contextlib.closing(s.connect(port).sock) as sock:
            return receive_all(sock)

    assert answer("PORT") == b"[one] [] "
    assert answer("PORT2") == b""
    assert 'upstream SSL certificate does not match "u" while SSL handshaking to upstream' in s.log()
    assert answer("PORT3").startswith(b"[] [TCP] CN=two")
    assert answer("PORT4") == b"127.0.0.1 TLSv1.3"


def test_preread(server: Any, ca: Authority, backend: Any) -> None:
    body = """
        ssl_preread on;
        log_format m "$ssl_preread_protocol $ssl_preread_server_name $ssl_preread_alpn_protocols $bytes_received";
        map $ssl_preread_server_name $to { one 127.0.0.1:%PORT2%; default 127.0.0.1:%UP%; }
        server { listen 127.0.0.1:%PORT%; proxy_pass $to; access_log %DIR%/access.log m; }
        server { listen 127.0.0.1:%PORT2% ssl; return inside; ssl_preread off; }
        server { listen 127.0.0.1:%PORT3%; server_name two; pass 127.0.0.1:%PORT2%; }
        server { listen 127.0.0.1:%PORT3% default_server; return ""; }
    """
    s = run(server, ca, body, UP=backend(talk=named(b"plain")).port)
    context = ca.context()
    context.set_alpn_protocols(["a", "bc"])
    assert hear(s, context=context, server_name="one") == b"inside"
    assert hear(s, "PORT3", context=context, server_name="two") == b"inside"
    wait_until(lambda: s.log("access.log"), "the session's end")
    protocol, name, alpn, count = s.log("access.log").split()
    assert (protocol, name, alpn) == ("TLSv1.3", "one", "a,bc")
    assert int(count) > 500
    with contextlib.closing(s.connect().sock) as sock:
        sock.sendall(b"hello, not TLS")
        assert receive_all(sock) == b"plain"


def test_preread_in_pieces(server: Any, ca: Authority) -> None:
    """What has been seen stays where it is, so the connection can still be passed on."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ca.context().wrap_bio(incoming, outgoing, server_hostname="two")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    body = """
        server { listen 127.0.0.1:%PORT%; ssl_preread on; preread_timeout 5s; pass 127.0.0.1:%PORT2%; }
        server { listen 127.0.0.1:%PORT2%; return "$ssl_preread_server_name$bytes_received"; }
        server { listen 127.0.0.1:%PORT3%; ssl_preread on; preread_buffer_size 100; return x; }
        server { listen 127.0.0.1:%PORT4%; ssl_preread on; preread_timeout 100ms; return x; }
    """
    s = run(server, ca, body)
    with contextlib.closing(s.connect().sock) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(hello), 50):
            sock.sendall(hello[at : at + 50])
        with contextlib.suppress(ConnectionResetError):
            assert receive_all(sock) == b"0"
    for port in ("PORT3", "PORT4"):
        with contextlib.closing(s.connect(port).sock) as sock, contextlib.suppress(ConnectionResetError):
            sock.sendall(hello[:100])
            assert receive_all(sock) == b""
    assert "preread buffer full while prereading client data" in s.log()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("server { listen %PORT% ssl; return x; }", 'no "ssl_certificate" is defined for the "listen ... ssl" directive'),
        ("proxy_ssl on; proxy_ssl_certificate x; server { listen %PORT%; proxy_pass 127.0.0.1:1; }",
         'no "proxy_ssl_certificate_key" is defined for certificate "x"'),
        ("proxy_ssl on; proxy_ssl_verify on; server { listen %PORT%; proxy_pass 127.0.0.1:1; }",
         "no proxy_ssl_trusted_certificate for proxy_ssl_verify"),
    ],
)  # fmt: skip
def test_refused(configtest: Any, body: str, message: str) -> None:
    result = configtest("events {} stream { " + body + " }")
    assert result.returncode == 1
    assert message in result.stderr
