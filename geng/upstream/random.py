"""A peer at random, or the less busy of two: `random;` and `random two;`.

nginx: ngx_http_upstream_random_module.c
"""

from __future__ import annotations

from collections.abc import Callable
from random import random
from typing import TYPE_CHECKING, Any, cast

from geng.upstream.hash import MAX_MISSES
from geng.upstream.peers import Peer, eligible
from geng.upstream.round_robin import RoundRobin
from geng.upstream.upstream import Method

if TYPE_CHECKING:
    from geng.upstream.upstream import Upstream


class RandomMethod(Method):
    """`random [two [least_conn]]`; *random* gives numbers from 0 up to 1."""

    def __init__(self, two: bool = False, random: Callable[[], float] = random) -> None:
        self.random = random
        self.picker = RandomTwo if two else Random


class Random(RoundRobin):
    """One at random, by weight."""

    __slots__ = ("misses", "random")

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        super().__init__(upstream, r, tag)
        self.random = cast(RandomMethod, upstream.method).random
        self.misses = 0

    def choose(self) -> Peer:
        peers = self.peers
        if self.misses > MAX_MISSES or peers.number < 2:
            return self.choose_in_turn()
        now = int(peers.clock())
        peer = self.pick(now)
        return self.mark(peer, now) if peer is not None else self.choose_in_turn()

    def pick(self, now: int) -> Peer | None:
        """A peer that may be taken, or None when luck fails."""
        return self.other(None, now)

    def other(self, first: Peer | None, now: int) -> Peer | None:
        """One at random that is not *first*."""
        peers = self.peers
        while self.misses <= MAX_MISSES:
            peer = peers.at(int(self.random() * peers.total_weight))
            if peer is not first and not peer.bit & self.tried and (not peer.guarded or eligible(peer, now)):
                return peer
            self.misses += 1
        return None


class RandomTwo(Random):
    """Two at random; of them the one with fewer connections for its weight."""

    __slots__ = ()

    def pick(self, now: int) -> Peer | None:
        first = self.other(None, now)
        second = first and self.other(first, now)
        if first is None or second is None:
            return None
        return first if second.conns * first.weight > first.conns * second.weight else second
