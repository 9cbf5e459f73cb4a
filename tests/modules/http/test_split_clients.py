"""split_clients: who gets which share, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from geng.core.murmur import murmur2

CONF = """
events {}
http {
    split_clients $arg_a $rest { 33.33% a; 33.33% "b b"; * ""; }
    split_clients "salt$arg_a" $open { 0.01% rare; 50% often; }
    split_clients $arg_a $whole { 50% a; 50% b; }
    split_clients $arg_a $all { * $arg_a; }
    split_clients $arg_a $twice { * a; * b; }
    server { listen 127.0.0.1:%PORT%; return 200 "$rest|$open|$whole|$all|$twice"; }
}
"""


@pytest.mark.parametrize(
    ("data", "expected"),
    # what the C function in nginx gives
    [(b"", 0), (b"a", 2456313694), (b"ab", 446775395), (b"abc", 324500635), (b"abcd", 646393889), (b"abcde", 1594468574)],
)
def test_murmur2(data: bytes, expected: int) -> None:
    assert murmur2(data) == expected


def share(key: str, *limits: tuple[float, str]) -> str:
    """The value as the manual tells it, from the shares in order."""
    number = murmur2(key.encode())
    start = 0
    for percent, value in limits:
        start += int(round(percent * 100)) * 0xFFFFFFFF // 10000
        if percent == 100 or number < start:
            return value
    return ""


@pytest.mark.live
def test_shares(server: Any) -> None:
    s = server(CONF)
    seen = set()
    with s.connect() as c:
        for i in range(300):
            key = f"{i}.{i * i}"
            rest = share(key, (33.33, "a"), (33.33, "b b"), (100, ""))
            opened = share("salt" + key, (0.01, "rare"), (50, "often"))
            whole = share(key, (50, "a"), (100, "b"))
            assert c.ask(f"/?a={key}").text == f"{rest}|{opened}|{whole}|$arg_a|a"
            seen.add((rest, opened, whole))
    assert {rest for rest, _, _ in seen} == {"a", "b b", ""}
    assert {opened for _, opened, _ in seen} >= {"often", ""}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split_clients $uri x { * a; }", 'invalid variable name "x" in'),
        ("split_clients $uri $x { 50 a; }", 'invalid percent value "50" in'),
        ("split_clients $uri $x { 0% a; }", 'invalid percent value "0%" in'),
        ("split_clients $uri $x { 0.001% a; }", 'invalid percent value "0.001%" in'),
        ("split_clients $uri $x { one a; }", 'invalid percent value "one" in'),
        ("split_clients $uri $x { 50% a; 50.01% b; }", "percent total is greater than 100% in"),
        ("split_clients $uri $x { 50% { } }", 'unexpected "{" in'),
        ("split_clients $uri $host { * a; }", 'the duplicate "host" variable in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
