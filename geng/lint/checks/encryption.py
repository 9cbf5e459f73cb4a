"""TLS: protocols, ciphers, curves, stapling, and what HTTP/2 and QUIC need beside."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.conf.tables import HTTP
from geng.lint.checks import examples
from geng.lint.checks.scope import incomplete, is_address, tls_servers
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree

OLD_PROTOCOLS = ("SSLv2", "SSLv3", "TLSv1", "TLSv1.1")
_WORDS = "EXP EXPORT EXPORT40 EXPORT56 NULL ENULL ANULL DES 3DES RC4 MD5 ADH AECDH LOW MEDIUM IDEA SEED RC2"
WEAK = frozenset(_WORDS.split())
POST_QUANTUM = re.compile(r"(?:MLKEM|Kyber)", re.I)
_SPLIT = re.compile(r"[: ,]+")


def weak_ssl_tls(place: Place) -> Iterator[Found]:
    if place.name.endswith("ssl_protocols"):
        old = [word for word in place.args if word in OLD_PROTOCOLS]
        if old:
            index = place.args.index(old[0]) + 1
            yield Found(place, f"{', '.join(old)} can be broken (RFC 8996)", index, "TLSv1.2 TLSv1.3")
    elif place.args:
        weak = weak_ciphers(place.args[0])
        if weak:
            yield Found(place, f"weak ciphers: {', '.join(weak)}", 1, "leave them out")


def weak_ciphers(text: str) -> list[str]:
    """The words of a list for OpenSSL that bring ciphers in which are weak, those left out again not counted."""
    words = [word for word in _SPLIT.split(text) if word]
    never = {word[1:].upper() for word in words if word.startswith("!")}
    found = []
    for word in words:
        if word[0] in "!-+@" or word.upper() == "DEFAULT":
            continue
        atoms = _atoms(word)
        if atoms & WEAK and not atoms & never:
            found.append(word)
    return found


def _atoms(word: str) -> set[str]:
    parts = set(re.split(r"[+-]", word.upper()))
    if "CBC3" in parts:
        parts = parts - {"DES"} | {"3DES"}
    if "EXP" in parts:
        parts.add("EXPORT")
    if "MD5" in parts and len(parts) > 1 and "RC4" not in parts and "+" not in word:
        parts.discard("MD5")
    return parts


def ssl_ecdh_curve(place: Place) -> Iterator[Found]:
    groups = [word for word in _SPLIT.split(place.args[0]) if POST_QUANTUM.search(word)] if place.args else []
    new = [word for word in groups if not word.startswith("?")]
    if new:
        hint = 'from 3.3 on, "?" before the name lets OpenSSL skip what it does not know; auto is always right'
        yield Found(place, f"OpenSSL before 3.5 has no {', '.join(new)}, and then nothing starts", 1, hint)


def _stapling(tree: Tree) -> Iterator[tuple[Place, Place]]:
    """`ssl_stapling on` and the block it is in."""
    for place in tree.named("ssl_stapling"):
        if place.args[:1] == ("on",) and place.parent is not None:
            yield place, place.parent


def ssl_stapling_letsencrypt(tree: Tree) -> Iterator[Found]:
    for place, block in _stapling(tree):
        here = [each for each in tls_servers(tree) if block in each.above()] if block.inside == HTTP else [block]
        certificates = [each for server in here for each in server.inherited("ssl_certificate")]
        if any("letsencrypt" in each.args[0].lower() for each in certificates if each.args):
            yield Found(place, "Let's Encrypt has no OCSP any more: nothing is stapled", 0, "leave it out")


def ssl_stapling_without_resolver(tree: Tree) -> Iterator[Found]:
    for place, block in _stapling(tree):
        if block.inherited("resolver", "ssl_stapling_file") or incomplete(tree, block) or tree.fragment:
            continue
        if block.inside == HTTP and not any(block in each.above() for each in tls_servers(tree)):
            continue
        responder = block.value("ssl_stapling_responder")
        if responder and is_address(re.sub(r"\Ahttp://|[/:].*", "", responder)):
            continue
        yield Found(place, "the certificate authority's host cannot be looked up: nothing is stapled", 0, "resolver …;")


def http2_misdirected_request(tree: Tree) -> Iterator[Found]:
    for server in tree.servers():
        listens = [each for each in server.all("listen") if "default_server" in each.args or "default" in each.args]
        http2 = server.value("http2") == "on" or any("http2" in each.args for each in listens)
        if not listens or not http2 or server.value("ssl_reject_handshake") != "on":
            continue
        if server.first("return") or any(each.args == ("/",) and each.first("return") for each in server.all("location")):
            continue
        message = "requests that come over another server's HTTP/2 connection are answered here"
        yield Found(server, message, 0, "return 421;")


def quic_bpf_reuseport(tree: Tree) -> Iterator[Found]:
    for place in tree.named("quic_bpf"):
        if place.args[:1] != ("on",) or tree.root.value("worker_processes", "1") == "1":
            continue
        if any({"quic", "reuseport"} <= set(listen.args) for listen in tree.named("listen")):
            message = "with reuseport and several workers half of the QUIC connections are lost at each reload"
            yield Found(place, message, 0, "quic_bpf off;")


_QUIC = examples.server("listen 443 quic reuseport;\nssl_certificate cert.pem;\nssl_certificate_key key.pem;")
_TLS = "listen 443 ssl;\nserver_name example.com;\nssl_certificate {0};\nssl_certificate_key key.pem;\n"

CHECKS = (
    Check(
        "weak_ssl_tls",
        Severity.WARNING,
        "protocols or ciphers that can be broken",
        """
