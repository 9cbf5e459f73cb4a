"""The layout of configurations: the same tree, the same text the second time, and what people expect to see."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.conf import syntax
from geng.conf.syntax import Fault, Row
from geng.tools.fmt import main
from geng.tools.layout import Style, Unreadable, laid_out

ROOT = Path(__file__).parents[2]

PIECES = [
    *("a", "listen  80", " ", "\n", "\n\n", ";", ";\n", " {", "}", '"b  c"', "'d\ne'", "# f\n", "\t", "${x}", "\\ ", "\r\n"),
    *("x_by_lua_block { a  b }", "map $a  $b {\n  c   d;\n  ef  g;\n}\n", "if ($x ~ 'y') {"),
]


def corpus() -> list[Path]:
    """The examples, and real configurations where GENG_CORPUS or the folder beside the source has some."""
    beside = Path(os.environ.get("GENG_CORPUS", ROOT.parent / "shared" / "corpus"))
    found = sorted((ROOT / "examples").glob("*/*.conf"))
    for folder in ("files", "faulty", "bytes"):
        found += sorted(path for path in (beside / folder).glob("*/*") if path.is_file())
    return found


def meaning(rows: list[Row]) -> list[object]:
    return [
        row.message
        if isinstance(row, Fault)
        else (row.words, row.quoted, row.raw, None if row.block is None else meaning(row.block))
        for row in rows
    ]


def check(data: bytes, style: Style) -> None:
    try:
        made = laid_out(data, "f", style)
    except Unreadable:
        return
    assert meaning(syntax.parse(made, "f")) == meaning(syntax.parse(data, "f"))
    assert laid_out(made, "f", style) == made


def test_corpus() -> None:
    files = corpus()
    assert len(files) >= 5
    for path in files:
        check(path.read_bytes(), Style())


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.sampled_from(["    ", "\t", "  "]))
def test_any_text(text: str, indent: str) -> None:
    check(text.encode(), Style(indent))


LAID_OUT = {
    "user  www-data;worker_processes auto;\n\n\n\nevents{}": "user www-data;\nworker_processes auto;\n\nevents {}\n",
    "http { server { listen 80; } } # end": "http {\n    server {\n        listen 80;\n    }\n} # end\n",
    "http { # begin\n\n  # one\n gzip on; # two\n\n}": "http { # begin\n\n    # one\n    gzip on; # two\n}\n",
    "map $a $b {\n a      1;\n bcd    2;\n}": "map $a $b {\n    a      1;\n    bcd    2;\n}\n",
    "map $a $b {\n a   1;\n bcd 22;\n}": "map $a $b {\n    a   1;\n    bcd 22;\n}\n",
    "map $a $b {\n a      1;\n bcd 2;\n}": "map $a $b {\n    a 1;\n    bcd 2;\n}\n",
    "ab b\n  c\n d;": "ab b\n    c\n    d;\n",
    "log_format m 'x'\n             'y';": "log_format m 'x'\n             'y';\n",
    "types\n{\n}": "types {}\n",
    "if ($a ~ 'b') { return 200; }": "if ($a ~ 'b') {\n    return 200;\n}\n",
    "a_by_lua_block {  x = {1}\n }": "a_by_lua_block {  x = {1}\n }\n",
    "a 'b\n  c';": "a 'b\n  c';\n",
    "a b # c\n;": "a b # c\n    ;\n",
    "": "",
}


@pytest.mark.parametrize("text", LAID_OUT, ids=lambda text: text[:30].replace("\n", " "))
def test_layout(text: str) -> None:
    assert laid_out(text.encode(), "f").decode() == LAID_OUT[text]


def test_line_ends_stay() -> None:
    assert laid_out(b"a b;\r\nc  d;\r\n", "f") == b"a b;\r\nc d;\r\n"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.conf"
    path.write_text("a  b;\n")
    assert main(["--check", str(path)]) == 1
    assert capsys.readouterr().out == f"{path}\n"
    assert main(["--diff", str(path)]) == 1
    assert "-a  b;\n+a b;\n" in capsys.readouterr().out
    assert path.read_text() == "a  b;\n"
    assert main([str(path)]) == 0
    assert path.read_text() == "a b;\n"
    assert main(["--check", str(path)]) == 0
    path.write_text("a b")
    assert main([str(path)]) == 2
    assert "unexpected end of file" in capsys.readouterr().err
    assert main([str(tmp_path / "none")]) == 2
    assert main(["--indent", "x", str(path)]) == 2
