"""A compiled http block that tells what it does: `geng explain` walks a request through the server's own phases.

Every handler, filter, regular expression and rewrite code of the linked configuration gets a wrapper that notes its call
and calls it. What would reach beyond this process (upstreams, subrequests, counters in zones, writes) is noted instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from geng.conf.tables import HTTP, SRV
from geng.http import phases
from geng.http.block import Http
from geng.http.conf import CoreLoc, ErrorPage
from geng.http.files import rooter
from geng.http.module import DECLINED, DONE, OK, Handler, Module, Phase
from geng.http.request import Request
from geng.http.script import Value
from geng.lint.tree import Place, Tree
from geng.modules.http.access import AccessConf, judge
from geng.modules.http.rewrite import RewriteConf
from geng.modules.http.try_files import TryFilesConf
from geng.tools.trace import Destination, Trace, text, where_of
from geng.upstream.cgi import CgiAdapter
from geng.upstream.engine import Adapter, Exchange
from geng.upstream.http1 import Http1Adapter
from geng.upstream.memcached import MemcachedAdapter
from geng.upstream.upstream import Flag, Upstream

DIRECTIVES = {
    "http_access": ("allow", "deny"),
    "http_auth_basic": ("auth_basic",),
    "http_auth_request": ("auth_request",),
    "http_limit_conn": ("limit_conn",),
    "http_limit_req": ("limit_req",),
    "http_realip": ("set_real_ip_from",),
    "http_mirror": ("mirror",),
    "http_try_files": ("try_files",),
    "http_index": ("index",),
    "http_autoindex": ("autoindex",),
    "http_random_index": ("random_index",),
    "http_gzip_static": ("gzip_static",),
    "http_dav": ("dav_methods",),
}
"""What to show of the modules that have handlers."""

INSTEAD = {
    "http_auth_request": (OK, "is not asked here; taken as allowed"),
    "http_limit_conn": (DECLINED, "counts connections; not counted here"),
    "http_limit_req": (DECLINED, "counts requests, and may delay or refuse; not counted here"),
    "http_mirror": (DECLINED, "sends a copy there; not sent here"),
}
"""Handlers that do not run, because they ask others or change what others see: verdict, and what is said."""

WRITING = frozenset((b"PUT", b"DELETE", b"MKCOL", b"COPY", b"MOVE"))
QUIET = frozenset(("http_index", "http_autoindex", "http_random_index", "http_gzip_static", "http_dav", "http_static"))
"""Content handlers that are asked one after the other: those that decline need no line."""

HARMLESS = frozenset(f"geng.modules.http.{name}" for name in ("stub_status", "empty_gif", "flv", "mp4"))
"""Where the content handlers that answer by themselves are."""

OWN_CODES = ("rewrite", "return", "set", "if", "break")


class _Matcher:
    """A location's regular expression."""

    def __init__(self, trace: Trace, match: Callable[[Request, bytes], bool], loc: CoreLoc) -> None:
        self.trace = trace
        self.match = match
        self.loc = loc

    def __call__(self, r: Request, subject: bytes) -> bool:
        fits = self.match(r, subject)
        self.trace.tried.append((self.loc, bool(fits)))
        return fits


# ---- the rewrite phases


