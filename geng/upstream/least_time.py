"""The peer that is expected to answer soonest: `least_time`.

nginx: ngx_http_upstream_least_time_module.c, ngx_stream_upstream_least_time_module.c

What a peer took so far is kept as moving averages. Times are told in steps of 20 ms, so that peers of about the same
speed take turns; each connection that a peer has already counts as another such time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from geng.core.clock import msec
from geng.upstream.peers import FAILED, NEXT, Peer
from geng.upstream.round_robin import RoundRobin, smooth
from geng.upstream.upstream import ALL, Method

if TYPE_CHECKING:
    from geng.upstream.upstream import Upstream

#: All slower than so many ms are equally bad.
SLOWEST = 5000
STEP = 20

#: What a new measurement weighs in the average.
SHARE = 0.05


def average(before: int, measured: int) -> int:
    """The average with one measurement more."""
    return int(0.5 + measured * SHARE + before * (1 - SHARE)) if before else measured


class LeastTimeMethod(Method):
    """`least_time`: *metric* decides; *metrics* are the times that are kept, by their names in UpstreamState and Peer.

    *inflight*: what requests under way have taken so far counts too. *needs_head*: a try without a response's head says
    nothing about any of the times.
    """

    flags = ALL

    def __init__(self, metric: str, metrics: Sequence[str], inflight: bool = False, needs_head: bool = False) -> None:
        self.metric = metric
        self.metrics = metrics
        self.inflight = inflight
        self.needs_head = needs_head
        self.early = inflight and metric != "response_time"  # the time is known before the end
        self.picker = LeastTime


class LeastTime(RoundRobin):
    """Among those with equally little to do, round robin."""

    __slots__ = ("counted", "method")

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        super().__init__(upstream, r, tag)
        self.method = cast(LeastTimeMethod, upstream.method)
        self.counted = False  # among the peer's requests in flight
        self.notifies = self.method.early

    def choose(self) -> Peer:
        peers = self.peers
        if peers.single:
            return self.choose_in_turn()
        now = int(peers.clock())
        candidates = peers.candidates(self.tried, now)
        if not candidates:
            self.to_backup()
            return self.choose()
        if self.method.inflight:
            self._age(candidates)
        loads = [self.load(peer, now) for peer in candidates]
        best, least = candidates[0], loads[0]
        for peer, load in zip(candidates, loads, strict=True):
            if load * best.weight < least * peer.weight:
                best, least = peer, load
        pairs = zip(candidates, loads, strict=True)
        equals = [peer for peer, load in pairs if load * best.weight == least * peer.weight]
        return self.mark(best if len(equals) == 1 else smooth(equals), now)

    def mark(self, peer: Peer, now: int) -> Peer:
        if self.method.inflight:
            at = msec()
            if peer.inflight:
                peer.inflight_last += (at - peer.inflight_changed) * peer.inflight
            peer.inflight_changed = at
            peer.inflight += 1
            self.counted = True
        return super().mark(peer, now)

    def load(self, peer: Peer, now: int) -> int:
        """How long *peer* will take for what it has to do and one request more, in ms.

        nginx: ngx_http_upstream_least_time_eta
        """
        time: int = getattr(peer, self.method.metric)
        idle = now - peer.checked
        if idle > peer.fail_timeout:
            time >>= min(idle // (peer.fail_timeout + 1), 63)  # who was slow once gets another chance
        if peer.inflight:
            time = max(time, peer.inflight_time)
        time = SLOWEST if time > SLOWEST else time + STEP - time % STEP
        return time * (1 + peer.conns)

    def _age(self, candidates: Sequence[Peer]) -> None:
        """Have the time that requests under way have taken in each peer's average of it."""
        at = msec()
        for peer in candidates:
            if peer.inflight > 0:
                waited = peer.inflight_last // peer.inflight + at - peer.inflight_changed
                peer.inflight_time = average(peer.inflight_time, waited)

    # ---- what came of it

    def headed(self) -> None:
        super().headed()
        metric = self.method.metric
        if metric != "connect_time":
            self._note_early(metric)

    def connected(self) -> None:
        if self.method.early and self.method.metric == "connect_time":
            self._note_early("connect_time")
        super().connected()

    def _note_early(self, metric: str) -> None:
        """The time that decides is known before the request is over."""
        taken = getattr(self.r.upstream.state, metric)
        lock = self.peers.lock
        if lock is None:
            self._note(metric, taken)
        else:
            with lock:
                self._note(metric, taken)

    def _note(self, metric: str, taken: int) -> None:
        peer = self.peer
        setattr(peer, metric, average(getattr(peer, metric), taken))
        if self.counted:
            self._landed(peer, taken)

    def _landed(self, peer: Peer, taken: int) -> None:
        """The request is not in flight any more, after *taken* ms."""
        if peer.inflight == 1:
            peer.inflight_last = 0
        else:
            at = msec()
            peer.inflight_last += (at - peer.inflight_changed) * peer.inflight - taken
            peer.inflight_changed = at
        peer.inflight -= 1
        self.counted = False

    def free(self, pick: Any, state: int, connection: Any = None, keepalive: bool = False) -> bool:
        lock = self.peers.lock
        if lock is None:
            self._measure(state)
        else:
            with lock:
                self._measure(state)
        return super().free(pick, state, connection, keepalive)

    def _measure(self, state: int) -> None:
        peer, method = self.peer, self.method
        took = self.r.upstream.state
        if self.counted:
            self._landed(peer, max(took.response_time, 0))
        # only what succeeded counts, lest those that fail fast be preferred
        if state & (FAILED | NEXT) or (method.needs_head and took.header_time == -1):
            return
        for metric in method.metrics:
            taken = getattr(took, metric)
            if taken != -1 and not (method.early and metric == method.metric):
                setattr(peer, metric, average(getattr(peer, metric), taken))
