"""Turns, weights, failures and backups: geng/upstream/round_robin.py, peers.py. Sequences are nginx 1.31.5's."""

from __future__ import annotations

from typing import Any

import pytest

from geng.upstream.peers import DOWN, DRAINING, FAILED, NEXT, NoLivePeers
from geng.upstream.round_robin import resolved

WEIGHTS = ({}, {"weight": 2}, {}, {"weight": 3}, {})


def failing(up: Any) -> Any:
    """A request that fails at every peer: which ones it tried."""
    picker = up.start()
    tried = []
    while True:
        try:
            picker.get()
        except NoLivePeers:
            return tried
        tried.append(up.index(picker))
        picker.free(picker, FAILED)


class TestTurns:
    @pytest.mark.parametrize(
        ("servers", "expected"),
        [
            (({}, {}, {}), "012012012"),
            (({"weight": 5}, {}, {}), "00102000010200"),
            (({"weight": 3}, {"weight": 2}), "0101001010"),
            (WEIGHTS, "3102341331023413310234133102341331023413"),
            (({}, {"weight": 2, "down": DOWN}, {}, {"weight": 3, "down": DOWN}, {}), "024024024"),
            (({}, {"down": DRAINING}), "0000"),
            (({},), "000"),
            (({}, {"backup": True}), "000"),
            (({"down": DOWN}, {"backup": True}, {"backup": True, "weight": 2}), "212212"),
        ],
    )
    def test_the_order(self, balanced: Any, servers: Any, expected: str) -> None:
        assert balanced(*servers).sequence(len(expected)) == expected

    def test_each_try_of_a_request_gets_another_peer(self, balanced: Any) -> None:
        up = balanced({}, {}, {"backup": True}, {"backup": True}, {"down": DOWN})
        picker = up.start()
        assert picker.tries == 4
        assert failing(up) == [0, 1, 2, 3]

    def test_many_peers(self, balanced: Any) -> None:
        up = balanced(*[{}] * 200)
        assert sorted(failing(up)) == list(range(200))

    def test_a_try_that_is_not_the_peers_fault(self, balanced: Any) -> None:
        up = balanced({}, {})
        picker = up.start()
        picker.get()
        picker.free(picker, NEXT)
        assert picker.tries == 1 and up.peers[0].fails == 0
        picker.get()
        assert up.index(picker) == 1

    def test_connections_are_counted(self, balanced: Any) -> None:
        up = balanced({}, {})
        pickers = [up.start().get() for _ in range(3)]
        assert [peer.conns for peer in up.peers] == [2, 1]
        for picker in pickers:
            picker.free(picker, 0)
        assert [peer.conns for peer in up.peers] == [0, 0]

    def test_representation(self, balanced: Any) -> None:
        up = balanced({"weight": 2}, {}, {"backup": True})
        picker = up.start()
        assert repr(picker) == "<RoundRobin at nowhere yet, 3 tries>"
        picker.get()
        assert repr(picker) == "<RoundRobin at 127.0.0.1:18081, 3 tries>"
        assert repr(up.peers[0]) == "<Peer 127.0.0.1:18081 weight -1/2/2, 1 conns>"
        assert repr(up.upstream) == "<Upstream u upstream, <Peers u 2, 1 backup>>"


