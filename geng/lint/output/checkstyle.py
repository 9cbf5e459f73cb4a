"""Findings as checkstyle's XML, which most build servers read."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from geng.lint.linting import Result
from geng.lint.model import Finding, Severity

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "info"}


def show(results: Sequence[Result], colour: bool) -> str:
    """The files in order, with what was found in each."""
    files: dict[str, list[Finding]] = {}
    for result in results:
        for finding in result.findings:
            files.setdefault(finding.file, []).append(finding)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<checkstyle version="10.0">']
    for name, found in files.items():
        lines.append(f"  <file name={_value(name)}>")
        lines += [_error(finding) for finding in found]
        lines.append("  </file>")
    return "\n".join([*lines, "</checkstyle>"]) + "\n"


def _error(finding: Finding) -> str:
    line, column = finding.document.place(finding.start)
    message = f"{finding.message} ({finding.hint})" if finding.hint else finding.message
    level, source = LEVELS[finding.severity], _value(f"geng.lint.{finding.check}")
    return f'    <error line="{line}" column="{column}" severity="{level}" message={_value(message)} source={source}/>'


def _value(text: str) -> str:
    """*text* in quotes; what XML has no place for becomes a question mark."""
    return quoteattr("".join(each if each.isprintable() or each in "\t\n" else "?" for each in text))
