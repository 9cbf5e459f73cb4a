"""Peers in shared memory: geng/upstream/shared.py over geng/core/zone.py, with forked workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from geng.core.zone import PAGE, Zone
from geng.errors import ConfigError
from geng.upstream.hash import ConsistentMethod
from geng.upstream.peers import FAILED, NoLivePeers
from geng.upstream.random import RandomMethod
from geng.upstream.shared import SharedPeers, lay_out
from geng.upstream.upstream import Method, Server, Upstream


def zone(size: int = 64 << 10) -> Zone:
    made = Zone("z", size, "test")
    made.map()
    return made


def in_worker(function: Callable[[], object]) -> None:
    """Run *function* in a forked process; it fails the test if it raises."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            function()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def shared(balanced: Any) -> Callable[..., Any]:
    """A balanced upstream in a zone; *resolve* servers have names that no one has resolved yet."""

    def make(*servers: dict[str, Any], method: Method | None = None, resolve: Any = (), size: int = 64 << 10) -> Any:
        up = balanced(*servers, method=method)
        upstream = up.upstream
        upstream.zone = zone(size)
        if resolve:
            upstream.resolver = object()
        for i, parameters in enumerate(resolve):
            upstream.servers.append(Server(f"name{i}:80", [], 80, host=f"name{i}", **parameters))
        upstream.link()
        lay_out(upstream.zone, [upstream])
        up.tell_time()
        return up

    return make


def names(peers: SharedPeers) -> list[str]:
    peers.sync()
    return [peer.name.decode() for peer in peers.list]


class TestSharing:
    def test_turns_go_on_in_the_next_worker(self, shared: Any) -> None:
        up = shared({}, {}, {})
        assert up.ask() == 0
        in_worker(lambda: up.sequence(1) == "1" or 1 / 0)
        assert up.ask() == 2

    def test_a_failure_is_everybodys(self, shared: Any) -> None:
        up = shared({}, {})
        assert up.sequence(2) == "01"
        in_worker(lambda: up.ask(FAILED))
        assert up.sequence(4) == "1111"
        assert up.peers[0].fails == 1

    def test_a_success_here_does_not_hide_a_failure_there(self, shared: Any) -> None:
        up = shared({"fail_timeout": 5}, {"down": 1}, {"backup": True})
        assert up.ask(FAILED) == 0
        up.clock.now += 6
        assert up.ask() == 0  # works again
        in_worker(lambda: up.ask(FAILED))
        assert up.ask() == 2

    def test_max_conns_counts_all(self, shared: Any) -> None:
        up = shared({"max_conns": 2}, {"backup": True})
        picker = up.start().get()
        in_worker(lambda: up.start().get())
        assert up.ask() == 1
        picker.free(picker, 0)
        assert up.ask() == 0

    def test_backups_and_down(self, shared: Any) -> None:
        up = shared({"down": 1}, {"backup": True}, {"backup": True})
        assert up.sequence(4) == "1212"
        assert up.start().tries == 2

    def test_a_single_server(self, shared: Any) -> None:
        up = shared({})
        assert up.ask(FAILED) == 0
        assert up.sequence(3) == "000"
        assert up.peers[0].conns == 0

    def test_two_upstreams_in_one_zone(self, shared: Any) -> None:
        first, second = shared({}, {}), shared({}, {"weight": 3})
        both = zone()
        for up in (first, second):
            up.upstream.zone = both
            up.upstream.link()
        lay_out(both, [first.upstream, second.upstream])
        assert first.sequence(4) == "0101"
        assert second.sequence(4) == "1011"

    def test_no_room(self, shared: Any) -> None:
        with pytest.raises(ConfigError) as full:
            shared(*[{}] * 300, size=8 * PAGE)
        assert str(full.value) == 'ngx_slab_alloc() failed: no memory in upstream zone "z"'
        assert full.value.level == "crit"


