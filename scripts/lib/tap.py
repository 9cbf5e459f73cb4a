"""Reads what a Perl test file prints: the Test Anything Protocol, version 12."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

PLAN = re.compile(r"1\.\.(?P<count>\d+)(?:\s*#\s*skip\S*\s*(?P<reason>.*))?$", re.IGNORECASE)
LINE = re.compile(r"(?P<no>not )?ok(?: (?P<number>\d+))?(?: -)? ?(?P<name>.*)$")
DIRECTIVE = re.compile(r"(?:^|\s)#\s*(?P<kind>skip|todo)\b\s*(?P<reason>.*)$", re.IGNORECASE)


@dataclass
class Subtest:
    """One numbered line. A subtest that was skipped did not pass, whatever its `ok` says."""

    number: int
    ok: bool
    name: str
    skipped: bool = False
    todo: bool = False
    diagnostics: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return self.ok and not self.skipped


@dataclass
class Report:
    """A whole file: its plan, its subtests by number, and the lines that belong to none of them."""

    planned: int | None = None
    skip_all: str | None = None
    subtests: dict[int, Subtest] = field(default_factory=dict)
    noise: list[str] = field(default_factory=list)

    def passed(self) -> set[int]:
        return {number for number, subtest in self.subtests.items() if subtest.passed}


def parse(lines: Iterable[str]) -> Report:
    report = Report()
    last: Subtest | None = None
    for line in lines:
        line = line.rstrip("\r\n")
        if plan := PLAN.match(line):
            report.planned = int(plan["count"])
            if report.planned == 0:
                report.skip_all = plan["reason"] or "no reason given"
        elif found := LINE.match(line):
            last = _subtest(found, len(report.subtests) + 1)
            report.subtests[last.number] = last
        elif line.startswith("#") and last is not None and not last.ok:
            last.diagnostics.append(line)
        elif line.strip():
            report.noise.append(line)
    return report


def _subtest(found: re.Match[str], following: int) -> Subtest:
    name, kind = found["name"], None
    if directive := DIRECTIVE.search(name):
        name, kind = name[: directive.start()], directive["kind"].lower()
    return Subtest(
        number=int(found["number"] or following),
        ok=not found["no"],
        name=name.strip(),
        skipped=kind == "skip",
        todo=kind == "todo",
    )
