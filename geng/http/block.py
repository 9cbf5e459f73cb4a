"""`http { … }` from the first word to a graph that serves: read, merge, find out who listens where, link.

nginx: ngx_http.c (ngx_http_block)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Confs, fresh
from geng.conf.directive import Conf, Level, command, commands_of
from geng.conf.tables import HTTP, LOC, MAIN, SRV
from geng.core import hashes
from geng.errors import Refused
from geng.http import phases
from geng.http.conf import CoreLoc, CoreMain, CoreSrv
from geng.http.connection import accepted
from geng.http.location import LocationTree, add_location
from geng.http.module import Module
from geng.http.script import Value, Variables, compile_value

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.listen import Listening


class HttpScope:
    """What directives inside http see as `cf.scope`: the variables, the texts to link, the conf classes."""

    def __init__(self, modules: Sequence[Module]) -> None:
        self.modules = modules
        self.classes: list[type[Conf]] = [cls for module in modules for cls in module.confs]
        self.variables = Variables()
        self.values: list[Value] = []
        self.checked: set[Any] = set()  # hash tables that nginx could build: what is in them, and their sizes
        self.mime_types: list[bytes] = []  # that any filter handles
        self.upstream_contexts: dict[Any, Any] = {}  # TLS toward upstreams: what was said -> the library's context
        self.header_lines: dict[int, Any] = {}  # those of proxy_set_header and its like that have been compiled
        self.main: CoreMain = None  # type: ignore[assignment]

    def value(self, cf: Cf, text: str) -> Value:
        """*text* with variables, compiled."""
        return compile_value(cf, text)

    def adopt(self, loc: CoreLoc, confs: Confs) -> None:
        """Make *loc* the way to the confs of its place."""
        loc.confs = confs.loc
        loc.srv = confs[CoreSrv]
        loc.main = self.main


class Http:
    """A linked http block: what the cycle and the workers need of it."""

    def __init__(self, scope: HttpScope, main: CoreMain, listenings: list[Listening]) -> None:
        self.scope = scope
        self.main = main
        self.listenings = listenings
        self.modules = scope.modules

    def __repr__(self) -> str:
        return f"<Http {len(self.main.servers)} servers, {len(self.listenings)} listenings>"

    def start_worker(self, worker: Any) -> None:
        """In a worker, before it accepts: modules start their timers and open what they need."""
        self.main.worker = worker
        for module in self.modules:
            if module.init_worker is not None:
                module.init_worker(worker)


class HttpBlock(Conf, level=Level.MAIN):
    """The place of http in the main configuration."""

    @command("http", MAIN, block=True)
    def http(self, cf: Cf) -> None:
        """`http { … }`"""
        from geng.modules import foreign
        from geng.modules.http import HTTP_MODULES

        if cf.cycle.http is not None:
            raise Refused("is duplicate")
        cf.cycle.http = read(cf, (*HTTP_MODULES, *foreign.http_modules(HTTP_MODULES), *cf.cycle.site_modules))


class HttpServers(Conf, level=Level.MAIN):
    """`server` and `location`, which are inside what they make."""

    @command("server", HTTP, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        srv = confs[CoreSrv]
        srv.file, srv.line = cf.file, cf.line
        srv.confs = confs.srv
        srv.main = cf.scope.main
        srv.default = confs[CoreLoc]
        cf.scope.adopt(srv.default, confs)
        cf.scope.main.servers.append(srv)
        cf.walk(cf.node.block or [], SRV, confs)
        if not srv.listens:
            srv.listen_by_default(cf)

    @command("location", SRV | LOC, block=True)
    def location(self, cf: Cf) -> None:
        """`location … { … }`"""
        add_location(cf, cf[CoreLoc])


def read(cf: Cf, modules: Sequence[Module]) -> Http:
    """Read the block that *cf* stands at, with *modules* in nginx's order."""
    scope = HttpScope(modules)
    with cf.inside(scope, commands_of(scope.classes)):
        confs = fresh(scope.classes)
        main = scope.main = confs[CoreMain]
        main.confs = confs.main
        main.variables = scope.variables
        for module in modules:
            for variable in module.variables:
                scope.variables.add(variable)
            if module.preconfiguration is not None:
                module.preconfiguration(cf)
        http_loc = confs[CoreLoc]
        http_loc.confs, http_loc.main = confs.loc, main
        cf.walk(cf.node.block or [], HTTP, confs)
        return _finish(cf, scope, main, confs)


