"""Findings as SARIF 2.1.0 (OASIS), which code hosts and editors read."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from geng import __version__
from geng.lint.checks import CHECKS
from geng.lint.linting import FAULTS, Result
from geng.lint.model import Edit, Finding, Severity

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def show(results: Sequence[Result], colour: bool) -> str:
    """One run with all findings, and the rules that they break."""
    found = [finding for result in results for finding in result.findings]
    names = sorted({finding.check for finding in found})
    driver = {"name": "geng lint", "version": __version__, "rules": [_rule(name) for name in names]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"uri": _folder(os.getcwd())}},
        "results": [_result(finding, names.index(finding.check)) for finding in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _folder(path: str) -> str:
    return "file://" + quote(path.rstrip("/") + "/")


def _rule(name: str) -> dict[str, Any]:
    for check in CHECKS:
        if check.name == name:
            return {
                "id": name,
                "shortDescription": {"text": check.summary},
                "fullDescription": {"text": check.explanation.strip()},
                "help": {"text": check.page()},
                "defaultConfiguration": {"level": LEVELS[check.severity]},
            }
    return {"id": name, "shortDescription": {"text": FAULTS[name]}}


def _result(finding: Finding, rule: int) -> dict[str, Any]:
    text = f"{finding.message} ({finding.hint})" if finding.hint else finding.message
    made: dict[str, Any] = {
        "ruleId": finding.check,
        "ruleIndex": rule,
        "level": LEVELS[finding.severity],
        "message": {"text": _text(text)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _file(finding.file),
                    "region": _region(finding, finding.start, finding.end),
                }
            }
        ],
    }
    if finding.edits:
        made["fixes"] = [_fix(finding)]
    return made


def _file(name: str) -> dict[str, Any]:
    if os.path.isabs(name):
        return {"uri": "file://" + quote(name)}
    return {"uri": quote(name), "uriBaseId": "SRCROOT"}


def _region(finding: Finding, start: int, end: int) -> dict[str, int]:
    line, column = finding.document.place(start)
    end_line, end_column = finding.document.place(end)
    return {"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column}


def _fix(finding: Finding) -> dict[str, Any]:
    return {
        "description": {"text": f"repair {finding.check}"},
        "artifactChanges": [
            {
                "artifactLocation": _file(finding.file),
                "replacements": [_replacement(finding, edit) for edit in finding.edits],
            }
        ],
    }


def _replacement(finding: Finding, edit: Edit) -> dict[str, Any]:
    return {"deletedRegion": _region(finding, edit.start, edit.end), "insertedContent": {"text": edit.text}}


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
