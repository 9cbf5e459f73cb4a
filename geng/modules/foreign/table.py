"""A foreign module's directives as a table: the name and what it takes. Contexts are those of geng.conf.directives.

    class QuicBpfConf(Foreign, level=Level.MAIN, module="quic_bpf", rules={"quic_bpf": flag}): ...

A rule is a converter of geng.conf.convert (a second directive is then a duplicate, unless it gathers), or many(converter).
What is stranger is a method with @command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from geng.conf import tables
from geng.conf.convert import num
from geng.conf.directive import Conf, Level, directive
from geng.core.values import BadValue, parse_msec, parse_sec
from geng.errors import Refused

Converter = Callable[..., Any]


@dataclass(slots=True, frozen=True)
class Many:
    """A rule for a directive that may occur again and again."""

    convert: Converter


many = Many
Rules = Mapping[str, "Converter | Many"]


class Foreign(Conf):
    """The directives of one module at one level."""

    foreign = True

    def __init_subclass__(
        cls, level: Level = Level.LOCATION, module: str = "", rules: Rules | None = None, **kwargs: Any
    ) -> None:
        for name, rule in (rules or {}).items():
            repeat = isinstance(rule, Many)
            convert = rule.convert if isinstance(rule, Many) else rule
            setattr(cls, name, directive(name, contexts_of(module, name), convert, repeat=repeat))
        super().__init_subclass__(level=level, **kwargs)


def contexts_of(module: str, name: str) -> int:
    """Where nginx's *module* allows its directive *name*."""
    for entry in tables.entries(name):
        if entry.module == module:
            return entry.contexts
    raise LookupError(f"{module} has no directive {name}")


def nothing(r: Any) -> bytes | None:
    """The value of a variable of a module that does not run: not found."""
    return None


# -- rules that several modules need -----------------------------------------------------------------------------------


def words(*given: str) -> tuple[str, ...]:
    """Any words at all."""
    return given


def power_of_two(word: str) -> int:
    """A number with one bit set."""
    made = num(word)
    if made == 0 or made & (made - 1):
        raise Refused("must be a power of two")
    return made


def seconds(text: str) -> int | None:
    """*text* as a time in seconds, or None."""
    try:
        return parse_sec(text)
    except BadValue:
        return None


def milliseconds(text: str) -> int | None:
    """*text* as a time in milliseconds, or None."""
    try:
        return parse_msec(text)
    except BadValue:
        return None
