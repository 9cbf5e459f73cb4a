"""Clients for the endurance checks: good ones, that must get the right answer, and hostile ones.

Each is a function of a `Site`; it returns when its visit is over and raises `Wrong` when an answer was not what the
client had a right to. Hostile clients mostly expect only that they are dealt with in bounded time.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import random
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass

PATIENCE = 30.0  # seconds after which a silent server is wrong


class Wrong(Exception):
    """The server did not do what it should have."""


@dataclass(frozen=True)
class Site:
    """What the clients visit: its port and the contents of its files."""

    port: int
    small: bytes
    large: bytes

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def http(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)


def expect(
    c: http.client.HTTPConnection,
    target: str,
    body: bytes | None = None,
    method: str = "GET",
    data: bytes | None = None,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> bytes:
    """One request; the body of its answer, which must have this status and, where given, be this body."""
    c.request(method, target, body=data, headers=headers or {})
    answer = c.getresponse()
    received = answer.read()
    if answer.status != status:
        raise Wrong(f"{method} {target}: {answer.status} where {status} is due")
    if body is not None and received != body:
        raise Wrong(f"{method} {target}: a wrong body of {len(received)} bytes, {len(body)} are due")
    return received


# -- good clients


def browse(site: Site) -> None:
    """Twenty requests on one connection."""
    c = site.http()
    for _ in range(20):
        expect(c, "/small.txt", site.small)
    c.close()


def download(site: Site) -> None:
    c = site.http()
    expect(c, "/large.bin", site.large)
    c.close()


def download_slowly(site: Site) -> None:
    """A large file through a narrow window, over a second or two."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        s.settimeout(PATIENCE)
        s.connect(("127.0.0.1", site.port))
        s.sendall(b"GET /proxied/large.bin HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        received = b""
        while data := s.recv(32768):
            received += data
            time.sleep(0.02)
    head, _, body = received.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 ") or body != site.large:
        raise Wrong(f"slow download: {head[:20]!r} and {len(body)} of {len(site.large)} bytes")


def compressed(site: Site) -> None:
    c = site.http()
    received = expect(c, "/small.txt", headers={"Accept-Encoding": "gzip"})
    if gzip.decompress(received) != site.small:
        raise Wrong("a compressed file that is another one")
    c.close()


def proxied(site: Site) -> None:
    c = site.http()
    for number in range(10):
        expect(c, f"/api/{number}", f"/api/{number}\n".encode())
    c.close()


def upload(site: Site) -> None:
    data = os.urandom(random.randint(1, 400_000))
    c = site.http()
    expect(c, "/upload", hashlib.sha256(data).hexdigest().encode(), "POST", data)
    c.close()


def upload_slowly(site: Site) -> None:
    data = os.urandom(200_000)
    with site.connect() as s:
        s.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n")
        s.sendall(b"Content-Length: %d\r\n\r\n" % len(data))
        for start in range(0, len(data), 5000):
            s.sendall(data[start : start + 5000])
            time.sleep(0.03)
        received = _rest(s)
    if not received.startswith(b"HTTP/1.1 200 ") or not received.endswith(hashlib.sha256(data).hexdigest().encode()):
        raise Wrong(f"slow upload: {received[:60]!r}")


def pipelined(site: Site) -> None:
    """Fifty requests in one piece; fifty answers in their order."""
    asked = b"".join(b"GET /echo/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(49))
    asked += b"GET /echo/49 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with site.connect() as s:
        s.sendall(asked)
        received = _rest(s)
    bodies = [part.split(b"\r\n\r\n")[-1] for part in received.split(b"\n<end>\n")[:-1]]
    if bodies != [b"/echo/%d" % number for number in range(50)]:
        raise Wrong(f"pipelined: {len(bodies)} answers, {received[-60:]!r}")


def half_closed(site: Site) -> None:
    """A client that has said all it will say still gets its answer."""
    with site.connect() as s:
        s.sendall(b"GET /small.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        if not _rest(s).endswith(site.small):
            raise Wrong("half-closed: no whole answer")


# -- hostile clients


def slow_head(site: Site) -> None:
    """A request head byte by byte, for longer than client_header_timeout allows."""
    with site.connect() as s:
        for byte in b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Never: ends":
            try:
                s.sendall(bytes([byte]))
            except ConnectionError:
                return
            time.sleep(0.2)
        _ended(s, "slow head")


def silent(site: Site) -> None:
    """Connects and says nothing."""
    with site.connect() as s:
        _ended(s, "silent connection")


def reset_in_head(site: Site) -> None:
    s = site.connect()
    s.sendall(b"GET /small.txt HTTP/1.1\r\nHost: loc")
    _reset(s)


def reset_in_answer(site: Site) -> None:
    s = site.connect()
    s.sendall(random.choice((b"GET /large.bin", b"GET /proxied/large.bin")) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    s.recv(10_000)
    _reset(s)


def abandoned_download(site: Site) -> None:
    """Reads the beginning, then nothing; the server gives up after send_timeout or notices the close."""
    with site.connect() as s:
        s.sendall(b"GET /proxied/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n")
        s.recv(10_000)
        time.sleep(random.uniform(0, 1))


def abandoned_upload(site: Site) -> None:
    with site.connect() as s:
        s.sendall(b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n" + b"x" * 100_000)
        time.sleep(random.uniform(0, 0.5))


def long_head(site: Site) -> None:
    _refused(site, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n", (400, 494))


def long_line(site: Site) -> None:
    _refused(site, b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", (414,))


def large_body(site: Site) -> None:
    _refused(site, b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000000\r\n\r\n" + b"x" * 5000, (413,))


def smuggler(site: Site) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    _refused(site, head + b"0\r\n\r\nGET /small.txt HTTP/1.1\r\n", (400,))


def bad_chunks(site: Site) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    _refused(site, head + b"fffffffffffffffffffff\r\nx", (400, 413))


def tls_hello(site: Site) -> None:
    _refused(site, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), (400,))


def garbage(site: Site) -> None:
    """Bytes at random; any answer will do, or none, but the connection must end."""
    with site.connect() as s:
        try:
            s.sendall(random.randbytes(random.randint(1, 20_000)))
            s.shutdown(socket.SHUT_WR)
        except OSError:
            return  # the server was faster
        _ended(s, "garbage")


def broken_backend(site: Site) -> None:
    c = site.http()
    for fault in ("reset", "garbage", "endless-head"):
        expect(c, f"/broken/{fault}", status=502)
    c.request("GET", "/broken/short")
    try:
        c.getresponse().read()
    except (http.client.IncompleteRead, ConnectionError):
        return  # cut short is what an answer that was cut short must look like
    raise Wrong("an answer that its backend cut short looks whole")


GOOD: tuple[Callable[[Site], None], ...] = (
    browse, download, download_slowly, compressed, proxied, upload, upload_slowly, pipelined, half_closed,
)  # fmt: skip
HOSTILE: tuple[Callable[[Site], None], ...] = (
    slow_head, silent, reset_in_head, reset_in_answer, abandoned_download, abandoned_upload, long_head, long_line,
    large_body, smuggler, bad_chunks, tls_hello, garbage, broken_backend,
)  # fmt: skip


def _rest(s: socket.socket) -> bytes:
    received = b""
    while data := s.recv(65536):
        received += data
    return received


def _ended(s: socket.socket, who: str) -> None:
    try:
        _rest(s)
    except ConnectionError:
        return
    except TimeoutError:
        raise Wrong(f"{who}: still connected after {PATIENCE:.0f} s") from None


def _reset(s: socket.socket) -> None:
    """Closes with RST in place of FIN."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def _refused(site: Site, data: bytes, statuses: tuple[int, ...]) -> None:
    """The answer must be one of these; it must arrive although the client still sends (lingering close)."""
    with site.connect() as s:
        try:
            s.sendall(data)
            received = _rest(s)
        except ConnectionError:
            return  # closed while we sent: refused all the same
    status = received[9:12]
    # some of these codes never leave the server: 494 is sent as 400
    if status and int(status) not in statuses:
        raise Wrong(f"{data[:40]!r}: {status.decode()} where {statuses} are due")
