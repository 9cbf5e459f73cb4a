"""Comments that silence checks: `# geng-lint: ignore NAME[,NAME] REASON`.

At the end of a line it counts for that line; on a line of its own for the directive that follows, and all of its block;
`ignore-file` counts for the whole file. A comment without a reason is reported and has no effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from geng.conf.concrete import Comment, Document, Item, Statement
from geng.lint.model import Finding, Severity

IGNORE = "ignore_comment"

_COMMENT = re.compile(r"#+\s*geng-lint:\s*(ignore-file|ignore)\b\s*([\w,]*)\s*(.*)", re.S)


@dataclass(slots=True)
class Silence:
    """The checks *names* say nothing from *start* to *end*."""

    names: frozenset[str]
    start: int
    end: int
    comment: Comment
    used: bool = False

    def covers(self, finding: Finding) -> bool:
        return finding.check in self.names and self.start <= finding.start < self.end


def silences(document: Document, known: frozenset[str]) -> tuple[list[Silence], list[Finding]]:
    """What the comments of *document* silence, and the comments that are wrong."""
    found: list[Silence] = []
    wrong: list[Finding] = []
    for comment, following in _with_following(document.items, None):
        text = document.text[comment.start : comment.end]
        matched = _COMMENT.match(text)
        if matched is None:
            continue
        names = frozenset(name for name in matched[2].split(",") if name)
        problem = _problem(names, matched[3], known)
        if problem:
            wrong.append(Finding(IGNORE, Severity.WARNING, problem, document, comment.start, comment.end))
            continue
        start, end = _reach(document, comment, following, matched[1])
        found.append(Silence(names, start, end, comment))
    return found, wrong


def _problem(names: frozenset[str], reason: str, known: frozenset[str]) -> str:
    if not names:
        return "the comment names no check"
    unknown = sorted(names - known)
    if unknown:
        return f'there is no check "{unknown[0]}"'
    return "" if reason.strip() else "the comment gives no reason, and has no effect"


def _reach(document: Document, comment: Comment, following: Statement | None, kind: str) -> tuple[int, int]:
    text = document.text
    if kind == "ignore-file":
        return 0, len(text)
    line = text.rfind("\n", 0, comment.start) + 1
    if text[line : comment.start].strip():
        return line, comment.end
    if following is None:
        return comment.start, comment.end
    return comment.start, following.end


def _with_following(items: list[Item], after: Statement | None) -> Iterator[tuple[Comment, Statement | None]]:
    following = after
    pairs: list[tuple[Comment, Statement | None]] = []
    for item in reversed(items):
        if isinstance(item, Comment):
            pairs.append((item, following))
        else:
            following = item
    yield from reversed(pairs)
    for item in items:
        if isinstance(item, Statement):
            for comment in item.inner:
                yield comment, item
            if item.body:
                yield from _with_following(item.body, None)
