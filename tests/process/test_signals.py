"""What signals do to master and workers, apart from reloads and binary upgrades."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading

import pytest

from scripts.lib.servers import wait_until
from tests.harness.client import PATIENCE
from tests.process.conftest import RETURN, workers

SLOW = """
events { }
http { server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://127.0.0.1:%UP%; } } }
"""


def refused(s):
    with socket.socket() as probe:
        return probe.connect_ex(s.address()) == errno.ECONNREFUSED


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_fast(server, backend, name, said):
    """Nobody waits for a request under way."""
    over = threading.Event()
    up = backend(lambda request: str(over.wait(20)))
    s = server(SLOW, UP=up.port)
    number = signal.Signals[f"SIG{name}"]
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: up.requests, "the request")
        s.signal(number)
        assert s.process.wait(PATIENCE) == 0
        assert c.closed()
    over.set()
    said(s, rf"signal {number} \(SIG{name}\) received from {os.getpid()}, exiting")
    assert not s.pid_file.exists()


def test_quit_waits_for_requests(server, backend, said):
    go = threading.Event()
    up = backend(lambda request: str(go.wait(20)))
    s = server(SLOW, UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: up.requests, "the request")
        s.signal(signal.SIGQUIT)
        said(s, "gracefully shutting down")
        wait_until(lambda: refused(s), "the listening socket closed by both processes")
        assert s.process.poll() is None
        go.set()
        assert c.response().text == "True"
    assert s.process.wait(PATIENCE) == 0
    said(s, rf"signal 3 \(SIGQUIT\) received from {os.getpid()}, shutting down")


def test_term_cuts_a_graceful_shutdown_short(server, backend):
    over = threading.Event()
    up = backend(lambda request: str(over.wait(20)))
    s = server(SLOW, UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: up.requests, "the request")
        s.signal(signal.SIGQUIT)
        s.signal(signal.SIGTERM)
        assert s.process.wait(PATIENCE) == 0
    over.set()


def test_killed_workers_are_replaced(server, said):
    s = server("worker_processes 2;" + RETURN, alerts=True)
    before = workers(s, 2)
    os.kill(before[0], signal.SIGKILL)
    said(s, rf"\[alert\].*worker process {before[0]} exited on signal 9")
    wait_until(lambda: len(s.workers()) == 2 and before[0] not in s.workers(), "another worker")
    assert before[1] in s.workers()
    for _ in range(10):
        assert s.get("/").status == 200


def test_a_stuck_worker_is_killed(server, said):
    """A worker that does not react to TERM is killed after a while."""
    s = server(RETURN, alerts=True)
    (worker,) = workers(s)
    os.kill(worker, signal.SIGSTOP)
    s.signal(signal.SIGTERM)
    assert s.process.wait(PATIENCE) == 0
    said(s, rf"worker process {worker} exited on signal 9")


def test_a_killed_worker_leaves_no_lock(server, said):
    """Zones are still usable, whatever a killed worker was doing."""
    s = server("""
        events { }
        http { limit_req_zone $binary_remote_addr zone=a:1m rate=1000r/s;
            server { listen 127.0.0.1:%PORT%; location / { limit_req zone=a burst=100 nodelay; return 200 $pid; } } }
    """, alerts=True)  # fmt: skip
    for _ in range(3):
        worker = int(s.get("/").text)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda worker=worker: s.workers() and worker not in s.workers(), "another worker")
        assert int(s.get("/").text) != worker


def test_winch_in_the_foreground_is_nothing(server, said):
    s = server(RETURN)
    s.signal(signal.SIGWINCH)
    said(s, rf"signal 28 \(SIGWINCH\) received from {os.getpid()}\n")
    assert s.get("/").status == 200


def test_upgrade_in_the_foreground_is_refused(server, said):
    s = server(RETURN)
    s.signal(signal.SIGUSR2)
    said(s, rf"\[notice\].*signal 12 \(SIGUSR2\) received from {os.getpid()}, ignoring\n")
    said(s, r"\[crit\].*the changing binary signal is ignored: you should shutdown or terminate before either old")
    assert s.get("/").status == 200


IGNORED = [("HUP", ", ignoring"), ("USR2", ", ignoring"), ("WINCH", ""), ("USR1", ", reopening logs")]
OBEYED = [("TERM", "exiting"), ("INT", "exiting"), ("QUIT", "shutting down")]


def test_workers_keep_on(server, said):
    s = server(RETURN)
    (worker,) = workers(s)
    for name, action in IGNORED:
        number = signal.Signals[f"SIG{name}"]
        os.kill(worker, number)
        said(s, rf"\[notice\] {worker}#\d+: signal {number} \(SIG{name}\) received from {os.getpid()}{action}\n")
    assert s.get("/").text == str(worker)


def test_workers_told_to_go_are_replaced(server, said):
    s = server(RETURN)
    for name, action in OBEYED:
        (worker,) = workers(s)
        number = signal.Signals[f"SIG{name}"]
        os.kill(worker, number)
        said(s, rf"\[notice\] {worker}#\d+: signal {number} \(SIG{name}\) received from {os.getpid()}, {action}\n")
        said(s, rf"\[notice\] {s.pid}#\d+: worker process {worker} exited with code 0\n")
        wait_until(lambda worker=worker: s.workers() and worker not in s.workers(), "another worker")
    assert s.get("/").status == 200
