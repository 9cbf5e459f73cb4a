"""Names that are resolved while the server runs: geng/upstream/resolving.py, over a resolver that says what tests say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geng.core.zone import Zone
from geng.net.answers import Address, Answer, ResolveFailed
from geng.upstream import resolving
from geng.upstream.shared import lay_out
from geng.upstream.upstream import ALL, Server, Upstream

NXDOMAIN, TIMED_OUT = 3, 110
NOW = 1_000_000


class World:
    """A worker's hub, log and resolver. `answers` are given in turn; `planned` is when it will ask again, in ms."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []
        self.planned: list[Any] = []
        self.lines: list[str] = []
        self.id = 0
        self.hub = self.log = self

    def after(self, ms: int, spawn: Callable[..., None], refresh: Callable[[], None]) -> None:
        self.planned.append((ms, spawn, refresh))

    def spawn(self, function: Callable[[], None]) -> None:
        function()

    def error(self, message: str) -> None:
        self.lines.append(message)

    def get(self, worker: object) -> World:
        return self

    def lookup(self, host: str, ms: int) -> Answer:
        self.asked.append((host, ms))
        return self.reply()

    def lookup_service(self, host: str, service: str, ms: int, failed: list[ResolveFailed]) -> Answer:
        self.asked.append((service, host, ms))
        while isinstance(self.answers[0], tuple):
            failed.append(ResolveFailed(*self.answers.pop(0)))
        return self.reply()

    def reply(self) -> Answer:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Answer)
        return answer

    def fire(self) -> int:
        """What is planned happens; after how many ms."""
        ms, spawn, refresh = self.planned.pop()
        spawn(refresh)
        return int(ms)


def answer(*hosts: str, ttl: int = 5) -> Answer:
    return Answer(tuple(Address((host, 0)) for host in hosts), NOW + ttl + 0.5)


def service(*targets: Any, ttl: int = 5) -> Answer:
    """(host, port, name, priority, weight)"""
    found = (Address((host, port), name, priority, weight) for host, port, name, priority, weight in targets)
    return Answer(tuple(found), NOW + ttl)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """An upstream with one server by name, and its world."""
    monkeypatch.setattr(resolving, "time", lambda: NOW + 0.9)

    def make(*answers: Any, size: int = 64 << 10, **parameters: Any) -> tuple[Upstream, World]:
        world = World(*answers)
        upstream = Upstream("u", flags=ALL)
        upstream.servers = [
            Server("name.example:8080", [], 8080, host="name.example", **parameters),
            Server("main", [], 80, host="other.example"),
        ]
        upstream.zone = Zone("z", size)
        upstream.zone.map()
        upstream.resolver, upstream.resolver_timeout = world, 700
        upstream.link()
        lay_out(upstream.zone, [upstream])
        resolving.start([upstream], world)
        world.planned = world.planned[:1]
        return upstream, world

    return make


def names(peers: Any) -> list[str]:
    peers.sync()
    return [peer.name.decode() for peer in peers.list]


