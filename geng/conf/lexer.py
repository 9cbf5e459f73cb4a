"""From the text of a configuration to tokens, and to nginx's words where there is no token.

nginx: ngx_conf_file.c (ngx_conf_read_token). The terminals are those of grammar/nginx.lark.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

LIMIT = 4096
"""How many bytes one word or comment may take (nginx: NGX_CONF_BUFFER)."""

_ESCAPED = re.compile(r"\\([\"'\\trn])")
_ESCAPES = {'"': '"', "'": "'", "\\": "\\", "t": "\t", "r": "\r", "n": "\n"}

# Words in which nothing is special, up to where the last one certainly ends: most of any configuration.
# 100,000 lines of `key value;` take 0.25 s less with it.
_PLAIN = r"(?:[!%-&(-:<-Z^-z|~=\[\]]|\$(?!\{))"
_RUN = re.compile(rf"[ \t\r\n]*({_PLAIN}+(?:[ \t\r\n]+{_PLAIN}+)*)(?=[ \t\r\n;{{])[ \t\r\n]*")

# A directive of such words. Lark gets all that follow one another as one token: another 0.6 s less.
_ROW = re.compile(rf"[ \t\r\n]*({_PLAIN}+(?:[ \t\r\n]+{_PLAIN}+)*)[ \t\r\n]*;")

REST_OF_QUOTED = {quote: re.compile(rf"[^{quote}\\]*(?:\\.[^{quote}\\]*)*{quote}", re.S) for quote in "\"'"}

LengthCheck = Callable[[str, int, int, int, int], None]

END_IN_DIRECTIVE = 'unexpected end of file, expecting ";" or "}"'
END_IN_BLOCK = 'unexpected end of file, expecting "}"'


class Stopped(Exception):
    """There is no token here: *message* is nginx's, *line* where it would report it."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message, line)
        self.message = message
        self.line = line


class Token:
    """A token: a run of words (*words*, *quoted*), or punctuation. *start* is an offset, *line* where it begins."""

    __slots__ = ("line", "quoted", "start", "type", "words")

    # what Lark asks of a token when it reports one
    value = ""
    column = end_column = end_pos = None

    def __init__(self, type_: str, start: int, line: int, words: list[str], quoted: bool = False) -> None:
        self.type = type_
        self.start = start
        self.line = line
        self.words = words
        self.quoted = quoted

    @property
    def start_pos(self) -> int:
        return self.start

    def __repr__(self) -> str:
        return f"<{self.type} {self.words} line {self.line}>" if self.words else f"<{self.type} line {self.line}>"


PlainRow = tuple[list[str], int, int, int]
"""Words, offset and line of the first, line of the `;`."""


class Rows(Token):
    """Directives of plain words that follow one another; they end before the offset *end*, in the line *end_line*."""

    __slots__ = ("end", "end_line", "rows")

    def __init__(self, rows: list[PlainRow], end: int, end_line: int) -> None:
        super().__init__("ROWS", rows[0][1], rows[0][2], [])
        self.rows = rows
        self.end = end
        self.end_line = end_line


def decode(text: str) -> str:
    """*text*, whose characters are bytes, as what those bytes say in UTF-8; what is not UTF-8 stays as surrogates."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")


def unescape(word: str) -> str:
    r"""*word* without the backslashes of \" \' \\ \t \r \n; every other one stays."""
    return _ESCAPED.sub(lambda found: _ESCAPES[found[1]], word) if "\\" in word else word


def text_of(data: bytes) -> str:
    """*data* with one character a byte, as the lexer wants it."""
    return data.decode("latin-1")


