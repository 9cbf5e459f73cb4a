"""`split_clients`: a variable whose value is shared out by percentage.   nginx: ngx_http_split_clients_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from geng.conf.convert import to_bytes
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import HTTP
from geng.core.murmur import murmur2
from geng.core.values import BadValue, atofp
from geng.errors import Invalid
from geng.http.module import CHANGEABLE, Module, Variable
from geng.http.script import Value, compile_value, variable_name

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

WHOLE = 10000  # hundredths of a percent
REST = 1 << 32


class SplitClientsConf(Conf, level=Level.MAIN):
    """The blocks."""

    @command("split_clients", HTTP, block=True)
    def add(self, cf: Cf) -> None:
        """`split_clients string $variable { percent value; … * value; }`"""
        source, name = cf.args
        node = cf.node
        subject = compile_value(cf, source)
        name = variable_name(name)
        cf.scope.variables.reserve(name)
        parts: list[tuple[int, bytes]] = []

        def read(words: tuple[str, ...]) -> None:
            parts.append((_percent(words[0]), to_bytes(words[1]) if len(words) > 1 else b""))

        cf.table(read, opens=False)
        cf.file, cf.line = node.file, node.end_line
        cf.scope.variables.add(Variable(name, _getter(subject, _limits(parts)), CHANGEABLE))


def _percent(word: str) -> int:
    if word == "*":
        return 0
    try:
        if word[-1:] != "%":
            raise BadValue
        number = atofp(word[:-1], 2)
        if not number:
            raise BadValue
    except BadValue:
        raise Invalid(f'invalid percent value "{word}"') from None
    return number


def _limits(parts: list[tuple[int, bytes]]) -> tuple[tuple[int, bytes], ...]:
    """Up to which hash each value goes."""
    total = last = 0
    limits = []
    for percent, text in parts:
        total = total + percent if percent else WHOLE
        if total > WHOLE:
            raise Invalid("percent total is greater than 100%")
        if total == WHOLE:
            limits.append((REST, text))
        else:
            last = (last + percent * 0xFFFFFFFF // WHOLE) & 0xFFFFFFFF
            limits.append((last, text))
    return tuple(limits)


def _getter(subject: Value, limits: tuple[tuple[int, bytes], ...]) -> Callable[[Request], bytes | None]:
    def get(r: Request) -> bytes | None:
        number = murmur2(subject(r))
        for limit, text in limits:
            if number < limit:
                return text
        return b""

    return get


module = Module(name="http_split_clients", confs=(SplitClientsConf,))
