"""Regular expressions: those that take for ever, match too much, or have no such group."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.conf.tables import LIF, LOC, SIF, SRV
from geng.lint.checks import examples
from geng.lint.model import Check, Found, Severity
from geng.lint.patterns import Pattern, pattern
from geng.lint.tree import Place, Tree
from geng.lint.variables import captures, if_pattern, location_pattern, names

_EXTENSION = re.compile(r"\\\.(?:\w+|\([\w|?:]+\))\Z")
_CLOSED = re.compile(r"\$|\\[bzZ]|\(\?[=!<]|/")
_GROUP_END = re.compile(r"[$*+?]|\\[bzZ]")


def everywhere(tree: Tree) -> Iterator[tuple[Place, Pattern]]:
    """Every regular expression of http with its place."""
    for place in tree.named("location"):
        found = location_pattern(place)
        if found is not None:
            yield place, found
    for place in tree.named("if"):
        own = if_pattern(place)
        if own is not None:
            yield place, own.pattern
    for place in tree.named("rewrite"):
        if len(place.args) > 1:
            yield place, pattern(place.args[0])
    for place in tree.named("server_name", "valid_referers"):
        for word in place.args:
            if word.startswith("~"):
                yield place, pattern(word[1:], True)
    for block in tree.named("map"):
        for row in block.children:
            if row.name.startswith("~"):
                yield row, pattern(row.name[1:].removeprefix("*"), row.name.startswith("~*"))


def regex_redos(tree: Tree) -> Iterator[Found]:
    for place, found in everywhere(tree):
        if found.explosion():
            message = f"for some requests the time this takes doubles with each character: {found.text}"
            yield Found(place, message, None, "a repeat inside a repeat can divide the same text in many ways")


def unanchored_regex(place: Place) -> Iterator[Found]:
    found = location_pattern(place)
    if found is None or found.tree is None or _refuses(place):
        return
    if _EXTENSION.search(found.text) and not found.end_anchored and not found.start_anchored:
        yield Found(place, f"{found.text} also matches in the middle of a name: /x{_shown(found)}.txt", 2, f"{found.text}$")


def _shown(found: Pattern) -> str:
    return next((sample for sample in found.samples() if "\n" not in sample), "")


def _refuses(place: Place) -> bool:
    if any(deny.args == ("all",) for deny in place.all("deny")) or place.first("internal"):
        return True
    closing = place.first("return")
    return closing is not None and closing.args[:1] > ("4",)


def regex_exact_match(place: Place) -> Iterator[Found]:
    found = location_pattern(place)
    if found is not None and found.literal:
        yield Found(
            place, f"this matches {found.literal} alone", 2, f"location = {found.literal} is found without trying patterns"
        )


def invalid_regex(tree: Tree) -> Iterator[Found]:
    for place in tree.named(
        "rewrite", "set", "return", "proxy_pass", "add_header", "try_files", "proxy_set_header", "alias"
    ):
        if not place.context & (SRV | LOC | SIF | LIF):
            continue
        used = [(index, int(name)) for index, word in enumerate(place.args, 1) for name in names(word) if name.isdigit()]
        if place.name == "rewrite":
            used = [(index, number) for index, number in used if index == 2]
        for index, number in used:
            nearest = _groups_for(tree, place)
            if nearest is not None and number > nearest:
                yield Found(place, f"${number} is always empty: the pattern has {_count(nearest)}", index)
                break
    yield from _invalid_rows(tree)


def _groups_for(tree: Tree, place: Place) -> int | None:
    """How many groups $N can mean at *place* at most; None where that is not certain."""
    seen = list(captures(place))
    if any(each.pattern.tree is None for each in seen):
        return None
    if place.name == "rewrite":
        return seen[0].pattern.groups
    if not seen:
        return None
    return max(each.pattern.groups for each in seen) if _alone(tree, place) else None


def _alone(tree: Tree, place: Place) -> bool:
    """Whether no pattern besides those in sight may have run before: maps leave their groups too."""
    blocks = [place.parent, *(place.parent.above() if place.parent else [])]
    if any(each.node.block is not None and each.name == "if" for block in blocks if block for each in block.children):
        return place.parent is not None and place.parent.name == "if"
    return not any(row.name.startswith("~") for block in tree.named("map") for row in block.children)


def _invalid_rows(tree: Tree) -> Iterator[Found]:
    for block in tree.named("map"):
        if any(name.isdigit() for word in block.args for name in names(word)):
            continue
        for row in block.children:
            if not row.name.startswith("~") or not row.args:
                continue
            found = pattern(row.name[1:].removeprefix("*"), row.name.startswith("~*"))
            used = [int(name) for name in names(row.args[0]) if name.isdigit()]
            if found.tree is not None and used and max(used) > found.groups:
                yield Found(row, f"${max(used)} is always empty: the pattern has {_count(found.groups)}", 1)


def _count(number: int) -> str:
    return "no groups" if not number else f"{number} group{'s' if number > 1 else ''}"


CHECKS = (
    Check(
        "regex_redos",
        Severity.WARNING,
        "a regular expression that takes exponential time",
        """
In (a+)+$ each of the letters may belong to this round of the outer repeat or to the next, and before PCRE gives up it
tries them all: thirty letters make a thousand million ways. A client who sends such a path stops a worker. Write the
repeat once, or put something between that the inner part cannot be.
""",
        examples.server("location ~ ^/(\\w+\\s?)*$ {\n    root /srv;\n}"),
        examples.server("location ~ ^/[\\w\\s]*$ {\n    root /srv;\n}"),
        run=regex_redos,
    ),
    Check(
        "unanchored_regex",
        Severity.NOTE,
        "a pattern for an extension that matches anywhere",
        """
`location ~ \\.php` also takes /notes.php.txt and /a.phpx/b. What is meant for the end of the path needs a $. Locations
that only refuse (`deny all`, `return 403`) are not reported.
""",
        examples.location("fastcgi_pass 127.0.0.1:9000;", "~ \\.php"),
        examples.location("fastcgi_pass 127.0.0.1:9000;", "~ \\.php$"),
        on=("location",),
        look=unanchored_regex,
    ),
    Check(
        "regex_exact_match",
        Severity.NOTE,
        "a pattern that matches one path only",
        """
`location = /path` says the same, is found by one look into a table and cannot be overtaken by another pattern.
""",
        examples.location("return 204;", "~ ^/health$"),
        examples.location("return 204;", "= /health"),
        on=("location",),
        look=regex_exact_match,
    ),
    Check(
        "invalid_regex",
        Severity.WARNING,
        "a group that the pattern does not have",
        """
$1 is empty where the pattern has no group: (?:…) and (?i) make none, and forgotten parentheses make none either.
""",
        examples.server('rewrite "(?i)^/old/.*" /new/$1 break;'),
        examples.server('rewrite "(?i)^/old/(.*)" /new/$1 break;'),
        run=invalid_regex,
    ),
)
