"""The cache of idle connections: geng/upstream/keepalive.py, and pickers that have one."""

from __future__ import annotations

from typing import Any

import pytest

from geng.core.clock import msec
from geng.hot.connection import Link
from geng.upstream.keepalive import KeepaliveCache
from geng.upstream.peers import FAILED, OK

A, B = ("127.0.0.1", 18081), ("127.0.0.1", 18082)


class Connection(Link):
    """What the cache touches of a connection, without a socket."""

    on_read: Any = None

    def __init__(self, name: str = "", age: int = 0) -> None:
        self.name = name
        self.closed = self.eof = self.timedout = self.ready = self.idle = self.gone = False
        self.error = self.requests = self.sent = 0
        self.start_msec = msec() - age
        self.timeout: int | None = None
        self.data: object = "an exchange"
        self.context: object = "an exchange's"
        self.on_timeout: Any = None
        self.on_drain: Any = None

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def listen(self, handler: Any) -> None:
        self.on_read = handler

    def set_timeout(self, ms: int | None) -> None:
        self.timeout = ms

    def peek_closed(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cache() -> KeepaliveCache:
    return KeepaliveCache(2, requests=3, lifetime=5000, timeout=700, local=False)


def stored(cache: KeepaliveCache, name: str, sockaddr: Any = A, tag: object = None) -> Connection:
    c = Connection(name)
    assert cache.store(c, sockaddr, tag)
    return c


class TestTakeAndStore:
    def test_the_newest_first(self, cache: KeepaliveCache) -> None:
        first, second = stored(cache, "first"), stored(cache, "second")
        assert cache.take(A, None) is second
        assert cache.take(A, None) is first
        assert cache.take(A, None) is None

    def test_by_address(self, cache: KeepaliveCache) -> None:
        stored(cache, "a")
        assert cache.take(B, None) is None

    def test_local_is_by_location_too(self) -> None:
        cache = KeepaliveCache(local=True)
        one, other = object(), object()
        c = stored(cache, "one", tag=one)
        assert cache.take(A, other) is None
        assert cache.take(A, one) is c

    def test_the_oldest_makes_room(self, cache: KeepaliveCache) -> None:
        first, second, third = (stored(cache, name, address) for name, address in (("1", A), ("2", B), ("3", A)))
        assert first.closed and not second.closed
        assert repr(cache) == "<KeepaliveCache 2 of 2 idle>"
        assert cache.take(A, None) is third
        assert cache.take(A, None) is None

    def test_what_an_idle_connection_is_like(self, cache: KeepaliveCache) -> None:
        c = stored(cache, "c")
        assert c.idle and c.timeout == 700 and c.data is None and c.context is None
        c.sent = 5
        cache.take(A, None)
        assert not c.idle and c.timeout is None and c.sent == 0
        assert (c.on_read, c.on_timeout, c.on_drain) == (None, None, None)

    @pytest.mark.parametrize("flaw", ["closed", "eof", "timedout", "error"])
    def test_not_what_is_broken(self, cache: KeepaliveCache, flaw: str) -> None:
        c = Connection()
        setattr(c, flaw, True)
        assert not cache.store(c, A, None)

    @pytest.mark.parametrize(("requests", "kept"), [(2, True), (3, False), (4, False)])
    def test_keepalive_requests(self, cache: KeepaliveCache, requests: int, kept: bool) -> None:
        c = Connection()
        c.requests = requests
        assert cache.store(c, A, None) is kept

    @pytest.mark.parametrize(("age", "kept"), [(3000, True), (5001, False)])
    def test_keepalive_time(self, cache: KeepaliveCache, age: int, kept: bool) -> None:
        assert cache.store(Connection(age=age), A, None) is kept

    def test_addresses_that_come_and_go(self, cache: KeepaliveCache) -> None:
        for port in range(1000):
            stored(cache, "c", ("127.0.0.1", port))
            cache.take(("127.0.0.1", port), None)
        assert len(cache.stacks) < 10


class TestIdle:
    @pytest.mark.parametrize("how", ["on_timeout", "on_drain"])
    def test_closed_by_time_or_for_others(self, cache: KeepaliveCache, how: str) -> None:
        c = stored(cache, "c")
        getattr(c, how)(c)
        assert c.closed and not cache.idle
        assert cache.take(A, None) is None

    def test_the_peer_closes(self, cache: KeepaliveCache) -> None:
        c = stored(cache, "c")
        c.gone = True
        c.on_read(c)
        assert c.closed and cache.take(A, None) is None

    def test_the_peer_says_what_nobody_asked(self, cache: KeepaliveCache) -> None:
        c = stored(cache, "c")
        c.ready = True
        c.on_read(c)
        assert c.closed

    def test_it_has_said_so_already(self, cache: KeepaliveCache) -> None:
        c = Connection()
        c.ready = True
        assert cache.store(c, A, None)  # it is the cache's, which has closed it
        assert c.closed and not cache.idle

    def test_a_false_alarm(self, cache: KeepaliveCache) -> None:
        c = stored(cache, "c")
        c.on_read(c)
        assert not c.closed and cache.take(A, None) is c

    def test_the_worker_shuts_down(self, cache: KeepaliveCache) -> None:
        c = stored(cache, "c")
        cache.clear()
        assert c.closed
        assert not cache.store(Connection(), A, None)


class TestPicker:
    @pytest.fixture
    def up(self, balanced: Any, cache: KeepaliveCache) -> Any:
        up = balanced({}, {})
        up.upstream.keepalive = cache
        return up

    def test_an_exchange_leaves_its_connection(self, up: Any) -> None:
        picker = up.start().get()
        assert picker.connection is None and not picker.cached
        c = Connection()
        assert picker.free(picker, OK, c, True) is True
        up.ask()
        picker = up.start().get()
        assert up.index(picker) == 0 and picker.connection is c and picker.cached
        picker.get()
        assert picker.connection is None and not picker.cached

    @pytest.mark.parametrize(("state", "keepalive"), [(OK, False), (FAILED, True)])
    def test_one_that_did_not_end_well_does_not(self, up: Any, state: int, keepalive: bool) -> None:
        picker = up.start().get()
        c = Connection()
        assert picker.free(picker, state, c, keepalive) is False
        assert not c.closed and not up.upstream.keepalive.idle

    def test_no_cache(self, balanced: Any) -> None:
        picker = balanced({}).start().get()
        assert picker.free(picker, OK, Connection(), True) is False
