"""worker_shutdown_timeout: those who have not finished by then are cut off."""

from __future__ import annotations

import signal
import threading

import pytest

from scripts.lib.servers import wait_until
from tests.harness.client import PATIENCE, Truncated
from tests.process.conftest import workers

CONF = """
worker_shutdown_timeout 50ms;
events { }
http { log_format mine "$uri $status $request_completion";
    server { listen 127.0.0.1:%PORT%; access_log a.log mine; location / { proxy_pass http://127.0.0.1:%UP%; } } }
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_a_request_is_cut_off(server, backend, number, said):
    over = threading.Event()
    up = backend(lambda request: str(over.wait(20)))
    s = server(CONF, UP=up.port)
    (old,) = workers(s)
    with s.connect() as c:
        c.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: up.requests, "the request")
        s.signal(number)
        assert c.closed()
    wait_until(lambda: old not in s.workers(), "the old worker gone")
    over.set()
    said(s, "/slow 000 \n", "a.log")


def test_a_half_answer_is_cut_off(server, backend):
    over = threading.Event()

    def talk(sock):
        sock.recv(4096)
        sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        over.wait(20)

    up = backend(talk=talk)
    s = server(CONF.replace("proxy_pass", "proxy_buffering off; proxy_pass"), UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: up.connections, "the upstream")
        head = c._until(b"half")
        assert head.startswith(b"HTTP/1.1 200")
        s.signal(signal.SIGQUIT)
        with pytest.raises(Truncated):
            c.exactly(1)
    over.set()
    assert s.process.wait(PATIENCE) == 0


def test_half_a_request_is_cut_off(server, backend):
    s = server(CONF, UP=1)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\n")
        s.signal(signal.SIGQUIT)
        assert c.closed()
    assert s.process.wait(PATIENCE) == 0
