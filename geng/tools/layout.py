"""How a configuration is laid out: one directive a line, blocks indented, what was in columns still in columns.

Words, quotes, comments and Lua stay as they are, byte for byte; only what is between them changes.
"""

from __future__ import annotations

from dataclasses import dataclass

from geng.conf import concrete, syntax
from geng.conf.concrete import Comment, Document, Item, Statement, Word
from geng.conf.syntax import Fault, Row

ROUNDS = 8


class Changed(Exception):
    """The new text would not mean the same: a mistake of the formatter's, and nothing is written."""


class Unreadable(Exception):
    """There is a fault in the syntax; str() is nginx's message with its line."""


@dataclass(frozen=True, slots=True)
class Style:
    """*indent* stands for one level."""

    indent: str = "    "


def laid_out(data: bytes, name: str, style: Style = Style()) -> bytes:  # noqa: B008 - it is frozen
    """*data* in the usual layout; raises Unreadable, or Changed rather than return what reads otherwise."""
    document = concrete.read(data, name)
    if document.broken:
        first = min(document.broken, key=lambda broken: broken.line)
        raise Unreadable(f"{first.message} in {name}:{first.line}")
    made = _Layout(document, style).text()
    for _ in range(ROUNDS):  # what was one line, and now is two, may be a column
        again = _Layout(concrete.read(made.encode("latin-1"), name), style).text()
        if again == made:
            break
        made = again
    made_bytes = made.encode("latin-1")
    if _meaning(syntax.parse(data, name)) != _meaning(syntax.parse(made_bytes, name)):
        raise Changed(name)
    return made_bytes


def _meaning(rows: list[Row]) -> list[object]:
    """The tree without its places."""
    found: list[object] = []
    for row in rows:
        if isinstance(row, Fault):
            found.append(row.message)
        else:
            block = None if row.block is None else _meaning(row.block)
            found.append((row.words, row.quoted, row.raw, block))
    return found


