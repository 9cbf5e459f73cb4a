"""Every fault that the compiler finds in the values of directives: it goes on behind each one.

nginx stops at its first fault; here a directive that is refused is left out and the next one is read.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from geng.conf.compiler import Cf, fresh
from geng.conf.directive import commands_of
from geng.conf.source import Sources
from geng.conf.syntax import Node, Row
from geng.conf.tables import HTTP, LOC, MAIN, SRV, UPS, entries
from geng.errors import ConfigError, Invalid, Refused
from geng.lint.model import Finding, Severity
from geng.lint.tree import DEEPEST, RAW, Place, Tree
from geng.lint.validity import span, unfinished
from geng.modules import main_confs
from geng.modules.core import CoreConf
from geng.modules.events import EventsBlock, EventsConf
from geng.modules.threads import ThreadPools
from geng.process.cycle import Cycle, Options

VALUE = "value"
WARNS = "nginx_warning"
ENVIRONMENT = "environment"

NOT_YET = " is not supported by geng yet"

FOLLOWS = (AssertionError, AttributeError, KeyError, IndexError, TypeError, ValueError)
"""What code meets when something that was refused, and reported, is missing."""

_ENVIRONMENT = re.compile(
    r"failed \(\d+: |getpwnam|getgrnam|cannot load|BIO_new_file|host not found|SSL_CTX_load|dlopen\(\)"
)
"""What depends on the machine more than on the configuration."""

_ELSEWHERE = re.compile(
    r'unknown "|unknown log format|zero size shared memory zone|unknown zone|no "|unknown map|no port in upstream'
)
"""What a fragment may refer to without holding it."""

_UNKNOWN_VARIABLE = re.compile(r'unknown "(\w+)" variable')
_NO_SERVERS = "no servers are inside upstream"

_NAME = re.compile(r"[A-Za-z0-9._:-]+")
_QUOTED = re.compile(r'"([^"]+)"')


class _Log:
    """Takes what nginx would warn of."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading

    def log(self, level: str, message: str, **_: object) -> None:
        if level in ("warn", "emerg", "error"):
            self.reading.warned(message)

    def __getattr__(self, name: str) -> Any:
        return lambda message, **_: None


class _Sources(Sources):
    """The rows that were read with the faults left out; files that are missing have been reported."""

    def __init__(self, tree: Tree, rows: list[Row]) -> None:
        super().__init__(lambda name: b"", lambda pattern: [], tree.folders[0])
        self.conf_prefix = self.prefix
        self.tree = tree
        self.rows = rows
        self.depth = 0

    def main(self, filename: str) -> list[Row]:
        return self.rows

    def include(self, node: Node) -> Iterator[list[Row]]:
        if self.depth > DEEPEST:
            return
        self.depth += 1
        for name in self.tree.included(node):
            loaded = self.tree.files.loaded.get(name)
            if loaded is not None:
                yield loaded.rows
        self.depth -= 1


class _Cf(Cf):
    """A compiler that notes a fault and goes on, and runs no Perl."""

    executes = False
    reading: Reading

    def cannot(self, what: str) -> None:
        super().cannot(what)
        self.reading.unable.append((self.node, f"{what}{NOT_YET}"))

    def _run(self, node: Node) -> None:
        if (id(node), self.context) in self.reading.wrong:
            return
        try:
            super()._run(node)
        except ConfigError as error:
            self.reading.refused(error, node)
        except FOLLOWS:
            if not self.reading.faulty:
                raise

    def attempt(self, step: Callable[[Cf], object], file: str = "", line: int = 0) -> None:
        reading = self.reading
        reading.at = reading.place_of(file, line)
        try:
            super().attempt(step, file, line)
        except ConfigError as error:
            reading.refused(error, self.node)
        except Refused as refused:
            reading.refused(self.error(f'"{self.node.name}" directive {refused}'), self.node)
        except Invalid as invalid:
            reading.refused(self.error(str(invalid)), self.node)
        except FOLLOWS:
            if not reading.faulty:
                raise
        finally:
            reading.at = None


