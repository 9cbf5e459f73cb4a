"""What the syntax makes of a configuration: trees against golden files, faults against nginx's words."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from lark import Lark, Token, Tree, UnexpectedInput

from geng.conf import syntax
from geng.conf.lexer import LIMIT
from geng.conf.syntax import Fault, Node, Row, parse

GOLDEN = sorted((Path(__file__).parent.parent / "golden" / "syntax").glob("*.conf"))
DASHES = "-" * 40 + "\n"
NO_END_OF_LINE = "\n\\ no end of line\n"


def dump(rows: list[Row], indent: str = "") -> str:
    """A line per row: where it begins, the line nginx would report, its words (in double quotes where quoted)."""
    lines = []
    for row in rows:
        if isinstance(row, Fault):
            lines.append(f"{indent}FAULT line {row.line}: {row.message}\n")
            continue
        words = " ".join(
            '"' + repr(word)[1:-1] + '"' if quoted else repr(word)
            for word, quoted in zip(row.words, row.quoted, strict=True)
        )
        lines.append(f"{indent}{row.start_line}:{row.column}")
        lines.append(f" ({row.line}) {words}")
        if row.raw is not None:
            lines.append(f" {{{row.raw!r}}} ({row.end_line})")
        if row.block is None:
            lines.append("\n")
        else:
            lines.append(f" {{\n{dump(row.block, indent + '    ')}{indent}}} ({row.end_line})\n")
    return "".join(lines)


def words_of(rows: list[Row]) -> list[object]:
    """The words alone, blocks as lists in them."""
    assert all(isinstance(row, Node) for row in rows)
    return [[*row.words, words_of(row.block)] if row.block is not None else [*row.words] for row in rows]  # type: ignore[union-attr]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    text, _, expected = path.read_text(encoding="utf-8").partition(DASHES)
    assert dump(parse(text.removesuffix(NO_END_OF_LINE).encode(), "f")) == expected


def test_there_are_golden_files() -> None:
    assert len(GOLDEN) > 10


# What a text file cannot show: bytes, and what it says.
BYTES = {
    b"a\r\nb;\r\n": [["a", "b"]],
    b"a\rb\t;": [["a", "b"]],
    b"a \xc3\xa9;": [["a", "é"]],
    b"a '\xe9\xff';": [["a", "\udce9\udcff"]],
    b"\xef\xbb\xbfa;": [["\ufeffa"]],
    b"a\x00b c;": [["a\x00b", "c"]],
    b"a b\x0bc\x0cd\xc2\xa0e\xc2\x85f;": [["a", "b\x0bc\x0cd\u00a0e\u0085f"]],
    b"a #\r b;\n c;": [["a", "c"]],
    b"": [],
    b" \n# only\n": [],
}


@pytest.mark.parametrize("data", BYTES, ids=repr)
def test_bytes(data: bytes) -> None:
    assert words_of(parse(data, "f")) == BYTES[data]


LONG = {
    # a word, the byte after it, what nginx says
    ("x" * (LIMIT - 1), ";"): None,
    ("x" * (LIMIT - 1), " ;"): f'too long parameter "{"x" * 10}..." started',
    ("x" * LIMIT, ";"): f'too long parameter "{"x" * 10}..." started',
    ('"' + "x" * (LIMIT - 2) + '"', ";"): None,
    ('"' + "x" * (LIMIT - 2) + '"', " ;"): f'too long parameter "{"x" * 10}..." started',
    ('"' + "x" * (LIMIT - 1) + '"', ";"): f'too long parameter "{"x" * 10}..." started',
    ('"' + "x" * LIMIT + '"', ";"): 'too long parameter, probably missing terminating """ character',
    ("'" + "x" * (LIMIT - 1), ""): 'unexpected end of file, expecting ";" or "}"',
    ("'" + "x" * LIMIT, ";"): 'too long parameter, probably missing terminating "\'" character',
    ("#" + "x" * (LIMIT - 2), "\n;"): None,
    ("#" + "x" * (LIMIT - 1), "\n;"): f'too long parameter "#{"x" * 9}..." started',
    ("x " * LIMIT, ";"): None,
}


