"""From a syntax tree to filled confs: the walk that runs every directive's setter in reading order.

nginx: ngx_conf_file.c (ngx_conf_parse, ngx_conf_handler).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from geng.conf import tables
from geng.conf.directive import UNSET, Command, Conf, Level
from geng.conf.syntax import Fault, Node
from geng.errors import ConfigError, Invalid, Refused, UnknownDirective, Unsaid

if TYPE_CHECKING:
    from geng.conf.source import Sources

C = TypeVar("C", bound=Conf)


class Confs:
    """The confs that a directive may fill at one place: by level, then by class (nginx: ngx_http_conf_ctx_t)."""

    __slots__ = ("loc", "main", "srv")

    def __init__(
        self,
        main: dict[type[Conf], Conf],
        srv: dict[type[Conf], Conf] | None = None,
        loc: dict[type[Conf], Conf] | None = None,
    ) -> None:
        self.main = main
        self.srv = srv if srv is not None else {}
        self.loc = loc if loc is not None else {}

    def __getitem__(self, cls: type[C]) -> C:
        if cls.level is Level.LOCATION:
            return cast(C, self.loc[cls])
        if cls.level is Level.SERVER:
            return cast(C, self.srv[cls])
        return cast(C, self.main[cls])

    def nested(self, classes: Sequence[type[Conf]], *levels: Level) -> Confs:
        """Confs for a block inside this one: fresh ones at *levels*, this one's at the others."""
        fresh = {level: {c: c() for c in classes if c.level is level} for level in levels}
        return Confs(self.main, fresh.get(Level.SERVER, self.srv), fresh.get(Level.LOCATION, self.loc))


def fresh(classes: Sequence[type[Conf]]) -> Confs:
    """Confs of every level for the outermost block of *classes*."""
    return Confs({c: c() for c in classes if c.level is Level.MAIN}).nested(classes, Level.SERVER, Level.LOCATION)


Registry = dict[str, list[tuple[type[Conf], Command]]]
Rows = list[Any]