class TestChange:
    def found(self, *addresses: tuple[str, int], weight: int = 1, name: bytes = b"") -> list[Any]:
        return [(address, weight, name) for address in addresses]

    def test_addresses_come_and_go(self, shared: Any) -> None:
        up = shared({}, resolve=[{"weight": 2}])
        peers = up.upstream.peers
        assert names(peers) == ["127.0.0.1:18081"]
        peers.update(0, self.found(("10.0.0.1", 80), ("10.0.0.2", 80), weight=2))
        assert names(peers) == ["127.0.0.1:18081", "10.0.0.1:80", "10.0.0.2:80"]
        assert (peers.total_weight, peers.tries, peers.single) == (5, 3, False)
        peers.list[2].fails = 7
        peers.update(0, self.found(("10.0.0.2", 80), ("10.0.0.3", 80), weight=2))
        assert names(peers) == ["127.0.0.1:18081", "10.0.0.2:80", "10.0.0.3:80"]
        assert [peer.fails for peer in peers.list] == [0, 7, 0]  # who stayed is who it was
        peers.update(0, [])
        assert names(peers) == ["127.0.0.1:18081"]
        assert peers.single

    def test_ipv6(self, shared: Any) -> None:
        up = shared({}, resolve=[{}])
        up.upstream.peers.update(0, [(("fd00::1", 80, 0, 0), 1, b"")])
        assert names(up.upstream.peers)[1] == "[fd00::1]:80"
        assert up.upstream.peers.list[1].sockaddr == ("fd00::1", 80, 0, 0)

    def test_what_a_peer_of_a_name_is_like(self, shared: Any) -> None:
        up = shared({}, resolve=[{"max_conns": 3, "max_fails": 4, "fail_timeout": 5, "down": 1}])
        peers = up.upstream.peers
        peers.update(0, self.found(("10.0.0.1", 80), weight=9, name=b"srv.example"))
        peers.sync()
        peer = peers.list[1]
        assert (peer.max_conns, peer.max_fails, peer.fail_timeout, peer.down, peer.weight) == (3, 4, 5, 1, 9)
        assert (peer.server, peer.effective_weight) == (b"srv.example", 9)

    def test_the_same_address_under_two_names(self, shared: Any) -> None:
        up = shared(resolve=[{}, {}])
        peers = up.upstream.peers
        peers.update(0, self.found(("10.0.0.1", 80)))
        peers.update(1, self.found(("10.0.0.1", 80)))
        peers.update(0, [])
        assert names(peers) == ["10.0.0.1:80"]

    def test_nobody_is_there_yet(self, shared: Any) -> None:
        with pytest.raises(NoLivePeers):
            shared(resolve=[{}]).start().get()

    @pytest.mark.parametrize("method", [None, RandomMethod(), ConsistentMethod(lambda r: b"key")])
    def test_another_worker_changes_the_set(self, shared: Any, method: Any) -> None:
        up = shared({}, resolve=[{}], method=method)
        peers = up.upstream.peers
        under_way = up.start()
        in_worker(lambda: peers.update(0, self.found(("127.0.0.1", 18091))))
        with pytest.raises(NoLivePeers):  # as in nginx: it began with another set
            under_way.get()
        assert set(up.ask() for _ in range(40)) <= {0, 10}
        assert names(peers) == ["127.0.0.1:18081", "127.0.0.1:18091"]

    def test_a_peer_in_use_outlives_its_address(self, shared: Any) -> None:
        up = shared(resolve=[{}])
        peers = up.upstream.peers
        peers.update(0, self.found(("127.0.0.1", 18091)))
        picker = up.start().get()
        record = picker.peer.record
        peers.update(0, self.found(("127.0.0.1", 18092)))
        assert picker.sockaddr == ("127.0.0.1", 18091)
        assert record not in peers.chain()
        in_use = {record, *peers.chain()}
        assert len(in_use) == 2  # its record was not given to the new one
        picker.free(picker, FAILED)
        peers.update(0, self.found(("127.0.0.1", 18092), ("127.0.0.1", 18093)))
        assert record in peers.chain()

    def test_memory_is_given_back(self, shared: Any) -> None:
        up = shared(resolve=[{}], size=8 * PAGE)
        peers = up.upstream.peers
        for i in range(1000):
            peers.update(0, self.found((f"10.0.{i // 256}.{i % 256}", 80), ("10.9.9.9", 80)))
        assert names(peers) == ["10.9.9.9:80", "10.0.3.231:80"]

    def test_backups_by_name(self, shared: Any) -> None:
        up = shared({}, resolve=[{"backup": True}])
        peers = up.upstream.peers
        assert peers.single
        peers.next.update(0, self.found(("127.0.0.1", 18090)))
        assert up.ask(FAILED) == 0
        assert up.ask() == 9
        peers.sync()
        assert not peers.single