class _Code:
    """One directive of the rewrite module."""

    def __init__(self, trace: Trace, code: Callable[[Request, Any], int | None], place: Place | None) -> None:
        self.trace = trace
        self.code = code
        self.place = place
        self.what = " ".join(place.node.words) if place is not None else "rewrite"
        self.where = f"{place.node.file}:{place.node.start_line}" if place is not None else ""

    def __call__(self, r: Request, state: Any) -> int | None:
        uri, args, values, loc = r.uri, r.args, dict(r.vars), r.loc
        phase = "server-rewrite" if self.place is not None and self.place.context == SRV else "rewrite"
        step = self.trace.step(phase, self.what, "", self.where)
        state.log = True
        rc = self.code(r, state)
        if r.loc is not loc:
            step.note("holds: its own values count from here on")
        for name, value in r.vars.items():
            if value is not None and values.get(name) != value and self._wrote(name):
                step.note(f"${name} is {text(value)!r}")
        if (r.uri, r.args) != (uri, args) and "rewritten data" not in step.result:
            step.note(f"the URI is {text(r.uri)}{'?' if r.args else ''}{text(r.args)}")
        if rc is not None and rc != DECLINED:
            step.note(f"answers {rc if rc > 0 else r.out.status}")
        elif not step.result:
            step.note("does not hold, or changes nothing" if self.what.startswith("if ") else "done")
        return rc

    def _wrote(self, name: str) -> bool:
        """Whether it is this directive that set the variable, not one that read it."""
        if self.place is None:
            return True
        inside = [self.place, *self.place.walk()]
        return any(each.name == "set" and each.args[:1] == (f"${name}",) for each in inside) or name in _groups(inside)


def _groups(places: list[Place]) -> set[str]:
    """The names in regular expressions."""
    words = [word for place in places for word in place.args]
    return {name.lower() for word in words for name in re.findall(r"\(\?P?<(\w+)>", word)}


class _Begin:
    """Before a server's rewrite phase."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __call__(self, r: Request) -> int:
        if r.internal and r.main is r:
            arguments = f"?{text(r.args)}" if r.args else ""
            self.trace.step("internal", f"redirect to {text(r.uri)}{arguments}")
        return DECLINED


class _Search:
    """Behind the rewrites of a server, or of a location that changed the URI: a search begins."""

    def __init__(self, trace: Trace, always: bool) -> None:
        self.trace = trace
        self.always = always

    def __call__(self, r: Request) -> int:
        if r.main is r and (self.always or r.uri_changed):
            self.trace.searching = True
            self.trace.tried = []
        return DECLINED


class _Arrive:
    """A location is entered."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace

    def __call__(self, r: Request) -> int:
        if r.main is not r:
            return DECLINED
        if self.trace.searching:
            self.trace.found(r)
        else:
            self.trace.step("internal", f"goes to {self.trace.name(r.loc)}", "", where_of(r.loc))
        return DECLINED


# ---- the other phases


class _Handler:
    """A module's handler in one phase of one location."""

    def __init__(self, trace: Trace, handler: Handler, module: str, phase: Phase, loc: CoreLoc) -> None:
        self.trace = trace
        self.handler = handler
        self.module = module
        self.phase = phase.name.lower().replace("_", "-")
        self.loc = loc
        rules = trace.configured(loc, DIRECTIVES.get(module, ()))
        first = rules[0] if rules else None
        own = first is not None
        self.what = " ".join(first.node.words) if first is not None else module.removeprefix("http_")
        self.where = f"{first.node.file}:{first.node.start_line}" if own and first is not None else ""
        self.rules = rules

    def __call__(self, r: Request) -> int:
        if r.main is not r:
            return self.handler(r) if self.module not in INSTEAD else DECLINED
        if self.module in INSTEAD:
            rc, said = INSTEAD[self.module]
            self.trace.step(self.phase, self.what, said, self.where)
            return rc
        if self.module == "http_dav" and r.method in WRITING:
            self.trace.step(self.phase, self.what, f"does the {text(r.method)}; not done here", self.where)
            self.trace.destination = Destination(self.what)
            return DONE
        if self.module == "http_access":
            return self._access(r)
        quiet = self.module in QUIET
        count = len(self.trace.steps)
        step = self.trace.step(self.phase, self.what, "", self.where)
        rc = self.handler(r)
        if quiet and rc == DECLINED and not step.result and self.trace.steps[count:] == [step]:
            self.trace.steps.pop()
        elif self.module == "http_index" and rc == DONE:
            step.result = "one of them is there" + (f"; {step.result}" if step.result else "")
        elif not step.result:
            step.note(f"sends {text(r.loc.path_of(r))}" if rc == DONE and self.module == "http_static" else verdict(rc))
        elif rc > 0:
            step.note(f"answers {rc}")
        return rc

    def _access(self, r: Request) -> int:
        """allow and deny: which of the rules it is that decides."""
        step = self.trace.step(self.phase, self.what, "", self.where)
        rc = self.handler(r)
        rules = r.loc[AccessConf].rules
        which = next((n for n in range(len(rules)) if judge(rules[: n + 1])(r.c.addr_text) is not None), None)
        client = text(r.c.addr_text)
        if which is None or which >= len(self.rules):
            step.note(f"no rule is about {client}")
            return rc
        rule = self.rules[which]
        step.what = " ".join(rule.node.words)
        step.where = f"{rule.node.file}:{rule.node.start_line}"
        step.result = f"is about {client}: {verdict(rc)}" + (f"; {step.result}" if step.result else "")
        return rc


