"""Findings as JSON: one object, for scripts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from geng import __version__
from geng.lint.linting import Result
from geng.lint.model import Finding


def show(results: Sequence[Result], colour: bool) -> str:
    """`{"version", "findings": [{"check", "severity", "message", "file", "line", "column", …}], "silenced"}`."""
    found = [entry(finding) for result in results for finding in result.findings]
    silenced = sum(result.silenced for result in results)
    return json.dumps({"version": __version__, "findings": found, "silenced": silenced}, indent=2) + "\n"


def entry(finding: Finding) -> dict[str, Any]:
    """One finding; lines and columns count from 1, *end_column* is behind the last character."""
    line, column = finding.document.place(finding.start)
    end_line, end_column = finding.document.place(finding.end)
    return {
        "check": finding.check,
        "severity": finding.severity.label,
        "message": finding.message,
        "hint": finding.hint,
        "file": finding.file,
        "line": line,
        "column": column,
        "end_line": end_line,
        "end_column": end_column,
        "fixable": bool(finding.edits),
    }
