"""Directives of stream{} and mail{} that say what one of http{} says: its conf class reads them too.

nginx has a copy of the module for each of the three; here one class serves, under the contexts of the copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from geng.conf import tables
from geng.conf.compiler import Registry
from geng.conf.directive import Conf, commands_of

#: one nginx module, and the classes that hold what its directives say
Part = tuple[str, Sequence[type[Conf]]]


def registry_of(parts: Iterable[Part]) -> Registry:
    """The command table of *parts*: every directive that the module has, with the module's contexts."""
    found: Registry = {}
    for module, classes in parts:
        for name, commands in commands_of(classes).items():
            entry = next((entry for entry in tables.entries(name) if entry.module == module), None)
            if entry is None:
                continue
            for cls, command in commands:
                found.setdefault(name, []).append((cls, replace(command, contexts=entry.contexts)))
    return found
