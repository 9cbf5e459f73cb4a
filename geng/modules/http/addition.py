"""`add_before_body` and `add_after_body`: other answers around this one.   nginx: ngx_http_addition_filter_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import octets
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.http import subrequest
from geng.http.filters import ClientGone, Parts, Writer
from geng.http.module import Module
from geng.http.types import HTML, mime_types, tester

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request


class AdditionConf(Conf, level=Level.LOCATION):
    """What a location puts around its answers."""

    before: bytes = directive("add_before_body", HSL, octets, default=b"")
    after: bytes = directive("add_after_body", HSL, octets, default=b"")
    types: frozenset[bytes] = directive("addition_types", HSL, mime_types(HTML), default=HTML)


def link(loc: CoreLoc) -> Filter | None:
    """The filter of *loc*, where it adds anything."""
    conf = loc[AdditionConf]
    before, after = conf.before, conf.after
    if not before and not after:
        return None
    of_type = tester(conf.types)

    def addition(r: Request, next: Send) -> Writer:
        out = r.out
        if out.status != 200 or r.main is not r or not of_type(out):
            return next(r)
        out.clear_validators(weak=True)
        r.preserve_body = True
        inner = next(r)
        return inner if r.header_only else Around(inner, r, before, after)

    return addition


class Around(Writer):
    """Serves a subrequest before the first bytes, and one when the body is complete."""

    __slots__ = ("after", "before", "r")

    def __init__(self, inner: Writer, r: Request, before: bytes, after: bytes) -> None:
        self.inner = inner
        self.r = r
        self.before = before
        self.after = after

    def write(self, parts: Parts, flush: bool = False) -> None:
        if self.before:
            self.add_before()
        self.inner.write(parts, flush)

    def end(self) -> None:
        if self.before:
            self.add_before()
        if self.after:
            self.inner.write((), True)  # what the writers below still hold comes first
            self.add(self.after)
        self.inner.end()

    def add_before(self) -> None:
        uri, self.before = self.before, b""
        self.add(uri)

    def add(self, uri: bytes) -> None:
        r = self.r
        try:
            subrequest.run(subrequest.make(r, uri))
        except subrequest.SubrequestsCycle:
            r.hc.broken = True
            raise ClientGone from None


module = Module(
    name="http_addition_filter",
    configure_flag="--with-http_addition_module",
    confs=(AdditionConf,),
    header_filter=link,
)
