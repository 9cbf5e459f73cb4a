"""The report before a move from nginx to geng."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from geng.tools.migrate import main

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


def test_what_geng_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("events {}\nhttp { server { listen 127.0.0.1:8080; location / { perl_set $a b; perl main::x; } } }\n")
    assert main(["-c", str(path), "--json"]) == 1
    read = json.loads(capsys.readouterr().out)
    (perl,) = [each for each in read["directives"] if each["directive"] == "perl"]
    assert perl["status"] == "unsupported" and "not supported by geng yet" in perl["note"]


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "/nowhere/nginx.conf"]) == 2
    assert "No such file" in capsys.readouterr().err
