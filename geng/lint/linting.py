"""A run of the linter: every fault and every check over a configuration or a fragment, sorted, silenced, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from geng.lint import faults, ignores, validity, values
from geng.lint.checks import CHECKS
from geng.lint.files import Files
from geng.lint.model import Check, Finding, Found, Severity
from geng.lint.tree import RAW, Tree

FAULTS = {fault.name: fault.summary for fault in faults.ALL}
"""What is reported without being a check of its own, by name."""

SPELLING = "deprecated_spelling"
"""It knows directives that nginx has no more, and is heard beside the fault."""

NAMES = frozenset(FAULTS) | {check.name for check in CHECKS}


@dataclass
class Settings:
    """What the command line chooses. *only*: the names of checks, all if empty; *nginx_version* for known faults."""

    only: frozenset[str] = frozenset()
    skip: frozenset[str] = frozenset()
    environment: bool = False
    values: bool = True
    prefix: str = ""
    context: int | None = None
    nginx_version: str = ""


@dataclass
class Result:
    """What was found in one configuration."""

    tree: Tree
    findings: list[Finding] = field(default_factory=list)
    silenced: int = 0

    @property
    def worst(self) -> Severity | None:
        return max((finding.severity for finding in self.findings), default=None)


def lint(name: str, settings: Settings, files: Files | None = None) -> Result:
    """Everything there is to say about the file *name*; raises OSError when it cannot be read."""
    tree = Tree(files or Files(), name, settings.context, settings.prefix)
    result = Result(tree)
    found = list(validity.syntax(tree)) if tree.context != RAW or tree.loaded.document.broken else []
    refused = list(validity.structure(tree))
    known: frozenset[str] = frozenset()
    if settings.values:
        reading = values.Reading(tree, {(id(at.node), at.context) for at, each in refused if each.check != validity.UNKNOWN})
        found += [finding for finding in reading.run() if not finding.message.startswith("unknown directive")]
        known = reading.own
    found += [finding for place, finding in refused if place.name not in known]
    found += [finding for _, finding in validity.missing(tree)]
    broken = {(finding.file, finding.start) for finding in found if finding.severity is Severity.ERROR}
    tree.nginx_version = settings.nginx_version
    for check in CHECKS:
        if _wanted(check.name, settings):
            made = [_finding(check, each) for each in check.findings(tree)]
            found += [
                finding for finding in made if (finding.file, finding.start) not in broken or finding.check == SPELLING
            ]
    kept = [finding for finding in found if _wanted(finding.check, settings) and not _said_better(finding, settings)]
    if not settings.environment:
        kept = [finding for finding in kept if finding.check != values.ENVIRONMENT]
    result.findings, result.silenced = _silenced(kept, tree)
    return result


def _wanted(name: str, settings: Settings) -> bool:
    return name not in settings.skip and (not settings.only or name in settings.only)


def _said_better(finding: Finding, settings: Settings) -> bool:
    """Whether a check says what nginx only hints at."""
    if finding.check != values.WARNS:
        return False
    return (
        "conflicting server name" in finding.message
        and _wanted("server_name_conflict", settings)
        or finding.message.endswith(('is deprecated, use the "http2" directive instead', "is obsolete, ignored"))
        and _wanted(SPELLING, settings)
    )


def _finding(check: Check, found: Found) -> Finding:
    severity = check.severity if found.severity is None else found.severity
    return validity.finding(found.place, check.name, severity, found.message, found.word, found.hint, found.edits)


def _silenced(found: Sequence[Finding], tree: Tree) -> tuple[list[Finding], int]:
    """*found* without what comments silence, each once, in the order of the files; and how many were silenced."""
    once = {finding.key: finding for finding in found}
    silent = {}
    for loaded in tree.files.loaded.values():
        silences, wrong = ignores.silences(loaded.document, NAMES)
        silent[loaded.document.name] = silences
        once.update({finding.key: finding for finding in wrong})
    kept, count = [], 0
    for _, finding in sorted(once.items()):
        silence = next((each for each in silent[finding.file] if each.covers(finding)), None)
        if silence is None:
            kept.append(finding)
        else:
            silence.used = True
            count += 1
    return kept, count