def verdict(rc: int) -> str:
    """What a handler's answer means."""
    known = {OK: "allowed", DECLINED: "says nothing", DONE: "answered"}
    return known.get(rc) or f"answers {rc}"


class _Content:
    """The handler that a directive such as proxy_pass sets."""

    def __init__(self, trace: Trace, handler: Handler, loc: CoreLoc) -> None:
        self.trace = trace
        self.handler = handler
        place = trace.place(loc)
        own = place.first(*PASSING) if place is not None else None
        if own is None and place is not None:  # an `if` has the handler of its location
            around = [block.first(*PASSING) for block in place.above()]
            own = next((each for each in around if each is not None), None)
        self.what = " ".join(own.node.words) if own is not None else getattr(handler, "__module__", "a handler")
        self.where = f"{own.node.file}:{own.node.start_line}" if own is not None else ""

    def __call__(self, r: Request) -> int:
        adapter = getattr(self.handler, "adapter", None)
        if adapter is None and getattr(self.handler, "__module__", "") in HARMLESS:
            step = self.trace.step("content", self.what, "", self.where)
            rc = self.handler(r)
            step.note(verdict(rc))
            return rc
        if r.main is not r:
            return DONE
        step = self.trace.step("content", self.what, "", self.where)
        self.trace.destination = made = Destination(self.what)
        if adapter is not None:
            rc = aim(r, adapter, made)
            if rc:
                self.trace.destination = None
                step.note(f"answers {rc}")
                return rc
            step.note(f"passes the request to {made.url or made.group}")
        return DONE


PASSING = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "tunnel_pass",
           "stub_status", "empty_gif", "flv", "mp4", "perl", "js_content")  # fmt: skip


TELLING = (Http1Adapter, CgiAdapter, MemcachedAdapter)


def aim(r: Request, adapter: Adapter, made: Destination) -> int:
    """Where an exchange would go and what it would send; 0, or why not as a status."""
    u = Exchange(r, adapter)
    r.upstream = u
    rc = adapter.begin(u)
    if rc:
        return rc
    parts: Sequence[Any] = (b"",)
    if isinstance(adapter, TELLING):  # others need a connection to write a request for
        parts = adapter.create_request(u)
        if not parts:
            return 500
    if u.aim is None and adapter.upstream is not None:
        upstream = adapter.upstream
        made.group = _shown_group(upstream, u.schema)
        made.peers = _peers(upstream)
    elif u.aim is not None:
        known = adapter.upstreams.find(u.aim.host, u.aim.port, u.aim.no_port)
        usual = u.aim.no_port or not u.aim.port
        made.group = u.aim.host if usual else f"{u.aim.host}:{u.aim.port}"
        if known is not None:
            made.peers = _peers(known)
        elif u.aim.addresses:
            made.peers = [text(address.name) for address in u.aim.addresses[:1]]
        else:
            made.peers = [f"what the resolver says of {u.aim.host}"]
    made.url = f"{text(u.schema)}{made.group}{text(u.uri)}"
    head = parts[0]
    if isinstance(head, bytes) and head.endswith(b"\r\n\r\n"):
        made.request = text(head).strip().split("\r\n")
    return 0


