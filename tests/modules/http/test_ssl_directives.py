"""What ssl_… directives change in a handshake or an answer, and every $ssl_… variable."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tests.harness.server import Server, wait_until
from tests.harness.tls import Authority, Connection

Start = Callable[..., Server]

pytestmark = pytest.mark.live


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("tls-directives"))
    made.issue("client")
    made.issue("rsa", "localhost", rsa=True)
    made.issue("one.example")
    key = serialization.load_pem_private_key((made.folder / "client.key").read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"second")
    )
    (made.folder / "sealed.key").write_bytes(sealed)
    (made.folder / "passwords").write_text("first\nsecond\n")
    return made.issue("localhost")


@pytest.fixture
def start(server: Start, ca: Authority) -> Start:
    """`start(text)`: a TLS server that says *text*; `name=` chooses its certificate."""

    def begin(text: str, name: str = "localhost", **options: Any) -> Server:
        pair = f"ssl_certificate %CA%/{name}.crt; ssl_certificate_key %CA%/{name}.key;"
        conf = f"events {{}} http {{ access_log off; server {{ listen 127.0.0.1:%PORT% ssl; {pair} {text} }} }}"
        return server(conf, CA=ca.folder, **options)

    return begin


def openssl(s: Server, *words: str, request: bytes = b"GET / HTTP/1.0\r\n\r\n") -> str:
    """What `openssl s_client` says of a handshake, and of the answer to *request*."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{s.ports['PORT']}", "-ign_eof", *words]
    said = subprocess.run(command, input=request, capture_output=True, timeout=30, check=False)
    return (said.stdout + said.stderr).decode(errors="replace")


VARIABLES = (  # noqa: SIM905
    "ssl_protocol ssl_cipher ssl_ciphers ssl_curve ssl_curves ssl_sigalg ssl_sigalgs ssl_session_id ssl_session_reused"
    " ssl_early_data ssl_ech_status ssl_ech_outer_server_name ssl_server_name ssl_alpn_protocol ssl_client_s_dn"
    " ssl_client_i_dn ssl_client_s_dn_legacy ssl_client_i_dn_legacy ssl_client_serial ssl_client_fingerprint"
    " ssl_client_verify ssl_client_v_start ssl_client_v_end ssl_client_v_remain ssl_client_sigalg ssl_client_escaped_cert"
).split()


def variables(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())  # type: ignore[misc]


def test_variables(start: Start, ca: Authority) -> None:
    lines = "\n".join(f"{name}=${name}" for name in VARIABLES)
    s = start(
        f"ssl_verify_client optional; ssl_client_certificate %CA%/ca.crt; ssl_session_cache shared:S:1m;"
        f" location / {{ return 200 '{lines}'; }}"
        f" location /raw {{ return 200 '$ssl_client_raw_cert'; }} location /cert {{ return 200 '$ssl_client_cert'; }}"
    )
    context = ca.context()
    context.load_cert_chain(ca.folder / "client.crt", ca.folder / "client.key")
    pem = (ca.folder / "client.crt").read_bytes()
    made = x509.load_pem_x509_certificate(pem)
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    with Connection(s.address(), context) as c:
        shown = variables(c.ask().text)
        assert c.ask("/raw").text == text
        assert c.ask("/cert").text == text.rstrip("\n").replace("\n", "\n\t")
    assert shown["ssl_client_serial"] == f"{made.serial_number:X}".zfill(len(f"{made.serial_number:X}") + 1 & ~1)
    assert shown["ssl_client_fingerprint"] == made.fingerprint(hashes.SHA1()).hex()
    assert shown["ssl_client_escaped_cert"] == quote(text, safe="")
    assert shown["ssl_client_v_start"].endswith(" GMT") and shown["ssl_client_v_end"].endswith(" GMT")
    assert int(shown["ssl_client_v_remain"]) > 0
    assert shown["ssl_client_s_dn"].startswith("CN=client,") and shown["ssl_client_s_dn_legacy"].endswith("/CN=client")
    assert shown["ssl_client_i_dn"].split(",")[-1].startswith("O=") or "O=" in shown["ssl_client_i_dn"]
    assert shown["ssl_client_sigalg"] in ("ecdsa_secp256r1_sha256", "")  # OpenSSL tells from 3.5 on
    assert shown["ssl_sigalg"] in ("ecdsa_secp256r1_sha256", "")
    assert "0x0403" in shown["ssl_sigalgs"].split(":")
    assert "TLS_AES_256_GCM_SHA384" in shown["ssl_ciphers"].split(":")
    assert shown["ssl_curve"] in shown["ssl_curves"].split(":")
    assert (shown["ssl_protocol"], shown["ssl_session_reused"], shown["ssl_client_verify"]) == ("TLSv1.3", ".", "SUCCESS")
    assert (shown["ssl_early_data"], shown["ssl_server_name"], shown["ssl_alpn_protocol"]) == ("", "localhost", "")


