"""Round robin prepared: whose turn it is, known beforehand, so that a request need not look at every peer.

nginx: ngx_http_upstream_round_robin.c (ngx_http_upstream_get_peer), which does look at every peer

Each turn gives every peer its weight and takes the sum of all from the one that has the most. Among peers of the same
weight nothing but being chosen changes who has more, so the next one is found on top of a heap per weight; and after as
many turns as the weights add up to (by their greatest common divisor) everything is as it was. This holds while nothing
else happens: as soon as somebody fails, comes back, or is asked for out of turn, settle() writes down how things stand,
and round_robin.smooth() goes on from there.
"""

from __future__ import annotations

from collections import Counter
from heapq import heapify, heapreplace
from math import gcd
from typing import Any

#: Fewer peers than this are looked at one by one: that is as fast.
MANY = 16

#: So many turns are taken the plain way before the next ones are prepared, which costs several times as much as one.
PATIENCE = 16

#: The longest order that is kept; where it would be longer, it is prepared anew from where it ends.
LONGEST = 1 << 16

FOREVER = 1 << 62


class Rotation:
    """The turns of *members*, from how they stand now; good for as long as it is before *until*.

    *at*: turns given. *order*: indexes of members, as far as anybody has asked; *period*: how many there will be.
    """

    __slots__ = ("at", "heaps", "members", "order", "period", "total", "until")

    def __init__(self, members: list[Any], until: int) -> None:
        self.members = members
        self.until = until
        self.at = 0
        self.order: list[int] = []
        weights = [peer.weight for peer in members]
        self.total = sum(weights)
        self.period = min(self.total // gcd(*weights), LONGEST)
        heaps: dict[int, list[int]] = {}  # of (what is missing, index), both in one number
        for i, peer in enumerate(members):
            heaps.setdefault(peer.weight, []).append(i - peer.current_weight * len(members))
        for heap in heaps.values():
            heapify(heap)
        self.heaps = list(heaps.items())

    def __repr__(self) -> str:
        return f"<Rotation of {len(self.members)}, {self.at} of {self.period}>"

    def peer(self, at: int) -> Any:
        """Whose turn number *at* is, below *period*."""
        order = self.order
        while len(order) <= at:
            order.append(self._following())
        return self.members[order[at]]

    def _following(self) -> int:
        """The index of who has the most after so many turns, and of those the first."""
        members = len(self.members)
        given = (len(self.order) + 1) * members
        first: list[int] = []
        least = None
        for weight, heap in self.heaps:
            missing = heap[0] - weight * given
            if least is None or missing < least:
                first, least = heap, missing
        key = first[0]
        heapreplace(first, key + self.total * members)
        return key % members

    def recurs(self) -> bool:
        """Whether after all of the order everything is as it was."""
        times = Counter(self.order)
        return all(times[i] * self.total == peer.weight * self.period for i, peer in enumerate(self.members))

    def settle(self, at: int) -> None:
        """Have every peer's current weight say how things stand after *at* turns."""
        if at:
            self.peer(at - 1)
        times = Counter(self.order[:at])
        for i, peer in enumerate(self.members):
            peer.current_weight += peer.weight * at - self.total * times[i]


def prepared(peers: list[Any], now: int) -> Rotation | None:
    """The turns of those *peers* that may be taken, if it is certain until when who may."""
    members, until = [], FOREVER
    for peer in peers:
        if peer.guarded:
            if peer.down:
                continue
            if peer.max_fails and peer.fails >= peer.max_fails:
                if now - peer.checked > peer.fail_timeout:
                    return None  # one request may try it now
                until = min(until, peer.checked + peer.fail_timeout + 1)
                continue
            if peer.max_conns:
                return None
        if peer.effective_weight != peer.weight:
            return None
        members.append(peer)
    return Rotation(members, until) if len(members) >= MANY else None