def _finish(cf: Cf, scope: HttpScope, main: CoreMain, confs: Confs) -> Http:
    for cls in scope.classes:
        if cls.level is Level.MAIN:
            cf.attempt(confs.main[cls].resolve)
    servers = [(srv, Confs(confs.main, srv.confs, srv.default.confs)) for srv in main.servers]
    for cls in scope.classes:
        if cls.level is not Level.MAIN:
            _merge(cf, cls, servers, confs)
    if main.servers and scope.mime_types:
        hashes.Hash("test_types_hash", 2048, 64).build(scope.mime_types)
    for srv in main.servers:
        _init_locations(srv, srv.default)
    for module in scope.modules:
        if module.postconfiguration is not None:
            cf.attempt(module.postconfiguration)
    scope.variables.link()
    hashes.sized(main, "variables_hash").build(scope.variables.names())
    for value in scope.values:
        value.link()
    for address in (*main.ports.all(), *main.quic.all()):
        options = {srv.options_key for srv in address.servers}
        address.request_options = address.default.options_for(stop_at_host=len(options) > 1)
        address.sort_names(cf, hashes.sized(main, "server_names_hash", partial(cf.log, "warn")))
        for srv in address.servers:
            srv.behind_tls |= address.ssl
    links = phases.Links(scope.modules)
    for srv in main.servers:
        phases.link_server(srv, links)
    return Http(scope, main, [*main.ports.listenings(accepted), *main.quic.listenings(*main.quic_handlers)])


def _merge(cf: Cf, cls: type[Conf], servers: list[tuple[CoreSrv, Confs]], confs: Confs) -> None:
    """Fill the confs of one class in all servers and locations: first what is inherited, then defaults."""
    if cls.level is Level.SERVER:
        for srv, inside in servers:
            cf.confs = inside
            srv.confs[cls].merge(cf, confs.srv[cls])
            cf.attempt(srv.confs[cls].resolve, srv.file, srv.line)
        return
    for srv, inside in servers:
        cf.confs = inside
        default = srv.default.confs[cls]
        default.merge(cf, confs.loc[cls])
        _merge_inside(cf, cls, srv.default)
        cf.confs = inside
        cf.attempt(default.resolve, srv.file, srv.line)
        for loc in _all_inside(srv.default):
            cf.confs = Confs(confs.main, srv.confs, loc.confs)
            cf.attempt(loc.confs[cls].resolve, loc.file, loc.line)


def _merge_inside(cf: Cf, cls: type[Conf], parent: CoreLoc) -> None:
    for loc in parent.children:
        cf.confs = Confs(cf.confs.main, cf.confs.srv, loc.confs)
        loc.confs[cls].merge(cf, parent.confs[cls])
        _merge_inside(cf, cls, loc)


def _all_inside(parent: CoreLoc) -> Iterator[CoreLoc]:
    for loc in parent.children:
        yield loc
        yield from _all_inside(loc)


def _init_locations(srv: CoreSrv, parent: CoreLoc) -> None:
    for loc in parent.children:
        _init_locations(srv, loc)
        if loc.named and not loc.nameless:
            srv.named.setdefault(loc.prefix, loc)  # of two with one name the first is found
    if parent is srv.default or any(not c.nameless for c in parent.children):
        parent.search = LocationTree(parent.children)
