"""`geng explain`: what the compiled configuration does with one request, step by step, and why.

The server's own parser, search, phases and filters run here (geng.tools.tracing), on a connection that leads nowhere.
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

from geng.conf import tables
from geng.conf.tables import HTTP, LIF, LMT, LOC, SIF, SRV
from geng.core.hostnames import HostTable
from geng.core.log import Log
from geng.errors import ConfigError
from geng.hot.http1 import DONE as HEAD_DONE
from geng.hot.http1 import RequestHead
from geng.http import phases
from geng.http.conf import CoreSrv, HttpAddress
from geng.http.connection import HttpConnection, choose_server, refuse
from geng.http.filters import ClientGone
from geng.http.request import Request
from geng.lint.files import Files
from geng.lint.tree import RAW, Place, Tree
from geng.net.connection import ConnectionPool
from geng.net.hub import Hub
from geng.process.cycle import Cycle, Options
from geng.tools.trace import Destination, Step, Trace, text, where_of
from geng.tools.tracing import PASSING, trace
from geng.wire.http1 import REASONS

COULD_NOT_RUN = 2

NOT_INHERITED = frozenset(
    ("include", "set", "rewrite", "return", "break", "server_name", "listen", "try_files", "alias", *PASSING)
)
"""What a block says for itself alone."""


@dataclass
class Candidate:
    """A server of the socket: its names, and why it was taken or left."""

    where: str
    names: list[str]
    why: str


@dataclass
class Value:
    """A directive in force, and where it was said."""

    directive: str
    arguments: str
    where: str


@dataclass
class Explanation:
    """What became of a request."""

    request: str
    listen: str
    server: str
    why: str
    others: list[Candidate] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    location: str = ""
    where: str = ""
    uri: str = ""
    args: str = ""
    answer: str = ""
    status: int = 0
    destination: Destination | None = None
    filters: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="geng explain", description="Which server and location a request comes to, and why.")
    made.add_argument("-c", "--conf", default="conf/nginx.conf", metavar="FILE")
    made.add_argument("-p", "--prefix", default="")
    made.add_argument("-H", "--header", action="append", default=[], metavar="'NAME: VALUE'")
    made.add_argument("--from", dest="client", default="127.0.0.1", metavar="ADDRESS", help="the client's address")
    made.add_argument("--json", action="store_true")
    made.add_argument("method", metavar="METHOD")
    made.add_argument("url", metavar="URL")
    return made


def main(words: Sequence[str]) -> int:
    """Run it; 2 where the configuration, or the URL, cannot be used."""
    options = parser().parse_args(list(words))
    prefix = options.prefix or os.getcwd()
    try:
        found = Explainer(options.conf, prefix).explain(options.method, options.url, options.header, options.client)
    except (ConfigError, ValueError) as error:
        sys.stderr.write(f"geng explain: {error}\n".encode("utf-8", "replace").decode())
        return COULD_NOT_RUN
    made = json.dumps(asdict(found), indent=2) + "\n" if options.json else shown(found)
    sys.stdout.buffer.write(made.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


class Negotiated:
    """A TLS session as a client has it that sends no certificate, for a request to https://."""

    servername = None  # the server is chosen by the request's Host
    misdirected = False
    revoked = ""

    def verify_result(self) -> tuple[int, str]:
        return 0, ""

    def has_peer_certificate(self) -> bool:
        return False

    def forget_session(self) -> None:
        """There is none to be resumed."""


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
        self.trace = trace(self.cycle.http, self.tree)

    def __repr__(self) -> str:
        return f"<Explainer {self.tree.main}>"

    def explain(self, method: str, url: str, headers: Sequence[str] = (), client: str = "127.0.0.1") -> Explanation:
        """What becomes of *method* *url*; raises ValueError for a URL that no server here is asked."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f'"{url}" is no URL that begins with http:// or https:// and a host')
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        address = _address(self.main.ports.all(), parts.hostname, port)
        data = _head(method, parts, headers)
        self.trace.begin()
        ours, theirs = socket.socketpair()
        connection: Any = self.pool.get(ours.detach())
        try:
            connection.addr_text, connection.sockaddr = client.encode(), (client, 49152)
            host = "127.0.0.1" if address.wildcard else address.sockaddr[0]
            listening = SimpleNamespace(text=address.text, sockaddr=(host, port), wildcard=False)
            connection.listening, connection.port = listening, 49152
            r = _request(connection, address, data, parts.scheme == "https")
            return self._walk(r, address, f"{method} {url}")
        finally:
            connection.close()
            theirs.close()

    def _walk(self, r: Request, address: HttpAddress, asked: str) -> Explanation:
        others = _candidates(r, address)
        chosen = next(each for each in others if each[0] is r.srv)[1]
        listen = address.text if isinstance(address.text, str) else address.text.decode()
        found = Explanation(asked, listen, chosen.where, chosen.why)
        found.others = [each for server, each in others if server is not r.srv]
        _serve(r)
        made = self.trace
        made.found(r)
        found.steps = made.steps
        found.uri, found.args = text(r.uri), text(r.args)
        found.location, found.where = made.name(r.loc), where_of(r.loc)
        found.destination = made.destination
        found.status = 0 if made.destination else made.status
        found.answer = _answer(r, made)
        found.filters = made.filters.get(id(r.loc), [])
        place = made.place(r.loc)
        if place is not None:
            found.values = values(place)
        return found


def _head(method: str, parts: Any, headers: Sequence[str]) -> bytes:
    """The request as it comes over the wire."""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = target.replace(" ", "%20")
    lines = [f"{method} {target} HTTP/1.1"]
    if not any(line.lower().startswith("host:") for line in headers):
        lines.append(f"Host: {parts.netloc.rpartition('@')[2]}")
    return "".join(f"{line}\r\n" for line in [*lines, *headers, ""]).encode("utf-8", "surrogateescape")


def _address(addresses: list[HttpAddress], host: str, port: int) -> HttpAddress:
    """The address that a connection to *host* and *port* comes to: the host's own, that of all interfaces, the first."""
    there = [each for each in addresses if isinstance(each.sockaddr, tuple) and each.sockaddr[1] == port]
    if not there:
        known = ", ".join(sorted({each.text for each in addresses}))
        raise ValueError(f"nobody listens on port {port}, but on {known}")
    own = next((each for each in there if each.sockaddr[0] == host), None)
    return own or next((each for each in there if each.wildcard), there[0])