class Reading:
    """One run of the compiler over a tree; *wrong* are the nodes, with their contexts, that are known to be refused."""

    def __init__(self, tree: Tree, wrong: set[tuple[int, int]]) -> None:
        self.tree = tree
        self.wrong = wrong
        self.found: list[Finding] = []
        self.refusals = 0
        self.unable: list[tuple[Node, str]] = []  # what geng does not run, and where it is said
        self.own: frozenset[str] = frozenset()  # the directives of modules that the configuration loads
        self.at: Place | None = None  # what is looked at when reading is over
        self._said: set[tuple[int, str]] = set()  # by id() of the place
        self._places: dict[int, Place] = {}  # by id() of the node
        self._lines: dict[tuple[str, int], Place] = {}
        for place in tree.root.walk():
            self._places.setdefault(id(place.node), place)
            self._lines.setdefault((place.node.file, place.node.line), place)

    def run(self) -> list[Finding]:
        """What the compiler refuses and warns of."""
        rows = _wrapped(self.tree)
        if rows is None:
            return []
        folder = self.tree.folders[0]
        cycle = Cycle(Options(prefix=folder, test=True, quiet=True), _Log(self))  # type: ignore[arg-type]
        cycle.sources = _Sources(self.tree, rows)
        classes = main_confs()
        cf = _Cf(cycle.sources, commands_of(classes), cycle.first_log.log)
        cf.reading, cf.cycle = self, cycle
        confs = fresh(classes)
        cycle.core, cycle.events, cycle.thread_pools = confs[CoreConf], confs[EventsConf], confs[ThreadPools]
        try:
            with made_up_names():
                cf.walk(rows, MAIN, confs)
                cf.file = ""
                for cls in classes:
                    confs[cls].resolve(cf)
                if not self.tree.fragment:
                    self._whole(cycle, bool(confs[EventsBlock].seen))
        except ConfigError as error:
            self.refused(error)
        except Invalid as invalid:
            self.refused(ConfigError(str(invalid)))
        except FOLLOWS:
            if not self.faulty:
                raise
        self.own = frozenset(cf.own)
        return self.found

    def _whole(self, cycle: Cycle, events: bool) -> None:
        """What nginx looks at when all has been read (ngx_init_cycle)."""
        root = self.tree.root
        if not events and not self.tree.missing:
            alone = os.path.basename(self.tree.main) == "nginx.conf"
            self._add('no "events" section in configuration', root, VALUE, Severity.ERROR if alone else Severity.NOTE)
            if not alone:
                self.found[-1].hint = "unless another file includes this one"
        listenings = [each for block in (cycle.http, cycle.stream) if block is not None for each in block.listenings]
        if events and cycle.events.connections < len(listenings) + 1:
            place = next(iter(self.tree.named("worker_connections", "events")), root)
            text = f"{cycle.events.connections} worker_connections are not enough for {len(listenings)} listening sockets"
            self._add(text, place, VALUE, Severity.ERROR)
        for zone in cycle.zones:
            if not zone.size and not self.tree.missing:
                users = [each for each in root.walk() if {zone.name, f"zone={zone.name}"} & set(each.args)]
                self._add(f'zero size shared memory zone "{zone.name}"', next(iter(users), root), VALUE, Severity.ERROR)

    @property
    def faulty(self) -> bool:
        """Whether anything is known to be refused."""
        return bool(self.refusals or self.wrong)

    def refused(self, error: ConfigError, node: Node | None = None) -> None:
        """Note *error*, which is at *node* where that is known."""
        self.refusals += 1
        if error.message.endswith(NOT_YET):
            if node is not None:
                self.unable.append((node, error.message))
            return
        place = self._places.get(id(node))
        if self.at is not None:
            place = self.at
            if self._said_outside(place, error.message):
                return
        elif node is None or error.line not in (node.line, node.end_line):
            place = self._lines.get((error.file, error.line), place)
        self._add(error.message, place, VALUE, Severity.ERROR)

    def place_of(self, file: str, line: int) -> Place | None:
        """What begins there."""
        return self._lines.get((file, line))

    def _said_outside(self, place: Place, message: str) -> bool:
        """Whether *message* has been said of *place* or of what it stands in, and was only inherited; if not, it is now."""
        around: Place | None = place
        while around is not None:
            if (id(around), message) in self._said:
                return True
            around = around.parent
        self._said.add((id(place), message))
        return False

    def warned(self, message: str) -> None:
        text, file, line = message, "", 0
        placed = re.search(r" in (\S+):(\d+)\Z", message)
        if placed:
            text, file, line = message[: placed.start()], placed[1], int(placed[2])
        self._add(text, self._lines.get((file, line)), WARNS, Severity.WARNING)

    def _add(self, message: str, place: Place | None, check: str, severity: Severity) -> None:
        if self.tree.fragment and _ELSEWHERE.search(message):
            return
        if self._follows(message, place):
            return
        if _ENVIRONMENT.search(message) and 'host not found in "$' not in message:
            check, severity = ENVIRONMENT, Severity.NOTE
        place = place or self.tree.root
        start, end = span(place, _word_of(place, message))
        hint, edits = unfinished(place) if severity is Severity.ERROR else ("", ())
        self.found.append(Finding(check, severity, message, place.document, start, end, hint, edits))

    def _follows(self, message: str, place: Place | None) -> bool:
        """Whether *message* follows from a fault that is reported, or says it again."""
        variable = _UNKNOWN_VARIABLE.fullmatch(message)
        if variable is not None:
            name = f"${variable[1]}"
            return any(name in each.args and not entries(each.name) for each in self.tree.root.walk() if each.context != RAW)
        if message.startswith("no servers in upstream"):
            own = [each for each in self.tree.named("upstream") if f'"{"".join(each.args[:1])}"' in message]
            return any(each.all("server") for each in own) or any(found.message == _NO_SERVERS for found in self.found)
        return message == _NO_SERVERS and place is not None and bool(place.all("server"))


