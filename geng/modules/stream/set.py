"""`set`: a variable of a session.   nginx: ngx_stream_set_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.directive import Conf, Level, command
from geng.conf.tables import STREAM_SRV
from geng.http.module import CHANGEABLE, WEAK, Variable
from geng.http.script import Value, compile_value, variable_name
from geng.stream.module import DECLINED, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.stream.conf import StreamServer
    from geng.stream.session import Session


class StreamSet(Conf, level=Level.SERVER):
    """What is set, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.sets: list[tuple[str, Value]] = []

    @command("set", STREAM_SRV)
    def set(self, cf: Cf) -> None:
        """`set $variable value`"""
        word, text = cf.args
        name = variable_name(word)
        cf.scope.variables.add(Variable(name, _empty, CHANGEABLE | WEAK))
        cf.scope.variables.ref(name)
        self.sets.append((name, compile_value(cf, text)))


def _empty(s: Any) -> bytes | None:
    """The value where no `set` has run."""
    return b""


def link(server: StreamServer) -> Handler | None:
    sets: list[tuple[str, Any]] = [(name, made.fn) for name, made in server[StreamSet].sets]
    if not sets:
        return None

    def handle(s: Session) -> int:
        for name, text in sets:
            s.vars[name] = text(s)
        return DECLINED

    return handle


module = Module(name="stream_set", confs=(StreamSet,), handlers={Phase.PREACCESS: link})
