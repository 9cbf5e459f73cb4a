"""Peers whose state all workers share, for upstreams with a `zone`; their set may change while the server runs.

nginx: ngx_http_upstream_zone_module.c

Every peer has a record in the zone; the records of a group form a list, in order. What is in the configuration
(addresses, limits) every worker knows anyhow, so a record of a configured peer only says which it is; one that was found
by resolving a name carries its address. When the set changes, a number does (`current`), and each worker makes its list
of peers anew when it next has use for it; a request that began with the old set finds nobody any more, as in nginx.
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geng.core.zone import WORD, Zone, ZoneFull
from geng.errors import ConfigError
from geng.net.address import Address, address_of
from geng.upstream.peers import Peer, Peers
from geng.upstream.rotation import Rotation, prepared

if TYPE_CHECKING:
    from geng.upstream.upstream import Server, Upstream

# A record begins with what changes while requests come and go; then slots for what was found by resolving. Those of a
# free one mean nothing but NEXT.
FIELDS = ("next", "template", "current_weight", "effective_weight", "conns", "fails", "accessed", "checked", "guarded",
          "gone", "connect_time", "header_time", "response_time", "inflight", "inflight_time", "inflight_last",
          "inflight_changed")  # fmt: skip
NEXT, TEMPLATE = 0, 1
EFFECTIVE, CONNS, GUARDED, GONE = (FIELDS.index(name) for name in ("effective_weight", "conns", "guarded", "gone"))
WEIGHT, FAMILY, PORT, IP, _, NAME_SIZE, NAME = range(len(FIELDS), len(FIELDS) + 7)
NAME_MAX = 255
RECORD = NAME + (NAME_MAX + 1) // WORD

# Slots of an upstream: which set of peers it is, for each of two groups a head, how many need a look, and its rotation;
# for each template until when its addresses hold. A rotation (rotation.py) is prepared by each worker for itself from the
# same records; what they share is how many turns have been given, and one more (0: nothing is prepared), the number of
# the rotation, and when (seconds) it was begun, which says who was eligible.
GROUPS = 1
HEAD, WATCHED, TURNS, NUMBER, BEGAN = range(5)
GROUP = 5
TEMPLATES = GROUPS + 2 * GROUP

# Slots at the front of a zone of upstreams: where free records begin.
FREE = 0
HEADER = 1


#: What a name was resolved to: sockaddr, weight, and the SRV record's target or nothing.
Found = tuple[Any, int, bytes]


class SharedPeer(ctypes.Structure):
    """A Peer whose state is its record: these fields (a quarter of what properties cost). Who touches it holds the lock."""

    _fields_ = tuple((name, ctypes.c_int64) for name in FIELDS)

    __repr__ = Peer.__repr__


def shared_peer(like: Peer, zone: Zone, record: int) -> Any:
    """*like* over the record."""
    peer: Any = SharedPeer.from_buffer(zone.memory, record * WORD)
    for attr in ("sockaddr", "name", "server", "weight", "max_conns", "max_fails", "fail_timeout", "down", "sid"):
        setattr(peer, attr, getattr(like, attr))
    peer.record = record
    return peer


class Records:
    """The records of one zone: made from what room the zone has when its upstreams have been laid out."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.slots = zone.slots
        self.header = zone.take(HEADER)

    def fill(self) -> None:
        """Chain all that is left of the zone into free records."""
        while self.zone.room >= RECORD:
            self.put(self.zone.take(RECORD))

    def get(self) -> int:
        """A cleared record; raises ZoneFull."""
        slots = self.slots
        record = slots[self.header + FREE]
        if not record:
            raise ZoneFull(f'no memory in zone "{self.zone.name}"')
        slots[self.header + FREE] = slots[record + NEXT]
        for i in range(record, record + NAME):
            slots[i] = 0
        return record

    def put(self, record: int) -> None:
        """Free *record*."""
        slots = self.slots
        slots[record + NEXT] = slots[self.header + FREE]
        slots[self.header + FREE] = record