@pytest.mark.parametrize("word, rest", LONG, ids=lambda text: f"{text[:2]}{len(text)}")
def test_long_words(word: str, rest: str) -> None:
    rows = parse(f"a;\nb\n{word}{rest}\n".encode(), "f")
    message = LONG[word, rest]
    if message is None:
        assert all(isinstance(row, Node) for row in rows)
    else:
        assert rows[1:] == [Fault(message, "f", 3 + (message.startswith("unexpected end")))]


PARAMETERS = {
    "": [],
    "daemon off;": [["daemon", "off"]],
    "daemon off; pid": [["daemon", "off"], 'unexpected end of parameter, expecting ";"'],
    "http {}": ["block directives are not supported in -g option"],
    "a; http { x; } b;": [["a"], "block directives are not supported in -g option"],
    "a; http {": [["a"], "block directives are not supported in -g option"],
    "a; }": [["a"], 'unexpected "}"'],
    "a " + "x" * LIMIT + " ;": [["a", "x" * LIMIT]],
}


@pytest.mark.parametrize("text", PARAMETERS, ids=lambda text: text[:20])
def test_command_line(text: str) -> None:
    rows = parse(text.encode(), "command line", parameter=True)
    assert [row.message if isinstance(row, Fault) else [*row.words] for row in rows] == PARAMETERS[text]
    assert {row.line for row in rows} <= {0}


# -- properties --------------------------------------------------------------------------------------------------------

ANY_WORD = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
WORDS = st.lists(ANY_WORD, min_size=1, max_size=5)
TREES = st.recursive(
    st.lists(WORDS, max_size=4),
    lambda inner: st.lists(st.one_of(WORDS, st.tuples(WORDS, inner)), max_size=4),
    max_leaves=20,
)


def written(word: str) -> str:
    """*word* in quotes, so that it reads back as it is."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text_of(tree: object) -> str:
    parts = []
    for item in tree:  # type: ignore[attr-defined]
        words, block = item if isinstance(item, tuple) else (item, None)
        parts.append(" ".join(map(written, words)))
        parts.append(";\n" if block is None else f" {{ # {{\n{text_of(block)}}}\n")
    return "".join(parts)


def tree_of(tree: object) -> list[object]:
    return [[*item[0], tree_of(item[1])] if isinstance(item, tuple) else item for item in tree]  # type: ignore[attr-defined]


@given(TREES)
def test_what_is_written_reads_back(tree: object) -> None:
    assert words_of(parse(text_of(tree).encode(), "f")) == tree_of(tree)


PIECES = st.sampled_from([*" \n\t\r;{}\"'\\$#)xn", "${", "ab", "a b;", "{ c; }", "\xe9", "x_by_lua_block"])
TEXTS = st.lists(PIECES, max_size=20).map("".join)


@given(TEXTS.map(lambda text: text.encode()))
def test_every_text_is_a_tree_or_has_one_fault_at_its_end(data: bytes) -> None:
    rows = parse(data, "f")
    while rows:
        assert all(isinstance(row, Node) for row in rows[:-1])
        last = rows[-1]
        if isinstance(last, Fault):
            assert last.message
            assert 1 <= last.line <= 1 + data.count(b"\n")
            return
        rows = last.block or []


# -- the grammar alone -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lark() -> Lark:
    return Lark(syntax.grammar(), parser="lalr")


def skeleton(tree: Tree[Token]) -> list[object]:
    """How many words each directive of Lark's own *tree* has, and what is in its block."""
    found: list[object] = []
    for item in tree.children:
        if isinstance(item, Token):
            continue
        n = sum(isinstance(part, Token) and part.type in ("WORD", "QUOTED", "LUA_NAME") for part in item.children)
        found.append((n, skeleton(item) if item.data == "block" else None))
    return found


def skeleton_of(rows: list[Row]) -> list[object]:
    return [(len(row.words), None if row.block is None else skeleton_of(row.block)) for row in rows]  # type: ignore[union-attr]


@given(TEXTS)
@example("x_by_lua_block{ c; {} }\n a;")
def test_lark_alone_reads_the_same(lark: Lark, text: str) -> None:
    rows = parse(text.encode("latin-1"), "f")
    try:
        tree = lark.parse(text)
    except UnexpectedInput:
        assert "FAULT" in dump(rows)
    else:
        assert skeleton(tree) == skeleton_of(rows)
