"""geo: networks and ranges, proxies, what it refuses and what it warns of."""

from __future__ import annotations

from typing import Any

import pytest

CONF = """
events {}
http {
    geo $arg_ip $net {
        default              none;
        127.0.0.0/8          loop;
        127.0.0.1            one;
        192.0.2.0/24         doc;
        192.0.2.128/25       half;
        255.255.255.255      last;
        2001:db8::/32        six;
        ::1                  loop6;
        "::ffff:0:0/96"      mapped;
        192.0.2.64/26        gone;
        delete               192.0.2.64/26;
    }
    geo $arg_ip $bare { 192.0.2.0/24 doc; }
    geo $arg_ip $range {
        ranges;
        default                        none;
        10.0.0.0-10.255.255.255        ten;
        10.1.0.0-10.1.255.255          in;
        10.1.2.3-10.1.2.3              one;
        10.2.0.0-10.2.0.255            gone;
        delete                         10.2.0.0-10.2.0.255;
        192.0.2.1-192.0.2.9            early;
        192.0.2.0-192.0.2.0            zero;
    }
    geo $arg_ip $included { include conf/net.*; }
    geo $here { 127.0.0.1 here; default there; }
    geo $first { proxy 127.0.0.0/8; default there; 192.0.2.0/24 doc; 198.51.100.0/24 test; }
    geo $deep { proxy 127.0.0.0/8; proxy 198.51.100.0/24; proxy_recursive; default there; 192.0.2.0/24 doc; }
    server {
        listen 127.0.0.1:%PORT%;
        return 200 $net|$bare|$range|$included|$here|$first|$deep;
    }
}
"""
FILES = {"conf/net.a": "192.0.2.0/24 a;", "conf/net.b": "198.51.100.0/24 b;"}

CASES = [
    # address, networks, without default, ranges, included
    ("127.0.0.1", "one", "", "none", ""),
    ("127.0.0.2", "loop", "", "none", ""),
    ("192.0.2.1", "doc", "doc", "early", "a"),
    ("192.0.2.0", "doc", "doc", "zero", "a"),
    ("192.0.2.10", "doc", "doc", "none", "a"),
    ("192.0.2.70", "doc", "doc", "none", "a"),
    ("192.0.2.200", "half", "doc", "none", "a"),
    ("198.51.100.7", "none", "", "none", "b"),
    ("255.255.255.255", "last", "", "none", ""),
    ("nonsense", "last", "", "none", ""),
    ("", "last", "", "none", ""),
    ("2001:db8::5", "six", "", "none", ""),
    ("2001:db9::5", "none", "", "none", ""),
    ("::1", "loop6", "", "none", ""),
    ("10.0.0.0", "none", "", "ten", ""),
    ("10.1.2.2", "none", "", "in", ""),
    ("10.1.2.3", "none", "", "one", ""),
    ("10.1.2.4", "none", "", "in", ""),
    ("10.2.0.1", "none", "", "none", ""),
    ("10.255.255.255", "none", "", "ten", ""),
    ("11.0.0.0", "none", "", "none", ""),
    ("::ffff:10.1.2.3", "none", "", "one", ""),
]


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files=FILES)


@pytest.mark.live
def test_values(s: Any) -> None:
    with s.connect() as c:
        for address, *expected in CASES:
            assert c.ask(f"/?ip={address}").text.split("|")[:4] == expected, address


@pytest.mark.live
@pytest.mark.parametrize(
    ("told", "first", "deep"),
    [
        (None, "there", "there"),
        ("192.0.2.1", "doc", "doc"),
        ("192.0.2.1, 198.51.100.1", "test", "doc"),
        ("192.0.2.1, 203.0.113.1, 198.51.100.1", "test", "there"),
        ("192.0.2.1, nonsense", "there", "there"),
    ],
)
def test_proxies(s: Any, told: str | None, first: str, deep: str) -> None:
    answer = s.get("/", {"X-Forwarded-For": told} if told else None)
    assert answer.text.split("|")[4:] == ["here", first, deep]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("geo x { }", 'invalid variable name "x" in'),
        ("geo x $y { }", 'invalid variable name "x" in'),
        ("geo $y { 1.2.3.4; }", "invalid number of the geo parameters in"),
        ("geo $y { 1.2.3 a; }", 'invalid network "1.2.3" in'),
        ("geo $y { delete 1.2.3; }", 'invalid network "1.2.3" in'),
        ("geo $y { proxy x; }", 'invalid network "x" in'),
        ("geo $y { 10.0.0.0/8 a; ranges; }", 'the "ranges" directive must be the first directive inside "geo" block in'),
        ("geo $y { ranges; 10.0.0.0/8 a; }", 'invalid range "10.0.0.0/8" in'),
        ("geo $y { ranges; 10.0.0.9-10.0.0.1 a; }", 'invalid range "10.0.0.9-10.0.0.1" in'),
        (
            "geo $y { ranges; 10.0.0.0-10.0.0.9 a; 10.0.0.5-10.0.0.20 b; }",
            'range "10.0.0.5-10.0.0.20" overlaps "10.0.0.0-10.0.0.9" in',
        ),
        ("geo $y { 10.0.0.0/8 { } }", 'unexpected "{" in'),
        ("geo $y { 10.0.0.1/8 a; }", "low address bits of 10.0.0.1/8 are meaningless in"),
        ("geo $y { 10.0.0.0/8 a; 10.0.0.0/8 b; }", 'duplicate network "10.0.0.0/8", value: "b", old value: "a" in'),
        ("geo $y { default a; default b; }", 'duplicate network "default", value: "b", old value: "a" in'),
        ("geo $y { delete 10.0.0.0/8; }", 'no network "10.0.0.0/8" to delete in'),
        ("geo $y { ranges; delete 10.0.0.0-10.0.0.1; }", 'no address range "10.0.0.0-10.0.0.1" to delete in'),
        (
            "geo $y { ranges; 10.0.0.0-10.0.0.1 a; 10.0.0.0-10.0.0.1 b; }",
            'duplicate range "10.0.0.0-10.0.0.1", value: "b", old value: "a" in',
        ),
        (
            "geo $y { ranges; default a; default b; }",
            'duplicate default geo range value: "b", old value: "a" in',
        ),
        ("geo $host { default a; }", 'the duplicate "host" variable in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
