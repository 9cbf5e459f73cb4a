"""Where the value of a variable comes from at one place: captures, `set`, `map`, or the request itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from geng.conf.tables import LIF, LOC, SIF, SRV
from geng.lint.patterns import Pattern, pattern
from geng.lint.tree import Place, Tree

DECODED = frozenset({"uri", "document_uri", "request_filename", "fastcgi_script_name"})
"""The request's path after %XX was decoded: it may contain any character, a newline too."""

CLIENT = ("http_", "arg_", "cookie_")
CLIENT_WORDS = frozenset({"args", "query_string", "request_uri", "request", "request_body", "is_args"})
"""What a client sends as it is; no newline is in there, but everything else may be."""

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|([A-Za-z_]\w*)|([1-9]))")
_REGEX_OPERATORS = ("~", "~*", "!~", "!~*")
DEEPEST = 8


def names(text: str) -> list[str]:
    """The variables in *text*, in order."""
    return [found[1] or found[2] or found[3] for found in _VARIABLE.finditer(text)]


@dataclass(frozen=True, slots=True)
class Capture:
    """A regular expression whose groups a place sees, and what it is matched against: texts with variables."""

    pattern: Pattern
    against: str
    place: Place


def location_pattern(place: Place) -> Pattern | None:
    """The regular expression of a location, None where it has none."""
    if place.name != "location" or len(place.args) != 2 or place.args[0] not in ("~", "~*"):
        return None
    return pattern(place.args[1], place.args[0] == "~*")


def condition(place: Place) -> tuple[str, str, str] | None:
    """What an `if` compares: variable, operator, value; without a comparison the latter are empty."""
    if place.name != "if" or not place.args:
        return None
    words = list(place.args)
    words[0] = words[0].removeprefix("(")
    words[-1] = words[-1].removesuffix(")")
    words = [word for word in words if word]
    if not words:
        return None
    if len(words) < 3:
        return words[0], "", ""
    return words[0], words[1], words[2]


def if_pattern(place: Place) -> Capture | None:
    """The regular expression of an `if`."""
    compared = condition(place)
    if compared is None or compared[1] not in _REGEX_OPERATORS:
        return None
    return Capture(pattern(compared[2], compared[1].endswith("*")), compared[0], place)


def captures(place: Place) -> Iterator[Capture]:
    """The regular expressions whose groups are in sight at *place*, the nearest first."""
    if place.name == "rewrite" and len(place.args) >= 2:
        yield Capture(pattern(place.args[0]), "$uri", place)
    if place.name == "if":
        own = if_pattern(place)
        if own:
            yield own
    at: Place | None = place
    while at is not None and at.parent is not None:
        yield from _before(at)
        at = at.parent
        if at.name == "if":
            own = if_pattern(at)
            if own:
                yield own
        elif at.name == "location":
            found = location_pattern(at)
            if found:
                yield Capture(found, "$uri", at)
        elif at.name == "server":
            for names_ in at.all("server_name"):
                for word in names_.args:
                    if word.startswith("~"):
                        yield Capture(pattern(word[1:], True), "$host", names_)


def _before(place: Place) -> Iterator[Capture]:
    """What ran in the same block before *place*: only the rewrite module's directives run in order."""
    if place.parent is None or place.name not in (
        "set",
        "rewrite",
        "return",
        "if",
        "proxy_pass",
        "add_header",
        "proxy_set_header",
    ):
        return
    siblings = place.parent.children
    for sibling in reversed(siblings[: siblings.index(place)]):
        if sibling.name == "rewrite" and len(sibling.args) >= 2:
            yield Capture(pattern(sibling.args[0]), "$uri", sibling)


def assignments(place: Place, name: str) -> list[Place]:
    """The `set` directives for *name* whose values *place* may see."""
    found: list[Place] = []
    block = place.parent
    while block is not None:
        for child in block.children:
            if child.name == "set" and child.args and child.args[0] == f"${name}":
                found.append(child)
            elif child.name == "if" and child.context & (SRV | LOC | SIF | LIF):
                found += [each for each in child.all("set") if each.args and each.args[0] == f"${name}"]
        block = block.parent
    return found


def maps(tree: Tree, name: str) -> list[Place]:
    """The `map` blocks that make *name*."""
    return [each for each in tree.named("map") if len(each.args) == 2 and each.args[1] == f"${name}"]


def made(tree: Tree, name: str, *kinds: str) -> bool:
    """Whether a block such as `geo` or `split_clients` makes the variable *name*."""
    return any(each.args and each.args[-1] == f"${name}" for each in tree.named(*kinds))


def can_hold(tree: Tree, place: Place, text: str, char: str, depth: int = 0) -> str | None:
    """The variable in *text*, as used at *place*, that can contain *char* because of the request; None if none can."""
    if depth > DEEPEST:
        return None
    return next((name for name in names(text) if _variable_holds(tree, place, name, char, depth)), None)


def _variable_holds(tree: Tree, place: Place, name: str, char: str, depth: int) -> bool:
    if name.isdigit():
        number = int(name)
        for capture in captures(place):
            if capture.pattern.tree is None:
                return False
            if number <= capture.pattern.groups:
                return _capture_holds(tree, capture, number, char, depth)
        return False
    if name in DECODED:
        return True
    if name.startswith(CLIENT) or name in CLIENT_WORDS:
        return char not in "\r\n"
    for assigned in assignments(place, name):
        if len(assigned.args) == 2 and can_hold(tree, assigned, assigned.args[1], char, depth + 1):
            return True
    for capture in captures(place):
        if name in capture.pattern.names:
            return _capture_holds(tree, capture, capture.pattern.names[name], char, depth)
    return any(_map_holds(tree, each, char, depth) for each in maps(tree, name))


def _capture_holds(tree: Tree, capture: Capture, number: int, char: str, depth: int) -> bool:
    if not capture.pattern.can_hold(number, char):
        return False
    if capture.against == "$uri":
        return True
    return can_hold(tree, capture.place, capture.against, char, depth + 1) is not None


def _map_holds(tree: Tree, block: Place, char: str, depth: int) -> bool:
    source = block.args[0]
    for row in block.children:
        if not row.args:
            continue
        for name in names(row.args[0]):
            key = row.name
            if name.isdigit() or key.startswith("~"):
                if not key.startswith("~"):
                    continue
                found = pattern(key[1:].removeprefix("*"), key.startswith("~*"))
                number = int(name) if name.isdigit() else found.names.get(name, 0)
                if number and found.can_hold(number, char) and can_hold(tree, block, source, char, depth + 1):
                    return True
            elif can_hold(tree, block, f"${name}", char, depth + 1):
                return True
    return False
