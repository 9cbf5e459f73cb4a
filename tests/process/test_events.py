"""How workers share new connections, and what happens when there are too many."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest

from scripts.lib.servers import wait_until
from tests.harness.client import Truncated
from tests.process.conftest import RETURN, workers

HOLD = """
events { worker_connections 6; }
http { access_log off;
    server { listen 127.0.0.1:%PORT%; keepalive_timeout 60;
        location / { return 200 "$pid"; }
        location /busy { proxy_pass http://127.0.0.1:1; } } }
"""
BUSY = b"POST /busy HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"


def answers(s, count):
    return [s.get("/").text for _ in range(count)]


@pytest.mark.parametrize(
    "words",
    ["", "accept_mutex on; accept_mutex_delay 10ms;", "accept_mutex on; multi_accept on;"],
)
def test_every_connection_is_served(server, words):
    s = server("worker_processes 2;" + RETURN.replace("events { }", f"events {{ {words} }}"))
    pids = {str(pid) for pid in workers(s, 2)}
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(s.connect()) for _ in range(60)]
        assert {c.ask().text for c in held} <= pids
        assert set(answers(s, 40)) <= pids


def test_reuseport_gives_each_worker_a_socket(server):
    s = server("worker_processes 2;" + RETURN.replace("%PORT%", "%PORT% reuseport"))
    pids = workers(s, 2)
    port = f":{s.ports['PORT']:04X}"
    sockets = [line for line in Path("/proc/net/tcp").read_text().splitlines() if port in line and " 0A " in line]
    assert len(sockets) == 2
    wait_until(lambda: set(answers(s, 30)) == {str(pid) for pid in pids}, "both workers answer")


def test_reuseport_after_a_reload(server):
    s = server("worker_processes 2;" + RETURN)
    s.reload(s.conf.replace(f"127.0.0.1:{s.ports['PORT']}", f"127.0.0.1:{s.ports['PORT']} reuseport"))
    pids = workers(s, 2)
    wait_until(lambda: set(answers(s, 30)) == {str(pid) for pid in pids}, "both workers answer")
    s.reload(s.conf.replace(" reuseport", ""))
    assert set(answers(s, 30)) <= {str(pid) for pid in workers(s, 2)}


def test_idle_connections_make_room(server, said):
    s = server(HOLD)
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(8):
            held.append(stack.enter_context(s.connect()))
            assert held[-1].ask().status == 200
        said(s, r"\[warn\].*6 worker_connections are not enough, reusing connections")
        assert held[0].closed()
        assert held[-1].ask().status == 200


def test_without_idle_ones_connections_are_refused(server, said):
    """Busy connections are not taken away: new ones are closed at once."""
    s = server(HOLD, alerts=True)
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            c = stack.enter_context(s.connect())
            assert c.send(BUSY).response().status == 100
        refused = stack.enter_context(s.connect())
        assert refused.closed()
        said(s, r"\[alert\].*6 worker_connections are not enough")
    wait_until(lambda: _answers(s), "an answer")


def _answers(s):
    try:
        return s.get("/").status == 200
    except (ConnectionError, Truncated):
        return False


def test_one_log_line_a_connection(server):
    s = server(RETURN, log_level="debug")
    answers(s, 3)
    numbers = re.findall(r"\*(\d+) accept: 127\.0\.0\.1:\d+ fd:\d+\n", s.log())
    assert len(numbers) >= 3
    assert len(set(numbers)) == len(numbers)