def _peers(upstream: Upstream) -> list[str]:
    """Whom a group may ask."""
    main = [text(peer.name) + (" (down)" if peer.down else "") for peer in upstream.peers.list]
    behind = upstream.peers.next
    return main + [f"{text(peer.name)} (backup)" for peer in (behind.list if behind is not None else ())]


def _shown_group(upstream: Upstream, schema: bytes) -> str:
    """The name of an upstream{}, or the address that stands for one."""
    usual = {b"http://": 80, b"https://": 443}.get(schema)
    if upstream.flags & Flag.CREATE or upstream.no_port or upstream.port in (0, usual):
        return upstream.host
    return f"{upstream.host}:{upstream.port}"


class _Head:
    """The response's head is sent."""

    def __init__(self, trace: Trace, send: Callable[[Request], Any]) -> None:
        self.trace = trace
        self.send = send

    def __call__(self, r: Request) -> Any:
        if r.main is r:
            self.trace.found(r)
        writer = self.send(r)
        if r.main is r:
            self.trace.status = r.out.status
            self.trace.redirect = text(r.out.location)
        return writer


# ---- values that are asked for one after the other


class _Tested:
    """A text of try_files: that it is asked for says that the one before was not found."""

    def __init__(self, trace: Trace, value: Any, loc: CoreLoc, folder: bool, last: bool) -> None:
        self.trace = trace
        self.value = value
        self.literal = value.literal
        self.root = rooter(loc)
        self.folder = folder
        self.last = last
        self.loc = loc
        self.alias = loc.alias
        self.fn = self._make

    def _make(self, r: Request) -> bytes:
        made: bytes = self.value.fn(r)
        if r.main is not r:
            return made
        step = self.trace.steps[-1]
        if step.result.endswith(LOOKS):
            step.result = step.result.removesuffix(LOOKS) + ": not there"
        if self.last:
            step.note(f"none: goes to {text(made)}")
            return made
        shown = made
        if self.alias > 0 and self.literal is None and made[: self.alias] == r.uri[: self.alias]:
            shown = made[self.alias :]
        kind = "folder" if self.folder else "file"
        step.note(f"{kind} {text(self.root(r) + shown)}{LOOKS}")
        return made


LOOKS = " ?"


class _TryFiles(_Handler):
    """try_files: each of its tests."""

    def __call__(self, r: Request) -> int:
        if r.main is not r:
            return self.handler(r)
        step = self.trace.step(self.phase, self.what, "", self.where)
        rc = self.handler(r)
        if step.result.endswith(LOOKS):
            step.result = step.result.removesuffix(LOOKS) + (": there" if rc == DECLINED else ": not there")
        if rc > 0:
            step.note(f"none: answers {rc}")
        return rc


class _ErrorUri:
    """The address of an error page."""

    def __init__(self, trace: Trace, uri: Any, status: int) -> None:
        self.trace = trace
        self.uri = uri
        self.literal = uri.literal
        self.text = uri.text
        self.status = status

    def __call__(self, r: Request) -> bytes:
        made: bytes = self.uri(r)
        if r.main is r:
            self.trace.found(r)
            places = self.trace.configured(r.loc, ("error_page",))
            own = next((each for each in places if str(self.status) in each.args[:-1]), None)
            where = f"{own.node.file}:{own.node.start_line}" if own is not None else ""
            what = " ".join(own.node.words) if own is not None else "error_page"
            self.trace.step("error", what, f"the status is {self.status}: goes to {text(made)}", where)
        return made


# ---- putting it in


