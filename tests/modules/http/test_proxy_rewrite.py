"""What proxy_cookie_flags and the rules of proxy_redirect and proxy_cookie_* make of a value."""

from __future__ import annotations

from typing import Any

import pytest

from geng.http.script import Value
from geng.modules.http.proxy_rewrite import (
    CookieFlags,
    cookie_rewriter,
    domain_rule,
    first_of,
    literal_rule,
    parse_cookie,
    prefix_rule,
)

R: Any = None  # nothing here asks the request


def text(data: bytes) -> Value:
    return Value(data.decode(), [data])


@pytest.mark.parametrize(
    ("value", "start", "expected"),
    [(b"http://a/x", 0, b"/x"), (b"0; url=http://a/x", 7, b"0; url=/x"), (b"http://b/x", 0, None)],
)
def test_literal_and_prefix(value: bytes, start: int, expected: bytes | None) -> None:
    for rule in (literal_rule(b"http://a/", b"/"), prefix_rule(text(b"http://a/"), text(b"/"))):
        assert rule(R, value, start) == expected


def test_first_match_wins() -> None:
    rule = first_of([literal_rule(b"b", b"1"), literal_rule(b"a", b"2"), literal_rule(b"a", b"3")])
    assert rule(R, b"abc", 0) == b"2bc"


@pytest.mark.parametrize(
    ("value", "expected"), [(b"example.org", b"x.com"), (b".Example.ORG", b".x.com"), (b"a.example.org", None)]
)
def test_domain(value: bytes, expected: bytes | None) -> None:
    assert domain_rule(text(b"example.org"), text(b"x.com"))(R, value, 0) == expected


def test_parse_cookie() -> None:
    assert parse_cookie(b"a = b ; Secure;path= /x ") == [[b"a", b"b"], [b"Secure", None], [b"path", b"/x"]]


@pytest.mark.parametrize(
    ("words", "line", "expected"),
    [
        ([b"secure"], b"a=b", b"a=b; Secure"),
        ([b"secure"], b"a=b; SECURE", b"a=b; SECURE"),
        ([b"nosecure", b"samesite=none"], b"a=b; Secure; SameSite=lax", b"a=b; SameSite=None"),
        ([b"samesite=lax"], b"a=b; samesite=Lax", b"a=b; samesite=Lax"),
        ([b"samesite=strict", b"samesite=lax"], b"a=b", b"a=b; SameSite=Strict"),
        ([b"nosuchflag"], b"a=b; Secure", None),
        ([b""], b"a=b", None),
        ([b"httponly"], b"novalue", None),
    ],
)
def test_flags(words: list[bytes], line: bytes, expected: bytes | None) -> None:
    rewrite = cookie_rewriter((), (), [CookieFlags(text(b"A"), None, [text(word) for word in words])])
    assert rewrite(R, line) == expected
