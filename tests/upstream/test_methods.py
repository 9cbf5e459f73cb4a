"""hash, ip_hash, least_conn and random. Digits are the servers that nginx 1.31.5 chose for the same keys."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from geng.upstream import ip_hash
from geng.upstream.hash import POINTS, ConsistentMethod, HashMethod, host_port, ring
from geng.upstream.ip_hash import IpHashMethod
from geng.upstream.least_conn import LeastConnMethod
from geng.upstream.peers import DOWN, FAILED, NoLivePeers, Peer
from geng.upstream.random import RandomMethod

SERVERS = ({}, {"weight": 2}, {}, {"weight": 3}, {})
SOME_DOWN = ({}, {"weight": 2, "down": DOWN}, {}, {"weight": 3, "down": DOWN}, {})

KEYS = [b"k%d" % i for i in range(40)] + [b"/some/path?x=1", b"a" * 100]
ADDRESSES = [
    *(f"10.{i * 37 % 256}.{i * 11 % 256}.9" for i in range(20)),
    "2001:db8::4d",
    "fe80::1",
    *(f"2001:db8:{i:x}::1" for i in range(10)),
]


def key(r: Any) -> bytes:
    return bytes(r.key)


class TestHash:
    @pytest.mark.parametrize(
        ("method", "servers", "expected"),
        [
            (HashMethod, SERVERS, "134032131340131332321332401313134032131310"),
            (HashMethod, SOME_DOWN, "424022222240024002024002400202024002404020"),
            (ConsistentMethod, SERVERS, "133400232340221124110413313112320133312311"),
            (ConsistentMethod, SOME_DOWN, "200400242440224024000400444002020202202040"),
        ],
    )
    def test_as_nginx_does(self, balanced: Any, method: Any, servers: Any, expected: str) -> None:
        up = balanced(*servers, method=method(key))
        assert "".join(str(up.ask(key=k)) for k in KEYS) == expected

    @pytest.mark.parametrize("method", [HashMethod, ConsistentMethod])
    def test_an_empty_key_means_round_robin(self, balanced: Any, method: Any) -> None:
        up = balanced({}, {}, {}, method=method(key))
        assert up.sequence(6) == "012012"

    @pytest.mark.parametrize("method", [HashMethod, ConsistentMethod])
    def test_a_failure_leads_to_all_others(self, balanced: Any, method: Any) -> None:
        up = balanced(*SERVERS, method=method(key))
        picker = up.start(key=b"k1")
        tried = []
        while picker.tries:
            picker.get()
            tried.append(up.index(picker))
            picker.free(picker, FAILED)
        assert sorted(tried) == [0, 1, 2, 3, 4]
        assert tried[0] == 3

    @pytest.mark.parametrize("method", [HashMethod, ConsistentMethod])
    def test_backups_of_before_the_method(self, balanced: Any, method: Any) -> None:
        up = balanced({"down": DOWN}, {"down": DOWN}, {"backup": True}, {"backup": True}, method=method(key))
        picker = up.start(key=b"k")
        found = set()
        for _ in range(2):
            picker.get()
            found.add(up.index(picker))
            picker.free(picker, FAILED)
        assert found == {2, 3}
        with pytest.raises(NoLivePeers):
            picker.get()

    def test_consistent_moves_only_what_it_must(self, balanced: Any) -> None:
        keys = [b"key %d" % i for i in range(500)]
        before = balanced({}, {}, {}, {}, method=ConsistentMethod(key))
        after = balanced({}, {}, {}, {"down": DOWN}, method=ConsistentMethod(key))
        moved = [(old, new) for k in keys if (old := before.ask(key=k)) != (new := after.ask(key=k))]
        assert {old for old, _ in moved} == {3}
        assert {new for _, new in moved} == {0, 1, 2}

    def test_the_ring(self) -> None:
        peers = [
            Peer(("127.0.0.1", 1), b"127.0.0.1:1", b"a", weight=2),
            Peer(("::1", 1), b"[::1]:1", b"a", weight=2),
            Peer("/s", b"unix:/s", b"unix:/s"),
        ]
        points, owners = ring(peers)
        assert len(points) == len(owners) == (2 + 1) * POINTS  # the addresses of one name share their points
        assert points == sorted(points)
        assert {tuple(o) for o in owners} == {tuple(peers[:2]), (peers[2],)}

    @pytest.mark.parametrize(
        ("server", "expected"),
        [
            (b"127.0.0.1:8080", (b"127.0.0.1", b"8080")),
            (b"name", (b"name", b"")),
            (b"name:", (b"name", b"")),
            (b"[::1]", (b"[::1]", b"")),
            (b"[::1]:80", (b"[::1]", b"80")),
            (b"::1", (b":", b"1")),
            (b"Unix:/a:1", (b"/a:1", b"")),
            (b"a:b", (b"a:b", b"")),
        ],
    )
    def test_host_and_port(self, server: bytes, expected: Any) -> None:
        assert host_port(server) == expected


class TestIpHash:
    @pytest.mark.parametrize(
        ("servers", "expected"),
        [(SERVERS, "33340013334001333400320331033103"), (SOME_DOWN, "24040040444000004400020420040400")],
    )
    def test_as_nginx_does(self, balanced: Any, servers: Any, expected: str) -> None:
        up = balanced(*servers, method=IpHashMethod())
        assert "".join(str(up.ask(addr=a.encode())) for a in ADDRESSES) == expected

    def test_one_network_one_server(self, balanced: Any) -> None:
        up = balanced({}, {}, {}, method=IpHashMethod())
        assert len({up.ask(addr=b"192.0.2.%d" % i) for i in range(256)}) == 1

    @pytest.mark.parametrize(
        ("text", "expected"),
        [(b"1.2.3.4", b"\1\2\3"), (b"::1", b"\0" * 15 + b"\1"), (b"unix:", b"\0\0\0"), (b"", b"\0\0\0")],
    )
    def test_what_counts(self, text: bytes, expected: bytes) -> None:
        assert ip_hash.key(text) == expected

    def test_a_failure_leads_to_all_others(self, balanced: Any) -> None:
        up = balanced(*SERVERS, method=IpHashMethod())
        picker = up.start()
        tried = set()
        while picker.tries:
            picker.get()
            tried.add(up.index(picker))
            picker.free(picker, FAILED)
        assert tried == {0, 1, 2, 3, 4}


class TestLeastConn:
    def test_the_one_with_the_fewest(self, balanced: Any) -> None:
        up = balanced({}, {}, {}, method=LeastConnMethod())
        pickers = [up.start().get() for _ in range(3)]
        assert [up.index(p) for p in pickers] == [0, 1, 2]
        pickers[1].free(pickers[1], 0)
        assert up.index(up.start().get()) == 1

    def test_for_its_weight(self, balanced: Any) -> None:
        up = balanced({"weight": 3}, {}, method=LeastConnMethod())
        assert Counter(up.index(up.start().get()) for _ in range(8)) == {0: 6, 1: 2}

    def test_equals_take_turns(self, balanced: Any) -> None:
        up = balanced({}, {"weight": 2}, {}, method=LeastConnMethod())
        assert up.sequence(8) == "10211021"

    def test_failures_and_backups(self, balanced: Any) -> None:
        up = balanced({}, {}, {"backup": True}, {"backup": True}, method=LeastConnMethod())
        picker = up.start()
        busy = up.start()
        tried = []
        while picker.tries:
            picker.get()
            tried.append(up.index(picker))
            picker.free(picker, FAILED)
        assert tried == [0, 1, 2, 3]
        with pytest.raises(NoLivePeers):
            busy.get()

    def test_max_conns(self, balanced: Any) -> None:
        up = balanced({"max_conns": 1, "weight": 9}, {"max_conns": 1}, method=LeastConnMethod())
        assert [up.index(up.start().get()) for _ in range(2)] == [0, 1]
        with pytest.raises(NoLivePeers):
            up.start().get()


def dice(*numbers: float) -> Any:
    left: Iterator[float] = iter(numbers)
    return lambda: next(left)


class TestRandom:
    def test_by_weight(self, balanced: Any) -> None:
        up = balanced({}, {"weight": 2}, {}, method=RandomMethod(random=dice(0, 0.24, 0.25, 0.74, 0.75, 0.99)))
        assert up.sequence(6) == "001122"

    def test_who_is_down_or_was_tried_is_drawn_again(self, balanced: Any) -> None:
        up = balanced({}, {"down": DOWN}, {}, method=RandomMethod(random=dice(0.5, 0.1, 0.1, 0.5, 0.9)))
        picker = up.start()
        assert up.index(picker.get()) == 0
        picker.free(picker, FAILED)
        assert up.index(picker.get()) == 2

    def test_after_bad_luck_by_round_robin(self, balanced: Any) -> None:
        up = balanced({"down": DOWN}, {}, method=RandomMethod(random=lambda: 0.0))
        assert up.sequence(3) == "111"

    def test_two_and_the_less_busy_of_them(self, balanced: Any) -> None:
        up = balanced({}, {}, {}, method=RandomMethod(True, dice(0, 0.5, 0, 0.5, 0, 0, 0.9, 0.9, 0.5)))
        held = []
        for expected in (1, 0, 2):  # of equals the second; then the one with fewer; `first` is not drawn twice
            picker = up.start().get()
            held.append(up.index(picker))
            assert held[-1] == expected
        assert up.index(up.start().get()) == 1

    def test_two_by_their_weight(self, balanced: Any) -> None:
        up = balanced({"weight": 3}, {}, method=RandomMethod(True))
        assert Counter(up.index(up.start().get()) for _ in range(8)) == {0: 6, 1: 2}

    def test_two_with_only_one_left(self, balanced: Any) -> None:
        up = balanced({}, {"down": DOWN}, {"backup": True}, method=RandomMethod(True))
        picker = up.start()
        assert up.index(picker.get()) == 0
        picker.free(picker, FAILED)
        assert up.index(picker.get()) == 2

    @pytest.mark.parametrize("two", [False, True])
    def test_everybody_gets_some(self, balanced: Any, two: bool) -> None:
        up = balanced({}, {}, {}, method=RandomMethod(two))
        assert set(up.sequence(300)) == set("012")
