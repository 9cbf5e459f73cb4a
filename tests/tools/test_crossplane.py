"""The syntax tree as JSON, and back: crossplane's layout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.conf import concrete, syntax
from geng.conf.syntax import Node
from geng.tools.crossplane import Dump, build, dump, written
from geng.tools.quoting import quoted

TEXT = """\
events { } # e
http {
    include inner.conf;
    server {
        # s
        listen 80;
        if ($request_method ~ "^(GET|HEAD)$") { return 200 "a b"; }
        location / { content_by_lua_block { ngx.say("}") } }
    }
}
"""


@given(st.text(st.sampled_from("ab1 \\t\\n;{}()\"'\\\\$#.*tnré"), min_size=0, max_size=12))
def test_every_word_is_read_as_itself(word: str) -> None:
    (row,) = syntax.parse(f"x {quoted(word)} y;".encode(), "f")
    assert isinstance(row, Node)
    assert row.args == (word, "y")


@pytest.mark.parametrize("word", ["a", "\\\\.php$", "$a", "${a}", "^~", "~*", "a=b", "http://a/"])
def test_what_needs_no_quotes_gets_none(word: str) -> None:
    assert not quoted(word).startswith('"')


def test_dump(tmp_path: Path) -> None:
    (tmp_path / "inner.conf").write_text("gzip on;\n")
    main = tmp_path / "nginx.conf"
    main.write_text(TEXT)
    assert Dump(str(main)).payload()["status"] == "ok"
    payload = Dump(str(main), strict=True).payload()
    assert payload["status"] == "failed"  # nginx itself has no *_by_lua_block
    assert payload["errors"][0]["error"] == f'unknown directive "content_by_lua_block" in {main}:8'
    first, second = payload["config"]
    assert [each["directive"] for each in first["parsed"]] == ["events", "http"]
    assert second == {
        "file": str(tmp_path / "inner.conf"),
        "status": "ok",
        "errors": [],
        "parsed": [{"directive": "gzip", "line": 1, "args": ["on"]}],
    }
    http = first["parsed"][1]
    assert http["block"][0] == {"directive": "include", "line": 3, "args": ["inner.conf"], "includes": [1]}
    server = http["block"][1]["block"]
    assert server[1]["args"] == ["$request_method", "~", "^(GET|HEAD)$"]
    assert server[2]["block"][0]["args"] == [' ngx.say("}") ']


def test_comments_and_columns(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(TEXT)
    parsed = Dump(str(main), comments=True, columns=True).payload()["config"][0]["parsed"]
    assert parsed[1] == {"directive": "#", "line": 1, "args": [], "comment": " e"}
    assert parsed[2]["block"][0]["column"] == 5


def test_round_trip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "inner.conf").write_text("gzip on;\n")
    (tmp_path / "nginx.conf").write_text(TEXT)
    dump([str(tmp_path / "nginx.conf"), "--include-comments"])
    printed = json.loads(capsys.readouterr().out)
    for each in printed["config"]:
        each["file"] = Path(each["file"]).name
    (tmp_path / "dump.json").write_text(json.dumps(printed))
    assert build([str(tmp_path / "dump.json"), "-d", str(tmp_path / "out")]) == 0
    assert build([str(tmp_path / "dump.json"), "-d", str(tmp_path / "out")]) == 2  # they are there
    made = (tmp_path / "out" / "nginx.conf").read_text()
    assert "events {} # e\n" in made and "        # s\n" in made
    again = Dump(str(tmp_path / "out" / "nginx.conf"), comments=False).payload()["config"][0]["parsed"]
    before = Dump(str(tmp_path / "nginx.conf"), comments=False).payload()["config"][0]["parsed"]
    assert _without_lines(again) == _without_lines(before)


def _without_lines(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_lines(each) for key, each in value.items() if key != "line"}
    return [_without_lines(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "examples").glob("*/*.conf")), ids=lambda path: path.parent.name
)
def test_examples(path: Path) -> None:
    parsed = Dump(str(path), single=True).payload()["config"][0]["parsed"]
    made = written(parsed).encode()
    assert not concrete.read(made, "f").broken
    target = path.read_bytes()
    assert [row.words for row in syntax.parse(made, "f") if isinstance(row, Node)] == [
        row.words for row in syntax.parse(target, "f") if isinstance(row, Node)
    ]


def test_build_refuses_what_is_no_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.json").write_text("[]")
    assert build([str(tmp_path / "a.json")]) == 2
    assert "is not what geng dump prints" in capsys.readouterr().err