class SharedPeers(Peers):
    """A group whose members are records. *number_slot* counts the changes of the set, *group* is where its slots are.

    *static*: the configured peers; *templates*: the servers whose names are resolved while the server runs.
    """

    __slots__ = ("group", "head", "number_slot", "records", "rotation_number", "slots", "static", "templates", "watched")

    def __init__(
        self,
        like: Peers,
        records: Records,
        number_slot: int,
        group: int,
        templates: list[Server],
        next: SharedPeers | None = None,
    ) -> None:
        self.records = records
        self.slots = records.slots
        self.number_slot = number_slot
        self.group = group
        self.rotation_number = -1
        self.head = group + HEAD
        self.watched = group + WATCHED
        self.static = like.list
        self.templates = templates
        super().__init__(like.name, [], next, like.backup)
        self.clock = like.clock
        self.lock = records.zone.lock
        for i, peer in enumerate(self.static):
            self._append(self._new(i, peer, peer.weight))
        self.reload()

    @property
    def current(self) -> int:
        return int(self.slots[self.number_slot])

    # ---- reading

    def sync(self) -> None:
        if self.version != self.current:
            with self.records.zone.lock:
                self.reload()

    def reload(self) -> None:
        """Make the list from the records; under the lock."""
        if self.next is not None:
            self.next.reload()  # type: ignore[attr-defined]
        self.version = self.current
        self.replace([self._peer(record) for record in self.chain()])

    def chain(self) -> list[int]:
        """The records of the members, in order."""
        found, slots = [], self.slots
        record = slots[self.head]
        while record:
            found.append(record)
            record = slots[record + NEXT]
        return found

    def recount(self) -> None:
        slots = self.slots
        slots[self.watched] = sum(slots[record + GUARDED] for record in self.chain())

    def turn(self, now: int) -> Peer | None:
        slots, turns = self.slots, self.group + TURNS
        given = slots[turns]
        rotation = self._current_rotation() if given else None
        if rotation is None or now >= rotation.until:
            self.settle()
            rotation = self._begin(self.prepare(now), now)
        elif given > rotation.period:
            if not rotation.recurs():
                self.settle()
                rotation = self._begin(prepared(self.list, now), now)
            slots[turns] = 1
        if rotation is None:
            slots[turns] = 0
            return None
        given = slots[turns]
        slots[turns] = given + 1
        return rotation.peer(given - 1)

    def _begin(self, rotation: Rotation | None, now: int) -> Rotation | None:
        """Let *rotation* be that of all workers."""
        if rotation is not None:
            slots, group = self.slots, self.group
            slots[group + TURNS] = 1
            slots[group + NUMBER] += 1
            slots[group + BEGAN] = now
            self.rotation, self.rotation_number = rotation, slots[group + NUMBER]
        return rotation

    def _current_rotation(self) -> Rotation | None:
        """What some worker has begun, as this one has it or makes it."""
        number = self.slots[self.group + NUMBER]
        if self.rotation is None or self.rotation_number != number:
            if self.version != self.current:
                self.reload()
            self.rotation, self.rotation_number = prepared(self.list, self.slots[self.group + BEGAN]), number
        return self.rotation

    def settle(self) -> None:
        slots, turns = self.slots, self.group + TURNS
        given = slots[turns]
        if given:
            rotation = self._current_rotation()
            if rotation is not None:
                rotation.settle(given - 1)
            slots[turns] = 0
            self.rotation = None

    def candidates(self, tried: int, now: int) -> list[Peer]:
        self.guarded = self.slots[self.watched]
        if not tried and not self.guarded:
            if self.many:
                self.settle()
            return self.list
        return super().candidates(tried, now)

    def _peer(self, record: int) -> Any:
        template = self.slots[record + TEMPLATE]
        if template < len(self.static):
            return shared_peer(self.static[template], self.records.zone, record)
        server = self.templates[template - len(self.static)]
        like = server.peer(self.address(record), self.slots[record + WEIGHT], self.server_name(record))
        return shared_peer(like, self.records.zone, record)

    def address(self, record: int) -> Address:
        """The address of a resolved peer."""
        slots = self.slots
        family = slots[record + FAMILY]
        packed = slots[record + IP : record + IP + 2].tobytes()
        if family == socket.AF_INET:
            return address_of((socket.inet_ntop(family, packed[:4]), slots[record + PORT]))
        return address_of((socket.inet_ntop(family, packed), slots[record + PORT], 0, 0))

    def server_name(self, record: int) -> bytes:
        """The target of the SRV record that a peer came from, else nothing."""
        size = self.slots[record + NAME_SIZE]
        return self.slots[record + NAME : record + RECORD].tobytes()[:size] if size else b""

    def valid(self, template: int, until: int | None = None) -> int:
        """Until when (seconds, wall) what *template*'s name was resolved to holds; sets it where *until* is given."""
        slot = self.number_slot + TEMPLATES + template
        if until is not None:
            self.slots[slot] = until
        return int(self.slots[slot])

    # ---- changing, under the lock

    def add(self, template: int, sockaddr: Any, weight: int, name: bytes = b"") -> None:
        """A new member from server *template* (an index of *templates*); raises ZoneFull."""
        server = self.templates[template]
        record = self._new(len(self.static) + template, server, weight)
        slots = self.slots
        family = socket.AF_INET6 if ":" in sockaddr[0] else socket.AF_INET
        packed = socket.inet_pton(family, sockaddr[0]).ljust(16, b"\0")
        slots[record + FAMILY], slots[record + PORT] = family, sockaddr[1]
        slots[record + IP : record + IP + 2] = memoryview(packed).cast("q")
        if name:
            slots[record + NAME_SIZE] = len(name)
            slots[record + NAME : record + RECORD] = memoryview(name.ljust((RECORD - NAME) * 8, b"\0")).cast("q")
        self._append(record)
        self.recount()

    def remove(self, record: int) -> None:
        """Take a member out; its record is freed by the last request that uses it."""
        self.settle()
        slots = self.slots
        before = self.head
        while slots[before] != record:
            before = slots[before] + NEXT
        slots[before] = slots[record + NEXT]
        slots[self.number_slot] += 1
        if slots[record + CONNS]:
            slots[record + GONE] = 1
        else:
            self.records.put(record)
        self.recount()

    def update(self, template: int, found: Sequence[Found]) -> None:
        """Let the members from server *template* be *found*; those that were there already stay as they are.

        Raises ZoneFull.   nginx: ngx_http_upstream_zone_resolve_handler
        """
        left, slots = list(found), self.slots
        for record in self.chain():
            if slots[record + TEMPLATE] != len(self.static) + template:
                continue
            same = (self.address(record).sockaddr, slots[record + WEIGHT], self.server_name(record))
            if same in left:
                left.remove(same)
            else:
                self.remove(record)
        for sockaddr, weight, name in left:
            self.add(template, sockaddr, weight, name)

    def left(self, peer: Peer) -> None:
        """A request has let go of *peer*."""
        if peer.gone and not peer.conns:  # type: ignore[attr-defined]
            self.records.put(peer.record)  # type: ignore[attr-defined]

    def _new(self, template: int, like: Peer | Server, weight: int) -> int:
        record = self.records.get()
        slots = self.slots
        slots[record + TEMPLATE] = template
        slots[record + WEIGHT] = slots[record + EFFECTIVE] = weight
        slots[record + GUARDED] = bool(like.down or like.max_conns)
        return record

    def _append(self, record: int) -> None:
        self.settle()
        slots = self.slots
        last = self.head
        while slots[last]:
            last = slots[last] + NEXT
        slots[last] = record
        slots[self.number_slot] += 1


