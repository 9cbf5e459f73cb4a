"""`xslt_stylesheet`: XML transformed on its way.

nginx: ngx_http_xslt_filter_module.c. Needs lxml: `pip install geng[xslt]`.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, to_bytes, to_text
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL, LOC
from geng.core.log import write_stderr
from geng.errors import ConfigError, Invalid, Refused
from geng.hot.uri import unescape_uri
from geng.http.files import in_memory
from geng.http.filters import DISCARD, Parts, Writer, refuse
from geng.http.module import Module
from geng.http.script import compile_value
from geng.http.types import mime_types, tester
from geng.modules.http.xslt_work import Entities, Failed, Sheet, check_parser, parse, string_param, transform

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

XML = frozenset((b"text/xml",))

Text = Callable[[Any], bytes]


class XsltMain(Conf, level=Level.MAIN):
    """What was read once, by name: one stylesheet may serve many locations."""

    def __init__(self) -> None:
        super().__init__()
        self.sheets: dict[str, Sheet] = {}
        self.entities: dict[str, Entities] = {}


class XsltConf(Conf, level=Level.LOCATION):
    """The stylesheets of a location, each with its own parameters, and parameters for all of them.

    params: (name, quoted, value); a sheet's parameters are texts like `a=1:b=2`.
    """

    sheets: Any = value(())
    params: Any = value(())
    entities: Entities | None = value(None)
    external_entities: bool = directive("xml_external_entities", HSL, flag, default=False)
    types: frozenset[bytes] = directive("xslt_types", HSL, mime_types(XML), default=XML)
    last_modified: bool = directive("xslt_last_modified", HSL, flag, default=False)

    @command("xml_entities", HSL)
    def set_entities(self, cf: Cf) -> None:
        """`xml_entities path`"""
        if self.entities is not UNSET:
            raise Refused("is duplicate")
        _need_lxml(cf)
        path = cf.args[0]
        known = cf[XsltMain].entities
        if path not in known:
            try:
                known[path] = Entities(path)
            except ValueError:
                raise ConfigError("xmlParseDTD() failed", cf.file, cf.line, level="error") from None
        self.entities = known[path]

    @command("xslt_stylesheet", LOC)
    def add_sheet(self, cf: Cf) -> None:
        """`xslt_stylesheet stylesheet [parameter ...]`"""
        _need_lxml(cf)
        name, *params = cf.args
        path = cf.path(name)
        known = cf[XsltMain].sheets
        if path not in known:
            try:
                known[path] = Sheet(path)
            except ValueError as error:
                write_stderr(b"%s\n" % to_bytes(str(error)))  # as libxml2 does, past the log
                raise ConfigError(f'xsltParseStylesheetFile("{path}") failed', cf.file, cf.line, level="error") from None
        values = tuple(compile_value(cf, text) for text in params)
        self.sheets = (*(self.sheets or ()), (known[path], values))

    @command("xslt_param", HSL)
    def add_param(self, cf: Cf) -> None:
        """`xslt_param parameter value`: an XPath expression"""
        self._add(cf, quoted=False)

    @command("xslt_string_param", HSL)
    def add_string_param(self, cf: Cf) -> None:
        """`xslt_string_param parameter value`: a string"""
        self._add(cf, quoted=True)

    def _add(self, cf: Cf, quoted: bool) -> None:
        name, text = cf.args
        self.params = (*(self.params or ()), (name, quoted, compile_value(cf, text)))


def _need_lxml(cf: Cf) -> None:
    if find_spec("lxml") is None:
        raise Invalid(f'"{cf.node.name}" needs lxml, which is not installed')
    try:
        check_parser()
    except ValueError as error:
        raise Invalid(f'"{cf.node.name}" cannot be used with this lxml: {error}') from None


# ---- the filter


def link(loc: CoreLoc) -> Filter | None:
    """The filter of one location."""
    conf = loc[XsltConf]
    if not conf.sheets:
        return None
    of_type = tester(conf.types)

    def xslt(r: Request, next: Send) -> Writer:
        if r.out.status == 304 or not of_type(r.out) or XsltConf in r.ctx:
            return next(r)
        r.ctx[XsltConf] = True
        r.allow_ranges = False
        return XsltWriter(r, conf, next)

    return xslt


def parameters(r: Request, conf: XsltConf, texts: Any) -> dict[str, Any]:
    """The parameters of one stylesheet. Raises Failed."""
    params: dict[str, Any] = {}
    for name, quoted, made in conf.params:
        text = to_text(made.fn(r))
        params[name] = string_param(text) if quoted else text
    for made in texts:
        for pair in made.fn(r).split(b":"):
            if not pair:
                continue
            name, equals, text = pair.partition(b"=")
            if not equals:
                raise Failed(f'invalid libxslt parameter "{to_text(pair)}"')
            params[to_text(name)] = to_text(unescape_uri(text))
    return params


class XsltWriter(Writer):
    """Holds head and body back until the document is complete."""

    __slots__ = ("conf", "held", "next", "r")

    def __init__(self, r: Request, conf: XsltConf, next: Send) -> None:
        self.inner = DISCARD
        self.r = r
        self.conf = conf
        self.next = next
        self.held: list[bytes] = []

    def write(self, parts: Parts, flush: bool = False) -> None:
        self.held.extend(bytes(data) for data in in_memory(self.r, parts))

    def end(self) -> None:
        r = self.r
        data, self.held = b"".join(self.held), []
        try:
            made = self._transform(data)
        except Failed as failed:
            for line in failed.lines:
                r.log.error(line, ctx=r.c)
            refuse(r, 500)
            return
        if r.main is r:
            r.out.content_length = len(made)
            if self.conf.last_modified:
                r.out.weaken_etag()
            else:
                r.out.last_modified, r.out.last_modified_text, r.out.etag = -1, b"", b""
        inner = self.next(r)
        if not r.header_only:
            inner.write((made,))
        inner.end()

    def abort(self) -> None:
        self.r.keepalive = False  # half a document is none, and its head was never sent
        self.r.hc.broken = True

    def _transform(self, data: bytes) -> bytes:
        r, conf = self.r, self.conf
        document, ignored = parse(data, conf.entities, conf.external_entities)
        for name, system in ignored:
            r.log.warn(f'xslt filter external entity ignored: "{name}" "" "{system}"', ctx=r.c)
        made, html = transform(document, [(sheet, parameters(r, conf, texts)) for sheet, texts in conf.sheets])
        last = conf.sheets[-1][0]
        if last.encoding:
            r.out.charset = to_bytes(last.encoding)
        if r.main is r:
            if last.media_type:
                r.out.content_type = to_bytes(last.media_type)
            elif html:
                r.out.content_type = b"text/html"
        return made


module = Module(
    name="http_xslt_filter",
    configure_flag="--with-http_xslt_module",
    confs=(XsltMain, XsltConf),
    header_filter=link,
)
