"""ssl_session_cache, tickets, certificates by variables, stapling and OCSP over real handshakes."""

from __future__ import annotations

import datetime
import os
import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from tests.harness.backend import Answer
from tests.harness.server import Server, wait_until
from tests.harness.tls import Authority, Connection

Start = Callable[..., Server]
HTTP = "events {} http { access_log off; %s }"
DAY = datetime.timedelta(days=1)


@pytest.fixture(scope="session")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("sessions"))
    return made.issue("localhost").issue("one.example").issue("two.example")


def conf(ca: Authority, text: str) -> str:
    pair = f"ssl_certificate {ca.folder}/localhost.crt; ssl_certificate_key {ca.folder}/localhost.key;"
    return HTTP % f"{pair} server {{ listen 127.0.0.1:%PORT% ssl; {text} return 200 $ssl_session_reused; }}"


def context(version: ssl.TLSVersion, tickets: bool = True) -> ssl.SSLContext:
    made = ssl.create_default_context()
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.maximum_version = version
    if not tickets:
        made.options |= ssl.OP_NO_TICKET
    return made


def reused(server: Server, how: ssl.SSLContext, other: Server | None = None) -> str:
    """What two connections say, the second with the first one's session."""
    with Connection(server.address(), how) as c:
        first = c.ask().text
        session = c.tls.session
    with Connection((other or server).address(), how, session=session) as c:
        return first + c.ask().text


@pytest.mark.parametrize(
    ("text", "tickets", "answer"),
    [
        ("ssl_session_cache shared:one:1m; ssl_session_tickets off;", False, ".r"),
        ("ssl_session_cache builtin:1000; ssl_session_tickets off;", False, ".r"),
        ("ssl_session_cache none; ssl_session_tickets off;", False, ".."),
        ("ssl_session_cache off; ssl_session_tickets off;", False, ".."),
        ("ssl_session_cache shared:one:1m;", True, ".r"),
        ("", True, ".r"),
        ("ssl_session_tickets off;", True, ".."),
    ],
)
def test_tls_1_2(server: Start, ca: Authority, text: str, tickets: bool, answer: str) -> None:
    assert reused(server(conf(ca, text)), context(ssl.TLSVersion.TLSv1_2, tickets)) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", ".r"),
        ("ssl_session_cache shared:one:1m;", ".r"),
        ("ssl_session_cache shared:one:1m; ssl_session_tickets off;", ".r"),
        ("ssl_session_tickets off;", ".."),
    ],
)
def test_tls_1_3(server: Start, ca: Authority, text: str, answer: str) -> None:
    assert reused(server(conf(ca, text)), context(ssl.TLSVersion.TLSv1_3)) == answer


def test_all_workers_and_the_next_configuration_have_the_sessions(server: Start, ca: Authority) -> None:
    text = "ssl_session_cache shared:one:1m; ssl_session_tickets off;"
    s = server("worker_processes 4; " + conf(ca, text))
    how = context(ssl.TLSVersion.TLSv1_2, False)
    with Connection(s.address(), how) as c:
        c.ask()
        session = c.tls.session
    for _ in range(2):
        for _ in range(8):
            with Connection(s.address(), how, session=session) as c:
                assert c.ask().text == "r"
        s.reload()