def lay_out(zone: Zone, upstreams: Sequence[Upstream], before: Sequence[Upstream] = ()) -> None:
    """Move the peers of *upstreams* into *zone*. Those of *before* (the last configuration's) hand over what they had
    resolved. Raises ConfigError.   nginx: ngx_http_upstream_init_zone
    """
    known = {upstream.host: upstream for upstream in before}
    try:
        records = Records(zone)
        places = [zone.take(TEMPLATES + len(_templates(upstream))) for upstream in upstreams]
        records.fill()
        for upstream, place in zip(upstreams, places, strict=True):
            _move(upstream, records, place)
            old = known.get(upstream.host)
            if old is not None and isinstance(old.peers, SharedPeers):
                with old.peers.records.zone.lock:  # its workers still run
                    _adopt(upstream.peers, old.peers)
    except ZoneFull:
        message = f'ngx_slab_alloc() failed: no memory in upstream zone "{zone.name}"'
        raise ConfigError(message, level="crit") from None


def _templates(upstream: Upstream) -> list[Server]:
    return [server for server in upstream.servers or () if server.host]


def _move(upstream: Upstream, records: Records, place: int) -> None:
    """Replace the peers by shared ones, whose slots are at *place*."""
    plain, templates = upstream.peers, _templates(upstream)
    second = None
    if plain.next is not None:
        second = SharedPeers(plain.next, records, place, place + GROUPS + GROUP, templates)
    upstream.peers = SharedPeers(plain, records, place, place + GROUPS, templates, second)


def _adopt(new: Any, old: Any) -> None:
    """Take over the resolved peers of the same names.   nginx: ngx_http_upstream_zone_preresolve"""
    groups = [(new, old)]
    if new.next is not None and old.next is not None:
        groups.append((new.next, old.next))
    for group, source in groups:
        for i, server in enumerate(new.templates):
            if group is new and server.backup:
                continue
            for j, same in enumerate(old.templates):
                if (same.host, same.service, same.backup) == (server.host, server.service, server.backup):
                    new.valid(i, old.valid(j))
                    _copy(group, i, source, j)
                    break
    new.reload()


def _copy(group: SharedPeers, template: int, source: SharedPeers, index: int) -> None:
    server = group.templates[template]
    for record in source.chain():
        if source.slots[record + TEMPLATE] != len(source.static) + index:
            continue
        sockaddr = source.address(record).sockaddr
        if server.service:
            weight = source.slots[record + WEIGHT] if server.weight == 1 else server.weight
        else:
            sockaddr, weight = (sockaddr[0], server.port, *sockaddr[2:]), server.weight
        group.add(template, sockaddr, weight, source.server_name(record))
