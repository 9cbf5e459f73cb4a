"""`access_log` and `log_format` of stream{}.   nginx: ngx_stream_log_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.directive import Level, command
from geng.conf.tables import STREAM, STREAM_SRV
from geng.core import escape
from geng.core.log import OpenFile
from geng.errors import Invalid
from geng.hot.escape import append, shown
from geng.http.script import compile_value
from geng.modules.http.log import AccessLog, Format, LogConf, LogMain
from geng.stream.module import OK, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.stream.conf import StreamServer
    from geng.stream.session import Session


def _default(get: Any) -> Any:
    return lambda s: shown(get(s))


def _json(get: Any) -> Any:
    return lambda s: escape.json(get(s) or b"")


def _none(get: Any) -> Any:
    return lambda s: get(s) or b""


ESCAPINGS = {"default": _default, "json": _json, "none": _none}


class SessionLine:
    """Makes the line of a session."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[Any], escaping: str) -> None:
        get = ESCAPINGS[escaping]
        self.parts: list[Any] = [part if isinstance(part, bytes) else get(part.get) for part in parts]

    def make(self, s: Session) -> bytes:
        """The line, its end included."""
        return b"".join([part if type(part) is bytes else part(s) for part in self.parts]) + b"\n"


class StreamFormat(Format):
    """One log_format of stream{}: all that it holds are variables."""

    __slots__ = ("_made",)

    def __init__(self, name: str, parts: list[Any], escaping: str) -> None:
        super().__init__(name, parts, escaping)
        self._made: SessionLine | None = None

    @property
    def line(self) -> Any:
        if self._made is None:
            self._made = SessionLine(self.parts, self.escaping)
        return self._made


class StreamLog(AccessLog):
    """One access_log of stream{}."""

    __slots__ = ()

    def to_file(self, file: OpenFile) -> Callable[[Any], None]:
        line = self.format.line.make

        def write(s: Any) -> None:
            data = line(s)
            try:
                n = append(file.fd, data)
            except OSError as error:
                self._complain(s, f'write() to "{file.name}" failed', error)
                return
            if n != len(data):
                self._complain(s, f'write() to "{file.name}" was incomplete: {n} of {len(data)}', None)

        return write

    def may_open(self, r: Any) -> bool:
        """A session has no root."""
        return True

    def context(self, r: Any) -> Any:
        return r.c


class StreamFormats(LogMain, level=Level.MAIN):
    """The formats: none is there from the start."""

    combined = False
    format = StreamFormat


class StreamLogs(LogConf, level=Level.LOCATION):
    """The logs of a server: none by default, and each says its format."""

    kind = StreamLog

    @command("access_log", STREAM | STREAM_SRV)
    def add_stream_log(self, cf: Cf) -> None:
        """`access_log path format [parameters] | off`"""
        if len(cf.args) == 1 and cf.args[0] != "off":
            compile_value(cf, cf.args[0])
            raise Invalid("log format is not specified")
        LogConf.commands["access_log"].set(self, cf)

    def check(self, cf: Cf) -> None:
        """There is no log to be made for those who have none."""
        if self.off:
            self.logs = None


def link(server: StreamServer) -> Handler | None:
    """What logs a session of *server*."""
    conf: StreamLogs = server[StreamLogs]
    if not conf.logs:
        return None
    for log in conf.logs:
        log.cache = conf.cache
    writers = tuple(log.link() for log in conf.logs)

    def log_all(s: Session) -> int:
        for write in writers:
            write(s)
        return OK

    return log_all


module = Module(name="stream_log", confs=(LogMain, StreamLogs), handlers={Phase.LOG: link})
