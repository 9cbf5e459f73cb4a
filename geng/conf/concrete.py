"""A configuration as it stands in its file: every word and comment with its place, and reading that goes on after a fault.

For the tools: `geng.conf.syntax` is what the server reads, and stops where nginx does. The terminals are the same ones,
grammar/nginx.lark; a text without faults makes the same tree in both. Offsets count bytes, lines and columns from 1.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Union

from geng.conf import lexer as lexing
from geng.conf.lexer import END_IN_BLOCK, END_IN_DIRECTIVE, LIMIT, Lexer, Stopped, decode, text_of, unescape
from geng.conf.syntax import Node, terminals

QUANTIFIER = re.compile(r"\{\d+(?:,\d*)?\}")
REST_OF_PATTERN = re.compile(r"(?:\{\d+(?:,\d*)?\}|[^\s;{\\]|\\\S)*")
"""What goes on behind a word's last sign: a quantifier of a regular expression, and the rest of that."""


@dataclass(slots=True)
class Word:
    """A word: *text* is what it says, *start* and *end* where it stands, quotes included."""

    text: str
    start: int
    end: int
    quoted: bool = False


@dataclass(slots=True)
class Comment:
    """From `#` to the end of the line, which is not in it."""

    start: int
    end: int


@dataclass(slots=True)
class Statement:
    """A directive. *stop* is the offset of its `;` or `{`, *end* lies behind its `;` or `}`.

    *body* is what its block holds, None without one; *raw* is the span of a Lua body, between its braces. *inner*:
    comments between the words. *whole* is false where the reader supplied what was missing.
    """

    words: list[Word]
    inner: list[Comment]
    stop: int = 0
    end: int = 0
    body: list[Item] | None = None
    raw: tuple[int, int] | None = None
    whole: bool = True

    @property
    def name(self) -> str:
        return self.words[0].text

    @property
    def start(self) -> int:
        return self.words[0].start


Item = Union[Statement, Comment]  # noqa: UP007 - read at run time by Python 3.10 dataclasses


@dataclass(slots=True)
class Broken:
    """A place where nginx would stop reading, in its words and with its line; *start* is where a caret belongs."""

    message: str
    line: int
    start: int


@dataclass
class Document:
    """One file."""

    name: str
    text: str  # one character a byte
    items: list[Item] = field(default_factory=list)
    broken: list[Broken] = field(default_factory=list)

    @cached_property
    def line_starts(self) -> list[int]:
        starts = [0]
        at = self.text.find("\n")
        while at >= 0:
            starts.append(at + 1)
            at = self.text.find("\n", at + 1)
        return starts

    def line(self, offset: int) -> int:
        return bisect_right(self.line_starts, offset)

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, in characters of UTF-8, of *offset*."""
        line = self.line(offset)
        return line, len(decode(self.text[self.line_starts[line - 1] : offset])) + 1

    def source_line(self, line: int) -> str:
        """What stands in *line*, without its end."""
        starts = self.line_starts
        if not 0 < line <= len(starts):
            return ""
        end = starts[line] if line < len(starts) else len(self.text)
        return decode(self.text[starts[line - 1] : end].rstrip("\r\n"))

    def offset(self, line: int, column: int) -> int:
        """The offset of a place; the end of the line where there is no such column."""
        if line > len(self.line_starts):
            return len(self.text)
        before = self.source_line(line)[: column - 1]
        return self.line_starts[line - 1] + len(before.encode("utf-8", "surrogateescape"))

    def __repr__(self) -> str:
        return f"<Document {self.name} {len(self.line_starts)} lines, {len(self.broken)} broken>"

    def node(self, statement: Statement) -> Node:
        """*statement* alone as what the compiler reads; a block's rows stay empty."""
        words = statement.words
        line = self.line(min(statement.stop, max(len(self.text) - 1, 0)))
        column = words[0].start - self.line_starts[self.line(words[0].start) - 1] + 1
        raw = None if statement.raw is None else self.text[slice(*statement.raw)].encode("latin-1")
        return Node(
            words[0].text,
            tuple(word.text for word in words[1:]),
            self.name,
            line,
            self.line(words[0].start),
            column,
            None if statement.body is None else [],
            line if statement.body is None and raw is None else self.line(max(statement.end - 1, 0)),
            raw,
            tuple(word.quoted for word in words),
        )

    def comments(self) -> Iterator[Comment]:
        """Every comment of the file, in order."""
        yield from _comments(self.items)


def _comments(items: list[Item]) -> Iterator[Comment]:
    for item in items:
        if isinstance(item, Comment):
            yield item
            continue
        yield from item.inner
        if item.body:
            yield from _comments(item.body)


def read(data: bytes, name: str) -> Document:
    """The file *name*, whose content is *data*; faults are noted, and reading goes on behind them."""
    document = Document(name, text_of(data))
    _Reader(document).read()
    return document