class TestNames:
    def test_asked_at_once_and_again_when_the_answer_expires(self, resolved: Any) -> None:
        upstream, world = resolved(answer("10.0.0.1", "10.0.0.2"), answer("10.0.0.2", ttl=0))
        assert world.fire() == 1
        assert names(upstream.peers) == ["10.0.0.1:8080", "10.0.0.2:8080"]
        assert upstream.peers.valid(0) == NOW + 5
        assert world.fire() == 6000
        assert names(upstream.peers) == ["10.0.0.2:8080"]
        assert world.asked == [("name.example", 700)] * 2
        assert world.planned[0][0] == 1000

    def test_ipv6(self, resolved: Any) -> None:
        upstream, world = resolved(Answer((Address(("fd00::1", 0, 0, 0)),), NOW))
        world.fire()
        assert names(upstream.peers) == ["[fd00::1]:8080"]

    def test_a_name_that_is_gone(self, resolved: Any) -> None:
        upstream, world = resolved(answer("10.0.0.1"), ResolveFailed("name.example", NXDOMAIN, NOW + 10))
        world.fire()
        world.fire()
        assert names(upstream.peers) == []
        assert world.lines == ["name.example could not be resolved (3: Host not found)"]
        assert world.planned[0][0] == 11_000

    @pytest.mark.parametrize(("timeout", "retry"), [(700, 1000), (30_000, 30_000)])
    def test_another_failure_changes_nothing(self, resolved: Any, timeout: int, retry: int) -> None:
        upstream, world = resolved(answer("10.0.0.1"), ResolveFailed("name.example", TIMED_OUT), answer("10.0.0.9"))
        world.fire()
        world.planned[0][2].__self__.timeout = timeout
        world.fire()
        assert names(upstream.peers) == ["10.0.0.1:8080"]
        assert world.lines == ["name.example could not be resolved (110: Operation timed out)"]
        assert world.fire() == retry
        assert names(upstream.peers) == ["10.0.0.9:8080"]

    def test_no_room(self, resolved: Any) -> None:
        many = answer(*(f"10.0.0.{i}" for i in range(250)))
        upstream, world = resolved(many, answer("10.0.1.1"), size=32 << 10)
        world.fire()
        assert world.lines == ['cannot add new server to upstream "u", memory exhausted']
        assert 50 < len(names(upstream.peers)) < 250
        assert world.fire() == 6000
        assert names(upstream.peers) == ["10.0.1.1:8080"]

    def test_only_the_first_worker_asks(self, resolved: Any) -> None:
        upstream, world = resolved()
        world.id, world.planned = 1, []
        resolving.start([upstream], world)
        assert world.planned == []

    def test_what_the_last_configuration_has_found_is_used_up_first(self, resolved: Any) -> None:
        upstream, world = resolved()
        upstream.peers.valid(0, NOW + 7)
        world.planned = []
        resolving.start([upstream], world)
        assert [planned[0] for planned in world.planned] == [7000, 1]

    def test_a_backup(self, resolved: Any) -> None:
        upstream, world = resolved(answer("10.0.0.1"), backup=True)
        world.fire()
        assert (names(upstream.peers), names(upstream.peers.next)) == ([], ["10.0.0.1:8080"])


class TestServices:
    def test_by_priority(self, resolved: Any) -> None:
        found = service(
            ("10.0.0.1", 81, "a.example", 1, 5), ("10.0.0.2", 82, "b.example", 1, 1), ("10.0.0.3", 83, "c.example", 2, 1)
        )
        upstream, world = resolved(found, service(), service=("http"))
        world.fire()
        assert world.asked == [("http", "name.example", 700)]
        assert names(upstream.peers) == ["10.0.0.1:81", "10.0.0.2:82"]
        assert [(peer.weight, peer.server) for peer in upstream.peers.list] == [(5, b"a.example"), (1, b"b.example")]
        assert names(upstream.peers.next) == ["10.0.0.3:83"]
        world.fire()
        assert (names(upstream.peers), names(upstream.peers.next)) == ([], [])

    def test_a_weight_of_its_own_overrules(self, resolved: Any) -> None:
        upstream, world = resolved(service(("10.0.0.1", 81, "a", 1, 5)), service="http", weight=2)
        world.fire()
        upstream.peers.sync()
        assert upstream.peers.list[0].weight == 2

    def test_what_changes_makes_a_new_peer(self, resolved: Any) -> None:
        first = service(("10.0.0.1", 81, "a", 1, 5), ("10.0.0.2", 81, "b", 1, 1), ("10.0.0.3", 81, "c", 1, 1))
        then = service(("10.0.0.1", 81, "a", 1, 4), ("10.0.0.2", 81, "new", 1, 1), ("10.0.0.3", 81, "c", 1, 1))
        upstream, world = resolved(first, then, service="http")
        world.fire()
        upstream.peers.sync()
        for peer in upstream.peers.list:
            peer.fails = 1
        world.fire()
        upstream.peers.sync()
        assert [(peer.server, peer.fails) for peer in upstream.peers.list] == [(b"c", 1), (b"a", 0), (b"new", 0)]

    def test_backups_have_no_backups(self, resolved: Any) -> None:
        found = service(("10.0.0.1", 81, "a", 1, 1), ("10.0.0.2", 82, "b", 2, 1))
        upstream, world = resolved(found, service="http", backup=True)
        world.fire()
        assert (names(upstream.peers), names(upstream.peers.next)) == ([], ["10.0.0.1:81"])

    def test_failures(self, resolved: Any) -> None:
        missing = ("b.example", NXDOMAIN)
        upstream, world = resolved(
            missing, service(("10.0.0.1", 81, "a", 1, 1)), missing, ResolveFailed("x", TIMED_OUT), service="http"
        )
        world.fire()
        target = "b.example could not be resolved (3: Host not found) while resolving service http of name.example"
        assert world.lines == [target]
        world.fire()
        assert world.lines[1:] == [
            target,
            "service http of name.example could not be resolved (110: Operation timed out)",
        ]
        assert names(upstream.peers) == ["10.0.0.1:81"]
