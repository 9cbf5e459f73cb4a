"""URIs: tables for both twins."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS: list[tuple[bytes, bytes | None, bytes, bytes]] = [
    # target, path, args, extension
    (b"/", b"/", b"", b""),
    (b"/a/b.c", b"/a/b.c", b"", b"c"),
    (b"/a//b///c", b"/a/b/c", b"", b""),
    (b"/./a/./b/.", b"/a/b/", b"", b""),
    (b"/a/../b", b"/b", b"", b""),
    (b"/a/b/..", b"/a/", b"", b""),
    (b"/a/..?x", b"/", b"x", b""),
    (b"/a/.?x", b"/a/", b"x", b""),
    (b"/a/..#x", b"/", b"", b""),
    (b"/..", None, b"", b""),
    (b"/../a", None, b"", b""),
    (b"/a/../..", None, b"", b""),
    (b"/.../a", b"/.../a", b"", b""),
    (b"/..a", b"/..a", b"", b""),
    (b"/a..", b"/a..", b"", b""),
    (b"/.a", b"/.a", b"", b""),
    (b"/a.b/c", b"/a.b/c", b"", b""),
    (b"/a.b.c?d.e", b"/a.b.c", b"d.e", b"c"),
    (b"/%41%7a", b"/Az", b"", b""),
    (b"/%2e%2e/a", None, b"", b""),
    (b"/a/%2E%2e/b", b"/b", b"", b""),
    (b"/a%2f%2Fb", b"/a/b", b"", b""),
    (b"/a%3fb?c", b"/a?b", b"c", b""),
    (b"/a%23b#c", b"/a#b", b"", b""),
    (b"/a%25b", b"/a%b", b"", b""),
    (b"/a%2541", b"/a%41", b"", b""),
    (b"/a%2eb", b"/a.b", b"", b"b"),
    (b"/a?b#c", b"/a", b"b", b""),
    (b"/a?#c", b"/a", b"", b""),
    (b"/%00", None, b"", b""),
    (b"/%0", None, b"", b""),
    (b"/%", None, b"", b""),
    (b"/%g0", None, b"", b""),
    (b"/%0g", None, b"", b""),
    (b"/%c3%a9", b"/\xc3\xa9", b"", b""),
]


@pytest.mark.parametrize(("target", "path", "args", "exten"), PATHS)
def test_parse_uri(uri: ModuleType, target: bytes, path: bytes | None, args: bytes, exten: bytes) -> None:
    found = uri.parse_uri(target)
    if path is None:
        assert found is None
    else:
        assert (found.path, found.args, found.exten) == (path, args, exten)


def test_slashes_may_be_kept(uri: ModuleType) -> None:
    assert uri.parse_uri(b"//a//b/..", False).path == b"//a//"
    assert uri.parse_uri(b"/a/%2f..", False).path == b"/a/"


def test_a_target_without_path(uri: ModuleType) -> None:
    found = uri.parse_uri(b"?a", True, True)
    assert (found.path, found.args) == (b"/", b"a")


def test_plus(uri: ModuleType) -> None:
    assert [uri.parse_uri(t).plus for t in (b"/a+b", b"/a%2bb", b"/a?b+c", b"/a%2Bb")] == [True, True, False, True]


UNSAFE: list[tuple[bytes, tuple[bytes, bytes] | None]] = [
    (b"/a?b", (b"/a", b"b")),
    (b"a", (b"a", b"")),
    (b"", None),
    (b"?a", None),
    (b"..", None),
    (b"../a", None),
    (b"/a/..", None),
    (b"/a/../b", None),
    (b"/a/..b", (b"/a/..b", b"")),
    (b"/a/..?b", (b"/a/..", b"b")),
    (b"/a\0", None),
    (b"/a?\0", (b"/a", b"\0")),
    (b"/a%00", None),
    (b"/%2e%2e/", None),
    (b"/%2e%2e?x", None),
    (b"/a%20b?%20", (b"/a b", b"%20")),
]


@pytest.mark.parametrize(("text", "found"), UNSAFE)
def test_parse_unsafe_uri(uri: ModuleType, text: bytes, found: tuple[bytes, bytes] | None) -> None:
    assert uri.parse_unsafe_uri(text) == found


def test_escape(uri: ModuleType) -> None:
    text = bytes(range(0x20, 0x7F))
    kept = {
        uri.URI: b"!$&'()*+,-./0123456789:;=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~",
        uri.ARGS: b"!$'()*,-./0123456789:=@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~",
        uri.URI_COMPONENT: b"-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~",
        uri.HTML: b"!$&()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz~",
        uri.REFRESH: b"!#$%&()*+,-./0123456789:;=?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]_abcdefghijklmnopqrstuvwxyz}",
        uri.MEMCACHED: bytes(set(text) - set(b" %")),
        uri.MAIL_AUTH: bytes(set(text) - set(b" %")),
        uri.MAIL_XTEXT: bytes(set(text) - set(b" +=")),
    }
    # "?" is escaped for a URI and not for HTML; "}" not for a refresh: nginx's own tables
    for kind, stays in kept.items():
        mark = b"+" if kind == uri.MAIL_XTEXT else b"%"
        expected = b"".join(bytes([c]) if c in stays else mark + b"%02X" % c for c in text)
        assert uri.escape_uri(text, kind) == expected, kind
        assert uri.escaped_length(text, kind) * 2 + len(text) == len(expected)
    assert uri.escape_uri(b"\x00\x1f\x7f\x80\xff") == b"%00%1F%7F%80%FF"
    assert uri.escape_uri(b"\x00\x7f\xff", uri.MEMCACHED) == b"%00\x7f\xff"


UNESCAPE: list[tuple[bytes, bytes, bytes, bytes]] = [
    # text, all, URI, redirect
    (b"a%20b", b"a b", b"a b", b"a%20b"),
    (b"%41%2f?%41", b"A/?A", b"A/?%41", b"A/?%41"),
    (b"%3f%41", b"?A", b"?%41", b"?%41"),
    (b"%25%26%7f", b"%&\x7f", b"%&\x7f", b"%25&%7f"),
    (b"%%41", b"%41", b"%41", b"%41"),
    (b"%4", b"", b"", b""),
    (b"%zz", b"zz", b"zz", b"zz"),
    (b"%4z1", b"1", b"1", b"1"),
    (b"%", b"", b"", b""),
]


@pytest.mark.parametrize(("text", "every", "path", "redirect"), UNESCAPE)
def test_unescape(uri: ModuleType, text: bytes, every: bytes, path: bytes, redirect: bytes) -> None:
    assert uri.unescape_uri(text) == every
    assert uri.unescape_uri(text, uri.UNESCAPE_URI) == path
    assert uri.unescape_uri(text, uri.UNESCAPE_REDIRECT) == redirect


ARGS: list[tuple[bytes, bytes, bytes | None]] = [
    (b"a=1&b=2", b"b", b"2"),
    (b"A=1", b"a", b"1"),
    (b"a=1", b"A", b"1"),
    (b"ba=1&a=2", b"a", b"2"),
    (b"a", b"a", None),
    (b"a=", b"a", b""),
    (b"x=a=1&a=3", b"a", b"3"),
    (b"a=1=2&b", b"a", b"1=2"),
    (b"", b"a", None),
    (b"a=%20&a=2", b"a", b"%20"),
]


@pytest.mark.parametrize(("args", "name", "value"), ARGS)
def test_arg(uri: ModuleType, args: bytes, name: bytes, value: bytes | None) -> None:
    assert uri.arg(args, name) == value


HOSTS: list[tuple[bytes, tuple[bytes, int] | None]] = [
    (b"a", (b"a", 0)),
    (b"A.Example", (b"a.example", 0)),
    (b"a.", (b"a", 0)),
    (b"a:80", (b"a", 80)),
    (b"a.:80", (b"a", 80)),
    (b"a:", (b"a", 0)),
    (b"a:65535", (b"a", 65535)),
    (b"a:65536", None),
    (b"a:8a", None),
    (b"a:-1", None),
    (b"", None),
    (b".", None),
    (b":80", None),
    (b".a", (b".a", 0)),
    (b"a..b", None),
    (b"a..", None),
    (b"[::1]", (b"[::1]", 0)),
    (b"[::A]:8", (b"[::a]", 8)),
    (b"[::1", None),
    (b"[::1]a", None),
    (b"[a..b]", None),
    (b"[a%b]", None),
    (b"[]", (b"[]", 0)),
    (b"a_b~!$&'()*+,;=%", (b"a_b~!$&'()*+,;=%", 0)),
    (b"a b", None),
    (b"a/b", None),
    (b"a@b", None),
    (b"a\x00", None),
    (b"\xc3\xa9", None),
]


@pytest.mark.parametrize(("host", "found"), HOSTS)
def test_validate_host(uri: ModuleType, host: bytes, found: tuple[bytes, int] | None) -> None:
    assert uri.validate_host(host) == found


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"/a.b", b"b"),
        (b"/.b", b""),
        (b"/a.c/b", b""),
        (b"/a.", b""),
        (b"/a/b.c.d", b"d"),
        (b"a.b", b""),
        (b"ab.c", b"c"),
        (b"", b""),
    ],
)
def test_exten(uri: ModuleType, path: bytes, found: bytes) -> None:
    assert uri.exten(path) == found


def quiet(max_examples: int) -> settings:
    return settings(max_examples=max_examples, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@quiet(200)
@given(text=st.binary(max_size=60), kind=st.integers(0, 6))
def test_unescape_undoes_escape(uri: ModuleType, text: bytes, kind: int) -> None:
    if kind == uri.REFRESH:  # leaves "%" as it is
        text = text.replace(b"%", b"")
    assert uri.unescape_uri(uri.escape_uri(text, kind)) == text


@quiet(200)
@given(path=st.binary(max_size=40).map(lambda p: b"/" + p.replace(b"\0", b"")))
def test_what_is_escaped_parses_to_itself_once_normal(uri: ModuleType, path: bytes) -> None:
    first = uri.parse_uri(uri.escape_uri(path))
    if first is not None:
        assert b"//" not in first.path
        assert uri.parse_uri(uri.escape_uri(first.path)).path == first.path
