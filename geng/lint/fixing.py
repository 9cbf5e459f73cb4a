"""Repairs: the edits of findings put into their files, and shown as a diff before."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Sequence

from geng.conf import syntax
from geng.conf.concrete import Document
from geng.conf.lexer import decode
from geng.conf.syntax import Fault, Row
from geng.lint.linting import Result
from geng.lint.model import Edit, Finding


def repaired(results: Sequence[Result]) -> dict[str, tuple[Document, str]]:
    """What each file would say with every repair made: by name, the document and the new text (a character a byte)."""
    found: dict[str, list[Finding]] = {}
    for result in results:
        for finding in result.findings:
            if finding.edits:
                found.setdefault(finding.file, []).append(finding)
    made = {}
    for name, findings in found.items():
        document = findings[0].document
        text = apply(document.text, findings)
        if text != document.text and _readable(text, name) >= _readable(document.text, name):
            made[name] = (document, text)
    return made


def apply(text: str, findings: Sequence[Finding]) -> str:
    """*text* with the edits of *findings*; of repairs that are in each other's way only the first is made."""
    chosen: list[Edit] = []
    for finding in findings:
        if all(edit in chosen or not any(_overlap(edit, other) for other in chosen) for edit in finding.edits):
            chosen += [edit for edit in finding.edits if edit not in chosen]
    for edit in sorted(chosen, key=lambda each: (each.start, each.end), reverse=True):
        replacement = (
            edit.text.encode("utf-8", "surrogateescape").decode("latin-1") if not edit.text.isascii() else edit.text
        )
        text = text[: edit.start] + replacement + text[edit.end :]
    return text


def _overlap(one: Edit, two: Edit) -> bool:
    return one.start < two.end and two.start < one.end or one.start == two.start


def _readable(text: str, name: str) -> bool:
    return not _faulty(syntax.parse(text.encode("latin-1"), name))


def _faulty(rows: list[Row]) -> bool:
    return any(isinstance(row, Fault) or bool(row.block) and _faulty(row.block or []) for row in rows)


def diff(name: str, old: str, new: str) -> str:
    """The change of the file *name* as a unified diff."""
    before, after = decode(old).splitlines(keepends=True), decode(new).splitlines(keepends=True)
    lines = difflib.unified_diff(before, after, name, name)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def write(name: str, text: str) -> None:
    """Put *text* in the place of the file *name*, all of it or nothing; raises OSError."""
    name = os.path.realpath(name)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(name), prefix=".geng-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("latin-1"))
        status = os.stat(name)
        os.chmod(temporary, status.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.chown(temporary, status.st_uid, status.st_gid)
        os.replace(temporary, name)
    except OSError:
        os.unlink(temporary)
        raise
