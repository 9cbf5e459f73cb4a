"""The servers of an upstream and what a request holds of them; no sockets.   nginx: ngx_http_upstream_round_robin.h

What the engine does with it (nginx: ngx_peer_connection_t):

    picker = upstream.start(r, tag)      # tag: whose connections these are (`keepalive ... local`): the location's conf
    pick = picker.get()                  # raises NoLivePeers: 502, "no live upstreams while connecting to upstream"
    pick.sockaddr, pick.name             # where to, and "127.0.0.1:8081" as in $upstream_addr
    pick.connection                      # an idle connection to it, or None: connect
    pick.cached                          # whether it is one: its failure before an answer is not the peer's fault
    picker.tries                         # how many more may be tried; the engine may lower it (proxy_next_upstream_tries)
    taken = picker.free(pick, state, connection, keepalive)

Every get() that returned needs one free(). *state*: OK, or FAILED or NEXT where the next peer shall be tried. With
*connection* and *keepalive* true (the exchange ended clean, the request was sent whole, both sides keep the connection
open) the cache may take the connection; then free() returns True and the connection is no longer the engine's. Else the
engine closes it. The engine counts `connection.requests` up at the start of each exchange (keepalive_requests).

proxy_next_upstream: when a peer did not answer, the engine frees it with FAILED (NEXT for a 403 or 404, which is not the
peer's fault), and calls get() again if that kind of failure is among those configured and `tries` is not 0; free() has
lowered it by one. `tries` begins as the number of peers that are not down, backups included; an upstream of a single
server has none left after its first failure. Where an idle connection broke before an answer (`cached`), the engine adds
the try back: the peer closed it while nobody looked, and its next connection may be fine. get() never gives a peer twice
in one request, goes on to the backups when the others are used up, and raises NoLivePeers at the end; after that there is
nothing to free.

A request has one peer at a time, so a picker is its own pick: nothing is made per get().
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from time import time
from typing import TYPE_CHECKING, Any

from geng.errors import GengError
from geng.upstream.rotation import MANY, PATIENCE, Rotation, prepared

if TYPE_CHECKING:
    from geng.core.zone import ZoneLock
    from geng.upstream.upstream import Upstream

# What free() is told (nginx: NGX_PEER_NEXT, NGX_PEER_FAILED). NEXT: try another, this one is not to blame (403, 404).
OK = 0
NEXT = 2
FAILED = 4

# Why a peer is down
DOWN = 1
DRAINING = 8


class NoLivePeers(GengError):
    """Nobody is left to try (NGX_BUSY). *name* is the upstream's: what $upstream_addr and the log then say."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.name = name


class Peer:
    """One address of one server. Its name and server are as in the configuration; times are in whole seconds.

    *guarded*: not to be taken without a look by eligible(); the others need none. *connect_time* to *inflight_time*
    are least_time's: averages in ms, requests under way, and since when there are so many.
    """

    __slots__ = (
        "accessed", "bit", "checked", "connect_time", "conns", "current_weight", "down", "effective_weight",
        "fail_timeout", "fails", "guarded", "header_time", "inflight", "inflight_changed", "inflight_last",
        "inflight_time", "max_conns", "max_fails", "name", "response_time", "server", "sid", "sockaddr", "weight",
    )  # fmt: skip

    def __init__(
        self,
        sockaddr: Any,
        name: bytes,
        server: bytes = b"",
        weight: int = 1,
        max_conns: int = 0,
        max_fails: int = 1,
        fail_timeout: int = 10,
        down: int = 0,
    ) -> None:
        self.sockaddr = sockaddr
        self.name = name
        self.server = server
        self.weight = weight
        self.max_conns = max_conns
        self.max_fails = max_fails
        self.fail_timeout = fail_timeout
        self.down = down
        self.sid = b""
        self.bit = 1
        self.reset()

    def reset(self) -> None:
        """The state of a peer that nobody has used yet."""
        self.current_weight = 0
        self.effective_weight = self.weight
        self.conns = 0
        self.fails = 0
        self.accessed = 0
        self.checked = 0
        self.connect_time = self.header_time = self.response_time = 0
        self.inflight = self.inflight_time = self.inflight_last = self.inflight_changed = 0
        self.guarded = bool(self.down or self.max_conns)

    def __repr__(self) -> str:
        state = " down" if self.down else f" {self.fails} fails" if self.fails else ""
        weights = f"{self.current_weight}/{self.effective_weight}/{self.weight}"
        return f"<Peer {self.name.decode('latin-1')} weight {weights}, {self.conns} conns{state}>"


