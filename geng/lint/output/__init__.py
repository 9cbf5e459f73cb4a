"""How findings are shown, by the name that `--format` takes; each module is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

from geng.lint.linting import Result

Show = Callable[[Sequence[Result], bool], str]

FORMATS = ("text", "json", "sarif", "github", "checkstyle")


def show(name: str) -> Show:
    """`show(results, colour) -> str` of the format *name*."""
    made: Show = import_module(f"geng.lint.output.{name}").show
    return made
