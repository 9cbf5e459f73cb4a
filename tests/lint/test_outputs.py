"""The findings in every format, each read by what reads such files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from geng.lint import fixing, output
from geng.lint.checks import CHECKS
from geng.lint.command import main
from geng.lint.files import Files
from geng.lint.linting import Result, Settings, lint

TEXT = """\
events {}
http {
    gzip "é, 100%";
    server {
        listen 443 ssl http2;
        listen 80 default;
        ssl_certificate c.pem;
        ssl_certificate_key k.pem;
        add_header X "a
            b";
        return 301 https://$host$uri;
    }
}
"""
SCHEMA = "sarif-schema-2.1.0.json"


def run(text: str = TEXT) -> Result:
    return lint("conf/nginx.conf", Settings(), Files({"conf/nginx.conf": text.encode()}))


def shown(name: str, text: str = TEXT) -> str:
    return output.show(name)([run(text)], False)


def test_json() -> None:
    read = json.loads(shown("json"))
    first = next(each for each in read["findings"] if each["check"] == "value")
    assert (first["file"], first["line"], first["column"], first["end_column"]) == ("conf/nginx.conf", 3, 10, 19)
    assert first["severity"] == "error"
    assert {each["check"] for each in read["findings"] if each["fixable"]} == {"deprecated_spelling", "add_header_multiline"}


SARIF_TEXTS = (TEXT, "events {}\n", "events { foo; \n", "events {}\n" + "foo é;\n", *(check.bad for check in CHECKS))


def test_sarif_is_valid() -> None:
    """By a schema of the standard's objects that geng lint writes, where nothing else is allowed."""
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((Path(__file__).parent / "sarif.schema.json").read_text())
    validator = jsonschema.Draft7Validator(schema)
    for text in SARIF_TEXTS:
        assert list(validator.iter_errors(json.loads(shown("sarif", text)))) == []
    wrong = json.loads(shown("sarif"))
    wrong["runs"][0]["results"][0]["level"] = "fatal"
    assert list(validator.iter_errors(wrong)) != []


def test_sarif_is_valid_by_the_published_schema() -> None:
    """With OASIS's own file, which is not ours to keep here: where GENG_SARIF_SCHEMA says, or beside the source."""
    places = [os.environ.get("GENG_SARIF_SCHEMA", ""), Path(__file__).parents[3] / "shared" / "data" / SCHEMA]
    found = next((Path(place) for place in places if place and Path(place).is_file()), None)
    if found is None:
        pytest.skip(f"{SCHEMA} is not there: GENG_SARIF_SCHEMA names it")
    validator = pytest.importorskip("jsonschema").Draft4Validator(json.loads(found.read_text()))
    for text in SARIF_TEXTS:
        assert list(validator.iter_errors(json.loads(shown("sarif", text)))) == []


def test_sarif() -> None:
    read = json.loads(shown("sarif"))
    (run_,) = read["runs"]
    rules = [rule["id"] for rule in run_["tool"]["driver"]["rules"]]
    assert read["version"] == "2.1.0"
    for result in run_["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        region = result["locations"][0]["physicalLocation"]["region"]
        assert 1 <= region["startLine"] <= region["endLine"]
        assert result["level"] in ("error", "warning", "note")
    assert any("fixes" in result for result in run_["results"])


def test_github() -> None:
    lines = shown("github").splitlines()
    assert any(line.startswith("::error file=conf/nginx.conf,line=3,endLine=3,col=10,") for line in lines)
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in lines)
    assert any("100%25" in line for line in lines)


def test_checkstyle() -> None:
    root = ElementTree.fromstring(shown("checkstyle").encode())
    (file,) = root.findall("file")
    assert file.get("name") == "conf/nginx.conf"
    assert {error.get("severity") for error in file} == {"error", "warning", "info"}


def test_repairs() -> None:
    made = fixing.repaired([run()])
    document, text = made["conf/nginx.conf"]
    assert "        listen 443 ssl;\n        http2 on;\n        listen 80 default_server;\n" in text
    assert 'add_header X "a b";' in text
    assert fixing.repaired([lint("f", Settings(), Files({"f": text.encode("latin-1")}))]) == {}
    shown_ = fixing.diff("f", document.text, text)
    assert "-        listen 80 default;\n" in shown_ and "+        listen 80 default_server;\n" in shown_
    assert "é" in document.source_line(3)


def test_a_missing_semicolon_is_repaired() -> None:
    made = fixing.repaired([run("events {}\nhttp {\n    server {\n        listen 80\n        server_name a;\n    }\n}\n")])
    assert "        listen 80;\n        server_name a;\n" in made["conf/nginx.conf"][1]


def test_a_missing_brace_is_not_taken_for_a_missing_semicolon() -> None:
    result = run("events {}\nhttp {\n    upstream u\n        server 127.0.0.1;\n    }\n}\n")
    assert fixing.repaired([result]) == {}
    assert 'is a "{" missing behind "upstream"?' in [finding.hint for finding in result.findings]


def corpus() -> list[Path]:
    beside = Path(os.environ.get("GENG_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
    files, faulty = (sorted(path for path in beside.glob(f"{kind}/*/*") if path.is_file()) for kind in ("files", "faulty"))
    return files + faulty[::4]


def test_repairs_of_real_configurations_settle_and_do_no_harm() -> None:
    """On every file, sound or with a fault put in: after a few rounds nothing is left to repair, and no fault is new."""
    files = corpus()
    if not files:
        pytest.skip("no real configurations: GENG_CORPUS names their folder")
    repaired = 0
    for path in files:
        data, name = path.read_bytes(), str(path)
        result = lint(name, Settings(), Files({name: data}))
        before = errors(result)
        for _ in range(6):
            made = fixing.repaired([result])
            if not made:
                break
            data = made[name][1].encode("latin-1")
            result = lint(name, Settings(), Files({name: data}))
            repaired += 1
        assert fixing.repaired([result]) == {} and errors(result) <= before, path
    assert repaired > 20


def errors(result: Result) -> int:
    return sum(finding.severity.label == "error" for finding in result.findings)


def test_fix_twice_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    path.chmod(0o640)
    assert main(["--diff", str(path)]) == 1
    assert path.read_text() == TEXT and "+        http2 on;" in capsys.readouterr().out
    main(["--fix", str(path)])
    once = path.read_text()
    assert "http2 on;" in once and path.stat().st_mode & 0o777 == 0o640
    assert main(["--diff", str(path)]) == 0
    main(["--fix", str(path)])
    assert path.read_text() == once
    assert sorted(each.name for each in tmp_path.iterdir()) == ["nginx.conf"]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_repairs_of_examples_settle(check: object) -> None:
    text = check.bad  # type: ignore[attr-defined]
    for _ in range(5):
        made = fixing.repaired([lint("f", Settings(), Files({"f": text.encode()}))])
        if not made:
            return
        text = made["f"][1]
    raise AssertionError("it repairs for ever")


def test_explain_and_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", "alias_traversal"]) == 0
    assert "location /files" in capsys.readouterr().out
    assert main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(check.name in listed for check in CHECKS)
    assert main(["--explain", "nothing"]) == 2
