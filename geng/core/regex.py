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
        | \{ \d{1,4} (?:,\d{0,4})? \} \?? (?![+*?{])
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


# pcre2 compiles with PCRE2_ALT_BSUX, where \x{41} is no "A" and \u no error: what is read otherwise then is written so
# that it is read as nginx does.
_ESCAPE = re.compile(
    rb"""\\Q .*? (?: \\E | \Z)
        | \\x (?: \{ (?P<digits> [0-9A-Fa-f]* ) (?P<end> \}? ) | (?P<hex> [0-9A-Fa-f]{0,2} ) )
        | \\ (?: . | \Z )
    """,
    re.X | re.S,
)
_NOT_HEX = r"non-hex character in \x{} (closing brace missing?)"
_TOO_LARGE = r"character code point value in \x{} or \o{} is too large"
_NO_CASES = r"PCRE2 does not support \F, \L, \l, \N{name}, \U, or \u"


def _plain(found: re.Match[bytes]) -> bytes:
    text = found[0]
    if text in (rb"\u", rb"\U", rb"\L", rb"\l", rb"\F"):
        raise PatternError(_NO_CASES, found.end())
    if not text.startswith(rb"\x"):
        return text
    digits = found["hex"] if found["digits"] is None else found["digits"]
    if found["digits"] is not None:
        if not digits or not found["end"]:
            raise PatternError(_NOT_HEX, found.end("digits"))
        if int(digits, 16) > 0xFF:
            raise PatternError(_TOO_LARGE, found.end("digits"))
    return b"\\x%02x" % int(digits or b"0", 16)


_BEFORE = frozenset(
    {
        "quantifier does not follow a repeatable item",
        "unmatched closing parenthesis",
        "unrecognized character after (? or (?-",
        "subpattern name must start with a non-digit",
        "range out of order in character class",
        "non-octal character in \\o{} (closing brace missing?)",
    }
)
"""Messages that are about the character before the place that is given, since PCRE2 10.43."""


def _place(source: bytes, message: str, offset: int) -> int:
    """Where *message* is about; nginx shows the pattern from there on, so it should be at the character, not behind it."""
    if message in _BEFORE:
        return max(offset - 1, 0)
    if message == "unknown POSIX class name":
        return source.rfind(b"[:", 0, offset) + 2
    if message == "reference to non-existent subpattern" and source[offset - 2 : offset - 1] == b"\\":
        return offset - 1
    return offset


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
        compiled = pcre2.compile(_ESCAPE.sub(_plain, source), pcre2.I if caseless else 0)
    except pcre2.PatternError as error:
        found = re.match(r"compilation failed at position (\d+); (.*)", str(error), re.S)
        message, offset = (found[2].rstrip("."), int(found[1])) if found else (str(error), 0)
        raise PatternError(message, _place(source, message, offset)) from None
    names = {(k.decode() if isinstance(k, bytes) else k): v for k, v in dict(compiled.groupindex).items()}
    return Pattern(source, compiled.search, compiled.groups, names)
