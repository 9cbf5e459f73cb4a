"""Each check against its own examples and against more: tests/lint/cases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from geng.lint.checks import CHECKS
from geng.lint.files import Files
from geng.lint.linting import Settings, lint
from geng.lint.model import Check
from geng.lint.tree import PATHS

CASES = Path(__file__).parent / "cases"


def found(check: Check, text: str, context: str | None = None) -> list[tuple[int, str]]:
    """Line and severity of what *check* says of *text*."""
    files = Files({"nginx.conf": text.encode()})
    version = check.options.get("nginx_version", "")
    settings = Settings(
        frozenset({check.name}), values=False, nginx_version=version, context=PATHS[context] if context else None
    )
    return [
        (finding.document.line(finding.start), finding.severity.label)
        for finding in lint("nginx.conf", settings, files).findings
    ]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_examples(check: Check) -> None:
    assert [severity for _, severity in found(check, check.bad)] != []
    assert found(check, check.good) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_examples_are_valid(check: Check) -> None:
    """What is shown as good has no fault, and what is shown as bad has none but the one that it shows."""
    for text in (check.bad, check.good):
        result = lint("nginx.conf", Settings(), Files({"nginx.conf": text.encode()}))
        faults = [
            str(each) for each in result.findings if each.check in ("syntax", "value", "arguments", "unknown_directive")
        ]
        assert faults == [], text


def test_pages() -> None:
    for check in CHECKS:
        page = check.page()
        assert check.name in page and "Bad:" in page and "Good:" in page
    assert len({check.name for check in CHECKS}) == len(CHECKS) >= 48


def cases() -> list[Any]:
    """A file a check: cases parted by lines of dashes, headed `# good` or `# bad LINE …`, and `in CONTEXT`."""
    made = []
    for path in sorted(CASES.glob("*.conf")):
        for number, text in enumerate(re.split(r"^-{5,}\n", path.read_text(), flags=re.M), 1):
            made.append(pytest.param(path.stem, text, id=f"{path.stem}-{number}"))
    return made


@pytest.mark.parametrize(("name", "text"), cases())
def test_case(name: str, text: str) -> None:
    check = next(check for check in CHECKS if check.name == name)
    head = re.match(r"# (good|bad)((?: \d+)*)(?: in (\S+))?", text)
    assert head, text
    lines = sorted({line for line, _ in found(check, text, head[3])})
    assert lines == [int(line) for line in head[2].split()], text
    assert (head[1] == "good") == (lines == [])


def test_every_check_has_cases_of_both_kinds() -> None:
    kinds: dict[str, set[str]] = {}
    for path in CASES.glob("*.conf"):
        kinds[path.stem] = set(re.findall(r"^# (good|bad)\b", path.read_text(), re.M))
    assert kinds == {check.name: {"good", "bad"} for check in CHECKS}
