"""Reading that goes on: the compiler's tree where there is no fault, its first fault where there is one, and the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.conf import concrete, syntax
from geng.conf.concrete import Comment, Document, Item
from geng.conf.syntax import Fault, Node, Row

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob("examples/*/*.conf"))

PIECES = [
    "a",
    "listen 80",
    " ",
    "\n",
    ";",
    ";",
    "{",
    "}",
    '"b c"',
    "'",
    '"',
    "\\",
    "${x}",
    "$",
    "# c\n",
    "\t",
    "x_by_lua_block {",
    "é",
]


def rows(document: Document, items: list[Item]) -> list[Row]:
    found: list[Row] = []
    for item in items:
        if not isinstance(item, Comment):
            node = document.node(item)
            if item.body is not None:
                node.block = rows(document, item.body)
            found.append(node)
    return found


def first_fault(found: list[Row]) -> Fault | None:
    for row in found:
        fault = row if isinstance(row, Fault) else first_fault(row.block or [])
        if fault:
            return fault
    return None


def same(data: bytes) -> None:
    tree = syntax.parse(data, "f")
    document = concrete.read(data, "f")
    fault = first_fault(tree)
    if fault is None:
        assert document.broken == []
        assert rows(document, document.items) == tree
    else:
        assert document.broken
        assert (document.broken[0].message, document.broken[0].line) == (fault.message, fault.line)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_examples(path: Path) -> None:
    same(path.read_bytes())


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_any_text(text: str) -> None:
    same(text.encode())


def test_long_words() -> None:
    same(b"a " + b"b" * 5000 + b";\nc d;")
    same(b"a '" + b"b" * 5000 + b"';\nc d;")
    same(b"a '" + b"b" * 5000)
    same(b"#" + b"b" * 5000 + b"\na b;")


def test_goes_on_behind_every_fault() -> None:
    document = concrete.read(b'a b }\nc "d"e f;\ng {\n h ;;\n}\n}\ni "j\nk l;\n{ m n; }\n', "f")
    messages = [(broken.line, broken.message) for broken in document.broken]
    assert messages == [
        (1, 'unexpected "}"'),
        (1, 'unexpected "}"'),
        (2, 'unexpected "e"'),
        (4, 'unexpected ";"'),
        (6, 'unexpected "}"'),
        (10, 'unexpected end of file, expecting ";" or "}"'),
        (9, 'unexpected "{"'),
    ]
    names = [row.name for row in rows(document, document.items) if isinstance(row, Node)]
    assert names == ["a", "c", "g", "i", "m"]


def test_places() -> None:
    document = concrete.read("a\n  é 'b c'; # d\n".encode(), "f")
    words = document.items[0].words  # type: ignore[union-attr]
    assert [document.place(word.start) for word in words] == [(1, 1), (2, 3), (2, 5)]
    assert document.source_line(2) == "  é 'b c'; # d"
    assert document.offset(2, 5) == words[2].start
    comment = document.items[1]
    assert document.text[comment.start : comment.end] == "# d"
