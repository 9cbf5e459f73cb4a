"""The picture of a configuration in its three formats."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from geng.tools.graph import main

TEXT = """\
events {}
http {
    upstream app { server 10.0.0.1:80 weight=2; server 10.0.0.2; }
    server {
        listen 80 default_server; server_name a.example "b<c";
        location / { proxy_pass http://app/x; }
        location ~ \\.php$ { fastcgi_pass unix:/run/php; }
    }
    server { listen 80; return 301 https://a.example$request_uri; }
}
"""


def drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, text: str = TEXT) -> str:
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    assert main(["-c", str(path), "--format", kind]) == 0
    return capsys.readouterr().out


def test_svg(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ElementTree.fromstring(drawn(tmp_path, capsys, "svg"))
    space = "{http://www.w3.org/2000/svg}"
    titles = [each.text for each in root.iter(f"{space}title")]
    assert titles == [
        *("server a.example b<c", "*:80 default_server", "location /", "upstream app", "10.0.0.1:80 weight=2", "10.0.0.2"),
        *(
            "location ~ \\.php$",
            "fastcgi_pass unix:/run/php",
            "server (no name)",
            "return 301 https://a.example$request_uri",
        ),
    ]
    assert len(list(root.iter(f"{space}path"))) == 9


def test_boxes_do_not_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    locations = "".join(f"location /{n} {{ proxy_pass http://10.0.0.{n}; }}\n" for n in range(50))
    text = f"events {{}}\nhttp {{ server {{ listen 80;\n{locations} }} }}\n"
    root = ElementTree.fromstring(drawn(tmp_path, capsys, "svg", text))
    boxes = [each.attrib for each in root.iter("{http://www.w3.org/2000/svg}rect") if "rx" in each.attrib]
    assert len(boxes) == 102
    places = {(int(each["x"]), int(each["y"])) for each in boxes}
    for x, y in places:
        assert not [other for other in places if other[0] == x and 0 < other[1] - y < 30]
        assert y + 30 <= int(root.attrib["height"])
    assert all(int(each["x"]) + int(each["width"]) <= int(root.attrib["width"]) for each in boxes)


def test_lines_do_not_pass_behind_locations(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a server answers by itself has a row of its own."""
    text = "events {}\nhttp { server { listen 80; return 301 /a; } server { listen 81; location / { return 204; } } }\n"
    root = ElementTree.fromstring(drawn(tmp_path, capsys, "svg", text))
    space = "{http://www.w3.org/2000/svg}"
    rows = {
        group.find(f"{space}title").text: int(group.find(f"{space}rect").attrib["y"]) for group in root.iter(f"{space}g")
    }  # type: ignore[union-attr]
    assert rows["return 301 /a"] != rows["location /"] == rows["return 204"]


def test_mermaid_and_dot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = drawn(tmp_path, capsys, "mermaid")
    assert text.startswith("flowchart LR\n") and '["upstream app"]' in text and "b#60;c" in text
    assert text.count("-->") == 9
    text = drawn(tmp_path, capsys, "dot")
    assert text.startswith("digraph nginx {\n") and 'label="location ~ \\\\.php$"' in text and text.count("->") == 9


def test_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-c", "/nowhere/nginx.conf"]) == 2
    assert "No such file" in capsys.readouterr().err