class TestFailures:
    def test_max_fails_within_fail_timeout(self, balanced: Any) -> None:
        up = balanced({"max_fails": 2, "fail_timeout": 5}, {"max_fails": 2})
        assert failing(up) == [0, 1]
        assert up.request.log.lines == []
        assert sorted(failing(up)) == [0, 1]
        assert up.request.log.lines == ["upstream server temporarily disabled"] * 2
        assert failing(up) == []
        up.clock.now += 5
        assert failing(up) == []
        up.clock.now += 1
        assert failing(up) == [0]
        up.clock.now += 5
        assert failing(up) == [1]

    def test_one_try_revives(self, balanced: Any) -> None:
        up = balanced({"fail_timeout": 5}, {})
        failing(up)
        up.clock.now += 6
        first, second = up.start(), up.start()
        first.get()
        assert up.index(first) == 0
        with pytest.raises(NoLivePeers):  # the other one is down for 10 seconds, and one try at a time is enough
            second.get()
        first.free(first, 0)
        assert up.peers[0].fails == 0
        assert up.sequence(3) == "000"

    def test_a_success_before_fail_timeout_does_not_revive(self, balanced: Any) -> None:
        up = balanced({"max_fails": 2}, {})
        up.ask(FAILED)
        assert up.sequence(2) == "10"
        assert up.peers[0].fails == 1

    def test_max_fails_0_never_disables(self, balanced: Any) -> None:
        up = balanced({"max_fails": 0}, {"max_fails": 0})
        for _ in range(5):
            assert sorted(failing(up)) == [0, 1]
        assert up.request.log.lines == []
        assert [peer.effective_weight for peer in up.peers] == [1, 1]

    def test_a_failure_costs_weight_that_comes_back(self, balanced: Any) -> None:
        up = balanced({"weight": 4, "max_fails": 2}, {})
        assert up.ask(FAILED) == 0
        assert up.peers[0].effective_weight == 2
        weights = []
        for _ in range(3):
            up.ask()
            weights.append(up.peers[0].effective_weight)
        assert weights == [3, 4, 4]

    def test_effective_weight_is_never_negative(self, balanced: Any) -> None:
        up = balanced({"weight": 3, "max_fails": 1, "fail_timeout": 0}, {"max_fails": 0})
        for _ in range(4):
            failing(up)
            up.clock.now += 1
        assert up.peers[0].effective_weight in (0, 1)

    def test_a_single_server_is_never_disabled(self, balanced: Any) -> None:
        up = balanced({})
        for _ in range(3):
            picker = up.start()
            picker.get()
            picker.free(picker, FAILED)
            assert picker.tries == 0
        assert up.request.log.lines == []

    def test_a_single_server_that_is_down(self, balanced: Any) -> None:
        with pytest.raises(NoLivePeers) as none:
            balanced({"down": DOWN}).start().get()
        assert none.value.name == b"u"

    def test_back_to_the_backups_and_forth(self, balanced: Any) -> None:
        up = balanced({"fail_timeout": 5}, {"backup": True})
        assert up.ask(FAILED) == 0
        assert up.sequence(3) == "111"
        up.clock.now += 6
        assert up.sequence(3) == "000"


class TestMaxConns:
    def test_a_busy_peer_is_passed_over(self, balanced: Any) -> None:
        up = balanced({"max_conns": 1, "weight": 3}, {"max_conns": 2})
        pickers = [up.start().get() for _ in range(3)]
        assert [up.index(p) for p in pickers] == [0, 1, 1]
        with pytest.raises(NoLivePeers):
            up.start().get()
        pickers[0].free(pickers[0], 0)
        assert up.ask() == 0

    def test_a_single_server(self, balanced: Any) -> None:
        up = balanced({"max_conns": 1})
        picker = up.start().get()
        with pytest.raises(NoLivePeers):
            up.start().get()
        picker.free(picker, 0)
        assert up.ask() == 0

    def test_a_busy_server_leaves_it_to_the_backup(self, balanced: Any) -> None:
        up = balanced({"max_conns": 1}, {"backup": True, "max_conns": 1})
        pickers = [up.start().get(), up.start().get()]
        assert [up.index(p) for p in pickers] == [0, 1]
        with pytest.raises(NoLivePeers):
            up.start().get()


class TestResolvedInARequest:
    def test_every_address_is_tried(self, balanced: Any) -> None:
        up = balanced({})
        picker = resolved(up.request, b"name", [(("127.0.0.1", 1), b"127.0.0.1:1"), (("127.0.0.2", 1), b"127.0.0.2:1")])
        assert picker.tries == 2
        picker.get()
        assert (picker.sockaddr, picker.name) == (("127.0.0.1", 1), b"127.0.0.1:1")
        assert not picker.free(picker, FAILED, None, True)
        assert picker.get().name == b"127.0.0.2:1"
        picker.free(picker, FAILED)
        with pytest.raises(NoLivePeers) as none:
            picker.get()
        assert none.value.name == b"name"
