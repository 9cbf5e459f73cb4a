"""Findings for people: the place, the words, the line with a caret, a hint."""

from __future__ import annotations

from collections.abc import Sequence

from geng.lint.linting import Result
from geng.lint.model import Finding, Severity

COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
WIDEST = 200
TABULATOR = 8


def show(results: Sequence[Result], colour: bool) -> str:
    """Every finding, then a line that counts them."""
    found = [finding for result in results for finding in result.findings]
    shown = "".join(one(finding, colour) + "\n" for finding in found)
    return shown + summary(found, sum(result.silenced for result in results)) + "\n"


def one(finding: Finding, colour: bool) -> str:
    """One finding, of some lines."""
    line, column = finding.document.place(finding.start)
    paint = _paint if colour else _plain
    label = paint(finding.severity.label, COLOURS[finding.severity] + ";1")
    head = f"{paint(f'{finding.file}:{line}:{column}', '1')}: {label}: {_printable(finding.message)} [{finding.check}]\n"
    source = finding.document.source_line(line)
    text = _tabs_out(source)[:WIDEST]
    number = f"{line:>5}"
    if text.strip():
        _, last = finding.document.place(finding.end)
        at = len(_tabs_out(source[: column - 1]))
        width = max(1, min(len(_tabs_out(source[: last - 1])), WIDEST) - at)
        if at < WIDEST:
            head += f"{number} | {_printable(text)}\n      | {' ' * at}{paint('^' * width, COLOURS[finding.severity])}\n"
    if finding.hint:
        head += f"      = {_printable(finding.hint)}\n"
    if finding.edits:
        head += "      = --fix can repair this\n"
    return head


def summary(found: Sequence[Finding], silenced: int) -> str:
    counts = [(severity, sum(finding.severity is severity for finding in found)) for severity in reversed(Severity)]
    text = ", ".join(f"{n} {severity.label}{'s' if n != 1 else ''}" for severity, n in counts if n) or "nothing to report"
    return text + (f", {silenced} silenced" if silenced else "")


def _tabs_out(text: str) -> str:
    return text.expandtabs(TABULATOR)


def _printable(text: str) -> str:
    """*text* that no terminal acts upon, and any encoding can show."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _plain(text: str, code: str) -> str:
    return text