def test_password_file(start: Start) -> None:
    s = start("ssl_password_file %CA%/passwords; return 200 ok;".replace("%CA%/pass", "%CA%/pass"), name="client")
    assert "ok" in openssl(s)


def test_a_sealed_key(server: Start, ca: Authority) -> None:
    s = server(
        "events {} http { server { listen 127.0.0.1:%PORT% ssl; ssl_certificate %CA%/client.crt; return 200 opened;"
        " ssl_certificate_key %CA%/sealed.key; ssl_password_file %CA%/passwords; } }",
        CA=ca.folder,
    )
    assert "opened" in openssl(s)


def test_curves(start: Start) -> None:
    s = start("ssl_ecdh_curve secp384r1; return 200 $ssl_curve;")
    for version in ("-tls1_3", "-tls1_2"):
        said = openssl(s, version)
        assert "Server Temp Key: ECDH, secp384r1, 384 bits" in said and "\r\n\r\nsecp384r1" in said
    assert "handshake failure" in openssl(s, "-tls1_3", "-curves", "P-256")


def test_dh_parameters(start: Start, ca: Authority) -> None:
    made = subprocess.run(
        ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe3072"],
        capture_output=True,
        check=True,
    )
    (ca.folder / "dh.pem").write_bytes(made.stdout)
    words = ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256")
    text = "ssl_ciphers DHE-RSA-AES128-GCM-SHA256; ssl_protocols TLSv1.2; return 200 ok;"
    assert "handshake failure" in openssl(start(text, name="rsa"), *words)
    assert "Server Temp Key: DH, 3072 bits" in openssl(start("ssl_dhparam %CA%/dh.pem;" + text, name="rsa"), *words)


@pytest.mark.parametrize(("prefer", "cipher"), [("on", "AES256"), ("off", "AES128")])
def test_whose_ciphers_come_first(start: Start, prefer: str, cipher: str) -> None:
    s = start(
        f"ssl_prefer_server_ciphers {prefer}; ssl_protocols TLSv1.2; return 200 ok;"
        " ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256;"
    )
    theirs = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384"
    assert f"Cipher is ECDHE-ECDSA-{cipher}" in openssl(s, "-cipher", theirs)


def test_session_timeout(start: Start) -> None:
    s = start("ssl_session_timeout 77s; ssl_session_cache shared:S:1m; return 200 ok;")
    assert "lifetime hint: 77 (seconds)" in openssl(s, "-tls1_2")


def test_conf_command(start: Start) -> None:
    s = start("ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256; return 200 $ssl_cipher;")
    assert "Cipher is TLS_CHACHA20_POLY1305_SHA256" in openssl(s, "-tls1_3")


@pytest.mark.parametrize(("size", "most"), [("1400", 1400), ("4k", 4096)])
def test_buffer_size(start: Start, size: str, most: int) -> None:
    s = start(f"ssl_buffer_size {size}; ssl_protocols TLSv1.3; root html;", files={"html/index.html": b"x" * 30_000})
    said = openssl(s, "-tls1_3", "-msg")
    lengths = [
        int.from_bytes(bytes.fromhex("".join(rows[0].split())[6:10]), "big")
        for head, *rows in (block.splitlines() for block in said.split("<<< ") if block)
        if "RecordHeader" in head and rows and "".join(rows[0].split()).startswith("17")
    ]
    body = [length for length in lengths if length > 1000]
    assert len(body) >= 30_000 // most and max(body) <= most + 17  # the tag, and the type


def test_early_data(start: Start, tmp_path: Path) -> None:
    session, early = tmp_path / "session", tmp_path / "early"
    early.write_bytes(b"GET /early HTTP/1.0\r\n\r\n")
    for enabled in ("on", "off"):
        s = start(f"ssl_early_data {enabled}; ssl_session_cache shared:S:1m; return 200 $uri:$ssl_early_data:;")
        assert "/::" in openssl(s, "-tls1_3", "-sess_out", str(session))
        request = b"" if enabled == "on" else b"GET /late HTTP/1.0\r\n\r\n"
        said = openssl(s, "-tls1_3", "-sess_in", str(session), "-early_data", str(early), request=request)
        assert ("Early data was accepted" in said) == (enabled == "on")
        # early is what comes before the client has ended its handshake, which it does in the same moment
        assert ("/early:1:" in said or "/early::" in said) if enabled == "on" else "/late::" in said


def test_a_zone_full_of_sessions(start: Start, ca: Authority) -> None:
    """The newest sessions are kept; nothing is said of it, and every handshake succeeds."""
    s = start(
        "ssl_session_cache shared:S:32k; ssl_session_tickets off; ssl_protocols TLSv1.2; return 200 $ssl_session_reused;"
    )
    context = ca.context()
    sessions = []
    for _ in range(200):
        with Connection(s.address(), context) as c:
            assert c.ask().text == "."
            sessions.append(c.tls.session)
    for session, reused in ((sessions[-1], "r"), (sessions[0], ".")):
        with Connection(s.address(), context, session=session) as c:
            assert c.ask().text == reused
    assert "[alert]" not in s.log() and "[crit]" not in s.log()


