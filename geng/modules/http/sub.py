"""`sub_filter`: one text in place of another in the body.   nginx: ngx_http_sub_filter_module.c"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL
from geng.errors import Invalid
from geng.http.files import in_memory
from geng.http.filters import Parts, Writer
from geng.http.module import Module
from geng.http.script import Value, compile_value
from geng.http.types import HTML, mime_types, tester

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send
    from geng.http.module import Filter
    from geng.http.request import Request

MOST_PATTERNS = 255


class SubConf(Conf, level=Level.LOCATION):
    """What a location replaces."""

    pairs: list[tuple[Value, Value]] | None = value(None)
    types: frozenset[bytes] = directive("sub_filter_types", HSL, mime_types(HTML), default=HTML)
    once: bool = directive("sub_filter_once", HSL, flag, default=True)
    last_modified: bool = directive("sub_filter_last_modified", HSL, flag, default=False)

    @command("sub_filter", HSL)
    def sub_filter(self, cf: Cf) -> None:
        """`sub_filter string replacement`"""
        sought, replacement = cf.args
        if not sought:
            raise Invalid("empty search pattern")
        if self.pairs is UNSET:
            self.pairs = []
        assert self.pairs is not None
        if len(self.pairs) == MOST_PATTERNS:
            raise Invalid(f"number of search patterns exceeds {MOST_PATTERNS}")
        self.pairs.append((compile_value(cf, sought), compile_value(cf, replacement)))


class Search:
    """Several texts to look for at once, whatever the case of their letters; the first of them wins at a place."""

    __slots__ = ("find", "longest", "numbers", "texts")

    def __init__(self, texts: tuple[tuple[int, bytes], ...]) -> None:
        """*texts*: (number, text); the numbers are what find_in() tells."""
        self.texts = tuple((number, text.lower()) for number, text in texts)
        self.numbers = tuple(number for number, _ in texts)
        self.longest = max(len(text) for _, text in texts)
        self.find = re.compile(b"|".join(b"(%s)" % re.escape(text) for _, text in texts), re.I).search

    def __repr__(self) -> str:
        return f"<Search for {len(self.texts)} texts>"

    def partial(self, data: bytes, at: int) -> tuple[int, int]:
        """(where, number): the first place from *at* on where the end of *data* may begin one of the texts."""
        size = len(data)
        lower = data[max(at, size - self.longest + 1) :].lower()
        for start in range(len(lower)):
            tail = lower[start:]
            for number, text in self.texts:
                if len(text) > len(tail) and text.startswith(tail):
                    return size - len(lower) + start, number
        return size, MOST_PATTERNS


@lru_cache(maxsize=256)
def search_for(texts: tuple[tuple[int, bytes], ...]) -> Search:
    """A Search; the same ones come again with every request."""
    return Search(texts)


def link(loc: CoreLoc) -> Filter | None:
    """The filter of *loc*, where it replaces anything."""
    conf = loc[SubConf]
    if not conf.pairs:
        return None
    of_type = tester(conf.types)
    sought = tuple(pair[0].fn for pair in conf.pairs)
    once = conf.once
    keep_date = conf.last_modified
    replacements = tuple(pair[1].fn for pair in conf.pairs)

    def sub(r: Request, next: Send) -> Writer:
        out = r.out
        if out.content_length == 0 or not of_type(out):
            return next(r)
        texts = tuple((number, text) for number, text in enumerate(make(r) for make in sought) if text)
        if not texts:
            return next(r)
        if r.main is r:
            if keep_date:
                out.content_length = -1
                out.weaken_etag()
            else:
                out.content_length = -1
                out.last_modified, out.last_modified_text, out.etag = -1, b"", b""
        inner = next(r)
        return inner if r.header_only else Replacer(inner, r, texts, replacements, once)

    return sub


class Replacer(Writer):
    """Replaces texts in what is written. The end of the data is kept as long as it may be the beginning of one."""

    __slots__ = ("held", "made", "once", "r", "replacements", "search", "texts")

    def __init__(
        self, inner: Writer, r: Request, texts: tuple[tuple[int, bytes], ...], replacements: tuple[Any, ...], once: bool
    ) -> None:
        self.inner = inner
        self.r = r
        self.texts = texts
        self.search: Search | None = search_for(texts)
        self.replacements = replacements
        self.once = once
        self.held = b""
        self.made: dict[int, bytes] = {}

    def write(self, parts: Parts, flush: bool = False) -> None:
        if self.search is None:
            self.inner.write(parts, flush)
            return
        sent: list[Any] = []
        for data in in_memory(self.r, parts):
            self.replace(self.held + bytes(data) if self.held else bytes(data), sent)
        if sent or flush:
            self.inner.write(sent, flush)

    def end(self) -> None:
        if self.held:
            self.inner.write((self.held,))
        self.inner.end()

    def replace(self, data: bytes, sent: list[Any]) -> None:
        """Put what is certain of *data* into *sent*; the rest is held."""
        at = 0
        search = self.search
        assert search is not None
        until, number = search.partial(data, 0)
        while True:
            found = search.find(data, at)
            if found is None or found.start() > until:
                break
            this = search.numbers[(found.lastindex or 1) - 1]
            if found.start() == until and number < this:
                break
            if found.start() > at:
                sent.append(data[at : found.start()])
            sent.append(self.replacement(this))
            at = found.end()
            if self.search is None:
                until = len(data)
                break
            if self.search is not search or at > until:
                search = self.search
                until, number = search.partial(data, at)
        if until > at:
            sent.append(data[at:until])
        self.held = data[until:]

    def replacement(self, number: int) -> bytes:
        """What stands in place of text *number*; with `sub_filter_once` it is not sought any more."""
        made = self.made.get(number)
        if made is None:
            made = self.made[number] = self.replacements[number](self.r)
            if self.once:
                self.texts = tuple(one for one in self.texts if one[0] != number)
                self.search = search_for(self.texts) if self.texts else None
        return made


module = Module(
    name="http_sub_filter",
    configure_flag="--with-http_sub_module",
    confs=(SubConf,),
    header_filter=link,
)
