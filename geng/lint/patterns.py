"""What can be said of a regular expression without running it: its groups, its anchors, what a group can hold.

nginx's are PCRE's; Python's own parser reads most of them, and of the others nothing is said (`tree` is None).
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from itertools import islice
from typing import Any

# Python 3.11 moved them
ops: Any = import_module("re._constants" if sys.version_info >= (3, 11) else "sre_constants")
sre: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")

UNBOUNDED = 64  # a repeat that may go on as far as this counts as one without end
SAMPLES = 24
LONGEST = 40

_NAMED = re.compile(r"\(\?<(?=[A-Za-z_])|\(\?'(\w+)'")
_META = frozenset("\\^$.|?*+()[]{}")


@dataclass
class Pattern:
    """A regular expression. *names* gives the number of each named group, *groups* how many there are."""

    text: str
    caseless: bool
    tree: Any = None
    groups: int = 0
    names: dict[str, int] = field(default_factory=dict)

    @property
    def start_anchored(self) -> bool:
        """Whether every match begins where the text does."""
        return self.tree is None or _begins(list(self.tree))

    @property
    def end_anchored(self) -> bool:
        return self.tree is None or _ends_at_end(list(self.tree))

    def group(self, number: int) -> Any:
        """The inside of the group *number*, None if there is none."""
        return None if self.tree is None else next(_groups(self.tree, number), None)

    def can_hold(self, number: int, char: str) -> bool:
        """Whether the group *number* can contain *char*."""
        inside = self.group(number)
        return inside is not None and _holds(inside, char)

    @property
    def literal(self) -> str | None:
        """The one text that it matches, where it matches no other."""
        if self.tree is None or self.caseless:
            return None
        nodes = list(self.tree)
        if len(nodes) < 3 or nodes[0] != (ops.AT, ops.AT_BEGINNING) or nodes[-1] != (ops.AT, ops.AT_END):
            return None
        if any(op is not ops.LITERAL for op, _ in nodes[1:-1]):
            return None
        return "".join(chr(value) for _, value in nodes[1:-1])

    def samples(self) -> list[str]:
        """Some texts that it matches, as short as may be."""
        return [] if self.tree is None else list(islice(_samples(list(self.tree)), SAMPLES))

    def matches(self, text: str) -> bool:
        """Whether *text* is matched somewhere, as far as Python's engine means the same."""
        try:
            return re.search(_for_python(self.text), text, re.I if self.caseless else 0) is not None
        except re.error:
            return False

    def explosion(self) -> bool:
        """Whether there are texts for which the time to fail doubles with each character.

        A repeat without end whose inside can match some text both at once and in two rounds, with something behind
        it that may fail.
        """
        return self.tree is not None and _explodes(list(self.tree), False)


@lru_cache(4096)
def pattern(text: str, caseless: bool = False) -> Pattern:
    """*text* as a Pattern."""
    made = Pattern(text, caseless)
    flags = re.I if caseless else 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made.tree = sre.parse(_for_python(text), flags)
    except (re.error, OverflowError, RecursionError):
        return made
    made.groups = made.tree.state.groups - 1
    made.names = dict(made.tree.state.groupdict)
    return made


def _for_python(text: str) -> str:
    return _NAMED.sub(lambda found: f"(?P<{found[1]}>" if found[1] else "(?P<", text)


def plain(text: str) -> bool:
    """Whether *text* has no character with a meaning in a pattern."""
    return not _META & set(text)


# -- walking ------------------------------------------------------------------------------------------------------------


def _parts(op: Any, value: Any) -> list[Any]:
    """The sequences inside a node."""
    if op in _REPEATS:
        return [value[2]]
    if op is ops.SUBPATTERN:
        return [value[3]]
    if op is ops.BRANCH:
        return list(value[1])
    if op in (ops.ASSERT, ops.ASSERT_NOT):
        return [value[1]]
    if op is ops.GROUPREF_EXISTS:
        return [part for part in value[1:] if part is not None]
    if op is getattr(ops, "ATOMIC_GROUP", None):
        return [value]
    return []


