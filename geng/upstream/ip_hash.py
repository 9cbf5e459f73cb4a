"""A peer by the client's address: `ip_hash;`.   nginx: ngx_http_upstream_ip_hash_module.c"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from geng.upstream.hash import MAX_MISSES
from geng.upstream.peers import Peer, eligible
from geng.upstream.round_robin import RoundRobin
from geng.upstream.upstream import Method

if TYPE_CHECKING:
    from geng.upstream.upstream import Upstream


def key(addr_text: bytes) -> bytes:
    """What of an address counts: three octets of IPv4, all of IPv6, nothing of a unix socket."""
    if addr_text.startswith(b"unix:") or not addr_text:
        return b"\0\0\0"
    if b":" in addr_text:
        return socket.inet_pton(socket.AF_INET6, addr_text.decode())
    return bytes(map(int, addr_text.split(b".")[:3]))


class IpHash(RoundRobin):
    """The same peer for the same network; a peer that cannot be taken means hashing on."""

    __slots__ = ("hash", "key", "misses")

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        super().__init__(upstream, r, tag)
        self.key = key(r.c.addr_text)
        self.hash = 89
        self.misses = 0

    def choose(self) -> Peer:
        peers = self.peers
        if self.misses > MAX_MISSES or peers.number < 2:
            return self.choose_in_turn()
        now = int(peers.clock())
        value = self.hash
        while self.misses <= MAX_MISSES:
            for octet in self.key:
                value = (value * 113 + octet) % 6271
            peer = peers.at(value % peers.total_weight)
            if not peer.bit & self.tried and (not peer.guarded or eligible(peer, now)):
                self.hash = value
                return self.mark(peer, now)
            self.misses += 1
        return self.choose_in_turn()


class IpHashMethod(Method):
    """`ip_hash`"""

    picker = IpHash