def eligible(peer: Peer, now: int) -> bool:
    """Whether *peer* may be given a request: the one place where every balancing method asks."""
    if peer.down:
        return False
    if peer.max_fails and peer.fails >= peer.max_fails and now - peer.checked <= peer.fail_timeout:
        return False
    return not (peer.max_conns and peer.conns >= peer.max_conns)


class Peers:
    """The peers of one group, and the group of backups behind it.   nginx: ngx_http_upstream_rr_peers_t"""

    __slots__ = ("backup", "clock", "guarded", "list", "lock", "many", "name", "next", "number", "patience", "ranges",
                 "rotation", "single", "total_weight", "tries", "version")  # fmt: skip

    def __init__(self, name: bytes, peers: Iterable[Peer], next: Peers | None = None, backup: bool = False) -> None:
        self.name = name
        self.next = next
        self.backup = backup
        self.clock: Callable[[], float] = time
        self.lock: ZoneLock | None = None
        self.version = 0  # which set of peers the list is; it changes only in shared memory
        self.list: list[Peer] = []
        self.rotation: Rotation | None = None
        self.patience = 0
        self.replace(list(peers))

    def __repr__(self) -> str:
        backup = f", {self.next.number} backup" if self.next else ""
        return f"<Peers {self.name.decode('latin-1')} {self.number}{backup}>"

    def replace(self, peers: list[Peer]) -> None:
        """Make *peers* the members and count them anew."""
        self.list = peers
        self.number = len(peers)
        self.many = self.number >= MANY
        ends = list(accumulate((peer.weight for peer in peers), initial=0))
        self.ranges, self.total_weight = ends[:-1], ends[-1]
        self.tries = sum(1 for peer in peers if not peer.down)
        self.single = self.number == 1 and not self.backup and not (self.next and self.next.number)
        for i, peer in enumerate(peers):
            peer.bit = 1 << i
        self.recount()

    def sync(self) -> None:
        """Look whether another worker has changed the set of peers; only in shared memory."""

    def left(self, peer: Peer) -> None:
        """A request has let go of *peer*; only in shared memory."""

    def recount(self) -> None:
        """Note how many need a look before they are taken; called when a peer's *guarded* changed."""
        self.guarded = sum(1 for peer in self.list if peer.guarded)

    @property
    def current(self) -> int:
        """What *version* is in whichever worker was the last to change the set."""
        return self.version

    def at(self, point: int) -> Peer:
        """The peer in whose share of the total weight *point* lies."""
        return self.list[bisect_right(self.ranges, point) - 1]

    def candidates(self, tried: int, now: int) -> list[Peer]:
        """Who may be taken, in order of the configuration; *tried* is the sum of the bits of those already tried."""
        if self.many:
            self.settle()
        if not tried and not self.guarded:
            return self.list
        return [p for p in self.list if not p.bit & tried and (not p.guarded or eligible(p, now))]

    def turn(self, now: int) -> Peer | None:
        """Whose turn it is by round robin, where that is prepared; None: look at them all."""
        rotation = self.rotation
        if rotation is None or now >= rotation.until:
            self.settle()
            self.rotation = rotation = self.prepare(now)
            if rotation is None:
                return None
        at = rotation.at
        if at == rotation.period:
            if not rotation.recurs():
                self.settle()
                self.rotation = rotation = prepared(self.list, now)
                if rotation is None:
                    return None
            at = 0
        rotation.at = at + 1
        return rotation.peer(at)

    def prepare(self, now: int) -> Rotation | None:
        """The next turns, once in a while: where they cannot be prepared, asking costs too."""
        if self.patience:
            self.patience -= 1
            return None
        self.patience = PATIENCE
        return prepared(self.list, now)

    def settle(self) -> None:
        """Have the peers' weights say how things stand: somebody will look at them, or is about to fail or to return."""
        rotation = self.rotation
        if rotation is not None:
            rotation.settle(rotation.at)
            self.rotation = None