def trace(http: Http, tree: Tree) -> Trace:
    """Link *http* anew with everything noted in what this returns. *tree*: the same configuration, for places."""
    made = Trace()
    servers = [place for place in tree.servers() if place.context == HTTP]
    for srv, place in zip(http.main.servers, servers, strict=True):
        _match(made, srv.default, place)
    modules = [_traced_module(made, module) for module in http.modules]
    for srv in http.main.servers:
        locations = list(_all(srv.default))
        for loc in locations:
            _trace_codes(made, loc)
            _trace_tests(made, loc)
            if loc.error_pages:
                loc.error_pages = _traced_pages(made, loc.error_pages)
            if loc.search is not None:
                loc.search.regexes = tuple((_Matcher(made, match, own), own) for match, own in loc.search.regexes)
        phases.link_server(srv, phases.Links(modules))
        for loc in locations:
            _trace_linked(made, loc)
    return made


def _all(parent: CoreLoc) -> Iterator[CoreLoc]:
    yield parent
    for loc in parent.children:
        yield from _all(loc)


def _match(made: Trace, loc: CoreLoc, place: Place) -> None:
    """The places of *loc* and of what is inside: both stand in the order of the files."""
    made.places[id(loc)] = place
    blocks = [each for each in place.children if each.name in ("location", "if", "limit_except") and each.inside]
    for child, block in zip(loc.children, blocks, strict=True):
        _match(made, child, block)


def _trace_codes(made: Trace, loc: CoreLoc) -> None:
    conf = loc[RewriteConf]
    if not conf.codes:
        return
    place = made.place(loc)
    places: list[Place | None] = [each for each in place.children if each.name in OWN_CODES] if place is not None else []
    if len(places) != len(conf.codes):
        places = [None] * len(conf.codes)
    conf.codes = [_Code(made, code, own) for code, own in zip(conf.codes, places, strict=True)]


def _trace_tests(made: Trace, loc: CoreLoc) -> None:
    conf = loc[TryFilesConf]
    if conf.tests is not None and not (conf.tests and isinstance(conf.tests[0][0], _Tested)):
        conf.tests = [(_Tested(made, value, loc, folder, False), folder) for value, folder in conf.tests]
        if not isinstance(conf.fallback, int):
            conf.fallback = _Tested(made, conf.fallback, loc, False, True)


def _traced_pages(made: Trace, pages: dict[int, ErrorPage]) -> dict[int, ErrorPage]:
    """The same error pages, each with its status; those of an outer level are the same everywhere."""
    return {
        status: page
        if isinstance(page.uri, _ErrorUri)
        else ErrorPage(page.overwrite, cast(Value, _ErrorUri(made, page.uri, status)), page.args)
        for status, page in pages.items()
    }


def _traced_module(made: Trace, module: Module) -> Module:
    handlers = {phase: _traced_link(made, link, module.name, phase) for phase, link in module.handlers.items()}
    header_filter = module.header_filter

    def link_filter(loc: CoreLoc) -> Any:
        assert header_filter is not None
        linked = header_filter(loc)
        if linked is not None:
            made.filters.setdefault(id(loc), []).append(module.name.removeprefix("http_").removesuffix("_filter"))
        return linked

    return replace(module, handlers=handlers, header_filter=link_filter if header_filter is not None else None)


def _traced_link(made: Trace, link: Any, module: str, phase: Phase) -> Any:
    if phase in (Phase.SERVER_REWRITE, Phase.REWRITE) or phase == Phase.LOG:
        return link

    def traced(loc: CoreLoc) -> Handler | None:
        handler = link(loc)
        if handler is None:
            return None
        cls = _TryFiles if module == "http_try_files" else _Handler
        return cls(made, handler, module, phase, loc)

    return traced


def _trace_linked(made: Trace, loc: CoreLoc) -> None:
    hot = loc.hot
    hot.log = made.log
    hot.server_rewrite = (_Begin(made), *hot.server_rewrite, _Search(made, True))
    hot.rewrite = (_Arrive(made), *hot.rewrite, _Search(made, False))
    hot.send_head = _Head(made, hot.send_head)
    if hot.content_handler is not None:
        hot.content_handler = _Content(made, hot.content_handler, loc)
