"""Names to addresses while the server runs: the `resolver` directive.   nginx: ngx_resolver.c, RFC 1035, RFC 2782

Answers are kept as long as their TTL says (or `valid=`); failures are not kept. Who asks for a name that is being
asked for already waits with the others. A question goes to the servers in turn, again every five seconds until its
last asker has given up. dnspython makes and reads the messages; the sockets are ours.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from random import randrange
from time import time
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.message
import dns.name
import dns.rdataclass
import dns.rdatatype
from dns.rdatatype import AAAA, CNAME, DNAME, PTR, SRV, A
from greenlet import getcurrent

from geng.errors import ConnectionClosed, TimedOut
from geng.net import sockaddr as sa
from geng.net.answers import ERRORS, FORMERR, NXDOMAIN, REFUSED, TIMED_OUT, Address, Answer, ResolveFailed
from geng.net.connect import NoConnections, connect
from geng.net.connection import Connection, ConnectionPool, Logger
from geng.net.sockaddr import SockAddr
from geng.net.timers import NEVER, Timer

if TYPE_CHECKING:
    from geng.net.hub import After, Hub

RESEND = 5000  # ms until a question goes to the next server
TCP_TIMEOUT = 5000  # ms for each wait of a question over TCP
FORGET = 30  # seconds after its last use a cached name is dropped
FAILED_VALID = 10  # seconds until a failure may be asked again, for who asks periodically (`valid=` has precedence)
MAX_RECURSION = 50  # CNAMEs in a row
UDP_SIZE = 4096

#: QR, opcode, Z, AD, CD: what must be as in a plain answer to a plain question.
FLAGS_MASK, FLAGS_WANTED, TRUNCATED = 0xF870, 0x8000, 0x0200


@dataclass(frozen=True)
class Service:
    """One SRV record."""

    priority: int
    weight: int
    port: int
    name: str


class Question:
    """One question of a node as it goes over the wire."""

    __slots__ = ("kind", "ident", "wire", "tcp", "answered")

    def __init__(self, kind: Any, name: dns.name.Name) -> None:
        self.kind = kind
        self.ident = secrets.randbits(16)
        self.wire = dns.message.make_query(name, kind, id=self.ident).to_wire()
        self.tcp = False
        self.answered = False


class Node:
    """What is known, or being asked, about one name."""

    __slots__ = (
        "key",
        "name",
        "questions",
        "waiters",
        "server",
        "resend",
        "code",
        "ttl",
        "valid",
        "forget",
        "ipv4",
        "ipv6",
        "cname",
        "services",
        "pointer",
    )

    def __init__(self, key: tuple[str, str], name: dns.name.Name, kinds: Sequence[Any], server: int) -> None:
        self.key = key
        self.name = name
        self.questions = [Question(kind, name) for kind in kinds]
        self.waiters: list[Any] = []
        self.server = server
        self.resend: After | None = None
        self.code = 0
        self.ttl = 0x7FFFFFFF
        self.valid = 0.0
        self.forget = 0.0
        self.ipv4: list[str] = []
        self.ipv6: list[str] = []
        self.cname = ""
        self.services: list[Service] = []
        self.pointer = ""

    def __repr__(self) -> str:
        state = "asking" if self.pending else "failed" if self.code else "known"
        return f"<Node {self.key[0]} {self.key[1]} {state}, {len(self.waiters)} wait>"

    @property
    def pending(self) -> bool:
        return self.resend is not None


class Server:
    """One name server: its UDP connection, made when first needed."""

    __slots__ = ("sockaddr", "text", "udp")

    number = 0  # for the log: it belongs to no connection

    def __init__(self, sockaddr: SockAddr) -> None:
        self.sockaddr = sockaddr
        self.text = sa.text(sockaddr)
        self.udp: Connection | None = None

    def log_context(self) -> str:
        return f" while resolving, resolver: {self.text}"


class Resolver:
    """The resolver of one `resolver` directive in one worker. Its methods wait, so they are for greenlets.

    *valid*: seconds that overrule the TTL, 0 for none. A failure is raised as ResolveFailed.
    """

    def __init__(
        self,
        hub: Hub,
        pool: ConnectionPool,
        servers: Sequence[SockAddr],
        log: Logger,
        *,
        valid: int = 0,
        ipv4: bool = True,
        ipv6: bool = True,
    ) -> None:
        self.hub = hub
        self.pool = pool
        self.servers = [Server(address) for address in servers]
        self.log = log
        self.valid = valid
        self.kinds = [kind for kind, wanted in ((A, ipv4), (AAAA, ipv6)) if wanted]
        self._nodes: dict[tuple[str, str], Node] = {}  # the longest unused first
        self._turn = -1

    def __repr__(self) -> str:
        pending = sum(1 for node in self._nodes.values() if node.pending)
        return f"<Resolver {len(self.servers)} servers, {len(self._nodes) - pending} known, {pending} asking>"

    # ---- asking

    def resolve(self, name: str, ms: float, port: int = 0) -> list[SockAddr]:
        """The addresses of *name*, with *port*, beginning somewhere at random."""
        return [_with_port(address.sockaddr, port) for address in self.lookup(name, ms).addresses]

    def lookup(self, name: str, ms: float) -> Answer:
        """The addresses of *name* (port 0); in the answer's order for who had to wait for it, then rotated."""
        node, fresh = self._follow("name", name, ms)
        addresses = [address for family in _families(node) for address in family] if fresh else _rotated(node)
        return Answer(tuple(Address(address) for address in addresses), node.valid)

    def lookup_service(self, name: str, service: str, ms: float, failed: list[ResolveFailed] | None = None) -> Answer:
        """The addresses of *service* (`http` means `_http._tcp`) of *name*: by priority, by weight at random.

        Targets that have no address are left out; *failed* gets what was wrong with them.
        """
        prefix = service if "." in service else f"_{service}._tcp"
        node, _ = self._follow("srv", f"{prefix}.{name.removesuffix('.')}", ms)
        for target in node.services:  # all at once; they are waited for one by one
            self._node("name", target.name)
        found: list[tuple[Service, list[SockAddr]]] = []
        codes, valid = [], node.valid
        for target in node.services:
            try:
                answer = self.lookup(target.name, ms)
            except ResolveFailed as failure:
                codes.append(failure.code)
                if failed is not None:
                    failed.append(failure)
                continue
            valid = min(valid, answer.valid)
            found.append((target, [_with_port(a.sockaddr, target.port) for a in answer.addresses]))
        if not found:
            code = NXDOMAIN if NXDOMAIN in codes else codes[0]
            raise ResolveFailed(name, code, self._retry_at())
        return Answer(tuple(_by_priority(found)), valid)

    def reverse(self, host: str, ms: float) -> str:
        """The name of address *host*."""
        name = ip_address(host).reverse_pointer
        node = self._node("ptr", name)
        if node.pending:
            self._wait(node, ms, host)
        if node.code:
            raise ResolveFailed(host, node.code, node.valid)
        return node.pointer

    def close(self) -> None:
        """Forget everything and close the sockets; who waits is told of a timeout."""
        for node in list(self._nodes.values()):
            if node.pending:
                self._fail(node, TIMED_OUT)
        self._nodes.clear()
        for server in self.servers:
            if server.udp is not None:
                server.udp.close()

    def _follow(self, what: str, name: str, ms: float) -> tuple[Node, bool]:
        """The node at the end of the CNAMEs that begin at *name*; whether its answer came just now."""
        asked = name = name.removesuffix(".").lower()
        end = time() + ms / 1000
        for _ in range(MAX_RECURSION + 1):
            node = self._node(what, name)
            fresh = node.pending
            if fresh:
                self._wait(node, max((end - time()) * 1000, 0), asked)
            if node.code:
                raise ResolveFailed(asked, node.code, node.valid)
            if not node.cname:
                return node, fresh
            name = node.cname
        raise ResolveFailed(asked, NXDOMAIN, self._retry_at())

    def _wait(self, node: Node, ms: float, name: str) -> None:
        """Park until *node* is answered."""
        me = getcurrent()
        timer = Timer(me.switch)
        self.hub.timers.set(timer, ms)
        node.waiters.append(me)
        try:
            if self.hub.park() is None:
                raise ResolveFailed(name, TIMED_OUT, self._retry_at())
        finally:
            if me in node.waiters:
                node.waiters.remove(me)
            timer.deadline = NEVER
            self.hub.timers.cancelled()

    def _retry_at(self) -> float:
        return time() + (self.valid or FAILED_VALID)

    def _node(self, what: str, text: str) -> Node:
        """The cached node, or a new one whose questions are on their way."""
        key = (what, text)
        nodes, now = self._nodes, time()
        node = nodes.pop(key, None)
        if node is not None and (node.pending or int(node.valid) >= int(now)):
            node.forget = now + FORGET
            nodes[key] = node
            return node
        for old in [*nodes.values()][:2]:  # two at a time, as nginx does
            if old.forget < now and not old.pending:
                del nodes[old.key]
        kinds = {"name": self.kinds, "srv": [SRV], "ptr": [PTR]}[what]
        self._turn = turn = (self._turn + 1) % len(self.servers)
        try:
            node = Node(key, dns.name.Name([*text.encode("utf-8", "surrogateescape").split(b"."), b""]), kinds, turn)
        except dns.exception.DNSException:  # an empty label, or one that is too long
            node = Node(key, dns.name.root, (), 0)
            node.code, node.valid = NXDOMAIN, self._retry_at()
            return node
        nodes[key] = node
        node.resend = self.hub.after(RESEND, self._resend, node)
        if not self._send(node):
            node.server = (node.server + 1) % len(self.servers)
            self._send(node)
        return node

    # ---- sending

    def _resend(self, node: Node) -> None:
        """Nobody has answered in time."""
        if not node.waiters:
            node.resend = None
            self._nodes.pop(node.key, None)
            return
        node.resend = self.hub.after(RESEND, self._resend, node)
        node.server = (node.server + 1) % len(self.servers)
        self._send(node)

    def _send(self, node: Node) -> bool:
        """Send what is not answered yet to the node's server."""
        server = self.servers[node.server]
        for question in node.questions:
            if question.answered:
                continue
            if question.tcp:
                self.hub.spawn(self._ask_tcp, server, question.wire)
            elif not self._send_udp(server, question.wire):
                return False
        return True

    def _send_udp(self, server: Server, wire: bytes) -> bool:
        c = server.udp
        try:
            if c is None or c.closed:
                c = connect(self.hub, self.pool, server.sockaddr, ms=None, kind=socket.SOCK_DGRAM)
                c.on_read = lambda c: self._read_udp(server, c)
                server.udp = c
            return c.try_send((wire,)) == len(wire)
        except NoConnections:
            return False
        except ConnectionClosed as closed:
            self._broken(server, closed)
            return False

    def _broken(self, server: Server, closed: ConnectionClosed) -> None:
        self.log.error(f"{closed.call} failed", err=closed.error, ctx=server)
        if server.udp is not None:
            server.udp.close()
            server.udp = None

    def _read_udp(self, server: Server, c: Connection) -> None:
        """A datagram has come."""
        try:
            data = c.recv(UDP_SIZE)
        except ConnectionClosed as closed:
            self._broken(server, closed)
            return
        if data is not None:
            c.eof = False  # an empty datagram is no end
            self._process(data, tcp=False)

    def _ask_tcp(self, server: Server, wire: bytes) -> None:
        """The same question once more, in a greenlet, because its answer did not fit a datagram."""
        c = None
        try:
            c = connect(self.hub, self.pool, server.sockaddr, ms=TCP_TIMEOUT)
            c.send((len(wire).to_bytes(2, "big"), wire), TCP_TIMEOUT)
            size = int.from_bytes(_exactly(c, 2), "big")
            self.hub.call_soon(self._process, _exactly(c, size), True)
        except ConnectionClosed as closed:
            self.log.error(f"{closed.call} failed", err=closed.error or None, ctx=server)
        except (TimedOut, NoConnections):
            pass  # the question is asked again in its time
        finally:
            if c is not None:
                c.close()

    # ---- answers

    def _process(self, data: bytes, tcp: bool) -> None:
        """One message; what is wrong with it is logged, and the question goes on waiting."""
        try:
            self._take(data, tcp)
        except _Odd as odd:
            self.log.error(str(odd))
        except dns.exception.DNSException as error:
            self.log.error(f"invalid DNS response: {error}")

    def _take(self, data: bytes, tcp: bool) -> None:
        if len(data) < 12:
            raise _Odd("short DNS response")
        ident, flags = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:4], "big")
        code = flags & 15
        if flags & FLAGS_MASK != FLAGS_WANTED or (tcp and flags & TRUNCATED):
            raise _Odd(f"invalid {'TCP' if tcp else 'UDP'} DNS response {ident} fl:{flags:04X}")
        if code == FORMERR or code > REFUSED:
            raise _Odd(f"DNS error ({code}: {ERRORS.get(code, 'Unknown error')}), query id:{ident}{self._asked(ident)}")
        message = dns.message.from_wire(data, one_rr_per_rrset=True, ignore_trailing=True)
        if len(message.question) != 1:
            raise _Odd("invalid number of questions in DNS response")
        asked = message.question[0]
        if asked.rdclass != dns.rdataclass.IN:
            raise _Odd(f"unknown query class {int(asked.rdclass)} in DNS response")
        take = TAKES.get(asked.rdtype)
        if take is None:
            raise _Odd(f"unknown query type {int(asked.rdtype)} in DNS response")
        node, question = self._match(asked.name, asked.rdtype, ident)
        if flags & TRUNCATED:
            self._retry_tcp(node, question)
            return
        records = list(_records(message))
        if code == 0 and not records:
            code = 0 if question.kind in (A, AAAA) else NXDOMAIN
        take(self, node, question, code, records)

    def _asked(self, ident: int) -> str:
        """Which name a server could not even parse the question for."""
        for node in self._nodes.values():
            if node.pending and any(question.ident == ident for question in node.questions):
                return f', name:"{node.key[1]}"'
        return ""

    def _match(self, name: dns.name.Name, kind: Any, ident: int) -> tuple[Node, Question]:
        what = {SRV: "srv", PTR: "ptr"}.get(kind, "name")
        text = _text(name)
        node = self._nodes.get((what, text))
        if node is not None and node.pending:
            for question in node.questions:
                if question.kind == kind and not question.answered:
                    if question.ident != ident:
                        raise _Odd(f"wrong ident {ident} in DNS response for {text}, expect {question.ident}")
                    return node, question
        raise _Odd(f"unexpected DNS response for {text}")

    def _retry_tcp(self, node: Node, question: Question) -> None:
        if question.tcp:
            return
        if not node.waiters:
            self._drop(node)
            return
        question.tcp = True
        assert node.resend is not None
        node.resend.reset(RESEND)
        self.hub.spawn(self._ask_tcp, self.servers[node.server], question.wire)

    def _take_addresses(self, node: Node, question: Question, code: int, records: list[Any]) -> None:
        """An answer to A or AAAA; the name is known when both are there, and a failure of one is one of both."""
        addresses, cname = [], ""
        for record in records:
            if record.rdtype in (A, AAAA):
                if record.rdtype != question.kind:
                    raise _Odd(f"unexpected {dns.rdatatype.to_text(record.rdtype)} record in DNS response")
                addresses.append(record.address)
            elif record.rdtype == CNAME:
                cname = _text(record.target)
            elif record.rdtype != DNAME:
                self.log.error(f"unexpected RR type {int(record.rdtype)} in DNS response")
        if records and not code:
            if not addresses and not cname and not (node.ipv4 or node.ipv6):
                raise _Odd("no A or CNAME types in DNS response")
            node.ttl = min(node.ttl, *(record.ttl for record in records))
        question.answered = True
        node.code = node.code or code
        if question.kind == A:
            node.ipv4 = addresses
        else:
            node.ipv6 = addresses
        node.cname = cname  # of two answers the second one's counts, as in nginx
        if not all(question.answered for question in node.questions):
            return
        if node.ipv4 or node.ipv6:
            node.cname = ""
        elif not node.cname:
            node.code = node.code or NXDOMAIN
        self._finish(node)

    def _take_services(self, node: Node, question: Question, code: int, records: list[Any]) -> None:
        """An answer to SRV."""
        if not code:
            for record in records:
                node.ttl = min(node.ttl, record.ttl)
                if record.rdtype == SRV:
                    service = Service(record.priority, record.weight or 1, record.port, _text(record.target))
                    node.services.append(service)
                elif record.rdtype == CNAME:
                    node.cname = _text(record.target)
                elif record.rdtype != DNAME:
                    self.log.error(f"unexpected RR type {int(record.rdtype)} in DNS response")
            if node.services:
                node.cname = ""
                node.services.sort(key=lambda service: service.priority)
            elif not node.cname:
                raise _Odd("no SRV type in DNS response")
        node.code = code
        self._finish(node)

    def _take_pointer(self, node: Node, question: Question, code: int, records: list[Any]) -> None:
        """An answer to PTR: the first of them counts."""
        for record in records if not code else ():
            if record.rdtype == PTR:
                node.pointer, node.ttl = _text(record.target), record.ttl
                break
            if record.rdtype != CNAME:
                self.log.error(f"unexpected RR type {int(record.rdtype)} in DNS response")
        else:
            if not code:
                raise _Odd("no PTR type in DNS response")
        node.code = code
        self._finish(node)

    def _fail(self, node: Node, code: int) -> None:
        node.code = code
        self._finish(node)

    def _finish(self, node: Node) -> None:
        """The node is known now, or has failed; runs in the hub."""
        now = time()
        self._settle(node)
        node.questions = []
        node.forget = now + FORGET
        if node.code:
            node.valid = self._retry_at()
            self._nodes.pop(node.key, None)
        else:
            node.valid = now + (self.valid or node.ttl)
        while node.waiters:
            node.waiters.pop(0).switch(node)

    def _drop(self, node: Node) -> None:
        self._settle(node)
        self._nodes.pop(node.key, None)

    def _settle(self, node: Node) -> None:
        if node.resend is not None:
            node.resend.cancel()
            node.resend = None


