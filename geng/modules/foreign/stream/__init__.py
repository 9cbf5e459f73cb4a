"""`stream { … }`, read and checked as nginx does; nothing of it runs yet.   nginx: ngx_stream.c (ngx_stream_block)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Cf, Confs, fresh
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import MAIN, STREAM
from geng.errors import ConfigError, Invalid, Refused
from geng.http.script import Value, Variables, compile_value
from geng.modules.foreign.table import Foreign

if TYPE_CHECKING:
    from geng.modules.foreign.stream.core import StreamMain


class StreamScope:
    """What directives inside stream{} see as `cf.scope`."""

    def __init__(self, classes: list[type[Conf]]) -> None:
        self.classes = classes
        self.variables = Variables()
        self.values: list[Value] = []

    def value(self, cf: Cf, text: str) -> Value:
        """*text* with variables, compiled."""
        return compile_value(cf, text)


class StreamBlock(Foreign, level=Level.MAIN):
    """The place of stream in the main configuration."""

    def __init__(self) -> None:
        super().__init__()
        self.main: StreamMain | None = None

    @command("stream", MAIN, block=True)
    def stream(self, cf: Cf) -> None:
        """`stream { … }`"""
        if self.main is not None:
            raise Refused("is duplicate")
        self.main = _read(cf)


def _read(cf: Cf) -> StreamMain:
    from geng.modules.foreign.borrowed import registry_of
    from geng.modules.foreign.stream.core import StreamMain
    from geng.modules.foreign.stream.parts import PARTS, StreamFormats
    from geng.modules.foreign.stream.upstream import SERVER
    from geng.modules.foreign.stream.variables import VARIABLES
    from geng.modules.http.log import LogMain
    from geng.modules.http.upstream import UpstreamServers

    classes = [cls for _, found in PARTS for cls in found]
    outer = cf.scope, cf.registry, cf.confs
    scope = cf.scope = StreamScope(classes)
    for variable in VARIABLES:
        scope.variables.add(variable)
    cf.registry = registry_of(PARTS)
    cf.registry["server"] = [
        (cls, SERVER if cls is UpstreamServers else entry) for cls, entry in cf.registry["server"]
    ]  # fmt: skip
    confs = fresh(classes)
    confs.main[LogMain] = StreamFormats()
    try:
        cf.walk(cf.node.block or [], STREAM, confs)
        main = confs[StreamMain]
        try:
            _finish(cf, main, confs, classes)
        except Refused as refused:
            raise cf.error(f'"{cf.node.name}" directive {refused}') from None
        except Invalid as invalid:
            raise cf.error(str(invalid)) from None
        return main
    finally:
        cf.scope, cf.registry, cf.confs = outer


def _finish(cf: Cf, main: StreamMain, confs: Confs, classes: list[type[Conf]]) -> None:
    for cls in classes:
        if cls.level is Level.MAIN:
            cf.confs = confs
            confs.main[cls].resolve(cf)
            continue
        for server in main.servers:
            cf.confs = server.confs
            mine: Any = server.confs[cls]
            mine.merge(cf, confs[cls])
            mine.resolve(cf)
    cf.confs = confs
    _check_tls(main)
    cf.scope.variables.link()
    main.check_variables(cf.scope.variables.names())
    main.sort_names(cf)


def _check_tls(main: StreamMain) -> None:
    """Each address with `ssl` must have certificates.   nginx: ngx_stream_ssl_init"""
    from geng.modules.foreign.tls import StreamSsl

    for address in main.addresses:
        ssl = address.default.confs[StreamSsl]
        if not address.ssl or ssl.certificates:
            continue
        without = [address.default]
        if ssl.rejects:
            confs = ((server, server.confs[StreamSsl]) for server in address.servers)
            without = [server for server, conf in confs if not (conf.certificates or conf.rejects)]
        for server in without:
            where = f"{server.file}:{server.line}"
            raise ConfigError(f'no "ssl_certificate" is defined for the "listen ... ssl" directive in {where}')
