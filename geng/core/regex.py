"""Regular expressions with PCRE's meaning: `pcre2`, or `re` where a pattern provably means the same there.

nginx: ngx_regex.c. On Python 3.11 one match of `^/(?<a>x+)(y)?` costs 0.12 us with re and 1.2 us with pcre2.
"""

from __future__ import annotations

import re
from typing import Any

# What both engines read alike on bytes: literals, the simple escapes, classes without POSIX names or set operators,
# plain, non-capturing and named groups, alternatives, greedy and lazy quantifiers, ^ and $ and dot.
_SAME = re.compile(
    rb"""(?: [^\\()\[\]{}?*+|^$.\x80-\xff]
        | \\ [dDwWsSbB] | \\ [^A-Za-z0-9\x80-\xff]
        | [|^$.]
        | \( (?: \?: | \?<(?![=!])[A-Za-z_]\w*> | \?P<[A-Za-z_]\w*> )? (?!\?|\*)
        | \) | [*+?] \?? (?![+*?{])
        | \{ \d+ (?:,\d*)? \} \?? (?![+*?{])
        | \[ \^? \]? (?: [^\\\[\]&~|\-\x80-\xff] | - | \\ [dwsDWS] | \\ [^A-Za-z0-9\x80-\xff] )* \]
    )*""",
    re.X,
)
_SETS = re.compile(rb"\[[^\]]*(?:--|&&|~~|\|\|)|\\\(\?")


class Pattern:
    """A compiled pattern: `search(subject)` gives an object with `group(n)`, `span(n)`, or None."""

    __slots__ = ("groups", "names", "search", "source")

    def __init__(self, source: bytes, search: Any, groups: int, names: dict[str, int]) -> None:
        self.source = source
        self.search = search
        self.groups = groups
        self.names = names

    def __repr__(self) -> str:
        return f"<Pattern {self.source!r}>"


class PatternError(ValueError):
    """A pattern that PCRE refuses: *message* in PCRE2's words and the *offset* in bytes."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message, offset)
        self.message = message
        self.offset = offset


def compile_pattern(source: bytes, caseless: bool = False) -> Pattern:
    """Compile *source*; raises PatternError."""
    compiled = _with_re(source, caseless) if _same_in_re(source) else None
    return compiled or _with_pcre2(source, caseless)


def _same_in_re(source: bytes) -> bool:
    return _SAME.fullmatch(source) is not None and not _SETS.search(source)


def _with_re(source: bytes, caseless: bool) -> Pattern | None:
    translated = re.sub(rb"\(\?<(?![=!])", b"(?P<", source)
    try:
        compiled = re.compile(translated, re.I if caseless else 0)
    except re.error:
        return None  # PCRE decides, and words the error
    return Pattern(source, compiled.search, compiled.groups, dict(compiled.groupindex))


def _with_pcre2(source: bytes, caseless: bool) -> Pattern:
    import pcre2

    try:
        compiled = pcre2.compile(source, pcre2.I if caseless else 0)
    except pcre2.PatternError as error:
        found = re.match(r"compilation failed at position (\d+); (.*)", str(error), re.S)
        message, offset = (found[2], int(found[1])) if found else (str(error), 0)
        raise PatternError(message.rstrip("."), offset) from None
    names = {(k.decode() if isinstance(k, bytes) else k): v for k, v in dict(compiled.groupindex).items()}
    return Pattern(source, compiled.search, compiled.groups, names)