Take = Callable[[Resolver, Node, Question, int, list[Any]], None]
TAKES: dict[Any, Take] = {
    A: Resolver._take_addresses,
    AAAA: Resolver._take_addresses,
    SRV: Resolver._take_services,
    PTR: Resolver._take_pointer,
}


class _Odd(Exception):
    """What the log says about a message that is of no use."""


@dataclass
class _Record:
    """A record of the answer section with the TTL of its set."""

    rdtype: Any
    ttl: int
    data: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.data, name)


def _records(message: Any) -> Iterator[_Record]:
    for rrset in message.answer:
        if rrset.rdclass != dns.rdataclass.IN:
            raise _Odd(f"unexpected RR class {int(rrset.rdclass)} in DNS response")
        for data in rrset:
            yield _Record(rrset.rdtype, rrset.ttl, data)


def _text(name: dns.name.Name) -> str:
    """A name as the cache knows it: lower case, no final dot, bytes as they are."""
    labels = name.labels[:-1] if name.is_absolute() else name.labels
    return b".".join(labels).lower().decode("utf-8", "surrogateescape")


def _with_port(address: SockAddr, port: int) -> SockAddr:
    return (address[0], port, *address[2:])


def _families(node: Node) -> tuple[list[SockAddr], list[SockAddr]]:
    """The IPv4 and the IPv6 addresses, as they were in the answers."""
    return [(host, 0) for host in node.ipv4], [(host, 0, 0, 0) for host in node.ipv6]


