"""How a module says what its directives are: one line each, gathered into typed confs.

nginx: ngx_command_t tables, create_conf and merge_conf of every module.

A conf class holds the fields of one module at one level (main, server or location); see docs/modules.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

from geng.errors import Refused

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


class Unset:
    """The value of a field that no directive has set yet (nginx: NGX_CONF_UNSET)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Any = Unset()


class Level(Enum):
    """Which of nginx's conf structures a class is: main_conf, srv_conf or loc_conf."""

    MAIN = "main"
    SERVER = "srv"
    LOCATION = "loc"


Merge = Callable[[str, Any, Any], Any]
"""A merge rule: (attribute, child conf, parent conf) -> the child's value."""


def inherit(attr: str, child: Any, parent: Any) -> Any:
    """Unset takes the parent's: the rule of 461 of nginx's merges."""
    value = getattr(child, attr)
    return getattr(parent, attr) if value is UNSET else value


def own(attr: str, child: Any, parent: Any) -> Any:
    """Never inherited."""
    return getattr(child, attr)


def own_or_nameless(attr: str, child: Any, parent: Any) -> Any:
    """Inherited only by the nameless locations: `if` and `limit_except` (nginx: clcf->noname)."""
    value = getattr(child, attr)
    return getattr(parent, attr) if value is UNSET and child.nameless else value


def group(*attrs: str) -> Merge:
    """Inherited only if none of *attrs* is set here (allow and deny, root and alias, access_log)."""

    def rule(attr: str, child: Any, parent: Any) -> Any:
        if any(name in child.given for name in attrs):
            return getattr(child, attr)
        return inherit(attr, child, parent)

    return rule


@dataclass(slots=True)
class Command:
    """One entry of a module's command table: what the compiler calls when it meets the directive."""

    name: str
    contexts: int
    set: Callable[[Any, Cf], None]
    attr: str = ""
    block: bool = False
    args: str = "1"  # how many arguments a site's own directive takes, as in geng.conf.directives


@dataclass(slots=True)
class Directive:
    """What directive() declares."""

    name: str
    contexts: int
    convert: Callable[..., Any]
    default: Any = UNSET
    merge: Merge = inherit
    repeat: bool = False
    args: str = "1"
    attr: str = field(default="", init=False)

    def set(self, conf: Conf, cf: Cf) -> None:
        convert: Any = self.convert
        attr = self.attr
        current = getattr(conf, attr)
        more: dict[str, Any] = {}
        if getattr(convert, "extends", False):
            more["have"] = None if current is UNSET else current
        elif current is not UNSET and not self.repeat:
            raise Refused("is duplicate")
        words = (cf, *cf.node.args) if getattr(convert, "takes_cf", False) else cf.node.args
        value = convert(*words, **more)
        conf.given.add(attr)
        if self.repeat:
            value = [value] if current is UNSET else [*current, value]
        setattr(conf, attr, value)


def directive(
    name: str,
    contexts: int,
    convert: Callable[..., Any],
    default: Any = UNSET,
    merge: Merge = inherit,
    repeat: bool = False,
    args: str = "1",
) -> Any:
    """One directive on one line: `buffering: bool = directive("proxy_buffering", HSL, flag, default=True)`.

    *convert* takes `(cf, *words)` when it has the attribute `takes_cf`, else `(*words)`, and returns the value;
    it raises Invalid (nginx's words, without the place) for what it refuses. *contexts* are the bits of
    geng.conf.tables. With *repeat*, values are gathered into a list; else a second one `is duplicate`, unless *convert*
    has the attribute `extends` (it then takes `have=`, the first one's value or None, and always *cf*). *args* says how
    many arguments a directive takes that is not nginx's own: `1`, `12` (one or two), `1+`, `flag`.
    """
    return Directive(name, contexts, convert, default, merge, repeat, args)


@dataclass(slots=True)
class command:  # noqa: N801 - a decorator
    """A directive whose setter does more than fill one field: decorates `def name(self, cf): ...`.

    The method reads `cf.node.args`, and for a block directive calls `cf.walk(...)`.
    """

    name: str
    contexts: int
    block: bool = False
    args: str = "1"
    function: Callable[[Any, Cf], None] = field(default=None, init=False)  # type: ignore[assignment]

    def __call__(self, function: Callable[[Any, Cf], None]) -> command:
        self.function = function
        return self


