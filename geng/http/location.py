"""`location`: how it is read, and how a request finds its own.

nginx: ngx_http_core_module.c (ngx_http_core_location, ngx_http_core_find_location), ngx_http.c
(ngx_http_init_locations, ngx_http_init_static_location_trees)
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from geng.conf.compiler import Confs
from geng.conf.convert import to_bytes
from geng.conf.directive import Level
from geng.conf.tables import LIF, LMT, LOC, SIF, SRV
from geng.errors import ConfigError, Invalid, Refused
from geng.hot.http1 import METHODS
from geng.http.conf import METHOD_NAMES, CoreLoc
from geng.http.script import compile_regex

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

FOUND, REDIRECT, NONE = range(3)
"""What find() came to: r.loc is set; r.loc is set and its name is the URI with a slash more; nothing matched."""


class LocationTree:
    """The locations directly inside one location or server, ready to be searched.

    Prefixes are sorted: the longest one that a URI begins with is its predecessor in that order, or one of the
    predecessor's own prefixes, which are linked.
    """

    __slots__ = ("exact", "locs", "names", "outer", "redirects", "regexes")

    def __init__(self, children: list[CoreLoc]) -> None:
        plain = [c for c in children if not (c.nameless or c.named or c.regex is not None)]
        self.exact: dict[bytes, CoreLoc] = {}
        prefixes: dict[bytes, CoreLoc] = {}
        for loc in plain:
            table = self.exact if loc.exact else prefixes
            if loc.prefix in table:
                raise ConfigError(f'duplicate location "{loc.name}"', loc.file, loc.line)
            table[loc.prefix] = loc
        self.names = sorted(prefixes)
        self.locs = [prefixes[name] for name in self.names]
        self.outer = [self._outer(i) for i in range(len(self.names))]
        self.redirects = {
            loc.prefix[:-1]: self.exact.get(loc.prefix, loc)
            for loc in plain
            if self.exact.get(loc.prefix, loc).auto_redirect and loc.prefix[:-1] not in prefixes
        }
        self.regexes = tuple((loc.regex.exec, loc) for loc in children if loc.regex is not None)

    def __repr__(self) -> str:
        return f"<LocationTree {len(self.exact)} exact, {len(self.names)} prefixes, {len(self.regexes)} regexes>"

    def _outer(self, i: int) -> int:
        """The longest other name that names[i] begins with; -1 for none."""
        name = self.names[i]
        j = i - 1
        while j >= 0 and not name.startswith(self.names[j]):
            j -= 1
        return j

    def prefix(self, uri: bytes) -> CoreLoc | None:
        """The location with the longest prefix of *uri*."""
        names = self.names
        i = bisect_right(names, uri) - 1 if len(names) > 1 else 0
        while i >= 0:
            name = names[i]
            if uri.startswith(name):
                return self.locs[i]
            i = self.outer[i]
        return None


def find(r: Request, tree: LocationTree) -> int:
    """Set r.loc to the location of r.uri in *tree*; FOUND, REDIRECT or NONE."""
    uri = r.uri
    found = tree.exact.get(uri)
    if found is not None:
        r.loc = found
        return FOUND
    if tree.redirects:
        found = tree.redirects.get(uri)
        if found is not None:
            r.loc = found
            return REDIRECT
    outcome = NONE
    regexes = tree.regexes
    found = tree.prefix(uri) if tree.names else None
    if found is not None:
        r.loc = found
        inner = found.search
        if inner is not None:
            outcome = find(r, inner)
            if outcome != NONE:
                return outcome
        if found.noregex:
            return NONE
    for match, loc in regexes:
        if match(r, uri):
            r.loc = loc
            if loc.search is not None:
                find(r, loc.search)
            return FOUND
    return outcome


# ---- reading


def add_location(cf: Cf, parent: CoreLoc) -> None:
    """`location [modifier] name { … }`"""
    confs = cf.confs.nested(cf.scope.classes, Level.LOCATION)
    loc = confs[CoreLoc]
    loc.file, loc.line = cf.file, cf.line
    _name(cf, loc)
    if cf.context & LOC:
        _inside(loc, parent)
    parent.children.append(loc)
    cf.scope.adopt(loc, confs)
    cf.walk(cf.node.block or [], LOC, confs)


def _name(cf: Cf, loc: CoreLoc) -> None:
    words = cf.args
    if len(words) == 2:
        modifier, name = words
        if modifier not in ("=", "^~", "~", "~*"):
            raise Invalid(f'invalid location modifier "{modifier}"')
    else:
        name = words[0]
        modifier = next((m for m in ("=", "^~", "~*", "~") if name.startswith(m)), "")
        name = name[len(modifier) :]
    loc.name = name
    loc.exact = modifier == "="
    loc.noregex = modifier == "^~"
    loc.named = len(words) == 1 and not modifier and name[:1] == "@"
    if modifier in ("~", "~*"):
        loc.regex = compile_regex(cf, name, caseless=modifier == "~*")
    loc.prefix = to_bytes(name)


def _inside(loc: CoreLoc, parent: CoreLoc) -> None:
    """The rules of nested locations; raises Invalid."""
    if parent.exact:
        raise Invalid(f'location "{loc.name}" cannot be inside the exact location "{parent.name}"')
    if parent.named:
        raise Invalid(f'location "{loc.name}" cannot be inside the named location "{parent.name}"')
    if loc.named:
        raise Invalid(f'named location "{loc.name}" can be on the server level only')
    if loc.regex is None and not loc.name.startswith(parent.name):
        raise Invalid(f'location "{loc.name}" is outside location "{parent.name}"')


def open_nameless(cf: Cf, parent: CoreLoc) -> Confs:
    """Confs for an `if` or `limit_except` inside *parent*; walk the block with them (contexts SIF, LIF, LMT)."""
    confs = cf.confs.nested(cf.scope.classes, Level.LOCATION)
    loc = confs[CoreLoc]
    loc.name, loc.prefix, loc.regex = parent.name, parent.prefix, parent.regex
    loc.file, loc.line = cf.file, cf.line
    for conf in confs.loc.values():
        conf.nameless = True
    parent.children.append(loc)
    cf.scope.adopt(loc, confs)
    return confs


def if_context(cf: Cf) -> int:
    """The context of an `if` block that stands where *cf* is."""
    return SIF if cf.context & SRV else LIF


def add_limit_except(cf: Cf, parent: CoreLoc) -> None:
    """`limit_except method ... { … }`: the block holds for all other methods."""
    if parent.limit_except:
        raise Refused("is duplicate")
    allowed = 0
    for word in cf.args:
        if word.upper() not in METHOD_NAMES:
            raise Invalid(f'invalid method "{word}"')
        allowed |= METHODS[word.upper().encode()]
    if allowed & METHODS[b"GET"]:
        allowed |= METHODS[b"HEAD"]
    confs = open_nameless(cf, parent)
    loc = confs[CoreLoc]
    loc.lmt_excpt = True
    parent.limit_except = (allowed, loc)
    cf.walk(cf.node.block or [], LMT, confs)