class Picker:
    """What one request holds of an upstream: the peer it is at, and those it has tried. Subclasses choose().

    nginx: ngx_peer_connection_t, ngx_http_upstream_rr_peer_data_t
    """

    __slots__ = ("cached", "connection", "name", "notifies", "peer", "peers", "r", "sockaddr", "tag", "tried", "tries",
                 "upstream", "version")  # fmt: skip

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        self._begin(upstream, upstream.peers, r, tag)

    def _begin(self, upstream: Upstream, peers: Peers, r: Any, tag: object) -> None:
        """__init__(), with types for compiled code."""
        self.upstream = upstream
        self.peers = peers
        self.r = r
        self.tag = tag
        if peers.lock is not None:
            peers.sync()
        self.version = peers.version
        self.tried = 0
        backup = peers.next
        self.tries = peers.tries if backup is None else peers.tries + backup.tries
        self.peer: Peer = None  # type: ignore[assignment]  # until get()
        self.name = b""
        self.sockaddr: Any = None
        self.connection: Any = None
        self.cached = False
        self.notifies = False  # headed() is to be called

    def __repr__(self) -> str:
        at = self.name.decode("latin-1") or "nowhere yet"
        return f"<{type(self).__name__} at {at}, {self.tries} tries{', cached' if self.cached else ''}>"

    def choose(self) -> Peer:
        """A peer not yet tried, marked as such; raises NoLivePeers."""
        raise NotImplementedError

    def get(self) -> Picker:
        """Take the next peer; raises NoLivePeers."""
        lock = self.peers.lock
        if lock is None:
            peer = self.choose()
            peer.conns += 1
        else:
            with lock:
                if self.version != self.peers.current:
                    raise NoLivePeers(self.peers.name)
                peer = self.choose()
                peer.conns += 1
        self.peer = peer
        self.name = peer.name
        self.sockaddr = sockaddr = peer.sockaddr
        cache = self.upstream.keepalive
        if cache is not None and cache.idle:
            self.connection = c = cache.take(sockaddr, self.tag)
            self.cached = c is not None
        else:
            self.connection = None
            self.cached = False
        return self

    def free(self, pick: Picker, state: int, connection: Any = None, keepalive: bool = False) -> bool:
        """Give the peer back; True when the cache has taken *connection*."""
        cache = self.upstream.keepalive
        taken = (
            keepalive
            and cache is not None
            and connection is not None
            and not state & FAILED
            and cache.store(connection, self.sockaddr, self.tag)
        )
        self.connection = None
        lock = self.peers.lock
        if lock is None:
            self._leave(state)
        else:
            with lock:
                self._leave(state)
                self.peers.left(self.peer)
        return taken

    def headed(self) -> None:
        """The head of the response is here, in stream{} the first byte (NGX_HTTP_UPSTREAM_NOTIFY_HEADER)."""

    def connected(self) -> None:
        """In stream{} a connection is a success already.   nginx: ngx_stream_upstream_notify_round_robin_peer"""
        peer = self.peer
        if peer.fails and peer.accessed < peer.checked:
            lock = self.peers.lock
            if lock is None:
                self._revive(peer)
            else:
                with lock:
                    self._revive(peer)

    def _revive(self, peer: Peer) -> None:
        """The try after fail_timeout was a success."""
        if self.peers.many:
            self.peers.settle()
        peer.fails = 0
        self._watch(peer, bool(peer.down or peer.max_conns))

    def _leave(self, state: int) -> None:
        peer = self.peer
        peer.conns -= 1
        if self.peers.single:
            peer.fails = 0
            self.tries = 0
            return
        if state & FAILED:
            self._failed(peer)
        elif peer.fails and peer.accessed < peer.checked:
            self._revive(peer)
        if self.tries:
            self.tries -= 1

    def _failed(self, peer: Peer) -> None:
        peers = self.peers
        if peers.many:
            peers.settle()
        peer.fails += 1
        peer.accessed = peer.checked = int(peers.clock())
        self._watch(peer, True)
        if not peer.max_fails:
            return
        weight = peer.effective_weight - peer.weight // peer.max_fails
        peer.effective_weight = max(weight, 0)
        if peer.fails >= peer.max_fails:
            self.r.log.warn("upstream server temporarily disabled", ctx=self.r.c)

    def _watch(self, peer: Peer, guarded: bool) -> None:
        peer.guarded = guarded
        self.peers.recount()
