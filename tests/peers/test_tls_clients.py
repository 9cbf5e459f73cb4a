"""What testssl.sh, `openssl s_client` and curl find at `listen … ssl` with nothing else said: the same as at nginx."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from geng.hot import tls as hot
from tests.harness.peers import peer
from tests.harness.server import Server
from tests.harness.tls import Authority

CONF = """
events { }
http {
    server {
        listen 127.0.0.1:%PORT% ssl;
        ssl_certificate %CERTS%/localhost.crt;
        ssl_certificate_key %CERTS%/localhost.key;
        %PROTOCOLS%
        location / { return 200 "$ssl_protocol $ssl_cipher $ssl_curve\\n"; }
    }
}
"""
#: What is the default of the nginx that geng follows; older ones have TLSv1 and TLSv1.1 as well, and no TLSv1.3.
DEFAULT = "ssl_protocols TLSv1.2 TLSv1.3;"

# One run pays several seconds before its first check: protocols, what the server says by
# default (hello, tickets, certificate), renegotiation, compression.
CHECKS = ("--protocols", "--server-defaults", "--renegotiation", "--crime")
#: What may differ: when it was asked, and what a busy machine lets fail (resumption is asked for with little patience).
VARIES = re.compile(r"^(TLS_timestamp|.*clock.*|DNS_CAArecord|scanTime|service|HTTP.*|engine_problem|sessionresumption_.*)$")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certs")).issue("localhost")


@pytest.fixture(scope="module")
def both(
    tmp_path_factory: pytest.TempPathFactory, command: list[str], certificates: Authority
) -> Iterator[tuple[Server, Server]]:
    """nginx, and geng whose protocols are its default."""
    places = {"CERTS": certificates.folder}
    folders = [tmp_path_factory.mktemp(name) for name in ("nginx", "geng")]
    nginx = Server(CONF, folders[0], command=[peer("nginx")], PROTOCOLS=DEFAULT, **places).start()
    geng = Server(CONF, folders[1], command=command, PROTOCOLS="", **places).start()
    yield nginx, geng
    nginx.stop()
    geng.stop()


@pytest.mark.skipif(
    hot.__file__.endswith(".py"),
    reason="what it finds is OpenSSL's doing, and finding it takes long: with compiled modules only",
)
def test_testssl(both: tuple[Server, Server]) -> None:
    program = peer("testssl")
    running = []
    for one in both:
        output = one.folder / "testssl.json"
        command = [
            program, "--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "--nodns", "min",
            *CHECKS, "--jsonfile", str(output),
            f"127.0.0.1:{one.ports['PORT']}",
        ]  # fmt: skip
        log = (one.folder / "testssl.log").open("wb")
        # its own folder: it asks git for the version of whatever it is started in
        running.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=one.folder))
    for process in running:
        try:
            process.wait(400)
        except subprocess.TimeoutExpired:
            for each in running:
                each.kill()
            raise
    found = [findings(one.folder / "testssl.json") for one in both]
    assert len(found[0]) > 40, (both[0].folder / "testssl.log").read_text()
    assert found[1] == found[0]


def findings(path: Path) -> dict[str, tuple[str, str]]:
    """What testssl.sh says under each name: how bad it is, and what."""
    return {
        one["id"]: (one["severity"], one["finding"]) for one in json.loads(path.read_text()) if not VARIES.match(one["id"])
    }


SHOWN = re.compile(
    r"^ *(New, .*|Server public key.*|Secure Renegotiation.*|Compression.*|Expansion.*|No ALPN.*|ALPN.*|Peer signing.*"
    r"|Peer signature.*|Server Temp Key.*|Verification.*|Verify return.*|Extended master secret.*|Protocol +:.*"
    r"|Cipher +:.*|Max Early Data.*|TLS session ticket lifetime hint.*)$",
    re.M,
)
ANSWER = re.compile(r"^HTTP/1\.1 .*|^TLSv1\.\d \w+ \w+$|^TLSv1\.\d [A-Z0-9-]+ \w*$", re.M)


@pytest.mark.parametrize("options", [(), ("-tls1_2",), ("-alpn", "h2,http/1.1"), ("-tls1_1",), ("-servername", "other")])
def test_s_client(both: tuple[Server, Server], options: tuple[str, ...]) -> None:
    program = peer("openssl")
    said = []
    for one in both:
        command = [program, "s_client", "-connect", f"127.0.0.1:{one.ports['PORT']}", "-ign_eof", *options]
        request = b"GET / HTTP/1.0\r\n\r\n"
        done = subprocess.run(command, input=request, capture_output=True, timeout=60, check=False)
        text = done.stdout.decode("utf-8", "replace")
        said.append((done.returncode, SHOWN.findall(text), ANSWER.findall(text)))
    assert said[1] == said[0]
    assert said[0][1]


@pytest.mark.parametrize("options", [(), ("--tlsv1.3",), ("--tls-max", "1.2"), ("--tls-max", "1.1"), ("--http1.0",)])
def test_curl(both: tuple[Server, Server], certificates: Authority, options: tuple[str, ...]) -> None:
    said = []
    for one in both:
        command = [
            peer("curl"), "-sS", "--cacert", certificates.path, "-w", "%{http_code} %{ssl_verify_result}",
            *options, f"https://localhost:{one.ports['PORT']}/",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        said.append((done.returncode, done.stdout))
    assert said[1] == said[0]
    assert said[0][0] == 0 or options == ("--tls-max", "1.1")
