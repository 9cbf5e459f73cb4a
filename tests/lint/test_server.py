"""The language server as an editor drives it: a process, and messages with Content-Length."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from geng.conf import tables
from geng.lint import editing
from geng.lint.describing import describe

TEXT = 'events {}\nhttp {\n    include a.conf;\n    # é😀\n    gizp "😀" on;\n    server {\n        \n    }\n}\n'


class Editor:
    """The other end of the wire."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.number = 0

    def send(self, method: str, params: Any, request: bool = True) -> int:
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        if request:
            self.number += 1
            message["id"] = self.number
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()
        return self.number

    def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        read: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return read

    def ask(self, method: str, params: Any) -> Any:
        number = self.send(method, params)
        while (answer := self.receive()).get("id") != number:
            pass
        return answer["result"]

    def told(self, method: str) -> Any:
        while (message := self.receive()).get("method") != method:
            pass
        return message["params"]


@pytest.fixture
def editor() -> Iterator[Editor]:
    pytest.importorskip("pygls")
    command = [sys.executable, "-m", "geng", "lsp"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield Editor(process)
        finally:
            process.kill()


def test_an_editor(editor: Editor, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("gzip on;\n")
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    uri = path.as_uri()
    able = editor.ask("initialize", {"processId": None, "rootUri": None, "capabilities": {}})["capabilities"]
    assert able["hoverProvider"] and able["definitionProvider"] and "completionProvider" in able
    editor.send("initialized", {}, request=False)
    document = {"uri": uri, "languageId": "nginx", "version": 1, "text": TEXT}
    editor.send("textDocument/didOpen", {"textDocument": document}, request=False)
    found = editor.told("textDocument/publishDiagnostics")["diagnostics"]
    (wrong,) = [each for each in found if each["code"] == "unknown_directive"]
    assert wrong["range"] == {"start": {"line": 4, "character": 4}, "end": {"line": 4, "character": 8}}
    assert wrong["message"] == 'unknown directive "gizp"\ndid you mean "gzip"?'
    change = {"textDocument": {"uri": uri, "version": 2}, "contentChanges": [{"text": TEXT.replace('gizp "😀"', "gzip")}]}
    editor.send("textDocument/didChange", change, request=False)
    found = editor.told("textDocument/publishDiagnostics")["diagnostics"]
    assert not [each for each in found if each["code"] == "unknown_directive"]

    def at(line: int, character: int) -> dict[str, Any]:
        return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}

    offered = {each["label"] for each in editor.ask("textDocument/completion", at(6, 8))["items"]}
    assert {"listen", "location", "server_name"} <= offered and "worker_processes" not in offered
    hover = editor.ask("textDocument/hover", at(4, 5))["contents"]
    assert hover["kind"] == "markdown"
    assert hover["value"].splitlines() == [
        *(
            "```nginx",
            "gzip on | off;",
            "```",
            "- default: `gzip off;`",
            "- context: http, server, location, if in location",
        ),
        "- module: [http_gzip_filter](https://nginx.org/en/docs/http/ngx_http_gzip_module.html#gzip)",
    ]
    assert editor.ask("textDocument/hover", at(3, 6)) is None
    (target,) = editor.ask("textDocument/definition", at(2, 14))
    assert target["uri"] == (tmp_path / "a.conf").as_uri()
    editor.ask("shutdown", None)


def test_positions_count_as_the_protocol_does() -> None:
    (found,) = [each for each in editing.findings("nginx.conf", TEXT) if each.check == "unknown_directive"]
    assert editing.position(found.document, found.document.text.index('"', found.start)) == (4, 9)
    for line, character in ((0, 0), (3, 6), (4, 9), (4, 14), (7, 5)):
        assert editing.position(found.document, editing.offset(found.document, (line, character))) == (line, character)


@pytest.mark.parametrize(
    ("text", "place", "there", "missing"),
    [
        ("\n", (0, 0), "worker_processes", "gzip"),
        ("events {}\nhttp {\n  \n", (2, 2), "upstream", "worker_processes"),
        ("events {}\nhttp {\n  se", (2, 4), "server", "worker_processes"),
        ("events {}\nhttp { server { location / { pro", (1, 32), "proxy_pass", "listen"),
    ],
)
def test_suggestions(text: str, place: editing.Position, there: str, missing: str) -> None:
    names = {each.name for each in editing.suggestions("nginx.conf", text, place)}
    assert there in names and missing not in names


HOVERS = {
    "http { server { client_max_body_size 1; } }": ("client_max_body_size size;", "client_max_body_size 1m;"),
    "http { server { location / { proxy_read_timeout 1; } } }": ("proxy_read_timeout time;", "proxy_read_timeout 60s;"),
    "http { ssl_protocols TLSv1; }": ("TLSv1.2 | TLSv1.3 ...;", "ssl_protocols TLSv1.2 TLSv1.3;"),
    "http { server { location / { try_files a; } } }": ("try_files file ... uri | =code;", "none"),
    "stream { server { proxy_timeout 1; } }": ("proxy_timeout time;", "proxy_timeout 10m;"),
    "mail { server { proxy_timeout 1; } }": ("proxy_timeout", "proxy_timeout 24h;"),
    "http { map $a $b { } }": ("map string $variable { … }", "none"),
}


@pytest.mark.parametrize("text", HOVERS)
def test_hover(text: str) -> None:
    """Of several directives with one name it is the one of this level."""
    name = HOVERS[text][1 if "TLS" in text else 0].partition(" ")[0]
    shown = editing.described("nginx.conf", text, (0, text.index(name) + 1))
    assert all(part in shown for part in HOVERS[text]), shown
    assert "---" not in shown


def test_every_directive_is_described() -> None:
    for name, entries in tables.ENTRIES.items():
        known = describe(name)
        assert len(known) == len(entries)
        for each in known:
            assert each.syntax.startswith(name) and each.syntax[-1] in ";}" and each.contexts
            assert each.link.startswith("https://nginx.org/en/docs/") and each.link.endswith(f"#{name}")
    assert sum(bool(each.default) for name in tables.ENTRIES for each in describe(name)) > 500


def test_nothing_is_suggested_among_arguments() -> None:
    assert editing.suggestions("nginx.conf", "events {}\nhttp { gzip o", (1, 13)) == []