SSL 2 and 3, TLS 1.0 and 1.1 are out of use (RFC 7568, RFC 8996), as are ciphers with RC4, DES, 3DES, MD5, export length,
without encryption or without authentication. A word that a `!word` takes out again is not reported.
""",
        examples.http("ssl_protocols TLSv1 TLSv1.1 TLSv1.2;\nssl_ciphers RC4:HIGH;"),
        examples.http("ssl_protocols TLSv1.2 TLSv1.3;\nssl_ciphers HIGH:!aNULL:!MD5;"),
        on=(
            "ssl_protocols",
            "ssl_ciphers",
            "proxy_ssl_protocols",
            "proxy_ssl_ciphers",
            "grpc_ssl_protocols",
            "grpc_ssl_ciphers",
            "uwsgi_ssl_protocols",
            "uwsgi_ssl_ciphers",
        ),  # fmt: skip
        look=weak_ssl_tls,
    ),
    Check(
        "ssl_ecdh_curve",
        Severity.NOTE,
        "a group that OpenSSL may not know",
        """
OpenSSL refuses the whole list when it does not know one name in it, and nginx does not start. The groups with ML-KEM
came with 3.5.
""",
        examples.http("ssl_ecdh_curve X25519MLKEM768:X25519;"),
        examples.http("ssl_ecdh_curve ?X25519MLKEM768:X25519;"),
        on=("ssl_ecdh_curve",),
        look=ssl_ecdh_curve,
    ),
    Check(
        "ssl_stapling_letsencrypt",
        Severity.NOTE,
        "stapling for a certificate without OCSP",
        """
Let's Encrypt ended its OCSP service in August 2025; its certificates name no responder, and `ssl_stapling on` only makes
nginx warn at each start.
""",
        examples.server(
            _TLS.format("/etc/letsencrypt/live/example.com/fullchain.pem") + "resolver 127.0.0.1;\nssl_stapling on;"
        ),
        examples.server(_TLS.format("/etc/letsencrypt/live/example.com/fullchain.pem")),
        run=ssl_stapling_letsencrypt,
    ),
    Check(
        "ssl_stapling_without_resolver",
        Severity.WARNING,
        "stapling without a resolver",
        """
To staple an answer nginx must ask the authority for it, whose name is in the certificate: it needs `resolver` to find it.
""",
        examples.server(_TLS.format("cert.pem") + "ssl_stapling on;"),
        examples.server(_TLS.format("cert.pem") + "resolver 127.0.0.1;\nssl_stapling on;"),
        run=ssl_stapling_without_resolver,
    ),
    Check(
        "http2_misdirected_request",
        Severity.NOTE,
        "HTTP/2 requests that were meant for another server",
        """
Browsers use one HTTP/2 connection for several names of one certificate. A default server that refuses handshakes still
gets such requests; 421 tells the browser to open a connection of its own (RFC 9113, 9.1.2).
""",
        examples.server("listen 443 ssl default_server;\nhttp2 on;\nssl_reject_handshake on;"),
        examples.server("listen 443 ssl default_server;\nhttp2 on;\nssl_reject_handshake on;\nreturn 421;"),
        run=http2_misdirected_request,
    ),
    Check(
        "quic_bpf_reuseport",
        Severity.WARNING,
        "quic_bpf together with reuseport",
        """
After a reload the map of sockets still names those of the old workers, and about half of the QUIC connections go there.
""",
        "quic_bpf on;\nworker_processes 4;\n" + _QUIC,
        "worker_processes 4;\n" + _QUIC,
        run=quic_bpf_reuseport,
    ),
)
