"""What a request did on its way through the phases, in order: the record that geng.tools.tracing fills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from geng.core.log import NOTICE, Log, errno_text
from geng.http.conf import CoreLoc
from geng.http.location import LocationTree
from geng.http.request import Request
from geng.lint.tree import Place


def text(data: bytes | None) -> str:
    """Bytes of a request for people."""
    return (data or b"").decode("utf-8", "replace")


@dataclass
class Step:
    """One thing that happened. *what* was asked or done, with its *result*; *where* it is configured."""

    phase: str
    what: str
    result: str = ""
    where: str = ""

    def note(self, message: str) -> None:
        self.result = f"{self.result}; {message}" if self.result else message


@dataclass
class Destination:
    """Where a request goes that is not answered here."""

    directive: str
    url: str = ""
    group: str = ""
    peers: list[str] = field(default_factory=list)
    request: list[str] = field(default_factory=list)


class TraceLog(Log):
    """The error log of every location: what is said belongs to the step that says it."""

    __slots__ = ("trace",)

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self.trace = trace
        self.level = NOTICE

    def _say(self, level: int, message: str | bytes, err: int | None, ctx: Any, kind: int = 0) -> None:
        said = message if isinstance(message, str) else text(message)
        self.trace.note(said.encode("utf-8", "replace").decode() + errno_text(err))


class Trace:
    """What one request did, in order. *tried*: the regular expressions of the search under way."""

    def __init__(self) -> None:
        self.log = TraceLog(self)
        self.places: dict[int, Place] = {}  # by id() of the CoreLoc
        self.filters: dict[int, list[str]] = {}
        self.begin()

    def __repr__(self) -> str:
        return f"<Trace {len(self.steps)} steps>"

    def begin(self) -> None:
        """Forget the last request."""
        self.steps: list[Step] = []
        self.tried: list[tuple[CoreLoc, bool]] = []
        self.searching = False
        self.destination: Destination | None = None
        self.status = 0
        self.redirect = ""

    def step(self, phase: str, what: str, result: str = "", where: str = "") -> Step:
        made = Step(phase, what, result, where)
        self.steps.append(made)
        return made

    def note(self, message: str) -> None:
        if self.steps:
            self.steps[-1].note(message)
        else:
            self.step("log", message)

    def place(self, loc: CoreLoc) -> Place | None:
        return self.places.get(id(loc))

    def name(self, loc: CoreLoc) -> str:
        """A location as it was written, or the block that stands for one."""
        place = self.place(loc)
        if place is None or place.name == "server":
            return "none (the server itself)"
        words = " ".join(place.node.words)
        if place.name == "location" or place.parent is None:
            return words
        return f"{words} in {' '.join(place.parent.node.words) or 'the server'}"

    def configured(self, loc: CoreLoc, names: tuple[str, ...]) -> list[Place]:
        """The directives of *names* in force in *loc*."""
        place = self.place(loc)
        return [] if place is None else place.inherited(*names)

    # ---- the search

    def found(self, r: Request) -> None:
        """The search that was under way came to r.loc (or to its `limit_except`)."""
        if not self.searching:
            return
        self.searching = False
        tree = r.srv.default.search
        tried, self.tried = self.tried, []
        for line, result in self._prefixes(tree, r.uri):
            self.step("find-config", line, result)
        for loc, fits in tried:
            self.step("find-config", self.name(loc), "matches" if fits else "does not match", where_of(loc))
            if fits and loc.search is not None:
                for line, result in self._prefixes(loc.search, r.uri):
                    self.step("find-config", line, result)
        self.step("find-config", "the location is", self.name(r.loc), where_of(r.loc))

    def _prefixes(self, tree: LocationTree | None, uri: bytes) -> Iterator[tuple[str, str]]:
        """What a search finds in *tree* before it comes to regular expressions."""
        if tree is None:
            return
        if uri in tree.exact:
            yield f"location = {text(uri)}", "is the same: nothing else is tried"
            return
        if uri in tree.redirects:
            yield self.name(tree.redirects[uri]), "is the same but for the slash at its end: a redirect"
            return
        prefix = tree.prefix(uri) if tree.names else None
        if prefix is None:
            if tree.names:
                yield "prefixes", "none fits"
            return
        result = "the longest prefix that fits"
        if prefix.noregex:
            result += ": no regular expression is tried"
        yield self.name(prefix), result
        yield from self._prefixes(prefix.search, uri)


def where_of(loc: CoreLoc) -> str:
    return f"{loc.file}:{loc.line}" if loc.file else f"{loc.srv.file}:{loc.srv.line}"
