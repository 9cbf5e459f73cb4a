"""`stream { … }` from the first word to a graph that serves: read, merge, find out who listens where, link.

nginx: ngx_stream.c (ngx_stream_block)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Cf, Confs, fresh
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import MAIN, STREAM
from geng.core import hashes
from geng.errors import Refused
from geng.http.script import Value, Variables, compile_value
from geng.stream.conf import StreamMain
from geng.stream.module import Module
from geng.stream.session import accepted

if TYPE_CHECKING:
    from geng.net.listen import Listening


class StreamScope:
    """What directives inside stream{} see as `cf.scope`."""

    def __init__(self, modules: tuple[Module, ...]) -> None:
        self.modules = modules
        self.classes: list[type[Conf]] = [cls for module in modules for cls in module.confs]
        self.variables = Variables()
        self.values: list[Value] = []
        self.upstream_contexts: dict[Any, Any] = {}  # TLS toward upstreams: what was said -> the library's context

    def value(self, cf: Cf, text: str) -> Value:
        """*text* with variables, compiled."""
        return compile_value(cf, text)


class Stream:
    """A linked stream block: what the cycle and the workers need of it."""

    def __init__(self, modules: tuple[Module, ...], main: StreamMain, listenings: list[Listening]) -> None:
        self.modules = modules
        self.main = main
        self.listenings = listenings

    def __repr__(self) -> str:
        return f"<Stream {len(self.main.servers)} servers, {len(self.listenings)} listenings>"

    def start_worker(self, worker: Any) -> None:
        """In a worker, before it accepts."""
        self.main.worker = worker
        for module in self.modules:
            if module.start_worker is not None:
                module.start_worker(worker)


class StreamBlock(Conf, level=Level.MAIN):
    """The place of stream in the main configuration."""

    @command("stream", MAIN, block=True)
    def stream(self, cf: Cf) -> None:
        """`stream { … }`"""
        from geng.modules.stream import STREAM_MODULES

        if cf.cycle.stream is not None:
            raise Refused("is duplicate")
        cf.cycle.stream = read(cf, STREAM_MODULES)


def read(cf: Cf, modules: tuple[Module, ...]) -> Stream:
    """Read the block that *cf* stands at, with *modules* in the order in which nginx merges their confs."""
    from geng.modules.http.log import LogMain
    from geng.modules.stream import registry
    from geng.modules.stream.log import StreamFormats

    scope = StreamScope(modules)
    confs = fresh(scope.classes)
    confs.main[LogMain] = StreamFormats()
    main = confs[StreamMain]
    main.confs = confs.main
    for module in modules:
        for variable in module.variables:
            scope.variables.add(variable)
    with cf.inside(scope, registry(modules)):
        cf.walk(cf.node.block or [], STREAM, confs)
        _finish(cf, scope, main, confs)
    for server in main.servers:
        server.link(modules)
    return Stream(modules, main, main.ports.listenings(accepted))


def _finish(cf: Cf, scope: StreamScope, main: StreamMain, confs: Confs) -> None:
    for cls in scope.classes:
        if cls.level is Level.MAIN:
            cf.confs = confs
            cf.attempt(confs.main[cls].resolve)
        else:
            main.merge_servers(cf, cls, confs)
    cf.confs = confs
    for module in scope.modules:
        if module.postconfiguration is not None:
            module.postconfiguration(cf)
    scope.variables.link()
    for value in scope.values:
        value.link()
    hashes.sized(main, "variables_hash").build(scope.variables.names())
    main.sort_names(cf)