class _Layout:
    """The writing of one document: *lines* are finished, in order."""

    def __init__(self, document: Document, style: Style) -> None:
        self.document = document
        self.source = document.text
        self.style = style
        self.lines: list[str] = []
        self.end_of_line = "\r\n" if 2 * self.source.count("\r\n") > self.source.count("\n") else "\n"

    def text(self) -> str:
        self.items(self.document.items, 0, 0)
        return "".join(line + self.end_of_line for line in self.lines)

    def items(self, items: list[Item], depth: int, begin: int) -> None:
        """Write *items*, which stand behind the offset *begin*, at *depth*."""
        before, first, index = begin, True, 0
        while index < len(items):
            item = items[index]
            if isinstance(item, Comment) and self.same_line(before, item.start) and self.lines:
                self.lines[-1] += self.comment_gap(item) + self.source[item.start : item.end]
            else:
                if not first and self.blank_between(before, item.start):
                    self.lines.append("")
                group = self.group(items, index)
                if len(group) > 1:
                    columns = _columns(self, group)
                    for position, statement in enumerate(group):
                        if position:
                            index = items.index(statement, index)
                        self.simple(statement, depth, columns)
                        self.trailing(items, index)
                    before = self.end_of(items, index)
                    index = self.behind(items, index)
                    first = False
                    continue
                self.item(item, depth)
            first = False
            before = item.end
            index += 1

    def trailing(self, items: list[Item], index: int) -> None:
        """The comment behind the statement at *index*."""
        comment = self.comment_behind(items, index)
        if comment is None:
            return
        text = self.source[comment.start : comment.end]
        self.lines[-1] += self.comment_gap(comment) + text

    def comment_behind(self, items: list[Item], index: int) -> Comment | None:
        following = items[index + 1] if index + 1 < len(items) else None
        if isinstance(following, Comment) and self.same_line(items[index].end, following.start):
            return following
        return None

    def behind(self, items: list[Item], index: int) -> int:
        """The index behind the statement at *index* and its comment."""
        return index + (2 if self.comment_behind(items, index) is not None else 1)

    def end_of(self, items: list[Item], index: int) -> int:
        comment = self.comment_behind(items, index)
        return items[index].end if comment is None else comment.end

    def comment_gap(self, comment: Comment) -> str:
        """What stands before a comment at the end of a line: as many spaces as there were, at least one."""
        before = self.source[self.document.line_starts[self.document.line(comment.start) - 1] : comment.start]
        gap = before[len(before.rstrip(" \t")) :]
        return gap if gap.strip("\t") and "\t" not in gap else " "

    def same_line(self, start: int, end: int) -> bool:
        return "\n" not in self.source[start:end]

    def blank_between(self, start: int, end: int) -> bool:
        return self.source.count("\n", start, end) > 1

    def group(self, items: list[Item], index: int) -> list[Statement]:
        """The one-line statements from *index* on that stand in lines of their own, one below the other."""
        found: list[Statement] = []
        before = -1
        while index < len(items):
            item = items[index]
            if not isinstance(item, Statement) or not self.one_line(item):
                break
            if before >= 0 and self.source.count("\n", before, item.start) != 1:
                break
            found.append(item)
            before = self.end_of(items, index)
            index = self.behind(items, index)
        return found

    def one_line(self, statement: Statement) -> bool:
        if statement.body is not None or statement.raw is not None or statement.inner:
            return False
        line = self.document.line_starts[self.document.line(statement.start) - 1]
        return not self.source[line : statement.start].strip() and self.same_line(statement.start, statement.end)

    def item(self, item: Item, depth: int) -> None:
        if isinstance(item, Comment):
            self.lines.append(self.style.indent * depth + self.source[item.start : item.end].rstrip(" \t"))
        elif item.raw is not None:
            head = self.head(item, depth)
            self.lines.append(f"{head} {{{self.source[slice(*item.raw)]}}}")
        elif item.body is None:
            self.simple(item, depth, {})
        else:
            self.block(item, depth)

    def block(self, statement: Statement, depth: int) -> None:
        head = self.head(statement, depth)
        if not statement.body:
            self.lines.append(f"{head} {{}}")
            return
        self.lines.append(f"{head} {{")
        self.items(statement.body, depth + 1, statement.stop + 1)
        self.lines.append(self.style.indent * depth + "}")

    def simple(self, statement: Statement, depth: int, columns: dict[int, int]) -> None:
        head = self.head(statement, depth, columns)
        after_comment = statement.inner and statement.inner[-1].start > statement.words[-1].start
        self.lines.append(head + ("\n" + self.style.indent * (depth + 1) if after_comment else "") + ";")
        if after_comment:
            self.lines[-1:] = self.lines[-1].split("\n")

    def head(self, statement: Statement, depth: int, columns: dict[int, int] | None = None) -> str:
        """The words of *statement* from the beginning of a line; lines before the last one are finished."""
        indent = self.style.indent * depth
        parts: list[Word | Comment] = sorted([*statement.words, *statement.inner], key=lambda part: part.start)
        line, first_line = indent, True
        previous: Word | Comment | None = None
        places: dict[int, int] = {}  # of the words in the first line: where they stood, where they stand
        for index, part in enumerate(parts):
            if previous is not None:
                broken = isinstance(previous, Comment) or "\n" in self.source[previous.end : part.start]
                if broken:
                    self.lines.append(line.rstrip(" "))
                    first_line = False
                    aligned = places.get(self.column(part.start))
                    line = indent + self.style.indent if aligned is None else " " * aligned
                elif columns and index in columns:
                    line = line.ljust(len(indent) + columns[index])
                elif part.start > previous.end:
                    line += " "
            if first_line and index:
                places[self.column(part.start)] = len(line)
            line += self.source[part.start : part.end]
            previous = part
        if isinstance(previous, Comment):
            if statement.body is not None or statement.raw is not None:
                self.lines.append(line)
                return indent
        return line

    def raw(self, word: Word) -> str:
        return self.source[word.start : word.end]

    def column(self, offset: int) -> int:
        """How far right *offset* is, a tabulator counted as eight."""
        start = self.document.line_starts[self.document.line(offset) - 1]
        return len(self.source[start:offset].expandtabs())


def _columns(layout: _Layout, group: list[Statement]) -> dict[int, int]:
    """By the index of a word, the column (from the statement's start) in which all of the *group* have it."""
    columns: dict[int, int] = {}
    ends = [len(layout.raw(statement.words[0])) for statement in group]
    for index in range(1, max(len(statement.words) for statement in group)):
        having = [position for position, statement in enumerate(group) if len(statement.words) > index]
        starts = {layout.column(group[at].words[index].start) - layout.column(group[at].start) for at in having}
        gaps = {group[at].words[index].start - group[at].words[index - 1].end for at in having}
        aligned = len(having) > 1 and len(starts) == 1 and max(gaps) > 1
        if aligned:
            columns[index] = max(starts.pop(), max(ends[at] for at in having) + 1)
        for at in having:
            joined = group[at].words[index].start == group[at].words[index - 1].end
            begin = columns.get(index, ends[at] + (0 if joined else 1))
            ends[at] = begin + len(layout.raw(group[at].words[index]))
    return columns
