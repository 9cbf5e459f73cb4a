"""The resolver against a name server that runs in a thread and answers what the test says: geng/net/resolver.py."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from geng.net import resolver as module
from geng.net.answers import ResolveFailed
from geng.net.resolver import Resolver
from tests.harness.nameserver import NameServer


@pytest.fixture
def server():
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def make(hub, pool, log, server):
    made = []

    def make(*addresses, **options) -> Resolver:
        options.setdefault("ipv6", False)
        made.append(Resolver(hub, pool, addresses or [server.address], log, **options))
        return made[-1]

    yield make
    for resolver in made:
        resolver.close()


def failure(hub, function, *args) -> str:
    with pytest.raises(ResolveFailed) as caught:
        hub.do(function, *args)
    return str(caught.value)


# ---- addresses


def test_addresses_and_the_cache(hub, make, server, log) -> None:
    server.zone["www.example.com", "A"] = ["www.example.com A 192.0.2.1"]
    resolver = make()
    assert hub.do(resolver.resolve, "WWW.example.com.", 10_000, 80) == [("192.0.2.1", 80)]
    assert hub.do(resolver.resolve, "www.example.com", 10_000) == [("192.0.2.1", 0)]
    assert server.asked == ["udp A www.example.com"]
    assert repr(resolver) == "<Resolver 1 servers, 1 known, 0 asking>"
    assert log.lines == []


def test_both_families(hub, make, server) -> None:
    server.zone["x", "A"] = ["x A 192.0.2.1", "x A 192.0.2.2"]
    server.zone["x", "AAAA"] = ["x AAAA 2001:db8::1"]
    got = hub.do(make(ipv6=True).resolve, "x", 10_000, 80)
    assert sorted(got) == [("192.0.2.1", 80), ("192.0.2.2", 80), ("2001:db8::1", 80, 0, 0)]


def test_one_family_is_enough(hub, make, server) -> None:
    server.zone["x", "AAAA"] = ["x AAAA 2001:db8::1"]
    assert hub.do(make(ipv6=True).resolve, "x", 10_000) == [("2001:db8::1", 0, 0, 0)]
    assert hub.do(make(ipv6=True, ipv4=False).resolve, "x", 10_000) == [("2001:db8::1", 0, 0, 0)]
    assert server.asked.count("udp A x") == 1


def test_every_address_comes_first_some_time(hub, make, server) -> None:
    server.zone["x", "A"] = [f"x A 192.0.2.{i}" for i in range(3)]
    resolver = make()
    firsts = {hub.do(resolver.resolve, "x", 10_000)[0] for _ in range(200)}
    assert len(firsts) == 3


def test_ttl_and_valid(hub, make, server, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "time", lambda: now[0])
    server.zone["x", "A"] = ["x A 192.0.2.1"]
    for options, lasts in (({}, 60), ({"valid": 5}, 5)):
        resolver = make(**options)
        server.asked.clear()
        answer = hub.do(resolver.lookup, "x", 10_000)
        assert answer.valid == now[0] + lasts
        now[0] += lasts
        hub.do(resolver.lookup, "x", 10_000)
        assert len(server.asked) == 1
        now[0] += 1
        hub.do(resolver.lookup, "x", 10_000)
        assert len(server.asked) == 2


def test_unused_names_are_forgotten(hub, make, server, monkeypatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(module, "time", lambda: now[0])
    for name in "abc":
        server.zone[name, "A"] = [f"{name} A 192.0.2.1"]
    resolver = make()
    hub.do(resolver.resolve, "a", 10_000)
    hub.do(resolver.resolve, "b", 10_000)
    now[0] += 31
    hub.do(resolver.resolve, "c", 10_000)
    assert repr(resolver) == "<Resolver 1 servers, 1 known, 0 asking>"


def test_cname_with_and_without_its_target(hub, make, server) -> None:
    server.zone["a", "A"] = ["a CNAME b.", "b A 192.0.2.1"]
    server.zone["c", "A"] = ["c CNAME d."]
    server.zone["d", "A"] = ["d CNAME e."]
    server.zone["e", "A"] = ["e A 192.0.2.2"]
    resolver = make()
    assert hub.do(resolver.resolve, "a", 10_000) == [("192.0.2.1", 0)]
    assert hub.do(resolver.resolve, "c", 10_000) == [("192.0.2.2", 0)]
    assert server.asked == ["udp A a", "udp A c", "udp A d", "udp A e"]


def test_cname_loop(hub, make, server) -> None:
    server.zone["a", "A"] = ["a CNAME b."]
    server.zone["b", "A"] = ["b CNAME a."]
    assert failure(hub, make().resolve, "a", 10_000) == "a could not be resolved (3: Host not found)"


def test_who_asks_the_same_waits_for_one_answer(hub, make, server) -> None:
    server.zone["x", "A"] = ["x A 192.0.2.1"]
    resolver = make()
    got = []

    def main() -> None:
        for _ in range(5):
            hub.spawn(lambda: got.append(resolver.resolve("x", 10_000)))
        got.append(resolver.resolve("x", 10_000))

    hub.do(main)
    hub.until(lambda: len(got) == 6)
    assert len(got) == 6 and len(server.asked) == 1


# ---- failures


@pytest.mark.parametrize(
    "told, words",
    [
        (dns.rcode.SERVFAIL, "(2: Server failure)"),
        (dns.rcode.NXDOMAIN, "(3: Host not found)"),
        (dns.rcode.NOTIMP, "(4: Unimplemented)"),
        (dns.rcode.REFUSED, "(5: Operation refused)"),
        ([], "(3: Host not found)"),
        (None, "(110: Operation timed out)"),
    ],
)
def test_failures_in_nginx_words(hub, make, server, told, words) -> None:
    server.zone["x", "A"] = told
    resolver = make()
    assert failure(hub, resolver.resolve, "x", 30 if told is None else 10_000) == f"x could not be resolved {words}"
    server.zone["x", "A"] = ["x A 192.0.2.1"]
    if told is not None:  # no failure is kept
        assert hub.do(resolver.resolve, "x", 10_000) == [("192.0.2.1", 0)]


def test_one_failing_family_fails_the_name(hub, make, server) -> None:
    server.zone["x", "A"] = ["x A 192.0.2.1"]
    server.zone["x", "AAAA"] = dns.rcode.SERVFAIL
    assert failure(hub, make(ipv6=True).resolve, "x", 10_000) == "x could not be resolved (2: Server failure)"


@pytest.mark.parametrize("name", ["a..b", "", ".a", "x" * 64])
def test_names_that_are_none(hub, make, server, name) -> None:
    assert failure(hub, make().resolve, name, 10_000) == f"{name} could not be resolved (3: Host not found)"
    assert server.asked == []


def flawed(change: Callable[[dns.message.Message], object], rdata: str = "x A 192.0.2.1") -> Callable[..., bytes]:
    """A reply that *change* has spoilt."""

    def reply(query: dns.message.Message) -> bytes:
        response = dns.message.make_response(query)
        owner, kind, value = rdata.split(" ", 2)
        response.answer.append(dns.rrset.from_text(owner + ".", 60, "IN", kind, value))
        change(response)
        return response.to_wire()

    return reply


@pytest.mark.parametrize(
    "told, line",
    [
        (lambda q: b"short", "short DNS response"),
        (flawed(lambda r: setattr(r, "flags", r.flags & ~dns.flags.QR)), "invalid UDP DNS response ID fl:0100"),
        (flawed(lambda r: setattr(r, "id", r.id ^ 1)), "wrong ident ID in DNS response for x, expect ID"),
        (flawed(lambda r: r.set_rcode(dns.rcode.FORMERR)), 'DNS error (1: Format error), query id:ID, name:"x"'),
        (flawed(lambda r: r.set_rcode(9)), 'DNS error (9: Unknown error), query id:ID, name:"x"'),
        (flawed(lambda r: r.question.clear()), "invalid number of questions in DNS response"),
        (flawed(lambda r: None, "x AAAA ::1"), "unexpected AAAA record in DNS response"),
        (flawed(lambda r: None, "x MX 1 y."), "no A or CNAME types in DNS response"),
    ],
)
def test_useless_answers_are_logged_and_waited_past(hub, make, server, log, told, line) -> None:
    server.zone["x", "A"] = told
    assert failure(hub, make().resolve, "x", 30) == "x could not be resolved (110: Operation timed out)"
    hub.until(lambda: log.lines)  # the answer may come later than that
    said = [re.sub(r"(ident|id:|expect|response) ?\d+", lambda m: m[1] + (" " if m[1] != "id:" else "") + "ID", text)
            for text in log.lines]  # fmt: skip
    assert f"error: {line}" in said


def test_unasked_answer(hub, make, server, log) -> None:
    def reply(query: dns.message.Message) -> bytes:
        other = dns.message.make_query("evil", "A", id=query.id)
        response = dns.message.make_response(other)
        response.answer.append(dns.rrset.from_text("evil.", 60, "IN", "A", "192.0.2.66"))
        return response.to_wire()

    server.zone["x", "A"] = reply
    resolver = make()
    failure(hub, resolver.resolve, "x", 30)
    hub.until(lambda: log.lines)
    assert log.lines == ["error: unexpected DNS response for evil"]


# ---- several servers, TCP


def test_silent_server_the_next_is_asked(hub, make, server, monkeypatch) -> None:
    monkeypatch.setattr(module, "RESEND", 20)
    server.zone["x", "A"] = ["x A 192.0.2.1"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = make(server.address, silent.getsockname())
        assert hub.do(resolver.resolve, "x", 5000) == [("192.0.2.1", 0)]


def test_servers_take_turns(hub, make, server) -> None:
    second = NameServer()
    for each in (server, second):
        for name in "ab":
            each.zone[name, "A"] = [f"{name} A 192.0.2.1"]
    resolver = make(server.address, second.address)
    hub.do(resolver.resolve, "a", 10_000)
    hub.do(resolver.resolve, "b", 10_000)
    assert len(server.asked) == len(second.asked) == 1
    second.close()


def test_no_server_there(hub, make, server, log) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = gone.getsockname()
    assert failure(hub, make(address).resolve, "x", 30) == "x could not be resolved (110: Operation timed out)"
    hub.until(lambda: log.lines)
    assert log.lines[0] == f"error: recv() failed (111) while resolving, resolver: 127.0.0.1:{address[1]}"


def test_question_without_asker_ends(hub, make, server, monkeypatch) -> None:
    monkeypatch.setattr(module, "RESEND", 1000)
    server.zone["x", "A"] = None
    resolver = make()
    failure(hub, resolver.resolve, "x", 5)
    assert repr(resolver) == "<Resolver 1 servers, 0 known, 1 asking>"
    hub.until(lambda: "0 asking" in repr(resolver))
    assert repr(resolver) == "<Resolver 1 servers, 0 known, 0 asking>"


def test_truncated_answer_is_asked_for_over_tcp(hub, make, server) -> None:
    many = [f"x A 192.0.2.{i}" for i in range(200)]
    server.zone["x", "A"] = lambda query: "truncated" if len(server.asked) == 1 else many
    assert len(hub.do(make().resolve, "x", 5000)) == 200
    assert server.asked == ["udp A x", "tcp A x"]


# ---- SRV and PTR


def test_service(hub, make, server) -> None:
    server.zone["_http._tcp.example.com", "SRV"] = [
        "_http._tcp.example.com SRV 10 1 8081 b.",
        "_http._tcp.example.com SRV 5 0 8080 a.",
        "_http._tcp.example.com SRV 10 3 8082 c.",
        "_http._tcp.example.com SRV 10 3 8083 gone.",
    ]
    for i, name in enumerate("abc"):
        server.zone[name, "A"] = [f"{name} A 192.0.2.{i}"]
    server.zone["gone", "A"] = dns.rcode.NXDOMAIN
    resolver = make()
    firsts = set()
    for _ in range(100):
        answer = hub.do(resolver.lookup_service, "example.com", "http", 10_000)
        first, *others = answer.addresses
        assert (first.sockaddr, first.name, first.priority, first.weight) == (("192.0.2.0", 8080), "a", 5, 1)
        assert {a.sockaddr for a in others} == {("192.0.2.1", 8081), ("192.0.2.2", 8082)}
        firsts.add(others[0].name)
    assert firsts == {"b", "c"}


def test_service_with_a_dot_is_taken_as_it_is(hub, make, server) -> None:
    server.zone["_sip._udp.example.com", "SRV"] = ["_sip._udp.example.com SRV 1 1 5060 a."]
    server.zone["a", "A"] = ["a A 192.0.2.1"]
    answer = hub.do(make().lookup_service, "example.com", "_sip._udp", 10_000)
    assert [a.sockaddr for a in answer.addresses] == [("192.0.2.1", 5060)]


def test_service_whose_targets_fail(hub, make, server) -> None:
    server.zone["_http._tcp.x", "SRV"] = ["_http._tcp.x SRV 1 1 80 a.", "_http._tcp.x SRV 1 1 80 b."]
    server.zone["a", "A"] = dns.rcode.SERVFAIL
    server.zone["b", "A"] = dns.rcode.NXDOMAIN
    assert failure(hub, make().lookup_service, "x", "http", 10_000) == "x could not be resolved (3: Host not found)"


@pytest.mark.parametrize(
    "host, name",
    [
        ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
    ],
)
def test_reverse(hub, make, server, host, name) -> None:
    server.zone[name, "PTR"] = [f"{name} PTR Host.example."]
    resolver = make()
    assert hub.do(resolver.reverse, host, 10_000) == "host.example"
    assert hub.do(resolver.reverse, host, 10_000) == "host.example"
    assert server.asked == [f"udp PTR {name}"]


def test_reverse_of_nobody(hub, make, server) -> None:
    server.zone["1.2.0.192.in-addr.arpa", "PTR"] = dns.rcode.NXDOMAIN
    assert failure(hub, make().reverse, "192.0.2.1", 10_000) == "192.0.2.1 could not be resolved (3: Host not found)"