@dataclass(slots=True)
class Field:
    """What value() declares."""

    default: Any
    merge: Merge


def value(default: Any = UNSET, merge: Merge = inherit) -> Any:
    """A field that several directives fill or that is derived: a default and a merge rule, no directive."""
    return Field(default, merge)


class Conf:
    """The settings of one module at one level. Subclass it with `level=`.

    Life: created empty at each level the configuration opens; directives fill it; `merge(cf, parent)` takes what
    is unset from the parent's (still unset values stay unset); `resolve(cf)` applies defaults; `check(cf)` applies
    the rules that cross fields. `given` names the attributes that a directive set here. A *foreign* class knows what
    its directives may say, but nothing runs them yet.
    """

    level: ClassVar[Level]
    foreign: ClassVar[bool] = False
    fields: ClassVar[dict[str, tuple[Any, Merge]]]
    _unset: ClassVar[dict[str, Any]]  # what a fresh one holds
    _inherited: ClassVar[tuple[str, ...]]  # fields with the rule that nearly all have
    _ruled: ClassVar[tuple[tuple[str, Merge], ...]]  # fields with another one
    _defaults: ClassVar[tuple[tuple[str, Any], ...]]
    commands: ClassVar[dict[str, Command]]
    __slots__ = ("__dict__", "given", "nameless")

    def __init_subclass__(cls, level: Level = Level.LOCATION, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.level = level
        cls.fields = dict(getattr(cls, "fields", {}))
        cls.commands = dict(getattr(cls, "commands", {}))
        for attr, declared in list(vars(cls).items()):
            if isinstance(declared, Directive):
                declared.attr = attr
                cls.fields[attr] = (declared.default, declared.merge)
                cls.commands[declared.name] = Command(
                    declared.name, declared.contexts, declared.set, attr, args=declared.args
                )
            elif isinstance(declared, Field):
                cls.fields[attr] = (declared.default, declared.merge)
            elif isinstance(declared, command):
                cls.commands[declared.name] = Command(
                    declared.name, declared.contexts, declared.function, attr, declared.block, declared.args
                )
            else:
                continue
            delattr(cls, attr)  # attribute reads then cost 8 ns, not 19
        cls._unset = dict.fromkeys(cls.fields, UNSET)
        cls._inherited = tuple(attr for attr, (_, rule) in cls.fields.items() if rule is inherit)
        cls._ruled = tuple((attr, rule) for attr, (_, rule) in cls.fields.items() if rule is not inherit)
        cls._defaults = tuple((attr, default) for attr, (default, _) in cls.fields.items() if default is not UNSET)

    def __init__(self) -> None:
        self.given: set[str] = set()
        self.nameless = False
        self.__dict__.update(self._unset)

    def merge(self, cf: Cf, parent: Any) -> None:
        """Take from *parent* what is unset here, by each field's rule."""
        merged = [(attr, rule(attr, self, parent)) for attr, rule in self._ruled] if self._ruled else ()
        mine, theirs = self.__dict__, parent.__dict__
        for attr in self._inherited:
            if mine[attr] is UNSET:
                mine[attr] = theirs[attr]
        mine.update(merged)

    def resolve(self, cf: Cf) -> None:
        """Apply defaults; a callable default that is marked by `computed` gets the conf."""
        mine = self.__dict__
        for attr, default in self._defaults:
            if mine[attr] is UNSET:
                mine[attr] = default.make(self) if isinstance(default, computed) else default
        self.check(cf)

    def check(self, cf: Cf) -> None:
        """The rules that cross fields; overridden where there are any. Raises Invalid."""

    def __repr__(self) -> str:
        shown = ", ".join(f"{attr}={getattr(self, attr)!r}" for attr in self.fields if attr in self.given)
        return f"<{type(self).__name__} {shown}>"


@dataclass(slots=True)
class computed:  # noqa: N801 - reads as a declaration
    """A default that depends on the conf's other fields or must be made anew: `default=computed(lambda conf: [])`."""

    make: Callable[[Any], Any]


def commands_of(confs: Iterable[type[Conf]]) -> dict[str, list[tuple[type[Conf], Command]]]:
    """The command table of *confs*: directive name -> each class that declares it, in module order."""
    table: dict[str, list[tuple[type[Conf], Command]]] = {}
    for conf in confs:
        for entry in conf.commands.values():
            table.setdefault(entry.name, []).append((conf, entry))
    return table
