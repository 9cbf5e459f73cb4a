"""`geng explain`: what the compiled configuration does with one request, as far as the content phase, and why.

The server's own parser, search and rewrite handlers run here, on a connection that leads nowhere; what is from the content
phase on (and what asks others: access checks, subrequests) does not run.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from geng.core.log import Log
from geng.errors import ConfigError
from geng.hot.http1 import DONE as HEAD_DONE
from geng.hot.http1 import RequestHead
from geng.http.conf import CoreLoc
from geng.http.connection import HttpConnection, choose_server
from geng.http.listen import Address
from geng.http.location import REDIRECT, LocationTree, find
from geng.http.module import DECLINED
from geng.http.phases import enter
from geng.http.request import Request
from geng.lint.files import Files
from geng.lint.tree import RAW, Place, Tree
from geng.net.connection import ConnectionPool
from geng.net.hub import Hub
from geng.process.cycle import Cycle, Options

COULD_NOT_RUN = 2
MAX_CHANGES = 10  # nginx: NGX_HTTP_MAX_URI_CHANGES
CONTENT = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "tunnel_pass",
           "stub_status", "empty_gif", "return", "alias", "root")  # fmt: skip


@dataclass
class Explanation:
    """What became of a request. *steps* are sentences in order; *values*: directive, arguments, where it was said."""

    listen: str
    server: str
    why: str
    steps: list[str] = field(default_factory=list)
    location: str = ""
    where: str = ""
    uri: str = ""
    args: str = ""
    answer: str = ""
    values: list[tuple[str, str, str]] = field(default_factory=list)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="geng explain", description="Which server and location a request comes to, and why.")
    made.add_argument("-c", "--conf", default="conf/nginx.conf", metavar="FILE")
    made.add_argument("-p", "--prefix", default="")
    made.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'")
    made.add_argument("--json", action="store_true")
    made.add_argument("method", metavar="METHOD")
    made.add_argument("url", metavar="URL")
    return made


def main(words: Sequence[str]) -> int:
    """Run it; 2 where the configuration, or the URL, cannot be used."""
    options = parser().parse_args(list(words))
    prefix = options.prefix or os.getcwd()
    try:
        found = Explainer(options.conf, prefix).explain(options.method, options.url, options.header)
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"geng explain: {error}\n".encode("utf-8", "replace").decode())
        return COULD_NOT_RUN
    text = json.dumps(asdict(found), indent=2) + "\n" if options.json else shown(found)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


class Explainer:
    """A configuration, read and linked once, to be asked as often as one likes; raises ConfigError."""

    def __init__(self, conf: str, prefix: str) -> None:
        self.log = Log()
        self.cycle = Cycle(Options(prefix=prefix, conf=conf), self.log)
        self.cycle.read()
        if self.cycle.http is None:
            raise ValueError("the configuration has no http")
        self.main = self.cycle.http.main
        full = self.cycle.options.full(conf)
        self.tree = Tree(Files(), full, None, os.path.dirname(full))
        pool = ConnectionPool(Hub(), 8, self.log)
        self.main.worker = SimpleNamespace(hub=pool.hub, pool=pool, log=self.log, exiting=False, cycle=self.cycle)
        self.pool = pool

    def __repr__(self) -> str:
        return f"<Explainer {self.tree.main}>"

    def explain(self, method: str, url: str, headers: Sequence[str] = ()) -> Explanation:
        """What becomes of *method* *url*; raises ValueError for a URL that no server here is asked."""
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        address = _address(self.main.ports.all(), port)
        head = f"{method} {_target(parts)} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        data = (head + "".join(f"{line}\r\n" for line in headers) + "\r\n").encode("utf-8", "surrogateescape")
        ours, theirs = socket.socketpair()
        connection = self.pool.get(ours.detach())
        try:
            return _walk(_request(connection, address, data), address, self.tree)
        finally:
            if connection is not None:
                connection.close()
            theirs.close()


def _target(parts: Any) -> str:
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _address(addresses: list[Address], port: int) -> Address:
    """The address that a connection to *port* comes to: that of all interfaces, else the first."""
    there = [each for each in addresses if isinstance(each.sockaddr, tuple) and each.sockaddr[1] == port]
    if not there:
        known = ", ".join(sorted({each.text for each in addresses}))
        raise ValueError(f"nobody listens on port {port}, but on {known}")
    return next((each for each in there if each.wildcard), there[0])


def _request(connection: Any, address: Address, data: bytes) -> Request:
    hc = HttpConnection(connection, address)
    connection.data = hc
    head = RequestHead(address.request_options or hc.srv.options)
    rc = head.feed(data)
    for _ in range(2):  # the first time it may stop where the host is known
        if rc == HEAD_DONE:
            break
        rc = head.feed(data)
    if rc != HEAD_DONE:
        raise ValueError("the request is refused before a location is looked for")
    r = Request(connection, hc, head, hc.srv.default.hot, 0)
    hc.request = r
    choose_server(r, head)
    return r


def _walk(r: Request, address: Address, tree: Tree) -> Explanation:
    named = r.srv is not address.default
    host = (r.head.server or b"").decode("utf-8", "replace")
    others = len(address.servers) - 1
    why = f'"{host}" is one of its names' if named else f'it is the default of {others + 1}: no other has the name "{host}"'
    if not others:
        why = "it is the only one there"
    found = Explanation(
        address.text if isinstance(address.text, str) else address.text.decode(), f"{r.srv.file}:{r.srv.line}", why
    )
    rc = _rewrites(r, r.hot.server_rewrite, found)
    if rc == DECLINED:
        rc = _search(r, found)
    found.uri, found.args = r.uri.decode("utf-8", "replace"), r.args.decode("utf-8", "replace")
    place = _place(tree, r.loc, r.srv)
    found.location, found.where = _name(r.loc), f"{r.loc.file}:{r.loc.line}" if r.loc.file else found.server
    if place is not None:
        found.values = _values(place)
        if rc == DECLINED:
            found.answer = _content(place)
    if rc != DECLINED:
        found.answer = f"{rc if rc >= 200 else r.out.status} in the rewrite phase"
    return found


def _rewrites(r: Request, handlers: Sequence[Any], found: Explanation) -> int:
    for handler in handlers:
        before = (r.uri, r.args, dict(r.vars))
        rc: int = handler(r)
        if (r.uri, r.args) != before[:2]:
            arguments = f"?{r.args.decode('utf-8', 'replace')}" if r.args else ""
            found.steps.append(f"rewritten to {r.uri.decode('utf-8', 'replace')}{arguments}")
        for name, value in r.vars.items():
            if before[2].get(name) != value and value is not None and name in r.vars:
                found.steps.append(f"${name} = {value.decode('utf-8', 'replace')!r}")
        if rc != DECLINED:
            return rc
    return DECLINED


def _search(r: Request, found: Explanation) -> int:
    """nginx's loop of find_config and rewrite, told step by step."""
    for _ in range(MAX_CHANGES + 1):
        r.uri_changed = False
        hot = r.hot
        r.loc = hot.default
        _candidates(r, hot.search, found)
        outcome = find(r, hot.search)
        found.steps.append(f"location: {_name(r.loc)}")
        hot = r.loc.hot
        if hot.internal and not r.internal:
            return 404
        enter(r, hot)
        if outcome == REDIRECT:
            return 301
        rc = _rewrites(r, r.hot.rewrite, found)
        if rc != DECLINED or not r.uri_changed:
            return rc
    return 500


