"""Prepared turns are the turns that looking at every peer gives: geng/upstream/rotation.py beside round_robin.smooth()."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geng.core.zone import Zone
from geng.upstream.hash import ConsistentMethod
from geng.upstream.least_conn import LeastConnMethod
from geng.upstream.peers import DOWN, FAILED, NEXT, OK, NoLivePeers
from geng.upstream.random import RandomMethod
from geng.upstream.rotation import MANY, PATIENCE, Rotation, prepared
from geng.upstream.shared import lay_out
from geng.upstream.upstream import Method
from tests.upstream.conftest import Balanced, Clock

METHODS: dict[str, Callable[[], Method | None]] = {
    "round robin": lambda: None,
    "least_conn": LeastConnMethod,
    "hash": lambda: ConsistentMethod(lambda r: r.key),
    "random": lambda: RandomMethod(random=lambda: 0.4),
}


class Both:
    """The same upstream twice: the second looks at every peer, always."""

    def __init__(self, balanced: Any, servers: list[dict[str, Any]], method: str, shared: bool) -> None:
        clock = Clock()
        self.clock = clock
        self.sides = [balanced(*servers, method=METHODS[method](), clock=clock) for _ in range(2)]
        if shared:
            for side in self.sides:
                share(side)
        plain = self.sides[1].upstream.peers
        for group in (plain, plain.next):
            if group is not None:
                group.many = False
        self.open: list[list[Any]] = []

    def ask(self, state: int, keep: bool = False) -> None:
        """One request, tried until it succeeds or nobody is left; *state* is what the first try ends with."""
        pickers = [side.start() for side in self.sides]
        outcome = [self.first_try(side, picker) for side, picker in zip(self.sides, pickers, strict=True)]
        assert outcome[0] == outcome[1]
        if outcome[0] is None:
            return
        if keep:
            self.open.append(pickers)
        else:
            self.end(pickers, state)

    def first_try(self, side: Balanced, picker: Any) -> int | None:
        try:
            return side.index(picker.get())
        except NoLivePeers:
            return None

    def end(self, pickers: list[Any], state: int) -> None:
        for picker in pickers:
            picker.free(picker, state)
        if state != OK and pickers[0].tries:
            outcome = [self.first_try(side, picker) for side, picker in zip(self.sides, pickers, strict=True)]
            assert outcome[0] == outcome[1]
            if outcome[0] is not None:
                for picker in pickers:
                    picker.free(picker, OK)

    def same(self) -> None:
        """Both know the same of every peer."""
        prepared, plain = (side.upstream.peers for side in self.sides)
        for group in (prepared, prepared.next):
            if group is not None:
                group.settle()
        known = [
            [(p.current_weight, p.effective_weight, p.conns, p.fails, p.checked, p.accessed) for p in side.peers]
            for side in self.sides
        ]
        assert known[0] == known[1]


def share(side: Balanced) -> None:
    zone = Zone("z", 256 << 10, "test")
    zone.map()
    side.upstream.zone = zone
    lay_out(zone, [side.upstream])
    side.tell_time()


SERVER = st.fixed_dictionaries(
    {},
    optional={
        "weight": st.sampled_from([1, 1, 1, 2, 3, 7]),
        "max_fails": st.sampled_from([0, 1, 2, 3]),
        "fail_timeout": st.sampled_from([0, 1, 5, 30]),
        "down": st.sampled_from([0, 0, 0, DOWN]),
        "backup": st.sampled_from([False, False, False, True]),
    },
)
STEP = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 90)),
    st.tuples(st.just("fail"), st.integers(1, 3)),
    st.tuples(st.just("next"), st.just(1)),
    st.tuples(st.just("open"), st.integers(1, 4)),
    st.tuples(st.just("close"), st.sampled_from([OK, FAILED])),
    st.tuples(st.just("wait"), st.sampled_from([1, 2, 6, 31])),
    st.tuples(st.just("look"), st.just(0)),
)


def walk(both: Both, steps: list[tuple[str, int]]) -> None:
    for what, n in steps:
        if what == "wait":
            both.clock.now += n
        elif what == "look":
            both.same()
        elif what == "close":
            if both.open:
                both.end(both.open.pop(0), n)
        else:
            state = {"fail": FAILED, "next": NEXT}.get(what, OK)
            for _ in range(n):
                both.ask(state, keep=what == "open")
    both.same()


class TestTheSameAsLookingAtAll:
    @settings(max_examples=60, deadline=None)
    @given(servers=st.lists(SERVER, min_size=MANY - 2, max_size=40), steps=st.lists(STEP, min_size=5, max_size=40))
    @pytest.mark.parametrize("method", METHODS)
    @pytest.mark.parametrize("shared", [False, True])
    def test_whatever_happens(
        self, balanced_plain: Any, servers: list[dict[str, Any]], steps: list[tuple[str, int]], method: str, shared: bool
    ) -> None:
        servers[0] = {**servers[0], "backup": False}
        walk(Both(balanced_plain, servers, method, shared), steps)

    def test_many_with_weights(self, balanced: Any) -> None:
        both = Both(balanced, [{"weight": 1 + i % 5} for i in range(100)], "round robin", False)
        for _ in range(1000):
            both.ask(OK)
        both.ask(FAILED)
        for _ in range(1000):
            both.ask(OK)
        both.same()


@pytest.fixture(scope="module")
def balanced_plain() -> Callable[..., Balanced]:
    """As `balanced`, which hypothesis may use for many examples: it keeps nothing."""
    from tests.upstream.conftest import balanced as fixture

    make: Callable[..., Balanced] = fixture.__wrapped__()  # type: ignore[attr-defined]
    return make


class TestThatItIsUsed:
    """The tests above would also pass if nothing were ever prepared."""

    def turns(self, up: Balanced) -> Rotation:
        rotation = up.upstream.peers.rotation
        assert rotation is not None
        return rotation

    def test_from_the_first_request_on(self, balanced: Any) -> None:
        up = balanced(*[{}] * 100)
        assert [up.ask() for _ in range(250)] == [*range(100), *range(100), *range(50)]
        assert self.turns(up).at == 50
        assert repr(self.turns(up)) == "<Rotation of 100, 50 of 100>"

    def test_few_peers_are_looked_at(self, balanced: Any) -> None:
        up = balanced(*[{}] * (MANY - 1))
        up.sequence(5)
        assert up.upstream.peers.rotation is None

    def test_without_those_who_are_down(self, balanced: Any) -> None:
        up = balanced(*[{"down": DOWN if i % 2 else 0} for i in range(40)])
        assert [up.ask() for _ in range(25)] == [*range(0, 40, 2), *range(0, 10, 2)]
        assert len(self.turns(up).members) == 20

    def test_ends_with_a_failure_and_comes_back(self, balanced: Any) -> None:
        up = balanced(*[{}] * 20)
        up.ask()
        assert up.ask(FAILED) == 1
        assert up.upstream.peers.rotation is None
        asked = [up.ask() for _ in range(PATIENCE + 20)]
        assert 1 not in asked and len(self.turns(up).members) == 19
        up.clock.now += 11
        assert 1 in [up.ask() for _ in range(40)]

    def test_workers_share_the_turns(self, balanced: Any) -> None:
        up = balanced(*[{}] * 20)
        share(up)
        assert [up.ask() for _ in range(3)] == [0, 1, 2]
        pid = os.fork()
        if not pid:
            os._exit([up.ask() for _ in range(3)] != [3, 4, 5] or up.upstream.peers.rotation is None)
        assert os.waitpid(pid, 0)[1] == 0
        assert up.ask() == 6
        pid = os.fork()
        if not pid:
            os._exit(up.ask(FAILED) != 7)
        assert os.waitpid(pid, 0)[1] == 0
        assert [up.ask() for _ in range(12)] == [*range(8, 20)]
        assert sum(peer.current_weight for peer in up.peers) == 0

    def test_not_where_a_peer_is_still_gaining_weight(self, balanced: Any) -> None:
        up = balanced(*[{"weight": 9, "max_fails": 3}] * 20)
        up.ask(FAILED)
        assert prepared(up.peers, int(up.clock.now)) is None
        up.sequence(9)
        assert prepared(up.peers, int(up.clock.now)) is not None

    def test_not_with_max_conns(self, balanced: Any) -> None:
        up = balanced(*[{"max_conns": 5}] * 20)
        up.sequence(2 * PATIENCE)
        assert up.upstream.peers.rotation is None
