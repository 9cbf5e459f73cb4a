"""All the faults of a configuration in one run: nginx's words, the place of each, and what is offered instead."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from geng.conf.tables import HTTP, LOC, MAIN, SRV, STREAM, UPS
from geng.lint import faults as faults_
from geng.lint import fixing
from geng.lint.checks import CHECKS
from geng.lint.command import main
from geng.lint.files import Files, load
from geng.lint.linting import Result, Settings, lint
from geng.lint.model import Severity
from geng.lint.output.text import show
from geng.lint.tree import RAW, Tree, context_of

FULL = """\
worker_procesess 4;
events { worker_connections 1024 }
http {
    gzip maybe;
    server {
        listen 80
        server_name x.com;
        location /b { client_max_body_size 10q; proxy_pass http://; }
        brotli on;
    }
    root;
    upstream u { }
}
server_name a;
"""


def run(text: str, settings: Settings | None = None) -> Result:
    files = Files({"nginx.conf": text.encode()})
    return lint("nginx.conf", settings or Settings(), files)


def faults(text: str) -> list[tuple[int, str, str]]:
    result = run(text)
    return [
        (finding.document.line(finding.start), finding.check, finding.message)
        for finding in result.findings
        if finding.severity.label == "error"
    ]


def test_every_fault_in_one_run() -> None:
    assert faults(FULL) == [
        (1, "unknown_directive", 'unknown directive "worker_procesess"'),
        (2, "syntax", 'unexpected "}"'),
        (4, "value", 'invalid value "maybe" in "gzip" directive, it must be "on" or "off"'),
        (7, "value", 'invalid parameter "server_name"'),
        (8, "value", '"client_max_body_size" directive invalid value'),
        (8, "value", 'no host in upstream ""'),
        (9, "unknown_directive", 'unknown directive "brotli"'),
        (11, "arguments", 'invalid number of arguments in "root" directive'),
        (12, "value", "no servers are inside upstream"),
        (14, "misplaced_directive", '"server_name" directive is not allowed here'),
    ]


def test_hints() -> None:
    hints = {finding.message: finding.hint for finding in run(FULL).findings}
    assert hints['unknown directive "worker_procesess"'] == 'did you mean "worker_processes"?'
    assert hints['unexpected "}"'] == 'is a ";" missing before it?'
    assert hints['invalid parameter "server_name"'] == 'is a ";" missing before "server_name"?'
    assert hints['"server_name" directive is not allowed here'].startswith("it may stand in server")
    assert "ngx_brotli" in hints['unknown directive "brotli"']
    assert hints['invalid number of arguments in "root" directive'] == "it takes 1 argument"


def test_a_good_configuration_has_no_faults() -> None:
    assert faults("events {}\nhttp { server { listen 80; location / { root /var/www; } } }\n") == []


@pytest.mark.parametrize("cut", range(0, len(FULL), 7))
def test_every_beginning_of_a_file_is_read(cut: int) -> None:
    """Nothing but findings comes of half a file, as an editor has it."""
    run(FULL[:cut])


def test_text_with_carets() -> None:
    result = run("events {}\nhttp {\n\tgzip  maybe;\n}\n", Settings(only=frozenset({"value"})))
    assert show([result], False) == (
        'nginx.conf:3:8: error: invalid value "maybe" in "gzip" directive, it must be "on" or "off" [value]\n'
        "    3 |         gzip  maybe;\n"
        "      |               ^^^^^\n"
        "\n1 error\n"
    )
    assert "\x1b[31" in show([result], True)


def test_escapes_do_not_reach_a_terminal() -> None:
    assert "\x1b" not in show([run("events {}\n\x1b[31mfoo;\n")], False)


@pytest.mark.parametrize(
    ("text", "context"),
    [
        ("server { listen 80; }", HTTP),
        ("listen 80; server_name a; location / { }", SRV),
        ("proxy_pass http://a; proxy_set_header A b;", LOC),
        ("server 10.0.0.1; server 10.0.0.2; keepalive 4;", UPS),
        ("events { } http { }", MAIN),
        ("# geng-lint: context http,server\nroot /a;", SRV),
        ("a b; c d;", RAW),
        ("gzip on;\ngzip_types text/css;", HTTP),
    ],
)
def test_level_of_a_fragment(text: str, context: int) -> None:
    assert context_of(load(text.encode(), "f")) == context


def test_a_fragment_may_refer_to_what_is_elsewhere() -> None:
    text = "server { listen 80; access_log /dev/null nowhere; location / { limit_req zone=one; return 200 $mine; } }"
    assert faults(text) == []
    assert [fault[2] for fault in faults("server { listen 80; root /a; root /b; }")] == ['"root" directive is duplicate']


def test_included_files(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("gzip perhaps;\n")
    main = tmp_path / "nginx.conf"
    main.write_text("events {}\nhttp { include a.conf; server { include a.conf; include b.conf; } }\n")
    found = lint(str(main), Settings()).findings
    assert [(Path(finding.file).name, finding.check) for finding in found if finding.severity.label == "error"] == [
        ("a.conf", "value"),  # once, though it counts at two places
        ("nginx.conf", "missing_include"),
    ]
    tree = Tree(Files(), str(main))
    assert len(tree.named("gzip")) == 2


def test_files_that_include_each_other(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text("include nginx.conf;\nevents {}\n")
    lint(str(main), Settings())


def test_names_are_not_looked_up() -> None:
    text = "events {}\nhttp { upstream u { server no.such.name.invalid; } server { location / { proxy_pass http://u; } } }"
    assert faults(text) == []


def test_no_host_has_a_variable_in_its_name() -> None:
    text = "events {}\nhttp { server { listen $port; } }"
    assert faults(text) == [(2, "value", 'host not found in "$port" of the "listen" directive')]


def test_environment_is_asked_for() -> None:
    text = "events {}\nuser no-such-user-here;\n"
    assert [finding for finding in run(text).findings if finding.check == "environment"] == []
    found = run(text, Settings(environment=True)).findings
    assert [finding.severity.label for finding in found if finding.check == "environment"] == ["note"]


@pytest.mark.parametrize(
    ("comment", "checks"),
    [
        ("# geng-lint: ignore unknown_directive it comes with the next module", []),
        ("# geng-lint: ignore unknown_directive", ["ignore_comment", "unknown_directive"]),
        ("# geng-lint: ignore no_such reason", ["ignore_comment", "unknown_directive"]),
        ("# geng-lint: ignore arguments other", ["unknown_directive"]),
    ],
)
def test_silence(comment: str, checks: list[str]) -> None:
    only = frozenset({"unknown_directive", "ignore_comment"})
    for text in (f"foo bar; {comment}\n", f"{comment}\nfoo bar;\n", f"{comment}\nfoo {{\n  bar a;\n}}\n"):
        found = run("events {}\n" + text, Settings(only=only)).findings
        assert sorted(finding.check for finding in found) == checks, text


def test_a_pattern_with_braces_and_without_quotes() -> None:
    """nginx begins a block at the brace; what stands behind is read as it was meant."""
    text = "events {}\nhttp { server {\n location ~ ^/[0-9a-f]{8}-[a-z]{2,}$ { gzip onn; }\n rewrite ^/a{2}/(.*) /$1;\n} }\n"
    found = run(text)
    assert [fault[:2] for fault in faults(text)] == [(3, "syntax"), (3, "value"), (4, "syntax")]
    (document, made), *_ = fixing.repaired([found]).values()
    assert 'location ~ "^/[0-9a-f]{8}-[a-z]{2,}$" {' in made and 'rewrite "^/a{2}/(.*)" /$1;' in made
    assert [finding.check for finding in run(made).findings if finding.severity.label == "error"] == ["value"]


def test_what_follows_from_a_fault_is_not_reported() -> None:
    assert faults("events {}\nhttp { upstream u { server a:b; } }\n") == [(2, "value", 'invalid port in upstream "a:b"')]
    assert faults("events {}\nhttp { upstream u { } }\n") == [(2, "value", "no servers are inside upstream")]
    text = "events {}\nhttp { server { my_set $x a; return 200 $x; } }\n"
    assert faults(text) == [(2, "unknown_directive", 'unknown directive "my_set"')]


def test_modules_that_are_loaded() -> None:
    """With load_module, a directive of a module that is known is no fault of the file's."""
    text = "load_module modules/ngx_http_js_module.so;\nevents {}\nhttp { js_path /a; no_such a; }\n"
    assert [fault[1:] for fault in faults(text)] == [("unknown_directive", 'unknown directive "no_such"')]
    found = {finding.message: finding.severity.label for finding in run(text).findings}
    assert found['unknown directive "js_path"'] == "warning"


def test_silence_ends_with_the_block() -> None:
    text = "events {}\n# geng-lint: ignore unknown_directive because\nfoo;\nfoo2;\n"
    assert [fault[0] for fault in faults(text)] == [4]
    text = "events {}\nfoo2;\n# geng-lint: ignore-file unknown_directive because\n"
    result = run(text)
    assert result.silenced == 1 and faults(text) == []


def geng(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "geng", *words]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def test_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text("events {}\nfoo;\n")
    done = geng("lint", "bad.conf", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith('bad.conf:2:1: error: unknown directive "foo" [unknown_directive]\n')
    assert geng("lint", "bad.conf", "--fail-on", "never", cwd=tmp_path).returncode == 0
    assert geng("lint", "bad.conf", "--skip", "unknown_directive", "--fail-on", "error", cwd=tmp_path).returncode == 0
    missing = geng("lint", "none.conf", cwd=tmp_path)
    assert missing.returncode == 2
    assert missing.stderr == 'geng lint: open() "none.conf" failed (2: No such file or directory)\n'
    assert geng("lint", "--only", "nothing", "bad.conf", cwd=tmp_path).returncode == 2
    assert geng("lint", "--format", "prose", cwd=tmp_path).returncode == 2


def test_nginx_command_line_is_as_it_was(tmp_path: Path) -> None:
    done = geng("linty", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, 'nginx: invalid option: "linty"\n')


def test_server_imports_no_linter() -> None:
    script = "import sys, json, geng.cli.main, geng.process.cycle; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2])
    loaded = json.loads(done.stdout)
    assert not [name for name in loaded if name.startswith(("geng.lint", "geng.tools", "geng.conf.concrete"))]


def test_what_nginx_looks_at_in_the_end() -> None:
    assert faults("http { }\n") == [(1, "value", 'no "events" section in configuration')]
    result = lint("site.conf", Settings(), Files({"site.conf": b"http { }\n"}))
    assert [each.severity.label for each in result.findings if "events" in each.message] == ["note"]
    text = "events {}\nhttp { server { limit_req zone=one; } }\n"
    assert faults(text) == [(2, "value", 'zero size shared memory zone "one"')]
    text = "events { worker_connections 2; }\nhttp { server { listen 81; listen 82; } }\n"
    assert faults(text) == [(1, "value", "2 worker_connections are not enough for 2 listening sockets")]


def test_all_that_nginx_looks_at_in_the_end() -> None:
    text = """\
events {}
http {
    server {
        fastcgi_buffers 2 1k; fastcgi_busy_buffers_size 512;
        location / { proxy_pass http://127.0.0.1; proxy_cache absent; }
        location /b { proxy_pass https://127.0.0.1; proxy_ssl_verify on; }
    }
}
stream {
    server { listen 127.0.0.1:1 ssl; return a; }
    server { listen 127.0.0.1:2; proxy_pass 127.0.0.1:3; proxy_ssl on; proxy_ssl_verify on; }
}
"""
    least = 'the maximum of the value of "fastcgi_buffer_size" and one of the "fastcgi_buffers"'
    at_the_end = [fault for fault in faults(text) if "zero size" not in fault[2]]
    assert at_the_end == [
        (3, "value", f'"fastcgi_busy_buffers_size" must be equal to or greater than {least}'),
        (5, "value", '"proxy_cache" zone "absent" is unknown'),
        (6, "value", "no proxy_ssl_trusted_certificate for proxy_ssl_verify"),
        (9, "value", 'no "ssl_certificate" is defined for the "listen ... ssl" directive in nginx.conf:10'),
        (9, "value", "no proxy_ssl_trusted_certificate for proxy_ssl_verify"),
    ]


def test_the_inside_of_blocks_tells_the_level() -> None:
    assert context_of(load(b"if ($a) { add_header A b; }", "f")) == LOC
    assert context_of(load(b"if ($a) { return 403; }", "f")) == SRV
    assert context_of(load(b"more_set_headers 'A: b';", "f")) == HTTP
    assert context_of(load(b"server { listen 80; server_name a; return 1; proxy_pass http://a; }", "f")) == HTTP
    assert context_of(load(b"server { listen 80; proxy_pass a:1; proxy_timeout 1s; }", "f")) == STREAM
    assert context_of(load(b"gzip_sattic on;", "f")) == HTTP


CORPUS = Path(os.environ.get("GENG_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
OUT_OF_SIGHT = ('unknown "', "unknown log format", "no port in upstream", "dlopen()")


def test_agreement_with_nginx_on_real_configurations() -> None:
    """An error where nginx refused the file, and none where it accepted it; what a fragment may leave to others aside."""
    verdicts = CORPUS / "verdicts.tsv"
    if not verdicts.exists():
        pytest.skip("no real configurations: GENG_CORPUS names their folder")
    checks = {check.name for check in CHECKS} | {"missing_include"}
    with verdicts.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    wrong = []
    for row in rows:
        found = lint(str(CORPUS / "files" / row["file"]), Settings()).findings
        errors = [each for each in found if each.severity is Severity.ERROR and each.check not in checks]
        if bool(errors) != (row["verdict"] != "ok") and not row["message"].startswith(OUT_OF_SIGHT):
            wrong.append((row["file"], row["message"], errors))
    assert wrong == [] and len(rows) > 300


@pytest.mark.parametrize("fault", faults_.ALL, ids=lambda fault: fault.name)
def test_pages_of_faults(fault: faults_.Fault, capsys: pytest.CaptureFixture[str]) -> None:
    """The bad example is reported under that name, the good one is not."""

    def names(text: str) -> set[str]:
        return {finding.check for finding in run(text, Settings(environment=True)).findings}

    assert fault.name in names(fault.bad) and fault.name not in names(fault.good)
    assert main(["--explain", fault.name]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"{fault.name} ({fault.severity}): {fault.summary}\n") and "Bad:" in shown and "Good:" in shown
