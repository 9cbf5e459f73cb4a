"""The report before a move from nginx to geng."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geng.lint.files import Files
from geng.lint.tree import Tree
from geng.tools.migrate import _judge, main

TEXT = """\
timer_resolution 100ms;
events {}
http {
    brotli on;
    more_set_headers a;
    gzip on;
    gzip_comp_level 3;
    no_such_thing;
    server { listen 127.0.0.1:8080; root /a; }
}
"""


def test_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    assert main(["-c", str(path), "--json"]) == 1
    read = json.loads(capsys.readouterr().out)
    status = {each["directive"]: each["status"] for each in read["directives"]}
    assert (status["more_set_headers"], status["brotli"]) == ("third-party", "runs")
    assert status["no_such_thing"] == "faulty"
    assert status["timer_resolution"] == "differs"
    assert status["gzip"] == status["listen"] == status["server"] == "runs"
    assert read["summary"]["third-party"] == 1
    assert main(["-c", str(path)]) == 1
    text = capsys.readouterr().out
    assert "of modules that are not nginx's:\n  more_set_headers" in text and "gzip_comp_level" not in text


def test_all_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { server { listen 127.0.0.1:8080; root /a; } }\n")
    assert main(["-c", str(path), "--all"]) == 0
    assert "runs as in nginx:\n  events" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("inside", "advice"),
    [
        ("http { server { location / { grpc_pass a:1; } } }", "leave these locations to an nginx behind"),
        ("mail { }", "run an nginx with that block alone"),
        ("http { server { listen 443 quic; } }", "browsers then stay with HTTP/2"),
        ("http { gzip on; }", "take it out if the site does without"),
    ],
)
def test_what_to_do_without(inside: str, advice: str) -> None:
    """The advice for each module, whether or not geng runs it by now."""
    tree = Tree(Files({"f": f"events {{}}\n{inside}\n".encode()}), "f")
    *_, place = tree.root.walk()
    status, note = _judge(place, {id(place.node): "it is not supported by geng yet"}, frozenset())
    assert status == "unsupported" and note.startswith("it is not supported by geng yet: ") and advice in note


def test_stated_differences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { server_tokens off; server { location / { dav_methods COPY; } } }\n")
    assert main(["-c", str(path)]) == 0
    text = capsys.readouterr().out
    assert "runs with a difference:\n  dav_methods" in text and "server_product" in text


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "/nowhere/nginx.conf"]) == 2
    assert "No such file" in capsys.readouterr().err
