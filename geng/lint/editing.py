"""What an editor asks of a configuration: faults, what may stand here, what a directive is, where an include leads.

Positions are the Language Server Protocol's: lines and UTF-16 code units from 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from geng.conf import tables
from geng.conf.concrete import Comment, Document, Item, Statement, read
from geng.lint.describing import describe
from geng.lint.files import Files
from geng.lint.linting import Settings, lint
from geng.lint.model import Finding
from geng.lint.tree import INSIDE, RAW, USUALLY, Tree
from geng.lint.validity import arity, contexts

Position = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A directive that may stand at a place."""

    name: str
    detail: str
    block: bool


def findings(path: str, text: str) -> list[Finding]:
    """What is to say of the file *path* while the editor shows *text*; only what is in that file."""
    files = Files({path: text.encode("utf-8", "surrogateescape")})
    return [finding for finding in lint(path, Settings(), files).findings if finding.file == path]


def position(document: Document, offset: int) -> Position:
    """*offset* as the protocol counts."""
    line, column = document.place(offset)
    before = document.source_line(line)[: column - 1]
    return line - 1, len(before.encode("utf-16-le", "surrogatepass")) // 2


def offset(document: Document, place: Position) -> int:
    """A *place* of the protocol's as an offset."""
    units = document.source_line(place[0] + 1).encode("utf-16-le", "surrogatepass")[: 2 * place[1]]
    return document.offset(place[0] + 1, len(units.decode("utf-16-le", "ignore")) + 1)


def _document(path: str, text: str) -> Document:
    return read(text.encode("utf-8", "surrogateescape"), path)


def suggestions(path: str, text: str, place: Position) -> list[Suggestion]:
    """The directives that may stand at *place*; none inside a directive's arguments."""
    document = _document(path, text)
    at = offset(document, place)
    start = at
    while start and document.text[start - 1] not in " \t\r\n;{}":
        start -= 1
    before = document.text[:start].rstrip()
    statement = _statement(document.items, start - 1)
    if statement is not None and statement.start < start <= statement.stop and before[-1:] not in (";", "{", "}", ""):
        return []
    context = _context(path, text, document, start)
    return [
        Suggestion(name, f"{arity(entry)}; {contexts(name)}", entry.block)
        for name, entries in sorted(tables.ENTRIES.items())
        for entry in entries[:1]
        if any(each.contexts & context for each in entries)
    ]


def _context(path: str, text: str, document: Document, at: int) -> int:
    """The level of the offset *at*: that of the file, then the blocks around."""
    level = Tree(Files({path: text.encode("utf-8", "surrogateescape")}), path).context
    items: list[Item] = document.items
    while True:
        blocks = [each for each in items if isinstance(each, Statement) and each.body is not None]
        block = next((each for each in blocks if each.stop < at < _end(each)), None)
        if block is None or block.body is None:
            return level
        level = INSIDE.get((level, block.name), USUALLY.get(block.name, RAW))
        items = block.body


def _end(statement: Statement) -> int:
    """Where its block ends; a block that is still being written goes on."""
    return statement.end if statement.whole else statement.end + 1


def _statement(items: list[Item], at: int) -> Statement | None:
    """The innermost directive whose words are at the offset *at*."""
    for item in items:
        if isinstance(item, Comment) or not item.start <= at <= item.end:
            continue
        inner = _statement(item.body, at) if item.body else None
        return inner or item
    return None


def described(path: str, text: str, place: Position) -> str:
    """What the directive at *place* is, in Markdown; "" where there is none."""
    document = _document(path, text)
    at = offset(document, place)
    statement = _statement(document.items, at)
    if statement is None or not statement.start <= at <= statement.words[0].end:
        return ""
    level = _context(path, text, document, statement.start)
    known = describe(statement.name)
    entries = tables.entries(statement.name)
    here = [each for each, entry in zip(known, entries, strict=True) if entry.contexts & level]
    return "\n\n---\n\n".join(each.markdown() for each in here or known)


def targets(path: str, text: str, place: Position) -> Iterator[str]:
    """The files that the include at *place* brings."""
    document = _document(path, text)
    statement = _statement(document.items, offset(document, place))
    if statement is None or statement.name != "include" or len(statement.words) != 2:
        return
    tree = Tree(Files({path: text.encode("utf-8", "surrogateescape")}), path)
    yield from (name for name in tree.included(document.node(statement)) if name in tree.files.loaded)