def _request(connection: Any, address: HttpAddress, data: bytes, https: bool) -> Request:
    hc = HttpConnection(connection, address)
    connection.data = hc
    if https:
        hc.ssl = Negotiated()
    head = RequestHead(address.request_options or hc.srv.options)
    rc = head.feed(data)
    for _ in range(2):  # the first time it may stop where the host is known
        if rc == HEAD_DONE:
            break
        rc = head.feed(data)
    if rc < 400 and rc != HEAD_DONE:
        raise ValueError("the method, the URL or a header is no whole request")
    r = Request(connection, hc, head, hc.srv.default.hot, 0)
    hc.request = r
    choose_server(r, head)
    r.content_length_n = head.content_length_n
    r.chunked_body = head.chunked
    r.keepalive = True
    r.pause = lambda ms: None  # type: ignore[method-assign]  # auth_delay: nobody guesses here
    return r


def _serve(r: Request) -> None:
    """Run the phases as the server does; the head of an answer is enough."""
    r.header_only = True
    try:
        if r.head.rc >= 400:
            refuse(r, r.head)
            return
        for handler in r.hot.post_read:
            rc = handler(r)
            if rc >= 200:
                phases.finalize(r, rc)
                return
        phases.run(r)
    except ClientGone:
        pass  # the answer has no place to go to; what was decided is known
    finally:
        for cleanup in r.cleanups or ():
            cleanup()


def _candidates(r: Request, address: HttpAddress) -> list[tuple[CoreSrv, Candidate]]:
    """Every server of the socket, with the reason why it is the one or not."""
    host = r.head.server or b""
    shown = f'"{text(host)}"' if host else "a request without Host"
    fits = {id(srv): _fitting(srv, host) for srv in address.servers}
    best = fits[id(r.srv)]
    made = []
    for srv in address.servers:
        own = fits[id(srv)]
        if srv is r.srv:
            why = f"{shown} {own}" if own else _default(address, shown)
        elif own:
            why = f"{shown} {own} as well, but " + ("it stands behind" if own == best else "that is tried later")
        elif srv is address.default:
            why = "the default, for names that no server has"
        else:
            why = f"{shown} is none of its names"
        names = [text(name) if regex is None else f"~{text(name)}" for name, regex in srv.names]
        made.append((srv, Candidate(f"{srv.file}:{srv.line}", [name for name in names if name], why)))
    return made


