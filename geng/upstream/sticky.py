"""Requests that belong together go to one peer, whichever method chooses for the first of them: `sticky`.

nginx: ngx_http_upstream_sticky_module.c, ngx_http_upstream_round_robin.c (ngx_http_upstream_get_rr_peer_by_sid)

Each peer has an id: its `route`, or the MD5 of its address. A request names it (`cookie`, `route`), or names a session
whose peer is kept in a zone (`learn`). Where that peer cannot serve, the method chooses as for anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import time
from typing import TYPE_CHECKING, Any

from geng.core.table import SharedTable
from geng.core.zone import WORD, Zone
from geng.errors import ConfigError
from geng.upstream.peers import DRAINING, FAILED, NEXT, Peer, Picker
from geng.upstream.round_robin import RoundRobin

if TYPE_CHECKING:
    from geng.http.script import VariableRef
    from geng.upstream.upstream import Upstream

SID_MAX = 32
LAST, SIZE, SID = range(3)  # words of a session: ms (wall), length of the peer's id, the id
WORDS = SID + SID_MAX // WORD


class Sessions:
    """Which session has which peer; `zone.data` of a sticky zone. *timeout*: ms after its last use that one is known."""

    def __init__(self, zone: Zone, host: str, timeout: int) -> None:
        self.zone = zone
        self.host = host
        self.timeout = timeout
        self.table: SharedTable = None  # type: ignore[assignment]  # until mapped()
        zone.data = self
        zone.init = self.mapped

    def __repr__(self) -> str:
        return f"<Sessions of {self.host}, {self.table!r}>"

    def mapped(self, zone: Zone, before: Zone | None) -> None:
        """The zone is there; it may be the last configuration's.   nginx: ngx_http_upstream_sticky_sess_init_zone"""
        old = before.data if before is not None else None
        if isinstance(old, Sessions) and old.host != self.host:
            raise ConfigError(
                f'sticky zone "{zone.name}" is used in upstream "{self.host}"'
                f' while previously it was used in upstream "{old.host}"'
            )
        zone.data = self
        self.table = SharedTable(zone, WORDS)

    def find(self, session: bytes) -> bytes:
        """The id of the peer that *session* has; b"" for a session that is not known."""
        with self.zone.lock:
            at, _ = self.table.find(session, self._age, create=False)
            return self._sid(at) if at and not self._expired(at) else b""

    def learn(self, session: bytes, sid: bytes, create: bool) -> bool:
        """*session* has the peer *sid* from now on; if it is not known, only with *create*.

        False: it is in the place of one that is not over.
        """
        evicted: list[bool] = []
        with self.zone.lock:
            at, new = self.table.find(session, self._age, create, lambda old: evicted.append(not self._expired(old)))
            if not at:
                return True
            if not new and not create and self._expired(at):
                self.table.drop(at)
                return True
            slots = self.table.slots
            slots[at + LAST] = self._now()
            slots[at + SIZE] = len(sid)
            slots[at + SID : at + WORDS] = memoryview(sid.ljust(SID_MAX, b"\0")).cast("q")
        return not any(evicted)

    def _sid(self, at: int) -> bytes:
        slots = self.table.slots
        return slots[at + SID : at + WORDS].tobytes()[: slots[at + SIZE]]

    def _expired(self, at: int) -> bool:
        return self._age(at) + self.timeout <= self._now()

    def _age(self, at: int) -> int:
        return self.table.slots[at + LAST]

    @staticmethod
    def _now() -> int:
        return int(time() * 1000)


class Stickiness:
    """What one `sticky` says. *lookup*, *create*: where a request's id is, and a new session's; the first that has one.

    *cookie*: makes the Set-Cookie that tells the client the id of its peer. *early*: sessions are learnt from the head of
    a response, not from its end.
    """

    def __init__(self) -> None:
        self.lookup: list[VariableRef] = []
        self.create: list[VariableRef] = []
        self.cookie: Callable[[Any, bytes], bytes] | None = None
        self.sessions: Sessions | None = None
        self.early = False

    def __repr__(self) -> str:
        return f"<Stickiness {self.sessions or ('by cookie' if self.cookie else 'by route')}>"


