"""The files of a configuration as the tools see them: read once, faults and all, with the nodes the compiler wants."""

from __future__ import annotations

from dataclasses import dataclass

from geng.conf import concrete
from geng.conf.concrete import Comment, Document, Item, Statement
from geng.conf.syntax import Node, Row


@dataclass(slots=True)
class Loaded:
    """A file: its document, its rows, and which statement each row was."""

    document: Document
    rows: list[Row]
    statements: dict[int, Statement]  # by id() of the node


class Files:
    """Every file that was read, by name. *unsaved* holds texts that count in place of what is on the disk."""

    def __init__(self, unsaved: dict[str, bytes] | None = None) -> None:
        self.loaded: dict[str, Loaded] = {}
        self.unsaved = unsaved or {}

    def __repr__(self) -> str:
        return f"<Files {len(self.loaded)}>"

    def load(self, name: str) -> Loaded:
        """The file *name*; raises OSError."""
        if name not in self.loaded:
            content = self.unsaved.get(name)
            if content is None:
                with open(name, "rb") as file:
                    content = file.read()
            self.loaded[name] = load(content, name)
        return self.loaded[name]


def load(content: bytes, name: str) -> Loaded:
    """*content* as the file *name*."""
    document = concrete.read(content, name)
    loaded = Loaded(document, [], {})
    loaded.rows = _rows(loaded, document.items)
    return loaded


def _rows(loaded: Loaded, items: list[Item]) -> list[Row]:
    rows: list[Row] = []
    for item in items:
        if isinstance(item, Comment):
            continue
        node: Node = loaded.document.node(item)
        if item.body is not None:
            node.block = _rows(loaded, item.body)
        loaded.statements[id(node)] = item
        rows.append(node)
    return rows
