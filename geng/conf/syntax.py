"""From the text of a configuration to its tree of directives.

nginx: ngx_conf_file.c (ngx_conf_parse). The language is grammar/nginx.lark, which Lark reads; the lexer is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Union

import geng
from geng.conf.lexer import END_IN_BLOCK, END_IN_DIRECTIVE, LIMIT, Lexer, Rows, Stopped, Token, text_of

if TYPE_CHECKING:
    from lark import Lark

END_OF_PARAMETER = 'unexpected end of parameter, expecting ";"'
BLOCK_IN_PARAMETER = "block directives are not supported in -g option"


@dataclass(slots=True)
class Node:
    """A directive as it was read; shared by every place that includes its file, so nobody changes it.

    *line* is the one nginx reports: where it read the `;` or `{`. *start_line* and *column* (in bytes, from 1) are
    where the name begins. A block has *block*, and *end_line* is where its `}` is; elsewhere that is *line*.
    *raw* is the body of a `*_by_lua_block`. *quoted* says which of *words* stood in quotes.
    """

    name: str
    args: tuple[str, ...]
    file: str
    line: int
    start_line: int
    column: int
    block: list[Row] | None
    end_line: int
    raw: bytes | None
    quoted: tuple[bool, ...]

    @property
    def words(self) -> tuple[str, ...]:
        """The name and the arguments: what a block of rows (`map`, `geo`, `types`) reads."""
        return (self.name, *self.args)


@dataclass(slots=True)
class Fault:
    """Where nginx stops reading; what stands before it has been executed by then. Nothing follows it."""

    message: str
    file: str
    line: int


@dataclass(slots=True)
class Lua:
    """The braces around the body of a `*_by_lua_block`, and the fault inside."""

    opening: Token
    closing: Token
    fault: Fault | None


Row = Union[Node, Fault]  # noqa: UP007 - read at run time by Python 3.10 dataclasses


def parse(data: bytes, filename: str, *, parameter: bool = False) -> list[Row]:
    """The directives of the file *filename*, whose content is *data*; the last row may be a Fault, at any depth.

    With *parameter*, *data* is what `-g` gave: nginx's limit for a word does not hold, and blocks are faults.
    """
    text = text_of(data)
    rows = _reader().read(text, filename, len(text) + LIMIT if parameter else LIMIT)
    return _of_parameter(rows) if parameter else rows


def _of_parameter(rows: list[Row]) -> list[Row]:
    """*rows* as nginx reads them from the command line: without lines, which it does not report there."""
    read: list[Row] = []
    for row in rows:
        if isinstance(row, Fault):
            message = END_OF_PARAMETER if row.message == END_IN_DIRECTIVE else row.message
            read.append(Fault(message, row.file, 0))
        elif row.block is not None or row.raw is not None:
            read.append(Fault(BLOCK_IN_PARAMETER, row.file, 0))
            break
        else:
            read.append(replace(row, line=0, end_line=0))
    return read


class Builder:
    """What the grammar's rules make; Lark calls the method with the name of the rule.

    100,000 lines of a map take 0.3 s so; Lark's own lexer and tree take 1.7 s.
    """

    text = ""
    file = ""

    def start(self, rows: list[Any]) -> list[Row]:
        return self._flat(rows)

    def _flat(self, parts: list[Any]) -> list[Row]:
        rows: list[Row] = []
        for part in parts:
            if isinstance(part, Rows):
                rows.extend(self._plain(part))
            else:
                rows.append(part)
        return rows

    def _plain(self, token: Rows) -> Iterator[Node]:
        file, rfind = self.file, self.text.rfind
        for words, start, start_line, line in token.rows:
            column = start - rfind("\n", 0, start)
            n = len(words)
            yield Node(words[0], tuple(words[1:]), file, line, start_line, column, None, line, None, _unquoted(n))

    def directive(self, parts: list[Any]) -> Node:
        line = parts.pop().line
        return self._node(parts, line, None, line)

    def block(self, parts: list[Any]) -> Node:
        n = 1
        while parts[n].type != "LBRACE":
            n += 1
        return self._node(parts[:n], parts[n].line, self._flat(parts[n + 1 : -1]), parts[-1].line)

    def lua(self, parts: list[Any]) -> Lua:
        faults = [part.fault if isinstance(part, Lua) else part for part in parts[1:-1]]
        return Lua(parts[0], parts[-1], next((fault for fault in faults if isinstance(fault, Fault)), None))

    def lua_block(self, parts: list[Any]) -> Node:
        last = parts.pop()
        if isinstance(last, Token):
            return self._node(parts, last.line, None, last.line)
        opening, closing = last.opening, last.closing
        node = self._node(parts, opening.line, [last.fault] if last.fault else None, closing.line)
        node.raw = self.text[opening.start + 1 : closing.start].encode("latin-1")
        return node

    def fault(self, parts: list[Any]) -> Fault:
        return Fault(parts[-1].words[0], self.file, parts[-1].line)

    unfinished = fault

    def _node(self, parts: list[Token], line: int, block: list[Row] | None, end_line: int) -> Node:
        first = parts[0]
        if len(parts) == 1 and not first.quoted:
            words = first.words
            quoted = _unquoted(len(words))
        else:
            words = [word for part in parts for word in part.words]
            quoted = tuple(part.quoted for part in parts for _ in part.words)
        start = first.start
        column = start - self.text.rfind("\n", 0, start)
        return Node(words[0], tuple(words[1:]), self.file, line, first.line, column, block, end_line, None, quoted)


@cache
def _unquoted(n: int) -> tuple[bool, ...]:
    return (False,) * n


class Reader:
    """The grammar, loaded: 40 ms, most of it Lark's import."""

    def __init__(self) -> None:
        from lark import Lark, Transformer

        class Rules(Builder, Transformer):  # type: ignore[type-arg]
            """Lark wants its own class; nothing else of it is used."""

        self._builder = Rules()
        self._lark: Lark = Lark(grammar(), parser="lalr", transformer=self._builder, maybe_placeholders=False, cache=False)
        self.terminals = {each.name: each.pattern.to_regexp() for each in self._lark.terminals if each.pattern}
        self._lexer = Lexer(self.terminals)

    def read(self, text: str, filename: str, limit: int) -> list[Row]:
        from lark import UnexpectedToken

        self._builder.text, self._builder.file = text, filename
        parser = self._lark.parse_interactive()
        end = Token("$END", len(text), 1 + text.count("\n"), [])
        feed = parser.parser_state.feed_token
        try:
            for token in self._lexer.tokens(text, limit):
                feed(token)  # type: ignore[arg-type]
            rows: list[Row] = feed(end, True)  # type: ignore[arg-type]
            return rows
        except Stopped as stopped:
            return _closed(parser, end, stopped.message, stopped.line)
        except UnexpectedToken as unexpected:
            token = unexpected.token
            return _closed(parser, end, _unexpected(token, parser, text), token.line)