@pytest.mark.parametrize("size", [48, 80])
def test_ticket_keys_of_two_servers(server: Start, ca: Authority, size: int, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(os.urandom(size))
    (tmp_path / "other").write_bytes(os.urandom(size))
    text = conf(ca, f"ssl_session_ticket_key {tmp_path}/key;")
    one, same = server(text), server(text)
    different = server(conf(ca, f"ssl_session_ticket_key {tmp_path}/other;"))
    both = server(conf(ca, f"ssl_session_ticket_key {tmp_path}/other; ssl_session_ticket_key {tmp_path}/key;"))
    how = context(ssl.TLSVersion.TLSv1_2)
    assert reused(one, how, same) == ".r"
    assert reused(one, how, different) == ".."
    assert reused(one, how, both) == ".r"


def test_ticket_key_of_a_wrong_size(configtest: Callable[..., Any], ca: Authority, tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"x" * 47)
    done = configtest(conf(ca, f"ssl_session_ticket_key {tmp_path}/key;"))
    assert f'"{tmp_path}/key" must be 48 or 80 bytes' in done.stderr


def test_certificates_by_variables(server: Start, ca: Authority) -> None:
    for cache in ("", "ssl_certificate_cache max=2 valid=1s inactive=1s;"):
        s = server(
            HTTP % "server { listen 127.0.0.1:%PORT% ssl; ssl_certificate %CA%/$ssl_server_name.crt;"
            f" {cache} ssl_certificate_key %CA%/$ssl_server_name.key; return 200 $ssl_server_name; }}",
            CA=ca.folder,
        )
        for name in ("one.example", "two.example", "one.example"):
            with Connection(s.address(), ca.context(), server_name=name) as c:
                assert c.common_name() == name
                assert c.ask().text == name
        with pytest.raises(ssl.SSLError):
            Connection(s.address(), ca.context(), server_name="three.example")
        assert f'cannot load certificate "{ca.folder}/three.example.crt": BIO_new_file() failed (SSL: error:' in s.log()


# ---- OCSP


class Issuer:
    """An authority with a certificate for `localhost`, a client's, and answers about both."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._certificate("issuer", self.key, None)
        self.own: dict[str, x509.Certificate] = {}
        (folder / "issuer.crt").write_bytes(self._pem(self.certificate))
        for name in ("localhost", "client"):
            key = ec.generate_private_key(ec.SECP256R1())
            self.own[name] = self._certificate(name, key, url)
            (folder / f"{name}.crt").write_bytes(self._pem(self.own[name]) + self._pem(self.certificate))
            private = serialization.PrivateFormat.PKCS8
            (folder / f"{name}.key").write_bytes(
                key.private_bytes(serialization.Encoding.PEM, private, serialization.NoEncryption())
            )

    @staticmethod
    def _pem(certificate: x509.Certificate) -> bytes:
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _certificate(self, name: str, key: ec.EllipticCurvePrivateKey, url: str | None) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if url is None else self.certificate.subject
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + DAY)
            .add_extension(x509.BasicConstraints(ca=url is None, path_length=None), critical=True)
        )
        if url is not None:
            place = x509.UniformResourceIdentifier(url)
            access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
            builder = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def answer(self, name: str, revoked: bool = False) -> bytes:
        """An OCSP response about one of the certificates."""
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=self.own[name],
            issuer=self.certificate,
            algorithm=hashes.SHA1(),  # noqa: S303 - what OCSP names certificates by
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
            this_update=now - DAY,
            next_update=now + DAY,
            revocation_time=now - DAY if revoked else None,
            revocation_reason=None,
        )
        made = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, self.certificate).sign(self.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.DER)


@pytest.fixture
def responder(backend: Callable[..., Any], tmp_path: Path) -> tuple[Issuer, dict[str, Any]]:
    """An Issuer and what its responder says: `state["answer"]`, and how often it was asked."""
    state: dict[str, Any] = {"answer": b"", "asked": 0}

    def say(request: Any) -> Any:
        state["asked"] += 1
        answer = state["answer"]
        if not isinstance(answer, bytes):
            return answer
        return Answer(answer, headers={"Content-Type": "application/ocsp-response", "Connection": "close"})

    up = backend(say)
    return Issuer(tmp_path, f"http://127.0.0.1:{up.port}/ocsp"), state


def stapled(server: Server) -> bytes:
    """What OpenSSL's own client says of the stapled response."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command")
    done = subprocess.run(
        [openssl, "s_client", "-connect", "{}:{}".format(*server.address()), "-status"],
        input=b"",
        capture_output=True,
        timeout=60,
    )
    return done.stdout


def test_stapling_asks_the_responder(server: Start, responder: Any, tmp_path: Path) -> None:
    issuer, state = responder
    state["answer"] = issuer.answer("localhost")
    s = server(
        HTTP % "server { listen 127.0.0.1:%PORT% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"
        " ssl_trusted_certificate issuer.crt; ssl_stapling on; ssl_stapling_verify on; }"
    )
    assert b"OCSP response: no response sent" in stapled(s)  # the first client is not kept waiting
    wait_until(lambda: b"OCSP Response Status: successful" in stapled(s), "a stapled response")
    assert state["asked"] == 1


def test_stapling_of_a_revoked_certificate(server: Start, responder: Any) -> None:
    issuer, state = responder
    state["answer"] = issuer.answer("localhost", revoked=True)
    s = server(
        HTTP % "server { listen 127.0.0.1:%PORT% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"
        " ssl_stapling on; }"
    )
    stapled(s)
    wait_until(lambda: 'certificate status "revoked" in the OCSP response while requesting' in s.log(), "the log line")
    assert b"OCSP response: no response sent" in stapled(s)


def test_stapling_from_a_file(server: Start, responder: Any, tmp_path: Path) -> None:
    issuer, state = responder
    (tmp_path / "response.der").write_bytes(issuer.answer("localhost"))
    s = server(
        HTTP % "server { listen 127.0.0.1:%PORT% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"
        " ssl_stapling on; ssl_stapling_file response.der; }"
    )
    assert b"OCSP Response Status: successful" in stapled(s)
    assert not state["asked"]


def ask_as_client(server: Server, folder: Path) -> tuple[int, str]:
    how = context(ssl.TLSVersion.TLSv1_3)
    how.load_cert_chain(folder / "client.crt", folder / "client.key")
    with Connection(server.address(), how) as c:
        answer = c.ask()
        return answer.status, answer["X-Verify"]


def test_clients_certificates(server: Start, responder: Any, tmp_path: Path) -> None:
    issuer, state = responder
    s = server(
        HTTP % "server { listen 127.0.0.1:%PORT% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"
        " ssl_verify_client on; ssl_client_certificate issuer.crt; ssl_ocsp leaf;"
        " add_header X-Verify $ssl_client_verify always; location / { return 204; } }"
    )
    state["answer"] = issuer.answer("client")
    assert ask_as_client(s, tmp_path) == (204, "SUCCESS")
    state["answer"] = issuer.answer("client", revoked=True)
    assert ask_as_client(s, tmp_path) == (400, "FAILED:certificate revoked")
    page = Answer(b"x", headers={"Content-Type": "text/html", "Connection": "close"})
    for answer, message in (
        (b"nonsense", "d2i_OCSP_RESPONSE() failed (SSL: error:"),
        (issuer.answer("localhost"), "certificate status not found in the OCSP response"),
        (None, "OCSP responder prematurely closed connection"),
        (page, 'OCSP responder sent invalid "Content-Type" header: "text/html"'),
    ):
        state["answer"] = answer
        assert ask_as_client(s, tmp_path) == (400, "FAILED:certificate status request failed")
        assert message in s.log()


def test_the_status_is_cached(server: Start, responder: Any, tmp_path: Path) -> None:
    issuer, state = responder
    state["answer"] = issuer.answer("client")
    s = server(
        "worker_processes 2; "
        + HTTP
        % "server { listen 127.0.0.1:%PORT% ssl; ssl_certificate localhost.crt; ssl_certificate_key localhost.key;"
        " ssl_verify_client on; ssl_client_certificate issuer.crt; ssl_ocsp on; ssl_ocsp_cache shared:status:1m;"
        " add_header X-Verify $ssl_client_verify always; location / { return 204; } }"
    )
    assert [ask_as_client(s, tmp_path) for _ in range(5)] == [(204, "SUCCESS")] * 5
    assert state["asked"] == 1
