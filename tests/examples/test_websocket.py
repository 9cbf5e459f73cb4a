"""examples/websocket: an upgrade through the proxy, then frames both ways, against the echo server it ships."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.examples.conftest import EXAMPLES
from tests.harness.server import Server, wait_until
from tests.harness.websocket import ACCEPT, CLOSE, UPGRADE, frame


@pytest.fixture
def running(example) -> Iterator[Server]:
    s = example("websocket")
    port = int(s.places["ELSEWHERE8081"])
    echo = subprocess.Popen([sys.executable, str(EXAMPLES / "websocket" / "echo.py"), str(port)])
    try:
        wait_until(lambda: listens(port), "the echo server")
        yield s
    finally:
        echo.terminate()
        echo.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_page(running):
    assert "new WebSocket" in running.get("/").text


def test_echo(running):
    with running.connect() as c:
        answer = c.ask("/echo", headers=UPGRADE)
        assert answer.status == 101
        assert answer["Upgrade"] == "websocket"
        assert answer["Sec-WebSocket-Accept"] == ACCEPT
        c.send(frame(b"hello"))
        assert c.exactly(7) == b"\x81\x05hello"
        c.send(frame(b"x" * 1000))
        assert c.exactly(1004) == b"\x81\x7e\x03\xe8" + b"x" * 1000
        c.send(frame(b"", opcode=CLOSE))
        assert c.exactly(2) == b"\x88\x00"
        assert c.closed()


def test_without_upgrade(running):
    assert running.get("/echo").status == 426
