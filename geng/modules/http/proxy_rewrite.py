"""proxy_redirect, proxy_cookie_domain, proxy_cookie_path, proxy_cookie_flags: what is rewritten in a response's head.

nginx: ngx_http_proxy_module.c (ngx_http_proxy_rewrite_redirect, ngx_http_proxy_rewrite_cookie and what they call)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from geng.http.script import Regex, Value

if TYPE_CHECKING:
    from geng.http.request import Request

#: (r, value, start): *value* with what stands from *start* on rewritten, or None where the rule does not match.
Rule = Callable[["Request", bytes, int], "bytes | None"]


def _put(value: bytes, start: int, size: int, replacement: bytes) -> bytes:
    return value[:start] + replacement + value[start + size :]


def prefix_rule(pattern: Value, replacement: Value) -> Rule:
    """What begins with *pattern*."""

    def rule(r: Request, value: bytes, start: int) -> bytes | None:
        prefix = pattern.fn(r)
        if not value.startswith(prefix, start):
            return None
        return _put(value, start, len(prefix), replacement.fn(r))

    return rule


def literal_rule(prefix: bytes, replacement: bytes) -> Rule:
    """The same without variables: what `proxy_redirect default` does."""

    def rule(r: Request, value: bytes, start: int) -> bytes | None:
        if not value.startswith(prefix, start):
            return None
        return _put(value, start, len(prefix), replacement)

    return rule


def regex_rule(regex: Regex, replacement: Value) -> Rule:
    """What *regex* matches, which may set $1."""

    def rule(r: Request, value: bytes, start: int) -> bytes | None:
        if not regex.exec(r, value[start:]):
            return None
        return value[:start] + replacement.fn(r)

    return rule


def domain_rule(pattern: Value, replacement: Value) -> Rule:
    """All of a domain, its first dot and its case ignored."""

    def rule(r: Request, value: bytes, start: int) -> bytes | None:
        if value[start : start + 1] == b".":
            start += 1
        if value[start:].lower() != pattern.fn(r).lower():
            return None
        return value[:start] + replacement.fn(r)

    return rule


def first_of(rules: Sequence[Rule]) -> Rule:
    """The first of *rules* that matches."""
    if len(rules) == 1:
        return rules[0]

    def rewrite(r: Request, value: bytes, start: int) -> bytes | None:
        for rule in rules:
            rewritten = rule(r, value, start)
            if rewritten is not None:
                return rewritten
        return None

    return rewrite


# ---- cookies

Attribute = list["bytes | None"]  # [name, value or None]

#: a flag's word -> (attribute, its canonical name and value, or None to take it away)
FLAGS: dict[bytes, tuple[bytes, tuple[bytes, bytes | None] | None]] = {
    b"secure": (b"secure", (b"Secure", None)),
    b"nosecure": (b"secure", None),
    b"httponly": (b"httponly", (b"HttpOnly", None)),
    b"nohttponly": (b"httponly", None),
    b"samesite=strict": (b"samesite", (b"SameSite", b"Strict")),
    b"samesite=lax": (b"samesite", (b"SameSite", b"Lax")),
    b"samesite=none": (b"samesite", (b"SameSite", b"None")),
    b"nosamesite": (b"samesite", None),
}
PRECEDENCE = (b"samesite=strict", b"samesite=lax", b"samesite=none")


class CookieFlags:
    """One proxy_cookie_flags: for which cookies, and the words."""

    __slots__ = ("pattern", "regex", "words")

    def __init__(self, pattern: Value | None, regex: Regex | None, words: Sequence[Value]) -> None:
        self.pattern = pattern
        self.regex = regex
        self.words = words

    def matches(self, r: Request, name: bytes) -> bool:
        if self.regex is not None:
            return self.regex.exec(r, name)
        assert self.pattern is not None
        return self.pattern.fn(r).lower() == name.lower()

    def wanted(self, r: Request) -> dict[bytes, tuple[bytes, bytes | None] | None]:
        """attribute -> what it shall be; a word for something beats one against it."""
        words = {word.fn(r).lower() for word in self.words}
        found: dict[bytes, tuple[bytes, bytes | None] | None] = {}
        for word in (b"nosecure", b"nohttponly", b"nosamesite", b"secure", b"httponly", *reversed(PRECEDENCE)):
            if word in words:
                attribute, value = FLAGS[word]
                found[attribute] = value
        return found


def parse_cookie(value: bytes) -> list[Attribute]:
    """The parts of a Set-Cookie value, spaces stripped; the first is the cookie."""
    attributes: list[Attribute] = []
    for part in value.split(b";"):
        name, equals, text = part.partition(b"=")
        attributes.append([name.strip(b" "), text.strip(b" ") if equals else None])
    return attributes


def join_cookie(attributes: Sequence[Attribute]) -> bytes:
    return b"; ".join(name if value is None else b"%s=%s" % (name, value) for name, value in attributes if name is not None)


def edit_flags(attributes: list[Attribute], wanted: dict[bytes, tuple[bytes, bytes | None] | None]) -> None:
    """nginx: ngx_http_proxy_edit_cookie_flags"""
    wanted = dict(wanted)
    for attribute in attributes[1:]:
        name = (attribute[0] or b"").lower()
        if name not in wanted:
            continue
        new = wanted[name]
        if new is None:
            attribute[0] = None
            continue
        if name == b"samesite" and (attribute[1] or b"").lower() != (new[1] or b"").lower():
            attribute[:] = list(new)
        del wanted[name]
    for name in (b"secure", b"httponly", b"samesite"):
        new = wanted.get(name)
        if new is not None:
            attributes.append(list(new))


def cookie_rewriter(
    domains: Sequence[Rule], paths: Sequence[Rule], flags: Sequence[CookieFlags]
) -> Callable[[Request, bytes], bytes | None]:
    """(r, a Set-Cookie value) -> the rewritten value, None when nothing changes."""
    rules = {b"domain": first_of(domains) if domains else None, b"path": first_of(paths) if paths else None}

    def rewrite(r: Request, line: bytes) -> bytes | None:
        attributes = parse_cookie(line)
        if attributes[0][1] is None:
            return None
        changed = False
        for attribute in attributes[1:]:
            name, value = attribute
            rule = rules.get((name or b"").lower())
            if rule is None or value is None:
                continue
            rewritten = rule(r, value, 0)
            if rewritten is not None:
                attribute[1] = rewritten
                changed = True
        cookie = attributes[0][0] or b""
        entry = next((entry for entry in flags if entry.matches(r, cookie)), None)
        if entry is not None:
            wanted = entry.wanted(r)
            if wanted:
                edit_flags(attributes, wanted)
                changed = True
        return join_cookie(attributes) if changed else None

    return rewrite
