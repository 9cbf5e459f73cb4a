"""The peer with the fewest connections for its weight: `least_conn;`.

nginx: ngx_http_upstream_least_conn_module.c
"""

from __future__ import annotations

from geng.upstream.peers import Peer
from geng.upstream.round_robin import RoundRobin, smooth
from geng.upstream.upstream import ALL, Method


class LeastConn(RoundRobin):
    """Among those with equally few, round robin."""

    __slots__ = ()

    def choose(self) -> Peer:
        peers = self.peers
        if peers.single:
            return self.choose_in_turn()
        now = int(peers.clock())
        candidates = peers.candidates(self.tried, now)
        if not candidates:
            self.to_backup()
            return self.choose()
        best = candidates[0]
        for peer in candidates:
            if peer.conns * best.weight < best.conns * peer.weight:
                best = peer
        equals = [peer for peer in candidates if peer.conns * best.weight == best.conns * peer.weight]
        return self.mark(best if len(equals) == 1 else smooth(equals), now)


class LeastConnMethod(Method):
    """`least_conn`"""

    flags = ALL
    picker = LeastConn
