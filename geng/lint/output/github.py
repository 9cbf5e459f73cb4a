"""Findings as annotations of GitHub's workflows: `::error file=…,line=…::message`."""

from __future__ import annotations

from collections.abc import Sequence

from geng.lint.linting import Result
from geng.lint.model import Finding, Severity

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def show(results: Sequence[Result], colour: bool) -> str:
    """A line a finding."""
    return "".join(_line(finding) for result in results for finding in result.findings)


def _line(finding: Finding) -> str:
    line, column = finding.document.place(finding.start)
    end_line, end_column = finding.document.place(finding.end)
    values = {"file": finding.file, "line": line, "endLine": end_line, "col": column, "endColumn": end_column}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in {**values, "title": finding.check}.items())
    message = f"{finding.message} ({finding.hint})" if finding.hint else finding.message
    return f"::{COMMANDS[finding.severity]} {properties}::{_message(message)}\n"


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
