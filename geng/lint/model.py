"""What checks are and what they find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geng.conf.concrete import Document
    from geng.lint.tree import Place, Tree


class Severity(IntEnum):
    """How bad: a NOTE is advice, a WARNING is likely a mistake, an ERROR does not start or can be abused."""

    NOTE = 1
    WARNING = 2
    ERROR = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Edit:
    """Put *text* in place of what stands from *start* to *end* (offsets in the file)."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Finding:
    """One thing found at one place. *start* and *end* are offsets in the file; *edits* repair it without a doubt."""

    check: str
    severity: Severity
    message: str
    document: Document
    start: int
    end: int
    hint: str = ""
    edits: tuple[Edit, ...] = ()

    @property
    def file(self) -> str:
        return self.document.name

    @property
    def key(self) -> tuple[str, int, int, str, str]:
        """What two reports of the same thing have in common; also the order of the output."""
        return (self.file, self.start, -int(self.severity), self.check, self.message)

    def __repr__(self) -> str:
        line, column = self.document.place(self.start)
        return f"<{self.severity.label} {self.check} {self.file}:{line}:{column} {self.message}>"


@dataclass(slots=True)
class Found:
    """What a check says of *place*; *word* is the index of the word that is meant, None for all of its head."""

    place: Place
    message: str
    word: int | None = None
    hint: str = ""
    edits: tuple[Edit, ...] = ()
    severity: Severity | None = None


Run = Callable[["Tree"], Iterable[Found]]
RunOn = Callable[["Place"], Iterable[Found]]


@dataclass(frozen=True)
class Check:
    """A check. *bad* and *good* are configurations: the first is reported, the second is not.

    Either *run* looks at the whole tree, or *look* at each directive whose name is in *on*.
    """

    name: str
    severity: Severity
    summary: str
    explanation: str
    bad: str
    good: str
    on: tuple[str, ...] = ()
    look: RunOn | None = None
    run: Run | None = None
    options: dict[str, str] = field(default_factory=dict)

    def findings(self, tree: Tree) -> Iterator[Found]:
        """What it finds in *tree*."""
        if self.run is not None:
            yield from self.run(tree)
        if self.look is not None:
            for name in self.on:
                for place in tree.named(name):
                    yield from self.look(place)

    def page(self) -> str:
        """The documentation that `--explain` shows."""
        return page(self.name, self.severity.label, self.summary, self.explanation, self.bad, self.good)


def page(name: str, severity: str, summary: str, explanation: str, bad: str, good: str) -> str:
    """A page of documentation with both examples."""
    title = f"{name} ({severity}): {summary}"
    return (
        f"{title}\n{'=' * len(title)}\n\n{explanation.strip()}\n\n"
        f"Bad:\n\n{_indented(bad)}\nGood:\n\n{_indented(good)}\n"
        f"To silence it at one place: # geng-lint: ignore {name} REASON\n"
    )


def _indented(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.strip("\n").split("\n"))
