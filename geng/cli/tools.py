"""The commands beside the server: `geng lint` and its like. nginx takes no word without a dash, so none is in its way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module

TOOLS = {
    "lint": "geng.lint.command",
    "fmt": "geng.tools.fmt",
    "dump": "geng.tools.dumping",
    "build": "geng.tools.building",
    "migrate": "geng.tools.migrate",
    "explain": "geng.tools.explain",
    "graph": "geng.tools.graph",
    "lsp": "geng.lint.server",
}
"""The module of each, with a `main(words) -> int`; imported only when it is asked for."""


def tool(name: str) -> Callable[[Sequence[str]], int]:
    """The command *name*."""
    made: Callable[[Sequence[str]], int] = import_module(TOOLS[name]).main
    return made
