"""Sessions in shared memory: geng/tls/sessions.py."""

from __future__ import annotations

import os
from time import time

import pytest

from geng.core.zone import Zone
from geng.tls.sessions import SessionZone, TicketKey, TicketKeys, map_zone, read_ticket_key

LATER = int(time()) + 1000


@pytest.fixture
def zone() -> Zone:
    made = Zone("sessions", 32768)
    made.map()
    map_zone(made, None)
    return made


def test_what_is_stored_is_found(zone: Zone) -> None:
    sessions: SessionZone = zone.data
    sessions.store(b"one", b"first", LATER)
    sessions.store(b"two", b"second", LATER)
    assert (sessions.find(b"one"), sessions.find(b"two"), sessions.find(b"three")) == (b"first", b"second", None)
    sessions.store(b"one", b"again", LATER)
    assert sessions.find(b"one") == b"again"


def test_removed_and_expired(zone: Zone) -> None:
    sessions: SessionZone = zone.data
    sessions.store(b"one", b"first", LATER)
    sessions.store(b"old", b"second", int(time()) - 1)
    sessions.remove(b"one")
    assert sessions.find(b"one") is None
    assert sessions.find(b"old") is None


def test_the_newest_stay_when_the_zone_is_full(zone: Zone) -> None:
    sessions: SessionZone = zone.data
    kept = {b"%032d" % i: os.urandom(100 + i % 300) for i in range(2000)}
    for name, data in kept.items():
        sessions.store(name, data, LATER)
    found = {name: data for name in kept if (data := sessions.find(name)) is not None}
    assert 40 < len(found) < 200
    assert all(found[name] == kept[name] for name in found)
    assert b"%032d" % 1999 in found and b"%032d" % 0 not in found


def test_another_process_sees_it(zone: Zone) -> None:
    sessions: SessionZone = zone.data
    child = os.fork()
    if not child:
        sessions.store(b"one", b"from the child", LATER)
        os._exit(0)
    os.waitpid(child, 0)
    assert sessions.find(b"one") == b"from the child"


@pytest.mark.parametrize("size", [48, 80])
def test_ticket_key_files(size: int) -> None:
    data = bytes(range(size))
    key = read_ticket_key(data)
    assert key.size == size and key.name == data[:16]
    assert (key.aes, key.hmac) == ((data[16:32], data[32:48]) if size == 48 else (data[48:80], data[16:48]))


def test_shared_ticket_keys_are_the_same_for_all_workers_and_rotate(zone: Zone) -> None:
    one, other = TicketKeys((), zone, 300), TicketKeys((), zone, 300)
    one.rotate()
    other.rotate()
    assert [key.name for key in one.keys] == [key.name for key in other.keys]
    first = one.keys[0].name
    sessions: SessionZone = zone.data
    current, previous, following = (sessions.key(i) for i in range(3))
    sessions.set_key(1, TicketKey(previous.name, previous.hmac, previous.aes, int(time()) - 1, 80))  # nobody needs it
    one.keys = []
    one.rotate()
    assert [key.name for key in one.keys] == [following.name, first]
    assert current.name == first