def _word_of(place: Place, message: str) -> int | None:
    """The word of *place* that *message* quotes."""
    words = [word.text for word in place.statement.words]
    for quoted in _QUOTED.findall(message):
        if quoted in words[1:]:
            return words.index(quoted, 1)
    return None


def _wrapped(tree: Tree) -> list[Row] | None:
    """The rows of *tree* with what has to stand around them, None where nothing is known that could."""
    rows, around = tree.loaded.rows, []
    if tree.context == MAIN:
        return rows
    if tree.context == LOC:
        around = [("location", ("/",)), ("server", ()), ("http", ())]
    elif tree.context == SRV:
        around = [("server", ()), ("http", ())]
    elif tree.context == HTTP:
        around = [("http", ())]
    elif tree.context == UPS:
        around = [("upstream", ("u",)), ("http", ())]
    else:
        return None
    for name, args in around:
        rows = [Node(name, args, tree.main, 1, 1, 1, rows, 1, None, (False,) * (1 + len(args)))]
    events = Node("events", (), tree.main, 1, 1, 1, [], 1, None, (False,))
    return [events, *rows]


@contextmanager
def made_up_names() -> Iterator[None]:
    """Inside, every host name has an address of its own: what is found is the same wherever it is asked."""
    real = socket.getaddrinfo

    def answer(host: Any, port: Any, *args: Any, **words: Any) -> Any:
        text = host.decode("utf-8", "replace") if isinstance(host, bytes) else str(host)
        try:
            address = str(ipaddress.ip_address(text))
        except ValueError:
            number = zlib.crc32(text.encode("utf-8", "replace"))
            address = f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"  # RFC 2544: for tests
        if not _NAME.fullmatch(text):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        if text == "localhost":
            address = "127.0.0.1"
        return real(address, port, *args, **words)

    socket.getaddrinfo = answer
    try:
        yield
    finally:
        socket.getaddrinfo = real