class Cf:
    """The compiler at one moment: which directive is read, in which context, into which confs (nginx: ngx_conf_t).

    Setters get it as *cf*. They read `cf.node.args`, raise Invalid or Refused, and for a block call `cf.walk()`.
    `cf.scope` carries what the subsystem that is being compiled needs (for http: geng.http.block.HttpScope).
    executes: whether code in the configuration may run, to see whether it can.
    """

    executes = True

    def __init__(self, sources: Sources, registry: Registry, warn: Callable[[str, str], None]) -> None:
        self.sources = sources
        self.registry = registry
        self.node: Node = None  # type: ignore[assignment]
        self.context = tables.MAIN
        self.confs: Confs = None  # type: ignore[assignment]
        self.scope: Any = None
        self.cycle: Any = None
        self.file = ""
        self.line = 0
        self._warn = warn
        self.own: dict[str, list[tables.Entry]] = {}  # directives of the site's own modules
        self.unable: ConfigError | None = None

    # -- what setters use ------------------------------------------------------------------------------------------

    @property
    def args(self) -> tuple[str, ...]:
        return self.node.args

    @property
    def duplicate(self) -> str:
        return f'"{self.node.name}" directive is duplicate'

    def __getitem__(self, cls: type[C]) -> C:
        """The conf of *cls* that is being filled."""
        return self.confs[cls]

    def error(self, message: str) -> ConfigError:
        """*message* as an error at the line being read."""
        return ConfigError(message, self.file, self.line)

    def warn(self, message: str, level: str = "warn") -> None:
        """Log *message* at the line being read."""
        self._warn(level, f"{message} in {self.file}:{self.line}" if self.file else message)

    def cannot(self, what: str) -> None:
        """Note that nginx would run *what* and geng does not yet.

        Reading goes on, so that a fault that nginx would find comes first; the first note is `unable`, for the end.
        """
        self.note_unable(f"{what} is not supported by geng yet")

    def note_unable(self, message: str) -> None:
        """As cannot(), in other words."""
        if self.unable is None:
            self.unable = self.error(message)

    def attempt(self, step: Callable[[Cf], object], file: str = "", line: int = 0) -> None:
        """Do one of many steps after reading, such as the defaults of one location; who wants every fault goes on.

        It is about what begins in *line* of *file*, where nginx reports the end of the outermost block.
        """
        step(self)

    def log(self, level: str, message: str) -> None:
        """Log *message* without a place."""
        self._warn(level, message)

    @contextmanager
    def inside(self, scope: Any, registry: Registry) -> Iterator[None]:
        """Read a block that has directives of its own, the *registry*, and a *scope* for them."""
        outer = self.scope, self.registry, self.confs
        self.scope, self.registry = scope, registry
        try:
            yield
        finally:
            self.scope, self.registry, self.confs = outer

    def path(self, name: str, conf_prefix: bool = False) -> str:
        """*name* relative to the prefix (or to the configuration's folder), as ngx_conf_full_name."""
        return self.sources.full_name(name, conf_prefix)

    def walk(self, block: Rows, context: int, confs: Confs) -> None:
        """Run the setters of *block*'s directives; afterwards `cf.line` is where the block ends."""
        outer = (self.context, self.confs, self.node)
        self.context, self.confs = context, confs
        try:
            for node in self.rows(block):
                self._run(node)
        finally:
            self.context, self.confs, self.node = outer
        if self.node is not None:
            self.file, self.line = self.node.file, self.node.end_line

    def rows(self, block: Rows, opens: bool = True) -> Iterator[Node]:
        """*block*'s rows in reading order, includes opened if *opens*, each made the current node; for raw blocks too."""
        for node in block:
            if isinstance(node, Fault):
                raise ConfigError(node.message, node.file, node.line)
            self.node, self.file, self.line = node, node.file, node.line
            if opens and node.name == "include" and self._is_include(node):
                yield from self._included(node)
            else:
                yield node

    def table(self, read: Callable[[tuple[str, ...]], object], opens: bool = True) -> None:
        """Have *read* take the words of each row of the block that is read: one without directives, as `map` has."""
        node = self.node
        for row in self.rows(node.block or [], opens):
            if row.block is not None or row.raw is not None:
                raise self.error('unexpected "{"')
            try:
                read((row.name, *row.args))
            except Invalid as invalid:
                raise self.error(str(invalid)) from None
        self.node = node

    # -- the walk --------------------------------------------------------------------------------------------------

    def _is_include(self, node: Node) -> bool:
        return node.block is None and len(node.args) == 1

    def _included(self, node: Node) -> Iterator[Node]:
        for tree in self.sources.include(node):
            yield from self.rows(tree)
        self.node, self.file, self.line = node, node.file, node.line

    def _run(self, node: Node) -> None:
        try:
            own = self.own.get(node.name)
            if own is None:
                tables.check(node, self.context)
            else:
                tables.check_among(own, node, self.context)
            self._command(node)
        except UnknownDirective as unknown:
            raise self._explained(unknown, node.name) from None
        except Refused as refused:
            raise self.error(f'"{node.name}" directive {refused}') from None
        except Invalid as invalid:
            error = self.error(str(invalid))
            error.unsaid = isinstance(invalid, Unsaid)
            raise error from None

    def _explained(self, unknown: UnknownDirective, name: str) -> ConfigError:
        from geng.conf import thirdparty

        error = self.error(str(unknown))
        error.note = thirdparty.explain(name)
        return error

    def _command(self, node: Node) -> None:
        for cls, entry in self.registry.get(node.name, ()):
            if entry.contexts & self.context:
                if cls.foreign:
                    self.cannot(f'"{node.name}" directive')
                entry.set(self.confs[cls], self)
                return
        self.cannot(f'"{node.name}" directive')


def set_once(cf: Cf, conf: Conf, attr: str, value: Any) -> None:
    """Set *attr* of *conf*, or refuse with `is duplicate` when a directive has set it already."""
    if getattr(conf, attr) is not UNSET:
        raise Invalid(cf.duplicate)
    conf.given.add(attr)
    setattr(conf, attr, value)
