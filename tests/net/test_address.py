"""Addresses as they are written in `listen`, `server` and `proxy_pass`: geng/net/address.py. Messages are nginx's."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from geng.net.address import BadAddress, parse_listen, parse_url


def names(host: str, port: int) -> list[Any]:
    """A resolver that knows one name."""
    if host == "gone":
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return [("10.0.0.1", port), ("fd00::1", port, 0, 0)] if host == "name" else []


@pytest.mark.parametrize(
    ("text", "host", "port", "addresses"),
    [
        ("127.0.0.1", "127.0.0.1", 80, [b"127.0.0.1:80"]),
        ("127.0.0.1:8080", "127.0.0.1", 8080, [b"127.0.0.1:8080"]),
        ("127.0.0.1:080", "127.0.0.1", 80, [b"127.0.0.1:80"]),
        ("02.0.0.1", "02.0.0.1", 80, [b"2.0.0.1:80"]),
        ("[::1]", "[::1]", 80, [b"[::1]:80"]),
        ("[0:0::1]:81", "[0:0::1]", 81, [b"[::1]:81"]),
        ("unix:/tmp/s", "/tmp/s", 0, [b"unix:/tmp/s"]),
        ("UNIX:/tmp/s:x", "/tmp/s:x", 0, [b"UNIX:/tmp/s:x"]),
        ("name", "name", 80, [b"10.0.0.1:80", b"[fd00::1]:80"]),
        ("name:81", "name", 81, [b"10.0.0.1:81", b"[fd00::1]:81"]),
    ],
)
def test_what_is_right(text: str, host: str, port: int, addresses: list[bytes]) -> None:
    url = parse_url(text, 80, resolve=names)
    assert (url.host, url.port, [address.name for address in url.addresses]) == (host, port, addresses)
    assert url.no_port == (url.port == 80 and text.count(":80") == 0 and text.count(":080") == 0 and not url.unix)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no host"),
        (":80", "no host"),
        ("/x", "invalid host"),
        ("127.0.0.1/x", "invalid host"),
        ("127.0.0.1:80?x", "invalid host"),
        ("127.0.0.1:", "invalid port"),
        ("name:0", "invalid port"),
        ("name:65536", "invalid port"),
        ("name:99999999999999", "invalid port"),
        ("name:8x", "invalid port"),
        ("name:80:80", "invalid port"),
        ("127.0.0.1:8080-8090", "invalid port"),
        ("256.0.0.1", "host not found"),
        ("gone", "host not found"),
        ("empty", "host not found"),
        ("[::1", "invalid host"),
        ("[::1]x", "invalid host"),
        ("[]", "no host"),
        ("[zz]", "invalid IPv6 address"),
        ("[::1]:", "invalid port"),
        ("unix:", "no path in the unix domain socket"),
        ("unix:/" + "a" * 107, "too long path in the unix domain socket"),
    ],
)
def test_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(BadAddress) as bad:
        parse_url(text, 80, resolve=names)
    assert str(bad.value) == message


@pytest.mark.parametrize(
    ("text", "host", "uri"),
    [
        ("a", "a", ""),
        ("a:8080/x?y", "a", "/x?y"),
        ("a?y", "a", "?y"),
        ("[::1]/x", "[::1]", "/x"),
        ("unix:/s:/x", "/s", "/x"),
        ("unix:/s", "/s", ""),
    ],
)
def test_with_a_path(text: str, host: str, uri: str) -> None:
    url = parse_url(text, 80, uri_part=True)
    assert (url.host, url.uri) == (host, uri)


def test_names_may_wait() -> None:
    url = parse_url("name:81")
    assert (url.host, url.port, url.addresses) == ("name", 81, [])


@pytest.mark.parametrize(
    ("text", "sockaddr"),
    [
        ("80", ("0.0.0.0", 80)),
        ("*:81", ("0.0.0.0", 81)),
        ("127.0.0.1", ("127.0.0.1", 80)),
        ("127.0.0.1:82", ("127.0.0.1", 82)),
        ("[::1]:83", ("::1", 83, 0, 0)),
        ("[::]", ("::", 80, 0, 0)),
        ("unix:/run/a", "/run/a"),
    ],
)
def test_listen(text: str, sockaddr: Any) -> None:
    assert parse_listen(text, 80) == [sockaddr]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("unix:", "no path in the unix domain socket"),
        ("127.0.0.1:0", "invalid port"),
        ("127.0.0.1:x", "invalid port"),
        ("65536", "invalid port"),
        ("90-80", "invalid port range"),
        ("[::1]:90-80", "invalid port range"),
        (":80", "no host"),
        ("a/b", "invalid host"),
        ("[::1", "invalid host"),
        ("[x]:1", "invalid IPv6 address"),
    ],
)
def test_bad_listen(text: str, words: str) -> None:
    with pytest.raises(BadAddress, match=words):
        parse_listen(text, 80)
