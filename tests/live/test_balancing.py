"""Upstreams of several servers, with real workers: who is asked, what is logged, which connections are used again."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from typing import Any

import dns.rcode
import pytest

from scripts.lib.servers import free_port, wait_until
from tests.harness.backend import Answer
from tests.harness.nameserver import NameServer

CONF = """
%MAIN%
events {}
http {
    log_format up '$upstream_addr $upstream_status';
    access_log up.log up;
    %HTTP%
    upstream u { %UPSTREAM% }
    server {
        listen 127.0.0.1:%PORT%;
        location / { proxy_pass http://u; %LOCATION% }
        location /other/ { proxy_pass http://u/; }
    }
}
"""


@pytest.fixture
def start(server: Any, backend: Any) -> Any:
    """`start(n, upstream, …)`: a server over *n* backends that answer with their number; `{0}` is the first's port."""

    def make(n: int, upstream: str, main: str = "", http: str = "", location: str = "", **options: Any) -> Any:
        def answer(i: int) -> Any:
            return lambda request: Answer(str(i), 500 if "fail" in request.target else 200)

        ups = [backend(answer(i)) for i in range(n)]
        text = upstream.format(*(up.port for up in ups))
        conf = CONF.replace("%MAIN%", main).replace("%HTTP%", http)
        conf = conf.replace("%UPSTREAM%", text).replace("%LOCATION%", location)
        return server(conf, **options), ups

    return make


def ask(srv: Any, n: int, path: str = "/") -> str:
    """The bodies of *n* requests, one after the other, each over its own connection."""
    return "".join(srv.get(path).text for _ in range(n))


def test_by_weight(start: Any) -> None:
    srv, _ = start(2, "server 127.0.0.1:{0} weight=3; server 127.0.0.1:{1};")
    assert ask(srv, 8) == "00100010"


def test_a_dead_server_is_left_alone(start: Any, dead_port: int) -> None:
    srv, ups = start(1, f"server 127.0.0.1:{dead_port} fail_timeout=60s; server 127.0.0.1:{{0}};")
    assert ask(srv, 4) == "0000"
    lines = srv.log("up.log").lines(4)
    dead, live = f"127.0.0.1:{dead_port}", f"127.0.0.1:{ups[0].port}"
    assert lines[0] == f"{dead}, {live} 502, 200"
    assert Counter(", " in line for line in lines) == {True: 1, False: 3}
    assert len(lines) == 4
    assert "[warn]" in srv.log() and "upstream server temporarily disabled while connecting to upstream" in srv.log()


def test_nobody_is_left(start: Any, dead_port: int) -> None:
    srv, _ = start(0, f"server 127.0.0.1:{dead_port}; server 127.0.0.1:{dead_port};")
    assert srv.get("/").status == 502
    assert srv.get("/").status == 502
    assert "no live upstreams while connecting to upstream, client: 127.0.0.1" in srv.log()
    assert 'upstream: "http://u/"' in srv.log()
    wait_until(lambda: srv.log("up.log").splitlines()[1:] == ["u 502"], "the access log")


def test_backup(start: Any, dead_port: int) -> None:
    srv, _ = start(2, f"server 127.0.0.1:{dead_port}; server 127.0.0.1:{{0}} down; server 127.0.0.1:{{1}} backup;")
    assert ask(srv, 3) == "111"


@pytest.fixture
def dead_port() -> int:
    return int(free_port())


class TestKeepalive:
    def test_on_by_default_and_by_location(self, start: Any) -> None:
        srv, ups = start(1, "server 127.0.0.1:{0};")
        ask(srv, 3)
        assert ups[0].connections == 1
        ask(srv, 3, "/other/")
        assert ups[0].connections == 2

    def test_shared_by_locations(self, start: Any) -> None:
        srv, ups = start(1, "server 127.0.0.1:{0}; keepalive 4;")
        ask(srv, 2)
        ask(srv, 2, "/other/")
        assert ups[0].connections == 1

    def test_off(self, start: Any) -> None:
        srv, ups = start(1, "server 127.0.0.1:{0}; keepalive 0;")
        ask(srv, 3)
        assert ups[0].connections == 3

    def test_so_many_requests(self, start: Any) -> None:
        srv, ups = start(1, "server 127.0.0.1:{0}; keepalive_requests 2;")
        ask(srv, 5)
        assert ups[0].connections == 3

    def test_a_reload_lets_go_of_idle_connections(self, start: Any) -> None:
        srv, ups = start(1, "server 127.0.0.1:{0};")
        ask(srv, 1)
        assert len(ups[0]._open) == 1
        srv.reload()
        wait_until(lambda: not ups[0]._open, "the idle connection closed")


class TestZone:
    def test_workers_share_failures(self, start: Any, dead_port: int) -> None:
        """Of 40 requests over four workers only one meets the dead server."""
        srv, _ = start(
            1,
            f"zone u 64k; server 127.0.0.1:{dead_port} fail_timeout=60s; server 127.0.0.1:{{0}};",
            main="worker_processes 4;",
        )
        assert ask(srv, 40) == "0" * 40
        assert srv.log().times(1, "connect() failed")

    def test_workers_share_max_conns(self, server: Any, backend: Any) -> None:
        arrived, leave = threading.Semaphore(0), threading.Event()

        def slow(request: Any) -> str:
            arrived.release()
            leave.wait(60)
            return "slow"

        up = backend(slow)
        conf = CONF.replace("%MAIN%", "worker_processes 4;").replace("%HTTP%", "").replace("%LOCATION%", "")
        srv = server(conf.replace("%UPSTREAM%", f"zone u 64k; server 127.0.0.1:{up.port} max_conns=2;"))
        clients = [srv.connect() for _ in range(2)]
        try:
            for client in clients:
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert arrived.acquire(timeout=60)
            assert [srv.get("/").status for _ in range(8)] == [502] * 8
            leave.set()
            assert [client.response().text for client in clients] == ["slow", "slow"]
            wait_until(lambda: srv.get("/").text == "slow", "room for one more, of which another worker may tell")
        finally:
            leave.set()
            for client in clients:
                client.close()

    def test_a_worker_that_is_killed(self, start: Any) -> None:
        srv, _ = start(2, "zone u 64k; server 127.0.0.1:{0}; server 127.0.0.1:{1};", alerts=True)
        ask(srv, 2)
        first = srv.workers()
        os.kill(first[0], signal.SIGKILL)
        wait_until(lambda: srv.workers() and srv.workers() != first, "another worker")
        assert ask(srv, 2) in ("01", "10")


class TestResolve:
    @pytest.fixture
    def names(self) -> Any:
        server = NameServer()
        server.ttl = 0
        yield server
        server.close()

    def test_names_come_and_go(self, start: Any, names: Any) -> None:
        names.zone["app.example", "A"] = ["app.example A 127.0.0.1"]
        address = f"127.0.0.1:{names.address[1]}"
        srv, _ = start(
            1,
            "zone u 64k; server app.example:{0} resolve;",
            main="worker_processes 2;",
            http=f"resolver {address} ipv6=off;",
        )
        wait_until(lambda: srv.get("/").status == 200, "the name resolved")
        assert ask(srv, 4) == "0000"
        names.zone["app.example", "A"] = dns.rcode.NXDOMAIN
        wait_until(lambda: srv.get("/").status == 502, "the name gone")
        assert "app.example could not be resolved (3: Host not found)" in srv.log()
        assert "no live upstreams" in srv.log()

    def test_a_reload_keeps_what_was_resolved(self, start: Any, names: Any) -> None:
        names.ttl = 600
        names.zone["app.example", "A"] = ["app.example A 127.0.0.1"]
        address = f"127.0.0.1:{names.address[1]}"
        srv, _ = start(1, f"zone u 64k; resolver {address} ipv6=off; server app.example:{{0}} resolve;")
        wait_until(lambda: srv.get("/").status == 200, "the name resolved")
        asked = len(names.asked)
        srv.reload()
        assert ask(srv, 2) == "00"
        assert len(names.asked) == asked