def first_of(variables: Sequence[VariableRef], r: Any) -> bytes:
    """The first value that is not empty."""
    for variable in variables:
        value = variable.get(r)
        if value:
            return value
    return b""


class StickyPicker(RoundRobin):
    """Put in front of a method's picker by sticky()."""

    falls_back = True  # the method is round robin itself

    def __init__(self, upstream: Upstream, r: Any, tag: object = None) -> None:
        super().__init__(upstream, r, tag)
        stickiness = upstream.sticky
        assert stickiness is not None
        self.sticky = stickiness
        self.id = first_of(stickiness.lookup, r)
        self.hint = b""
        self.told: tuple[bytes, bytes] | None = None
        self.notifies = self.notifies or stickiness.early

    def get(self) -> Picker:
        sessions = self.sticky.sessions
        self.hint = self.id if sessions is None or not self.id else sessions.find(self.id)
        super().get()
        if self.sticky.cookie is not None:
            self._tell(self.sticky.cookie(self.r, self.peer.sid))
        return self

    def _tell(self, cookie: bytes) -> None:
        """Have the client know its peer; of several tries, the last one's."""
        lines = self.r.out.headers
        line = (b"Set-Cookie", cookie)
        for i, there in enumerate(lines):
            if there is self.told:
                lines[i] = line
                break
        else:
            lines.append(line)
        self.told = line

    # ---- choosing

    def choose(self) -> Peer:
        peers = self.peers
        if self.hint and not self.falls_back and not peers.single:
            now = int(peers.clock())
            peer = self.wanted(now)
            if peer is not None:
                return self.mark(peer, now)
        return super().choose()

    def choose_in_turn(self) -> Peer:
        """The peer that is asked for costs a turn, so that the others are used evenly.

        nginx: ngx_http_upstream_get_peer
        """
        peers = self.peers
        now = int(peers.clock())
        wanted = self.wanted(now) if self.hint else None
        if wanted is None:
            return super().choose_in_turn()
        if peers.single:
            return wanted
        if peers.many:
            peers.settle()
        if wanted.current_weight > wanted.weight - peers.total_weight:
            total = 0
            for peer in peers.candidates(self.tried, now):
                weight = peer.effective_weight
                total += weight
                peer.current_weight += weight
                if weight < peer.weight:
                    peer.effective_weight = weight + 1
            wanted.current_weight -= total
        return self.mark(wanted, now)

    def wanted(self, now: int) -> Peer | None:
        """The peer that the request asks for, if it can serve; one that is draining can."""
        hint = self.hint
        peer: Peer | None = next((peer for peer in self.peers.list if peer.sid == hint), None)
        if peer is None or peer.bit & self.tried or peer.down & ~DRAINING:
            return None
        if peer.max_fails and peer.fails >= peer.max_fails and now - peer.checked <= peer.fail_timeout:
            return None
        return None if peer.max_conns and peer.conns >= peer.max_conns else peer

    # ---- learning

    def headed(self) -> None:
        if self.sticky.early:
            self._learn()
        super().headed()

    def free(self, pick: Any, state: int, connection: Any = None, keepalive: bool = False) -> bool:
        if self.sticky.sessions is not None and not self.sticky.early and not state & (FAILED | NEXT):
            self._learn()
        return super().free(pick, state, connection, keepalive)

    def _learn(self) -> None:
        sessions = self.sticky.sessions
        assert sessions is not None
        created = first_of(self.sticky.create, self.r)
        session = created or self.id
        if session and not sessions.learn(session, self.peer.sid, create=bool(created)):
            where = f'in sticky session zone "{sessions.zone.name}"'
            self.r.log.warn(f"could not allocate node {where}, expiring least recently used session")


_made: dict[type[Picker], type[Picker]] = {}


def sticky(picker: type[Picker]) -> type[Picker]:
    """*picker*, but for those who ask for a peer."""
    made = _made.get(picker)
    if made is None:
        # a class of its own: what a method does when a peer was chosen (mark, free) goes on working
        made = type(f"Sticky{picker.__name__}", (StickyPicker, picker), {"falls_back": picker is RoundRobin})
        _made[picker] = made
    return made