def _default(address: HttpAddress, shown: str) -> str:
    if len(address.servers) == 1:
        return "it is the only one there"
    kind = "says so" if address.has_default else "is the first one"
    return f"it is the default of {len(address.servers)} ({kind}): no other has the name {shown}"


def _fitting(srv: CoreSrv, host: bytes) -> str:
    """How a server's names fit *host*: the first of the kinds that nginx asks one after the other; "" not at all."""
    tables_: HostTable[CoreSrv] = HostTable()
    for name, regex in srv.names:
        if regex is None and name:
            try:
                tables_.add(name, srv)
            except ValueError:  # said twice: it counts once
                continue
    if host in tables_.exact:
        return "is one of its names"
    for table, what in ((tables_.heads, "wildcard in front"), (tables_.tails, "wildcard behind")):
        alone: HostTable[CoreSrv] = HostTable()
        setattr(alone, "heads" if table is tables_.heads else "tails", table)
        if alone.find(host) is not None:
            return f"fits a name with a {what}"
    for name, regex in srv.names:
        if regex is not None and regex.search(host) is not None:
            return f"matches ~{text(name)}"
    return ""


def _answer(r: Request, made: Trace) -> str:
    if made.destination is not None:
        return made.destination.directive
    if not made.status:
        return "the connection is closed without an answer"
    said = f"{made.status} {text(REASONS.get(made.status, b''))}".strip()
    if made.redirect and 300 <= made.status < 400 or made.status == 201:
        said += f" to {made.redirect}"
    return said


def values(place: Place) -> list[Value]:
    """The directives in force inside *place*: its own, and those of the levels above that it says nothing about."""
    seen: set[str] = set()
    made = []
    for block in (place, *place.above()):
        if not block.inside & (HTTP | SRV | LOC | SIF | LIF | LMT):
            continue
        here = [each for each in block.children if each.context != RAW and each.name not in seen]
        here = [each for each in here if each.node.block is None or each.name == "types"]
        around = place.name in ("if", "limit_except") and block is place.parent
        for each in here:
            stays = block is place or around and each.name in ("alias", *PASSING)
            if each.name != "include" and (stays or _comes_down(each.name)):
                made.append(Value(each.name, " ".join(each.args), f"{each.node.file}:{each.node.start_line}"))
        seen |= {each.name for each in here}
        if "alias" in seen:
            seen.add("root")
    return made


def _comes_down(name: str) -> bool:
    """Whether a directive of an outer level means something for a location."""
    if name in NOT_INHERITED:
        return False
    known = tables.entries(name)
    return not known or any(entry.contexts & (SRV | LOC) for entry in known)


def shown(found: Explanation) -> str:
    """For people."""
    lines = [f"request   {found.request}", f"listen    {found.listen}", f"server    {found.server}: {found.why}"]
    for other in found.others:
        lines.append(f"          not {other.where} ({' '.join(other.names) or 'no name'}): {other.why}")
    phase = ""
    lines.append("steps")
    for step in found.steps:
        name = step.phase if step.phase != phase else ""
        phase = step.phase
        where = f"  [{step.where}]" if step.where else ""
        lines.append(f"  {name:14} {step.what}" + (f": {step.result}" if step.result else "") + where)
    lines += [f"location  {found.location} ({found.where})"]
    lines += [f"uri       {found.uri}" + (f"?{found.args}" if found.args else "")]
    lines += [f"answer    {found.answer}"]
    if found.destination is not None:
        lines += _destination(found.destination)
    lines += [f"filters   {' '.join(found.filters) or 'none'}"] if found.filters else []
    lines += ["in force"]
    lines += [f"          {each.directive} {each.arguments};  [{each.where}]".replace(" ;", ";") for each in found.values]
    return "\n".join(lines) + "\n"


def _destination(made: Destination) -> list[str]:
    lines = [f"goes to   {made.url or made.group}"] if made.url or made.group else []
    lines += [f"          peer {peer}" for peer in made.peers]
    lines += [f"          > {line}" for line in made.request]
    return lines