class _Reader:
    """The reading of one document: a stack of open blocks and the words since the last `;`, `{` or `}`."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.text = document.text
        lexer = Lexer(terminals())
        self.token = lexer.token
        self.lua = lexer.lua
        self.lua_name = lexer.lua_name
        self.items = document.items
        self.open: list[tuple[Statement | None, list[Item]]] = []
        self.words: list[Word] = []
        self.inner: list[Comment] = []

    def read(self) -> None:
        text, pos, size = self.text, 0, len(self.text)
        while pos < size:
            found = self.token.match(text, pos)
            if found is None:
                pos = self.unreadable(pos)
                continue
            kind, start, pos = found.lastgroup, pos, found.end()
            if kind == "WORD":
                self.check_length(lexing.check_word, start, pos)
                self.words.append(Word(decode(unescape(found[0])), start, pos))
            elif kind == "QUOTED":
                self.check_length(lexing.check_quoted, start, pos)
                self.words.append(Word(decode(unescape(text[start + 1 : pos - 1])), start, pos, True))
            elif kind == "SEMICOLON":
                self.semicolon(start)
            elif kind == "LBRACE":
                pos = self.opening(start)
            elif kind == "RBRACE":
                self.closing(start)
            elif kind == "COMMENT":
                self.comment(start, pos)
        self.finish()

    def check_length(self, check: lexing.LengthCheck, start: int, end: int) -> None:
        if end - start < LIMIT - 1:
            return
        try:
            check(self.text, start, end, self.document.line(start), LIMIT)
        except Stopped as stopped:
            self.broken(stopped.message, start, stopped.line)

    def broken(self, message: str, start: int, line: int = 0) -> None:
        self.document.broken.append(Broken(message, line or self.document.line(start), start))

    def comment(self, start: int, end: int) -> None:
        if end - start >= LIMIT and start + LIMIT < len(self.text):
            stopped = lexing.too_long(self.text, start, self.document.line(start))
            self.broken(stopped.message, start, stopped.line)
        comment = Comment(start, end - (self.text[end - 1] == "\r"))
        if self.words:
            self.inner.append(comment)
        else:
            self.items.append(comment)

    def statement(self, stop: int, end: int) -> Statement:
        """The words read so far as a directive."""
        made = Statement(self.words, self.inner, stop, end)
        self.items.append(made)
        self.words, self.inner = [], []
        return made

    def semicolon(self, at: int) -> None:
        if self.words:
            self.statement(at, at + 1)
        else:
            self.broken('unexpected ";"', at)

    def opening(self, at: int) -> int:
        """Behind the `{`, or behind the Lua that it opens."""
        if not self.words:
            self.broken('unexpected "{"', at)
            self.open.append((None, self.items))  # what it holds counts as if the braces were not there
            return at + 1
        glued = self.quantifier(at)
        if glued:
            return glued
        first = self.words[0]
        lua = not first.quoted and self.lua_name.match(self.text, first.start) is not None
        statement = self.statement(at, at + 1)
        if lua:
            return self.raw(statement, at)
        statement.body = []
        self.open.append((statement, self.items))
        self.items = statement.body
        return at + 1

    def quantifier(self, at: int) -> int:
        """Behind a pattern without quotes that goes on with `{8}`, where nginx begins a block; 0 if none does."""
        word = self.words[-1]
        found = QUANTIFIER.match(self.text, at)
        if found is None or word.quoted or word.end != at:
            return 0
        self.broken('unexpected "{"', at)
        end = REST_OF_PATTERN.match(self.text, at).end()  # type: ignore[union-attr]  # it begins with what was found
        self.words[-1] = Word(decode(unescape(self.text[word.start : end])), word.start, end)
        return end

    def raw(self, statement: Statement, at: int) -> int:
        depth = 0
        for found in self.lua.finditer(self.text, at):
            depth += (found.lastgroup == "LBRACE") - (found.lastgroup == "RBRACE")
            if not depth:
                statement.raw = (at + 1, found.start())
                statement.end = found.end()
                return found.end()
        self.broken(END_IN_BLOCK, at, len(self.document.line_starts))
        statement.raw, statement.whole = (at + 1, len(self.text)), False
        statement.end = len(self.text)
        return len(self.text)

    def closing(self, at: int) -> None:
        if self.words:
            self.broken('unexpected "}"', at)
            end = self.words[-1].end
            self.statement(end, end).whole = False
        if not self.open:
            self.broken('unexpected "}"', at)
            return
        statement, self.items = self.open.pop()
        if statement is not None:
            statement.end = at + 1

    def unreadable(self, pos: int) -> int:
        """Note why there is no token at *pos*; where to go on."""
        stopped = lexing.stopped(self.text, pos, self.document.line(pos), LIMIT)
        quote = self.text[pos]
        self.broken(stopped.message, pos, stopped.line)
        if quote not in "\"'":
            return len(self.text)
        closed = lexing.REST_OF_QUOTED[quote].match(self.text, pos + 1)
        line_end = self.text.find("\n", pos)
        line_end = len(self.text) if line_end < 0 else line_end
        if closed is not None and closed.end() <= line_end:  # only what follows the quote is wrong
            end = closed.end()
            self.words.append(Word(decode(unescape(self.text[pos + 1 : end - 1])), pos, end, True))
            return end
        end = len(self.text[pos:line_end].rstrip(" \t\r;{")) + pos  # the quote ends with the line
        self.words.append(Word(decode(self.text[pos + 1 : end]), pos, max(end, pos + 1), True))
        return max(end, pos + 1)

    def finish(self) -> None:
        """The end of the file: what is open is closed here."""
        size = len(self.text)
        reported = self.document.broken and self.document.broken[-1].message in (END_IN_BLOCK, END_IN_DIRECTIVE)
        line = len(self.document.line_starts)
        if self.words:
            start, end = self.words[0].start, self.words[-1].end
            self.statement(end, end).whole = False
            if not reported:
                self.broken(END_IN_DIRECTIVE, start, line)
                reported = True
        while self.open:
            statement, self.items = self.open.pop()
            if statement is not None:
                statement.end, statement.whole = size, False
            if not reported:
                self.broken(END_IN_BLOCK, statement.start if statement else 0, line)
                reported = True
