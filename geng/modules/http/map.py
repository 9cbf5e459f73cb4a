"""`map`: a variable whose value depends on another's.   nginx: ngx_http_map_module.c"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import num, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive
from geng.conf.tables import HTTP
from geng.core import hashes
from geng.core.hostnames import BadName, Conflict, HostTable
from geng.errors import Invalid
from geng.http.module import CHANGEABLE, NOCACHEABLE, Module, Variable
from geng.http.script import Regex, Value, compile_regex, compile_value, variable_name

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

NOTHING = Value("", [b""])


class MapConf(Conf, level=Level.MAIN):
    """The blocks. The tables here grow by themselves; that nginx's could not be built is said nevertheless."""

    hash_max_size: int = directive("map_hash_max_size", HTTP, num, default=2048)
    hash_bucket_size: int = directive("map_hash_bucket_size", HTTP, num, default=64)

    @command("map", HTTP, block=True)
    def add_map(self, cf: Cf) -> None:
        """`map string $variable { … }`"""
        source, name = cf.args
        subject = compile_value(cf, source)
        name = variable_name(name)
        cf.scope.variables.reserve(name)
        table = MapTable(subject)
        cf.table(partial(table.read, cf))
        self._check_size(cf, table)
        flags = CHANGEABLE | (NOCACHEABLE if table.volatile else 0)
        cf.scope.variables.add(Variable(name, table.getter(name), flags))

    def _check_size(self, cf: Cf, table: MapTable) -> None:
        """What the sizes are by now they are for good."""
        for attr, default in (("hash_max_size", 2048), ("hash_bucket_size", 64)):
            if getattr(self, attr) is UNSET:
                setattr(self, attr, default)
        size = hashes.aligned(self.hash_bucket_size)
        made = hashes.Hash("map_hash", self.hash_max_size, size, partial(cf.log, "warn"))
        names, table.names = table.names, []
        if table.hostnames:
            hashes.build_names(made, names)
        elif names:
            made.build(names)


class MapTable:
    """The rows of one map."""

    __slots__ = ("default", "hostnames", "hosts", "names", "regexes", "subject", "values", "volatile")

    def __init__(self, subject: Value) -> None:
        self.subject = subject
        self.hostnames = False
        self.volatile = False
        self.default: Value | None = None
        self.names: list[bytes] = []  # until the block has been read
        self.hosts: HostTable[Value] = HostTable()
        self.regexes: list[tuple[Regex, Value]] = []
        self.values: dict[str, Value] = {}

    def __repr__(self) -> str:
        return f"<MapTable {self.hosts!r}, {len(self.regexes)} regexes>"

    def read(self, cf: Cf, words: tuple[str, ...]) -> None:
        """One row; raises Invalid."""
        if len(words) != 2:
            if words == ("hostnames",):
                self.hostnames = True
            elif words == ("volatile",):
                self.volatile = True
            else:
                raise Invalid("invalid number of the map parameters")
            return
        key, text = words
        made = self.values.get(text)
        if made is None:
            made = self.values[text] = compile_value(cf, text)
        if key == "default":
            if self.default is not None:
                raise Invalid("duplicate default map parameter")
            self.default = made
        elif key[:1] == "~":
            caseless = key[1:2] == "*"
            self.regexes.append((compile_regex(cf, key[2:] if caseless else key[1:], caseless), made))
        else:
            self._add(key[1:] if key[:1] == "\\" else key, made)

    def _add(self, key: str, made: Value) -> None:
        try:
            name = to_bytes(key).lower()
            self.hosts.add(name, made, self.hostnames)
            self.names.append(name)
        except BadName:
            raise Invalid(f'invalid hostname or wildcard "{key}"') from None
        except Conflict:
            raise Invalid(f'conflicting parameter "{key.lower()}"') from None

    def getter(self, name: str) -> Callable[[Request], bytes | None]:
        """What finds the value of variable *name* for a request."""
        choose = self._chooser()
        making = False

        def get(r: Request) -> bytes | None:
            nonlocal making
            if making:
                r.log.error(f'cycle while evaluating variable "{name}"', ctx=r.c)
                return None
            making = True
            try:
                return choose(r).fn(r)
            finally:
                making = False

        return get

    def _chooser(self) -> Callable[[Request], Value]:
        subject, default, hostnames = self.subject, self.default or NOTHING, self.hostnames
        find: Callable[[bytes], Any] = self.hosts.find if self.hosts.heads or self.hosts.tails else self.hosts.exact.get
        regexes = tuple(self.regexes)

        def choose(r: Request) -> Value:
            key = subject(r)
            if hostnames and key[-1:] == b".":
                key = key[:-1]
            found: Value | None = find(key.lower())
            if found is None and key:
                for regex, value in regexes:
                    if regex.exec(r, key):
                        return value
            return default if found is None else found

        return choose


module = Module(name="http_map", confs=(MapConf,))