def _unexpected(token: Token, parser: Any, text: str) -> str:
    if token.type != "$END":
        return f'unexpected "{text[token.start]}"'
    return END_IN_DIRECTIVE if "SEMICOLON" in parser.choices() else END_IN_BLOCK


def _closed(parser: Any, end: Token, message: str, line: int) -> list[Row]:
    """The tree with a fault where reading stopped, every open block closed there."""
    from lark import UnexpectedToken

    feed = parser.parser_state.feed_token
    feed(Token("FAULT", end.start, line, [message]))
    try:
        while True:
            feed(Token("RBRACE", end.start, line, []))
    except UnexpectedToken:  # no block is open any more
        rows: list[Row] = feed(end, True)
        return rows


@cache
def _reader() -> Reader:
    return Reader()


def terminals() -> dict[str, str]:
    """The grammar's terminals by name, as patterns of `re`."""
    return _reader().terminals


def grammar() -> str:
    """The text of nginx.lark: inside the package where geng is installed, beside it in a source tree."""
    package = Path(geng.__file__).parent
    for folder in (package / "grammar", package.parent / "grammar"):
        if (folder / "nginx.lark").is_file():
            return (folder / "nginx.lark").read_text(encoding="utf-8")
    raise FileNotFoundError(f"nginx.lark is not in {package / 'grammar'} nor in {package.parent / 'grammar'}")
