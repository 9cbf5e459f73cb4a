"""System calls per request, counted by strace: a bound that does not depend on how fast the machine is."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scripts.lib.servers import wait_until
from scripts.lib.strace import read
from tests.harness.backend import Answer
from tests.harness.client import Connection
from tests.harness.server import Server

REQUESTS = 100
MB = 1 << 20

CONF = """
worker_processes 1;
events { }
http {
    access_log %DIR%/access.log;
    sendfile on;
    keepalive_requests 10000;
    upstream backend { server 127.0.0.1:%BACKEND%; keepalive 4; }
    server {
        listen 127.0.0.1:%PORT%;
        location = /return { return 200 ok; }
        location /static/ { alias %DIR%/static/; open_file_cache max=10; }
        location / {
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }
    }
}
"""

# Compiled code receives and sends by other calls than plain Python, and as many of them.
ALIKE = {"recvfrom": "receive", "read": "receive", "sendto": "send", "write": "send", "writev": "send"}

# A turn of the event loop is an epoll_wait and libev's getpid; a client that waits for its answer has one per request.
# What is sent is the answer and a line of the access log; head and body of a small file go out in one.
TURN = {"epoll_wait": 1.0, "getpid": 1.0}
RETURN = {**TURN, "receive": 1.0, "send": 2.0}
PROXIED = {"epoll_wait": 2.0, "getpid": 2.0, "receive": 2.0, "send": 3.0}
STATIC = {**RETURN, "pread64": 1.0}


@contextmanager
def traced(strace: str, server: Server, folder: Path, *options: str) -> Iterator[Path]:
    """The file that strace has written when this is over."""
    output, said = folder / "strace.out", folder / "strace.said"
    wait_until(lambda: bool(server.workers()), "the worker")
    (worker,) = server.workers()
    with said.open("wb") as errors:
        tracer = subprocess.Popen([strace, *options, "-f", "-p", str(worker), "-o", str(output)], stderr=errors)
    try:
        wait_until(lambda: b"attached" in said.read_bytes() or tracer.poll() is not None, "strace attaching")
        yield output
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(30)


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [("/return", RETURN), ("/proxied", PROXIED), ("/static/1k", STATIC)],
    ids=["return", "proxied", "static"],
)
def test_per_request(
    server: Callable[..., Server],
    backend: Callable,
    peer: Callable[[str], str],
    tmp_path: Path,
    uri: str,
    allowed: dict[str, float],
) -> None:
    up = backend(lambda request: Answer(body=b"x" * 61))
    s = server(CONF, files={"static/1k": b"k" * 1024}, BACKEND=up.port)
    with Connection(("127.0.0.1", s.ports["PORT"])) as c:
        for _ in range(5):
            assert c.ask(uri).status == 200
        with traced(peer("strace"), s, tmp_path, "-c") as output:
            for _ in range(REQUESTS):
                c.ask(uri)
    counted: dict[str, float] = {}
    for name, calls in read(output).items():
        kind = ALIKE.get(name, name)
        counted[kind] = counted.get(kind, 0) + calls / REQUESTS
    assert {name: calls for name, calls in counted.items() if calls > allowed.get(name, 0) + 0.1} == {}


def test_a_large_body_goes_by_splice(
    server: Callable[..., Server], backend: Callable, peer: Callable[[str], str], tmp_path: Path
) -> None:
    """And its end does not wait for an acknowledgement: the client's connection has TCP_NODELAY (Nagle, RFC 896)."""
    up = backend(lambda request: Answer(body=b"x" * MB))
    s = server(CONF, BACKEND=up.port)
    with traced(peer("strace"), s, tmp_path) as output, Connection(("127.0.0.1", s.ports["PORT"])) as c:
        for _ in range(3):
            assert len(c.ask("/large").body) == MB
    lines = output.read_text().splitlines()
    assert sum("splice(" in line for line in lines) >= 6
    moved = sum(int(line.rpartition(" = ")[2].split()[0]) for line in lines if "sendto(" in line or "writev(" in line)
    assert moved < 3 * MB / 4  # what came with the heads
    assert sum("TCP_NODELAY, [1]" in line for line in lines) == 1