_REPEATS = tuple(getattr(ops, name) for name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") if hasattr(ops, name))
_BACKTRACKING = (ops.MAX_REPEAT, ops.MIN_REPEAT)


def _groups(nodes: Any, number: int) -> Iterator[Any]:
    for op, value in nodes:
        if op is ops.SUBPATTERN and value[0] == number:
            yield value[3]
        for part in _parts(op, value):
            yield from _groups(part, number)


def _holds(nodes: Any, char: str) -> bool:
    for op, value in nodes:
        if op in (ops.ASSERT, ops.ASSERT_NOT, ops.AT):
            continue
        if _is_char(op):
            if _char(op, value, char):
                return True
        elif op is ops.GROUPREF:
            continue
        elif any(_holds(part, char) for part in _parts(op, value)):
            return True
    return False


def _is_char(op: Any) -> bool:
    return op in (ops.LITERAL, ops.NOT_LITERAL, ops.ANY, ops.IN)


def _char(op: Any, value: Any, char: str) -> bool:
    """Whether a node that stands for one character stands for *char*."""
    if op is ops.LITERAL:
        return bool(value == ord(char))
    if op is ops.NOT_LITERAL:
        return bool(value != ord(char))
    if op is ops.ANY:
        return char != "\n"
    negated = bool(value) and value[0][0] is ops.NEGATE
    return any(_in_set(each, char) for each in value) != negated


def _in_set(node: Any, char: str) -> bool:
    op, value = node
    if op is ops.LITERAL:
        return bool(value == ord(char))
    if op is ops.RANGE:
        return bool(value[0] <= ord(char) <= value[1])
    if op is ops.CATEGORY:
        name = str(value).rsplit("_", 1)[-1].lower()
        kind = {"digit": char.isdigit(), "space": char.isspace(), "word": char.isalnum() or char == "_"}.get(name, False)
        return kind != ("_NOT_" in str(value))
    return False


def _begins(nodes: list[Any]) -> bool:
    if not nodes:
        return False
    op, value = nodes[0]
    if op is ops.AT:
        return value in (ops.AT_BEGINNING, ops.AT_BEGINNING_STRING) or _begins(nodes[1:])
    if op is ops.SUBPATTERN:
        return _begins(list(value[3]))
    if op is ops.BRANCH:
        return all(_begins(list(part)) for part in value[1])
    return False


def _ends_at_end(nodes: list[Any]) -> bool:
    if not nodes:
        return False
    op, value = nodes[-1]
    if op is ops.AT:
        return value in (ops.AT_END, ops.AT_END_STRING)
    if op is ops.SUBPATTERN:
        return _ends_at_end(list(value[3]))
    if op is ops.BRANCH:
        return all(_ends_at_end(list(part)) for part in value[1])
    return False


# -- samples ------------------------------------------------------------------------------------------------------------


def _samples(nodes: list[Any]) -> Iterator[str]:
    """Texts that *nodes* match; few of each part."""
    if not nodes:
        yield ""
        return
    for first in islice(_node_samples(*nodes[0]), 4):
        for rest in islice(_samples(nodes[1:]), 4):
            if len(first) + len(rest) <= LONGEST:
                yield first + rest


CHARS = "ab1-._/ \n%@"


def _node_samples(op: Any, value: Any) -> Iterator[str]:
    if _is_char(op):
        candidates = [chr(value)] if op is ops.LITERAL else [char for char in CHARS if _char(op, value, char)]
        yield from candidates or _from_set(op, value)
    elif op in _REPEATS:
        low, high, inside = value
        part = list(islice(_samples(list(inside)), 3))
        for count in sorted({low, min(low + 1, high)}):
            if count == 0:
                yield ""
            for each in part:
                if count:
                    yield each * count
    elif op in (ops.AT, ops.ASSERT, ops.ASSERT_NOT, ops.GROUPREF):
        yield ""
    elif op is ops.BRANCH:
        for part in value[1]:
            yield from islice(_samples(list(part)), 2)
    else:
        for inside in _parts(op, value)[:1]:
            yield from _samples(list(inside))


def _from_set(op: Any, value: Any) -> Iterator[str]:
    if op is ops.IN:
        for kind, what in value:
            if kind is ops.LITERAL:
                yield chr(what)
            elif kind is ops.RANGE:
                yield chr(what[0])


# -- explosion ----------------------------------------------------------------------------------------------------------


def _explodes(nodes: list[Any], after: bool) -> bool:
    """*after*: something that may fail follows *nodes*."""
    for index, (op, value) in enumerate(nodes):
        may_fail = after or any(_may_fail(*node) for node in nodes[index + 1 :])
        if op in _BACKTRACKING and value[1] >= UNBOUNDED and may_fail and _ambiguous(list(value[2])):
            return True
        if op in (ops.ASSERT, ops.ASSERT_NOT):
            may_fail = True
        if any(_explodes(list(part), may_fail) for part in _parts(op, value)):
            return True
    return False


def _may_fail(op: Any, value: Any) -> bool:
    if op in _REPEATS:
        return bool(value[0] > 0)
    if op is ops.SUBPATTERN:
        return any(_may_fail(*node) for node in value[3])
    if op is ops.BRANCH:
        return all(any(_may_fail(*node) for node in part) for part in value[1])
    return True


def _ambiguous(body: list[Any]) -> bool:
    if not _has_choice(body):
        return False
    texts = [text for text in islice(_samples(body), SAMPLES) if text]
    return _overlap(body) or any(len(one + two) in _ends(body, one + two, 0) for one in texts for two in texts)


def _overlap(body: list[Any]) -> bool:
    """Whether *body* is a choice of which two branches match the same text: each round doubles the ways."""
    if len(body) != 1:
        return False
    op, value = body[0]
    if op is ops.SUBPATTERN:
        return _overlap(list(value[3]))
    if op is not ops.BRANCH:
        return False
    parts = [list(part) for part in value[1]]
    for index, part in enumerate(parts):
        for text in islice(_samples(part), SAMPLES):
            if text and any(len(text) in _ends(other, text, 0) for at, other in enumerate(parts) if at != index):
                return True
    return False


def _has_choice(nodes: Any) -> bool:
    return any(
        op is ops.BRANCH
        or op in _BACKTRACKING
        and value[1] > value[0]
        or any(_has_choice(part) for part in _parts(op, value))
        for op, value in nodes
    )


def _ends(nodes: list[Any], text: str, at: int) -> set[int]:
    """Where *nodes* may have come to when they begin at *at*."""
    places = {at}
    for op, value in nodes:
        places = {end for place in places for end in _node_ends(op, value, text, place)}
        if not places:
            break
    return places


def _node_ends(op: Any, value: Any, text: str, at: int) -> set[int]:
    if _is_char(op):
        return {at + 1} if at < len(text) and _char(op, value, text[at]) else set()
    if op in _REPEATS:
        return _repeat_ends(value, text, at)
    if op is ops.BRANCH:
        return {end for part in value[1] for end in _ends(list(part), text, at)}
    if op is ops.SUBPATTERN:
        return _ends(list(value[3]), text, at)
    if op is ops.AT:
        right = {ops.AT_BEGINNING: at == 0, ops.AT_END: at == len(text)}.get(value, True)
        return {at} if right else set()
    if op is getattr(ops, "ATOMIC_GROUP", None):
        return _ends(list(value), text, at)
    return {at}


def _repeat_ends(value: Any, text: str, at: int) -> set[int]:
    low, high, inside = value
    body, places, found = list(inside), {at}, {at} if low == 0 else set()
    for count in range(1, min(high, len(text) + 1, low + LONGEST) + 1):
        places = {end for place in places for end in _ends(body, text, place)}
        if count >= low:
            found |= places
        if not places:
            break
    return found