class TestReload:
    def test_what_was_resolved_is_taken_over(self, shared: Any) -> None:
        old = shared({}, resolve=[{"weight": 2}, {"service": "http"}, {"backup": True}])
        peers = old.upstream.peers
        peers.update(0, [(("10.0.0.1", 80), 2, b"")])
        peers.update(1, [(("10.0.0.2", 81), 7, b"srv")])
        peers.next.update(1, [(("10.0.0.3", 82), 1, b"other")])
        peers.next.update(2, [(("10.0.0.4", 80), 1, b"")])
        peers.valid(0, 1234)
        new = shared({}, {}, resolve=[{"weight": 5}, {"service": "http"}, {"backup": True}, {}])
        upstream = new.upstream
        upstream.zone = zone()
        upstream.servers[2].port = 8080
        upstream.link()
        lay_out(upstream.zone, [upstream], [old.upstream])
        assert names(upstream.peers)[2:] == ["10.0.0.1:8080", "10.0.0.2:81"]
        assert [peer.weight for peer in upstream.peers.list] == [1, 1, 5, 7]
        assert names(upstream.peers.next) == ["10.0.0.3:82", "10.0.0.4:80"]
        assert [upstream.peers.valid(i) for i in range(4)] == [1234, 0, 0, 0]
        assert upstream.peers.list[3].server == b"srv"

    def test_another_upstream_s_are_not(self, shared: Any) -> None:
        old, new = shared(resolve=[{}]), shared(resolve=[{}])
        old.upstream.peers.update(0, [(("10.0.0.1", 80), 1, b"")])
        old.upstream.host = "other"
        upstream: Upstream = new.upstream
        upstream.zone = zone()
        upstream.link()
        lay_out(upstream.zone, [upstream], [old.upstream])
        assert names(upstream.peers) == []  # type: ignore[arg-type]


class TestLock:
    def test_the_death_of_its_owner_is_noticed(self) -> None:
        made = zone()
        pid = os.fork()
        if not pid:
            made.lock.__enter__()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert repr(made.lock) == f"<ZoneLock held by {pid}>"
        with made.lock:
            assert repr(made.lock) == f"<ZoneLock held by {os.getpid()}>"
        assert repr(made.lock) == "<ZoneLock free>"

    def test_the_master_frees_what_the_dead_held(self) -> None:
        made = zone()
        pid = os.fork()
        if not pid:
            made.lock.__enter__()
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        assert not made.lock.release_of(os.getpid())
        assert made.lock.release_of(pid)
        assert repr(made.lock) == "<ZoneLock free>"
        assert not made.lock.release_of(pid)
        with made.lock:
            pass

    def test_no_count_is_lost(self) -> None:
        made = zone()
        slot = made.take(1)
        pids = []
        for _ in range(4):
            pid = os.fork()
            if not pid:
                for _ in range(5000):
                    with made.lock:
                        made.slots[slot] += 1
                os._exit(0)
            pids.append(pid)
        for pid in pids:
            assert os.waitpid(pid, 0)[1] == 0
        assert made.slots[slot] == 20_000