class Lexer:
    """Makes tokens. *terminals* are the grammar's, by name, as patterns of `re`; what stands between is skipped."""

    def __init__(self, terminals: Mapping[str, str]) -> None:
        words = ("SPACE", "COMMENT", "QUOTED", "WORD", "SEMICOLON", "LBRACE", "RBRACE")
        lua = ("LUA_COMMENT", "LUA_STRING", "LBRACE", "RBRACE", "LUA_TEXT")
        self.token = re.compile("|".join(f"(?P<{name}>{terminals[name]})" for name in words))
        self.lua = re.compile("|".join(f"(?P<{name}>{terminals[name]})" for name in lua))
        self.lua_name = re.compile(terminals["LUA_NAME"])

    def tokens(self, text: str, limit: int = LIMIT) -> Iterator[Token]:
        """Every token of *text* in order; raises Stopped where nginx would stop for want of one."""
        pos, size, line = 0, len(text), 1
        name = True  # the next word is a directive's name
        lua = False  # the next block is Lua
        run_at, token_at, count = _RUN.match, self.token.match, text.count
        while pos < size:
            if name and (rows := self._rows(text, pos, line, limit)):
                yield rows
                pos, line = rows.end, rows.end_line
                if pos == size:
                    return
            run = run_at(text, pos)
            if run is not None:
                start, end = run.span(1)
                words = run[1].split()
                if end - start < limit - 1 or max(map(len, words)) < limit - 1:
                    line += count("\n", pos, start)
                    pos = run.end()
                    if name and words[0].endswith("_lua_block") and self.lua_name.match(text, start):
                        lua = True
                        yield Token("LUA_NAME", start, line, words[:1])
                        del words[0]
                    if words:
                        yield Token("WORD", start, line, words)
                    name = False
                    line += count("\n", start, pos)
                    if pos == size:
                        return
            found = token_at(text, pos)
            if found is None:
                raise stopped(text, pos, line, limit)
            kind = found.lastgroup
            start, pos = pos, found.end()
            if kind == "SEMICOLON":
                yield Token(kind, start, line, [])
                name, lua = True, False
            elif kind == "WORD":
                if pos - start >= limit - 1:
                    check_word(text, start, pos, line, limit)
                yield Token(kind, start, line, [decode(unescape(found[0]))])
                name = False
                line += count("\n", start, pos)
            elif kind == "QUOTED":
                if pos - start >= limit - 1:
                    check_quoted(text, start, pos, line, limit)
                yield Token("WORD", start, line, [decode(unescape(text[start + 1 : pos - 1]))], True)
                name = False
                line += count("\n", start, pos)
            elif kind == "LBRACE" and lua:
                for token in self._lua_tokens(text, start, line):
                    yield token
                line += count("\n", start, token.start)
                pos = token.start + 1
                name, lua = True, False
            elif kind == "LBRACE" or kind == "RBRACE":
                yield Token(kind, start, line, [])
                name, lua = True, False
            elif kind == "COMMENT":
                if pos - start >= limit and start + limit < size:
                    raise too_long(text, start, line)
            else:
                line += count("\n", start, pos)

    @staticmethod
    def _rows(text: str, pos: int, line: int, limit: int) -> Rows | None:
        """The plain directives that begin at *pos*, as one token."""
        rows: list[PlainRow] = []
        row_at, count = _ROW.scanner(text, pos).match, text.count  # type: ignore[attr-defined]
        while (row := row_at()) is not None:
            start, end = row.span(1)
            words = row[1].split()
            if end - start >= limit - 1 or words[0].endswith("_lua_block"):
                break
            start_line = line + count("\n", pos, start)
            pos = row.end()
            line = start_line + count("\n", start, pos)
            rows.append((words, start, start_line, line))
        return Rows(rows, pos, line) if rows else None

    def _lua_tokens(self, text: str, start: int, line: int) -> Iterator[Token]:
        """The braces of the Lua that begins at *start*, as far as the one that ends it."""
        depth = 0
        for found in self.lua.finditer(text, start):
            if found.lastgroup == "LBRACE":
                depth += 1
            elif found.lastgroup == "RBRACE":
                depth -= 1
            else:
                continue
            yield Token(found.lastgroup, found.start(), line + text.count("\n", start, found.start()), [])
            if not depth:
                return
        raise Stopped(END_IN_BLOCK, line + text.count("\n", start))


def check_word(text: str, start: int, end: int, line: int, limit: int) -> None:
    """Refuse a word for which nginx's buffer is too small: it holds the word until the byte after it was looked at."""
    needed = end - start + (text[end : end + 1] in " \t\r\n")
    if needed >= limit and start + limit < len(text):
        raise too_long(text, start, line)


def check_quoted(text: str, start: int, end: int, line: int, limit: int) -> None:
    """The same for a quoted word; the buffer begins after the opening quote."""
    begin = start + 1
    needed = end - begin + (text[end : end + 1] in " \t\r\n")
    if needed >= limit and begin + limit < len(text):
        raise too_long(text, begin, line, text[start] if end - 1 - begin >= limit else "")


def too_long(text: str, start: int, line: int, quote: str = "") -> Stopped:
    if quote:
        return Stopped(f'too long parameter, probably missing terminating "{quote}" character', line)
    return Stopped(f'too long parameter "{decode(text[start : start + 10])}..." started', line)


def stopped(text: str, pos: int, line: int, limit: int) -> Stopped:
    """Why there is no token at *pos*: a quote that is not closed, or is closed in the middle of a word."""
    quote = text[pos]
    end_of_file = Stopped(END_IN_DIRECTIVE, line + text.count("\n", pos))
    if quote not in "\"'":  # the file ends with a backslash
        return end_of_file
    closed = REST_OF_QUOTED[quote].match(text, pos + 1)
    if closed is None:
        return too_long(text, pos + 1, line, quote) if pos + 1 + limit < len(text) else end_of_file
    end = closed.end()
    try:
        check_quoted(text, pos, end, line, limit)
    except Stopped as longer:
        return longer
    return Stopped(f'unexpected "{decode(text[end])}"', line + text.count("\n", pos, end))