# ---- toward a uwsgi server


UWSGI = "uwsgi_pass suwsgi://127.0.0.1:%UP%; uwsgi_param A b;"
VERIFY = "uwsgi_ssl_trusted_certificate %CA%/ca.crt; uwsgi_ssl_verify on;"
SEALED = "uwsgi_ssl_certificate %CA%/client.crt; uwsgi_ssl_certificate_key %CA%/$arg_key.key;"


@pytest.fixture
def suwsgi(server: Start, backend: Any, ca: Authority) -> Callable[..., tuple[Server, list[dict[str, Any]]]]:
    """`suwsgi(front, crl…)`: a server that says *front* before a uwsgi application behind TLS; what that one saw."""
    import ssl

    seen: list[dict[str, Any]] = []

    def begin(front: str, protocol: Any = None, **options: Any) -> tuple[Server, list[dict[str, Any]]]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ca.folder / "one.example.crt", ca.folder / "one.example.key")
        context.load_verify_locations(ca.path)
        context.verify_mode = ssl.CERT_OPTIONAL
        names: list[str | None] = []
        context.sni_callback = lambda sock, name, context: names.append(name)

        def talk(sock: Any) -> None:
            try:
                wrapped = context.wrap_socket(sock, server_side=True)
            except (ssl.SSLError, OSError):
                return  # the other side did not like it
            subject = dict(pair[0] for pair in (wrapped.getpeercert() or {}).get("subject", ()))
            facts = {"name": names[-1], "cipher": wrapped.cipher()[0], "protocol": wrapped.version()}
            seen.append(facts | {"client": subject.get("commonName"), "reused": wrapped.session_reused})
            with suppress(ssl.SSLError):  # nor what it learnt afterwards
                wrapped.recv(65536)
                wrapped.sendall(b"Status: 200 OK\r\nContent-Length: 2\r\n\r\nok")
            wrapped.close()

        up = backend(talk=talk)
        conf = f"events {{}} http {{ server {{ listen 127.0.0.1:%PORT%; location / {{ {UWSGI} {front} }} }} }}"
        return server(conf, CA=ca.folder, UP=up.port, **options), seen

    return begin


def test_uwsgi_name_and_verification(suwsgi: Any) -> None:
    s, seen = suwsgi(f"{VERIFY} uwsgi_ssl_name one.example; uwsgi_ssl_server_name on; uwsgi_ssl_verify_depth 2;")
    assert s.get("/").text == "ok"
    assert (seen[0]["name"], seen[0]["client"]) == ("one.example", None)
    s, _ = suwsgi(f"{VERIFY} uwsgi_ssl_name two.example;")
    assert s.get("/").status == 502
    assert 'upstream SSL certificate does not match "two.example" while SSL handshaking to upstream' in s.log()


def test_uwsgi_protocols_and_ciphers(suwsgi: Any) -> None:
    s, seen = suwsgi("uwsgi_ssl_protocols TLSv1.2; uwsgi_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;")
    assert s.get("/").text == "ok"
    assert (seen[0]["protocol"], seen[0]["cipher"]) == ("TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")
    s, seen = suwsgi("uwsgi_ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;")
    assert s.get("/").text == "ok"
    assert seen[-1]["cipher"] == "TLS_CHACHA20_POLY1305_SHA256"


@pytest.mark.parametrize(("reuse", "second"), [("on", True), ("off", False)])
def test_uwsgi_sessions(suwsgi: Any, reuse: str, second: bool) -> None:
    s, seen = suwsgi(f"uwsgi_ssl_session_reuse {reuse}; uwsgi_ssl_protocols TLSv1.2;")
    for _ in range(2):
        assert s.get("/").text == "ok"
    assert [one["reused"] for one in seen] == [False, second]


def test_uwsgi_client_certificates(suwsgi: Any) -> None:
    s, seen = suwsgi(f"{SEALED} uwsgi_ssl_password_file %CA%/passwords; uwsgi_ssl_certificate_cache max=5;")
    for key in ("client", "sealed", "sealed"):
        assert s.get(f"/?key={key}").text == "ok"
    assert [one["client"] for one in seen] == ["client"] * 3
    assert s.get("/?key=missing").status == 502 or s.get("/?key=missing").status == 500
    assert 'cannot load certificate key "' in s.log()


def test_uwsgi_revoked(suwsgi: Any, ca: Authority) -> None:
    crl = ca.revoke("one.example")
    s, _ = suwsgi(f"{VERIFY} uwsgi_ssl_crl {crl}; uwsgi_ssl_name one.example;")
    assert s.get("/").status == 502
    wait_until(lambda: "upstream SSL certificate verify error: (23:certificate revoked)" in s.log(), "the reason in the log")
