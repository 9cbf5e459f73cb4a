"""Rewrites that bring an nginx with known faults down. geng and newer nginx are not concerned."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.lint.checks import examples
from geng.lint.model import Check, Found, Severity
from geng.lint.patterns import Pattern, pattern
from geng.lint.tree import Place, Tree
from geng.lint.variables import names

_OPEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\((?!\?[^<P'])|\(|\)")


def _redirects(place: Place) -> bool:
    flag = place.args[2] if len(place.args) > 2 else ""
    return flag in ("redirect", "permanent") or place.args[1].startswith(("http://", "https://", "$scheme"))


def _inside(found: Pattern) -> set[tuple[int, int]]:
    """Pairs of groups of which the first contains the second."""
    pairs: set[tuple[int, int]] = set()
    stack: list[int] = []
    number = 0
    for token in _OPEN.finditer(found.text):
        text = token[0]
        if text == ")":
            if stack:
                stack.pop()
        elif text.startswith("("):
            plain = found.text[token.start() + 1 : token.start() + 2] != "?" or found.text[
                token.start() + 1 : token.start() + 4
            ].startswith(("?<", "?P<", "?'"))
            if plain and not found.text[token.start() + 1 :].startswith(("?<=", "?<!")):
                number += 1
                pairs |= {(outer, number) for outer in stack if outer}
                stack.append(number)
            else:
                stack.append(0)
    return pairs


def overlapping_captures(tree: Tree) -> Iterator[Found]:
    for place in tree.named("rewrite"):
        if len(place.args) < 2:
            continue
        text = place.args[1]
        used = {int(name) for name in names(text) if name.isdigit()}
        if not (_redirects(place) or any(name.isdigit() for name in names(text.rstrip("?").partition("?")[2]))):
            continue
        if any(outer in used and inner in used for outer, inner in _inside(pattern(place.args[0]))):
            message = (
                "nginx before 1.30.2 and 1.31.1 writes beyond its memory here (CVE-2026-9256): $N of groups within groups"
            )
            yield Found(place, message, 2, "take only one of the two, or groups with names")


def unnamed_groups(tree: Tree) -> Iterator[Found]:
    for place in tree.named("rewrite"):
        if len(place.args) < 2 or "?" not in place.args[1].rstrip("?") or _redirects(place) or place.parent is None:
            continue
        if len(place.args) > 2 and place.args[2] in ("last", "break"):
            continue
        siblings = place.parent.children
        for later in siblings[siblings.index(place) + 1 :]:
            if later.name in ("return", "break"):
                break
            if later.name in ("set", "if") and any(name.isdigit() for word in later.args for name in names(word)):
                message = "nginx before 1.30.1 writes beyond its memory here (CVE-2026-42945): $N behind a rewrite with ?"
                yield Found(later, message, None, "a group with a name")
                break


CHECKS = (
    Check(
        "overlapping_captures",
        Severity.NOTE,
        "$N of groups within groups in a redirect",
        """
CVE-2026-9256: where a redirect, or the arguments, take both a group and one inside it by number, nginx before 1.30.2 and
1.31.1 reserves too little memory. geng is not concerned; an nginx that reads the same file may be.
""",
        examples.server("rewrite ^/((a|b)/.*)$ https://example.com/$1?kind=$2 redirect;"),
        examples.server("rewrite ^/((?:a|b)/.*)$ https://example.com/$1 redirect;"),
        run=overlapping_captures,
    ),
    Check(
        "unnamed_groups",
        Severity.NOTE,
        "$N in set or if behind a rewrite with arguments",
        """
CVE-2026-42945: after a `rewrite` whose replacement has a `?`, nginx before 1.30.1 and 1.31.0 reserves too little memory
for $1 in `set` and `if`. geng is not concerned.
""",
        examples.server("rewrite ^/a/(.*)$ /b?x=$1;\nset $rest $1;"),
        examples.server("rewrite ^/a/(?<rest>.*)$ /b?x=$rest;\nset $copy $rest;"),
        run=unnamed_groups,
    ),
)
