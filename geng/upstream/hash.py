"""A peer by the hash of a key: `hash $key;` and `hash $key consistent;`.   nginx: ngx_http_upstream_hash_module.c"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from zlib import crc32

from geng.upstream.peers import NoLivePeers, Peer, Peers, eligible
from geng.upstream.round_robin import RoundRobin, smooth
from geng.upstream.upstream import Method

if TYPE_CHECKING:
    from geng.upstream.upstream import Upstream

#: After so many peers that could not be taken, a request goes on by round robin.
MAX_MISSES = 20

#: Points on the ring per unit of weight (ketama).
POINTS = 160

_HOST_PORT = re.compile(rb"(.*):([0-9]*)", re.DOTALL)


class HashMethod(Method):
    """`hash` with its *key*: a compiled value, called with the request."""

    def __init__(self, key: Callable[[Any], bytes]) -> None:
        self.key = key
        self.picker = Hash


class ConsistentMethod(HashMethod):
    """`hash ... consistent`: keeps the ring of points, made anew when the set of peers changes."""

    def __init__(self, key: Callable[[Any], bytes]) -> None:
        super().__init__(key)
        self.picker = Consistent
        self.points: list[int] = []
        self.owners: list[list[Peer]] = []
        self.version = -1

    def link(self, peers: Peers) -> None:
        self.follow(peers)

    def follow(self, peers: Peers) -> None:
        """See to it that the ring is that of *peers*."""
        if self.version != peers.version:
            self.points, self.owners = ring(peers.list)
            self.version = peers.version


def ring(peers: list[Peer]) -> tuple[list[int], list[list[Peer]]]:
    """Sorted points, and for each the peers of the server that owns it.

    Compatible with Cache::Memcached::Fast: crc32(HOST \\0 PORT PREVIOUS).
    """
    servers: dict[bytes, list[Peer]] = {}
    for peer in peers:
        servers.setdefault(peer.server, []).append(peer)
    owners: dict[int, list[Peer]] = {}
    for peer in peers:
        owner = servers[peer.server]
        base = crc32(b"\0".join(host_port(peer.server)))
        point = 0
        for _ in range(peer.weight * POINTS):
            point = crc32(point.to_bytes(4, "little"), base)
            owners.setdefault(point, owner)
    points = sorted(owners)
    return points, [owners[point] for point in points]


def host_port(server: bytes) -> tuple[bytes, bytes]:
    """The host and the port, as far as it has one, of a server as it is written."""
    if server[:5].lower() == b"unix:":
        return server[5:], b""
    match = _HOST_PORT.fullmatch(server)
    return (match[1], match[2]) if match else (server, b"")


class Hash(RoundRobin):
    """By the hash of the key modulo the sum of weights; a peer that cannot be taken means hashing again.

    Compatible with Cache::Memcached: ((crc32([REHASH] KEY) >> 16) & 0x7fff) + PREVIOUS.
    """

    __slots__ = ("hash", "key", "misses", "rehash")

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        super().__init__(upstream, r, tag)
        self.key = cast(HashMethod, upstream.method).key(r)
        self.hash = self.rehash = self.misses = 0

    def choose(self) -> Peer:
        peers = self.peers
        if self.misses > MAX_MISSES or peers.number < 2 or not self.key:
            return self.choose_in_turn()
        now = int(peers.clock())
        while self.misses <= MAX_MISSES:
            text = b"%d%s" % (self.rehash, self.key) if self.rehash else self.key
            self.hash += (crc32(text) >> 16) & 0x7FFF
            self.rehash += 1
            peer = peers.at(self.hash % peers.total_weight)
            if not peer.bit & self.tried and (not peer.guarded or eligible(peer, now)):
                return self.mark(peer, now)
            self.misses += 1
        return self.choose_in_turn()


class Consistent(RoundRobin):
    """By the next point on the ring; among the addresses of the server that owns it by round robin."""

    __slots__ = ("at", "key", "misses")

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        super().__init__(upstream, r, tag)
        method = cast(ConsistentMethod, upstream.method)
        self.key = method.key(r)
        self.misses = 0
        method.follow(self.peers)
        self.at = bisect_left(method.points, crc32(self.key))

    def choose(self) -> Peer:
        peers = self.peers
        if self.misses > MAX_MISSES or peers.single or peers.backup or not self.key:
            return self.choose_in_turn()
        if not peers.number:
            raise NoLivePeers(peers.name)
        now = int(peers.clock())
        owners = cast(ConsistentMethod, self.upstream.method).owners
        while self.misses <= MAX_MISSES:
            owner = owners[self.at % len(owners)]
            free = [p for p in owner if not p.bit & self.tried and (not p.guarded or eligible(p, now))]
            if free:
                if peers.many and len(free) > 1:
                    peers.settle()
                return self.mark(smooth(free), now)
            self.at += 1
            self.misses += 1
        return self.choose_in_turn()
