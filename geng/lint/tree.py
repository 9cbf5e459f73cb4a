"""The configuration as checks walk it: directives in their contexts, included files in their places."""

from __future__ import annotations

import difflib
import glob
import os
from collections.abc import Iterator

from geng.conf import tables, thirdparty
from geng.conf.concrete import Document, Statement
from geng.conf.syntax import Node, Row
from geng.conf.tables import EVENTS, HTTP, LIF, LMT, LOC, MAIL, MAIL_SRV, MAIN, SIF, SRV, STREAM, STREAM_SRV, STREAM_UPS, UPS
from geng.lint.files import Files, Loaded

RAW = 0
"""Inside `map`, `types` and their like: rows, not directives."""

DEEPEST = 32

INSIDE = {
    (MAIN, "events"): EVENTS,
    (MAIN, "http"): HTTP,
    (MAIN, "mail"): MAIL,
    (MAIN, "stream"): STREAM,
    (HTTP, "server"): SRV,
    (HTTP, "upstream"): UPS,
    (SRV, "location"): LOC,
    (SRV, "if"): SIF,
    (LOC, "location"): LOC,
    (LOC, "if"): LIF,
    (LOC, "limit_except"): LMT,
    (STREAM, "server"): STREAM_SRV,
    (STREAM, "upstream"): STREAM_UPS,
    (MAIL, "server"): MAIL_SRV,
}
USUALLY = {"events": EVENTS, "http": HTTP, "mail": MAIL, "stream": STREAM, "server": SRV, "upstream": UPS, "location": LOC,
           "if": LIF, "limit_except": LMT}  # fmt: skip
"""What is inside such a block where it stands at a wrong place."""

CONTEXT_NAMES = {
    MAIN: "main", EVENTS: "events", HTTP: "http", SRV: "server", LOC: "location", UPS: "upstream", SIF: "if in server",
    LIF: "if in location", LMT: "limit_except", MAIL: "mail", MAIL_SRV: "server in mail", STREAM: "stream",
    STREAM_SRV: "server in stream", STREAM_UPS: "upstream in stream",
}  # fmt: skip

PATHS = {
    "main": MAIN, "events": EVENTS, "http": HTTP, "server": SRV, "location": LOC, "upstream": UPS, "stream": STREAM,
    "mail": MAIL, "raw": RAW, "http,server": SRV, "http,upstream": UPS, "http,server,location": LOC, "http,server,if": SIF,
    "http,server,location,if": LIF, "if": LIF, "stream,server": STREAM_SRV, "stream,upstream": STREAM_UPS,
    "mail,server": MAIL_SRV, "limit_except": LMT, "http,server,location,limit_except": LMT,
}  # fmt: skip
"""What `# geng-lint: context` may name."""


