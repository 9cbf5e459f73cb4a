"""docs/lint.md and the hooks name what there is."""

from __future__ import annotations

import re
from pathlib import Path

from geng.cli.tools import TOOLS
from geng.lint.checks import CHECKS
from geng.lint.command import parser

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "lint.md").read_text()


def test_every_check_is_listed_as_it_is() -> None:
    listed = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", PAGE, re.M)
    assert listed == [(check.name, check.severity.label, check.summary) for check in CHECKS]


def test_every_command_and_option_is_described() -> None:
    assert all(f"geng {name}" in PAGE for name in TOOLS)
    options = {word for action in parser()._actions for word in action.option_strings if word.startswith("--")}
    options -= {"--help", "--color", "--colour", "--prefix", "--format"}
    assert {word for word in options if word not in PAGE} == set()


def test_hooks_call_what_there_is() -> None:
    hooks = re.findall(r"entry: geng (\w+)", (ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hooks == ["lint", "fmt"] and set(hooks) <= set(TOOLS)