def _rotated(node: Node) -> list[SockAddr]:
    """All addresses, beginning at a random one of each family.   nginx: ngx_resolver_export"""
    result: list[SockAddr] = []
    for family in _families(node):
        start = randrange(len(family)) if family else 0
        result += family[start:] + family[:start]
    start = randrange(len(result))
    return result[-start:] + result[:-start] if start else result


def _by_priority(found: list[tuple[Service, list[SockAddr]]]) -> Iterator[Address]:
    """Per priority: begin with a target drawn by weight, then the others in turn.   nginx: ngx_resolver_report_srv"""
    for priority in sorted({service.priority for service, _ in found}):
        group = [(s, addresses) for s, addresses in found if s.priority == priority and addresses]
        weights = [len(addresses) * s.weight for s, addresses in group]
        draw = randrange(sum(weights))
        first = 0
        while draw >= weights[first]:
            draw -= weights[first]
            first += 1
        for service, addresses in group[first:] + group[:first]:
            for address in addresses:
                yield Address(address, service.name, service.priority, service.weight)


def _exactly(c: Connection, n: int) -> bytes:
    """*n* bytes; raises ConnectionClosed when the server stops before."""
    data = b""
    while len(data) < n:
        more = c.read(n - len(data), TCP_TIMEOUT)
        if not more:
            raise ConnectionClosed(0, "recv()")
        data += more
    return data