class Place:
    """A directive where it takes effect; a file included twice makes its directives' places twice."""

    __slots__ = ("children", "context", "inside", "loaded", "node", "parent", "statement", "through")

    def __init__(self, node: Node, loaded: Loaded, context: int, parent: Place | None, through: Place | None) -> None:
        self.node = node
        self.loaded = loaded
        self.statement: Statement = loaded.statements[id(node)]
        self.context = context
        self.inside = _inside(node, context)
        self.parent = parent
        self.through = through  # the include that brought it here
        self.children: list[Place] = []

    def __repr__(self) -> str:
        return f"<{' '.join(self.node.words)} {self.node.file}:{self.node.start_line}>"

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def args(self) -> tuple[str, ...]:
        return self.node.args

    @property
    def document(self) -> Document:
        return self.loaded.document

    @property
    def http(self) -> bool:
        """Whether it is inside http."""
        return bool(self.context & (HTTP | SRV | LOC | UPS | SIF | LIF | LMT))

    def all(self, *names: str) -> list[Place]:
        """Its own directives of *names*."""
        return [child for child in self.children if child.name in names]

    def first(self, *names: str) -> Place | None:
        for child in self.children:
            if child.name in names:
                return child
        return None

    def above(self) -> Iterator[Place]:
        """The blocks around it, the nearest first."""
        block = self.parent
        while block is not None:
            yield block
            block = block.parent

    def server(self) -> Place | None:
        """The server around it, the file itself where that is a fragment of one."""
        return next((block for block in self.above() if block.inside == SRV), None)

    def enclosing(self, *names: str) -> Place | None:
        """The nearest block of *names* around it."""
        return next((block for block in self.above() if block.name in names), None)

    def inherited(self, *names: str) -> list[Place]:
        """The directives of *names* in force inside it, or beside it where it is no block: those of the nearest level."""
        block: Place | None = self if self.node.block is not None else self.parent
        while block is not None:
            found = block.all(*names)
            if found:
                return found
            block = block.parent
        return []

    def value(self, name: str, default: str = "") -> str:
        """The first argument of *name* as in force here."""
        found = self.inherited(name)
        return found[-1].args[0] if found and found[-1].args else default

    def walk(self) -> Iterator[Place]:
        """Everything inside it."""
        for child in self.children:
            yield child
            yield from child.walk()

    def seen_from(self, other: Place) -> str:
        """Where it is, for a message at *other*: `line 7`, or file and line where that is another file."""
        if self.node.file == other.node.file:
            return f"line {self.node.start_line}"
        return f"{self.node.file}:{self.node.start_line}"

    def described(self) -> str:
        """A few words for a message: `location /api`, `server example.com`."""
        if self.name == "server" and self.context == HTTP:
            names = self.first("server_name")
            return f"server {names.args[0]}" if names and names.args else "the server"
        return " ".join(self.node.words) or "the configuration"


def _inside(node: Node, context: int) -> int:
    if node.block is None:
        return RAW
    found = INSIDE.get((context, node.name))
    if found is not None:
        return found
    return USUALLY.get(node.name, RAW) if context else RAW


class Tree:
    """A configuration, or a fragment of one: *context* is the level at which its file stands."""

    def __init__(self, files: Files, main: str, context: int | None = None, prefix: str = "") -> None:
        self.files = files
        self.main = main
        self.loaded = files.load(main)
        self.context = context_of(self.loaded) if context is None else context
        self.folders = _folders(main, self.fragment, prefix)
        self.missing: list[tuple[Place, str, OSError]] = []
        self.nginx_version = ""  # which known faults are asked for
        self.root = self._root()
        self._index: dict[str, list[Place]] = {}
        for place in self.root.walk():
            if place.context != RAW:
                self._index.setdefault(place.name, []).append(place)

    def __repr__(self) -> str:
        return f"<Tree {self.main} {CONTEXT_NAMES.get(self.context, 'raw')} {len(self.files.loaded)} files>"

    @property
    def fragment(self) -> bool:
        return self.context != MAIN

    def named(self, *names: str) -> list[Place]:
        """Every directive of *names*, rows of `map` and the like left out."""
        if len(names) == 1:
            return self._index.get(names[0], [])
        return [place for name in names for place in self._index.get(name, [])]

    def servers(self) -> list[Place]:
        """The virtual servers of http."""
        return [place for place in self.named("server") if place.context == HTTP and place.node.block is not None]

    def blocks(self, *contexts: int) -> list[Place]:
        """The blocks whose inside is at one of the levels *contexts*, the file itself where it is a fragment of one."""
        found = [self.root] if self.fragment and self.root.inside in contexts else []
        return found + [place for place in self.root.walk() if place.node.block is not None and place.inside in contexts]

    def included(self, node: Node) -> Iterator[str]:
        """The names of the files that an include brings; also a name that does not exist."""
        name = node.args[0].partition("\0")[0]
        for folder in self.folders:
            full = os.path.join(folder, name)
            if any(sign in name for sign in "*?["):
                found = sorted(glob.glob(full), key=os.fsencode)
                if found:
                    yield from found
                    return
            elif folder is self.folders[-1] or os.path.exists(full):
                yield full
                return

    def _root(self) -> Place:
        node = Node("", (), self.main, 1, 1, 1, [], 1, None, ())
        loaded = Loaded(self.loaded.document, [], {id(node): Statement([], [])})
        root = Place(node, loaded, MAIN, None, None)
        root.inside = self.context
        self._fill(root, self.loaded.rows, self.loaded, None, 0)
        return root

    def _fill(self, parent: Place, rows: list[Row], loaded: Loaded, through: Place | None, depth: int) -> None:
        for node in rows:
            assert isinstance(node, Node)
            place = Place(node, loaded, parent.inside, parent, through)
            parent.children.append(place)
            if node.block:
                self._fill(place, node.block, loaded, through, depth)
            elif node.name == "include" and len(node.args) == 1:
                self._include(place, parent, depth)

    def _include(self, place: Place, parent: Place, depth: int) -> None:
        if depth > DEEPEST:
            return
        for name in self.included(place.node):
            try:
                loaded = self.files.load(name)
            except OSError as error:
                self.missing.append((place, name, error))
                continue
            self._fill(parent, loaded.rows, loaded, place, depth + 1)