def _candidates(r: Request, tree: LocationTree, found: Explanation) -> None:
    """What was looked at, in the order in which it is tried."""
    uri = r.uri
    if uri in tree.exact:
        found.steps.append(f"tried = {uri.decode('utf-8', 'replace')}: the same")
        return
    prefix = tree.prefix(uri) if tree.names else None
    if prefix is not None:
        found.steps.append(f"tried prefixes: {_name(prefix)} is the longest that fits")
        if prefix.search is not None:
            _candidates(r, prefix.search, found)
        if prefix.noregex:
            return
    for match, loc in tree.regexes:
        fits = bool(match(r, uri))
        found.steps.append(f"tried {_name(loc)}: {'matches' if fits else 'no match'}")
        if fits:
            return


def _name(loc: CoreLoc) -> str:
    if not loc.name:
        return "none (the server itself)"
    modifier = "= " if loc.exact else ""
    if loc.regex is not None:
        modifier = "~ "
    elif loc.noregex and not loc.exact:
        modifier = "^~ "
    return f"{modifier}{loc.name}"


def _place(tree: Tree, loc: CoreLoc, srv: Any) -> Place | None:
    file, line = (loc.file, loc.line) if loc.file else (srv.file, srv.line)
    blocks = [place for place in tree.root.walk() if place.node.block is not None]
    there = [place for place in blocks if (place.node.file, place.node.line) == (file, line)]
    named = [place for place in there if loc.file and place.name == "location" and place.args[-1:] == (loc.name,)]
    servers = [place for place in there if not loc.file and place.name == "server"]
    return next(iter([*named, *servers, *there]), None)


def _values(place: Place) -> list[tuple[str, str, str]]:
    """The directives in force inside *place*: its own, and those of the levels above that it says nothing about."""
    seen: set[str] = set()
    made = []
    for block in (place, *place.above()):
        here = [each for each in block.children if each.node.block is None and each.context != RAW and each.name not in seen]
        for each in here:
            if each.name not in ("include", "set", "rewrite", "server_name", "listen", "return", "break") or block is place:
                made.append((each.name, " ".join(each.args), f"{each.node.file}:{each.node.start_line}"))
        seen |= {each.name for each in here}
    return made


def _content(place: Place) -> str:
    for name in CONTENT:
        own = place.first(name) if name not in ("root",) else next(iter(place.inherited(name)), None)
        if own is not None:
            return f"{own.name} {' '.join(own.args)}".strip()
    return "files below the prefix's html"


def shown(found: Explanation) -> str:
    """For people."""
    lines = [f"listen    {found.listen}", f"server    {found.server}: {found.why}"]
    lines += [f"          {step}" for step in found.steps]
    lines += [
        f"location  {found.location} ({found.where})",
        f"uri       {found.uri}" + (f"?{found.args}" if found.args else ""),
    ]
    lines += [f"answer    {found.answer}", "in force"]
    lines += [f"          {name} {args};   {where}".replace("  ;", ";") for name, args, where in found.values]
    return "\n".join(lines) + "\n"
