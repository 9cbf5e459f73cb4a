"""Locations that no request can reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from geng.conf.tables import LOC, SRV
from geng.lint.checks import examples
from geng.lint.checks.paths import prefix_of
from geng.lint.model import Check, Found, Severity
from geng.lint.patterns import Pattern, ops
from geng.lint.tree import Place, Tree
from geng.lint.variables import location_pattern

MANY = 200


@dataclass(frozen=True, slots=True)
class Language:
    """What a pattern matches: one of *words*, at the start if *start*, at the end if *end*.

    *exact*: exactly those texts; else it matches at most them.
    """

    words: frozenset[str]
    start: bool
    end: bool
    exact: bool
    caseless: bool


def regex_shadowed(tree: Tree) -> Iterator[Found]:
    for block in tree.blocks(SRV, LOC):
        earlier: list[tuple[Place, Language]] = []
        texts: dict[tuple[str, bool], Place] = {}
        for place in block.all("location"):
            found = location_pattern(place)
            if found is None:
                continue
            same = texts.setdefault((found.text, found.caseless), place)
            shown = languages(found)
            if same is not place:
                yield _shadowed(place, same)
                continue
            shadow = next((by for by, wide in earlier if any(covers(wide, each) for each in shown)), None)
            if shadow is not None:
                yield _shadowed(place, shadow)
            earlier += [(place, each) for each in shown if each.exact]


def _shadowed(place: Place, by: Place) -> Found:
    message = f"no request comes here: {' '.join(by.args)} ({by.seen_from(place)}) takes them all before"
    return Found(place, message, None, "the first pattern that matches wins: put the narrower one first")


def location_never_matches(tree: Tree) -> Iterator[Found]:
    for block in tree.blocks(SRV):
        patterns = [(place, location_pattern(place)) for place in block.all("location")]
        wide = [(place, each) for place, found in patterns if found is not None for each in languages(found) if each.exact]
        for place in block.all("location"):
            prefix = prefix_of(place)
            if prefix is None or place.args[0] == "^~" or place.all("location"):
                continue
            here = Language(frozenset({prefix}), True, False, False, False)
            by = next((each for each, shown in wide if covers(shown, here)), None)
            if by is not None:
                message = f"no request comes here: the pattern {' '.join(by.args)} ({by.seen_from(place)}) takes them all"
                yield Found(place, message, None, f"location ^~ {prefix}")


def languages(found: Pattern) -> list[Language]:
    """What *found* matches, where that can be said by a few words; else what all of it begins and ends with."""
    if found.tree is None:
        return []
    nodes = list(found.tree)
    start = end = False
    if nodes and nodes[0] == (ops.AT, ops.AT_BEGINNING):
        start, nodes = True, nodes[1:]
    if nodes and nodes[-1] == (ops.AT, ops.AT_END):
        end, nodes = True, nodes[:-1]
    nodes, open_end = _without_rest(nodes, end)
    end = end and not open_end
    words = _words(nodes)
    if words is not None:
        return [_language(words, start, end, True, found.caseless)]
    head, tail = _leading(nodes), _leading(nodes, True)
    made = []
    if start and head:
        made.append(_language({head}, True, False, False, found.caseless))
    if end and tail:
        made.append(_language({tail}, False, True, False, found.caseless))
    return made


def _language(words: set[str], start: bool, end: bool, exact: bool, caseless: bool) -> Language:
    return Language(frozenset(word.lower() if caseless else word for word in words), start, end, exact, caseless)


def _without_rest(nodes: list[Any], end: bool) -> tuple[list[Any], bool]:
    """*nodes* without a `.*` or `(.*)` at the end, which takes whatever comes."""
    if not nodes:
        return nodes, False
    op, value = nodes[-1]
    if op is ops.SUBPATTERN and len(value[3]) == 1:
        op, value = value[3][0]
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT) and value[0] == 0 and value[1] >= MANY and list(value[2]) == [(ops.ANY, None)]:
        return nodes[:-1], True
    return nodes, False


def _words(nodes: list[Any]) -> set[str] | None:
    """Every text that *nodes* match, None where that are too many."""
    words = {""}
    for op, value in nodes:
        part = _node_words(op, value)
        if part is None or len(words) * len(part) > MANY:
            return None
        words = {first + second for first in words for second in part}
    return words


def _node_words(op: Any, value: Any) -> set[str] | None:
    if op is ops.LITERAL:
        return {chr(value)}
    if op is ops.SUBPATTERN:
        return _words(list(value[3])) if not value[1] and not value[2] else None
    if op is ops.BRANCH:
        found: set[str] = set()
        for part in value[1]:
            words = _words(list(part))
            if words is None:
                return None
            found |= words
        return found
    if op in (ops.MAX_REPEAT, ops.MIN_REPEAT) and value[1] == 1:
        words = _words(list(value[2]))
        return None if words is None else words | ({""} if value[0] == 0 else set())
    if op is ops.IN and all(kind is ops.LITERAL for kind, _ in value):
        return {chr(char) for _, char in value}
    return None


def _leading(nodes: list[Any], backwards: bool = False) -> str:
    """The literal text that everything matched begins (or ends) with."""
    text = ""
    for op, value in reversed(nodes) if backwards else nodes:
        if op is not ops.LITERAL:
            break
        text = chr(value) + text if backwards else text + chr(value)
    return text


def covers(wide: Language, narrow: Language) -> bool:
    """Whether whatever *narrow* matches is matched by *wide*."""
    if narrow.caseless and not wide.caseless:
        return all(not word.strip("/._-0123456789") for word in narrow.words) and _covers(wide, narrow)
    return _covers(wide, narrow)


def _covers(wide: Language, narrow: Language) -> bool:
    return all(any(_inside(wide, word, narrow, text) for word in wide.words) for text in narrow.words)


def _inside(wide: Language, word: str, narrow: Language, text: str) -> bool:
    if wide.caseless:
        text = text.lower()
    if wide.start and wide.end:
        return narrow.start and narrow.end and text == word
    if wide.start:
        return narrow.start and text.startswith(word)
    if wide.end:
        return narrow.end and text.endswith(word)
    return word in text


CHECKS = (
    Check(
        "regex_shadowed",
        Severity.WARNING,
        "a pattern behind a wider one",
        """
Patterns are tried in the order of the file, and the first that matches wins. A later one that only matches what an
earlier one matches as well is never reached.
""",
        examples.server(
            "location ~ \\.(css|js)$ {\n    expires 1h;\n}\nlocation ~ ^/static/.*\\.js$ {\n    expires max;\n}"
        ),
        examples.server(
            "location ~ ^/static/.*\\.js$ {\n    expires max;\n}\nlocation ~ \\.(css|js)$ {\n    expires 1h;\n}"
        ),
        run=regex_shadowed,
    ),
    Check(
        "location_never_matches",
        Severity.WARNING,
        "a location that a pattern takes everything from",
        """
A pattern wins over a prefix, unless the prefix has ^~. Where a pattern matches every path that begins with a prefix, the
location of the prefix never answers.
""",
        examples.server("location /api/ {\n    root /srv/a;\n}\nlocation ~ ^/api {\n    root /srv/b;\n}"),
        examples.server("location ^~ /api/ {\n    root /srv/a;\n}\nlocation ~ ^/api {\n    root /srv/b;\n}"),
        run=location_never_matches,
    ),
)