def _folders(main: str, fragment: bool, prefix: str) -> list[str]:
    """Where included files are looked for: a fragment may lie some folders below the main file's."""
    here = prefix or os.path.dirname(os.path.abspath(main))
    if not fragment or prefix:
        return [here]
    return [here, os.path.dirname(here), os.path.dirname(os.path.dirname(here))]


def context_of(loaded: Loaded) -> int:
    """At which level the file belongs: what its comment says, or where most of its directives may stand."""
    for comment in loaded.document.comments():
        words = loaded.document.text[comment.start : comment.end].lstrip("# ").split()
        if words[:2] == ["geng-lint:", "context"] and len(words) > 2:
            return PATHS.get(words[2].strip(",; "), MAIN)
    rows = [row for row in loaded.rows if isinstance(row, Node) and row.name != "include"]
    if any(row.name in ("http", "events") and row.block is not None for row in rows):
        return MAIN
    best, score = MAIN, 0
    for context in (HTTP, SRV, LOC, MAIN, UPS, STREAM, STREAM_SRV, STREAM_UPS, EVENTS, MAIL, MAIL_SRV, LIF):
        fits = sum(4 * _fits(row.name, row.block is not None, context) + _inside_fits(row, context) for row in rows)
        if fits > score:
            best, score = context, fits
    if rows and not score:
        return _level_of_unknown(rows)
    return best


def _level_of_unknown(rows: list[Node]) -> int:
    """Where directives belong that nginx does not have: of known modules in http, misspelt ones by what they resemble."""
    if any(row.block is not None for row in rows):
        return HTTP if rows[0].block is None else MAIN
    if any(thirdparty.explain(row.name) for row in rows):
        return HTTP
    for row in rows:
        near = difflib.get_close_matches(row.name, tables.ENTRIES, 1, 0.8)
        if near:
            bits = 0
            for entry in tables.entries(near[0]):
                bits |= entry.contexts
            return next((level for level in (HTTP, SRV, LOC, MAIN, UPS) if level & bits), RAW)
    return RAW


def _inside_fits(row: Node, context: int) -> int:
    """Whether what is inside of *row* may stand there when that is at the level *context*; 0 to 2."""
    inside = INSIDE.get((context, row.name), RAW)
    rows = [each for each in row.block or [] if isinstance(each, Node) and each.name != "include"]
    if not inside or not rows:
        return 0
    if inside == STREAM_SRV and any(each.name == "proxy_pass" and "://" in "".join(each.args) for each in rows):
        return 0
    fits = sum(_fits(each.name, each.block is not None, inside) for each in rows)
    return 2 if fits == len(rows) else int(fits > 0)


def _fits(name: str, block: bool, context: int) -> int:
    known = tables.entries(name)
    return any(entry.contexts & context and entry.block == block for entry in known)
