"""Smooth weighted round robin, and where the other methods end when they find nobody.

nginx: ngx_http_upstream_round_robin.c
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.upstream.peers import NoLivePeers, Peer, Peers, Picker

if TYPE_CHECKING:
    from geng.upstream.upstream import Upstream


def smooth(candidates: Sequence[Peer]) -> Peer:
    """The candidate whose turn it is; weights 5, 1, 1 give a a b a c a a. A peer that failed regains weight here."""
    best = candidates[0]
    total = top = 0
    for peer in candidates:
        weight = peer.effective_weight
        total += weight
        current = peer.current_weight + weight
        peer.current_weight = current
        if weight < peer.weight:
            peer.effective_weight = weight + 1
        if current > top or peer is best:
            best, top = peer, current
    best.current_weight = top - total
    return best


class RoundRobin(Picker):
    """The default method, and the base of the others."""

    __slots__ = ()

    def choose(self) -> Peer:
        return self.choose_in_turn()

    def choose_in_turn(self) -> Peer:
        """By round robin, then among the backups."""
        peers = self.peers
        if peers.single:
            peer = peers.list[0]
            if not (peer.down or (peer.max_conns and peer.conns >= peer.max_conns)):
                return peer
        else:
            now = int(peers.clock())
            if peers.many and not self.tried:
                next = peers.turn(now)
                if next is not None:
                    return self.mark(next, now)
            candidates = peers.candidates(self.tried, now)
            if candidates:
                return self.mark(smooth(candidates), now)
        self.to_backup()
        return self.choose_in_turn()

    def to_backup(self) -> None:
        """Go on among the backups; raises NoLivePeers where there are none."""
        backup = self.peers.next
        if backup is None:
            raise NoLivePeers(self.peers.name)
        self.peers = backup
        self.tried = 0

    def mark(self, peer: Peer, now: int) -> Peer:
        """Note that *peer* is tried now; after fail_timeout that makes it the one try that may revive it."""
        self.tried |= peer.bit
        if now - peer.checked > peer.fail_timeout:
            peer.checked = now
        return peer


class _Resolved:
    """The upstream of one request whose address came from a variable: no cache, nothing shared."""

    __slots__ = ("peers",)
    keepalive = None

    def __init__(self, peers: Peers) -> None:
        self.peers = peers


def resolved(r: Any, host: bytes, addresses: Sequence[tuple[Any, bytes]]) -> RoundRobin:
    """A picker over the (sockaddr, name) that *host* was resolved to while *r* ran.

    nginx: ngx_http_upstream_create_round_robin_peer
    """
    upstream: Upstream = _Resolved(Peers(host, [Peer(sockaddr, name) for sockaddr, name in addresses]))  # type: ignore[assignment]
    return RoundRobin(upstream, r)
