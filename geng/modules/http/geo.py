"""`geo`: a variable whose value depends on an address.   nginx: ngx_http_geo_module.c"""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes, to_text
from geng.conf.directive import Conf, Level, command
from geng.conf.tables import HTTP
from geng.core.cidr import BadCidr, Cidr, ipv4_number, parse
from geng.errors import Invalid
from geng.http.forwarded import forwarded_address
from geng.http.module import CHANGEABLE, NOCACHEABLE, Getter, Module, Variable
from geng.http.script import variable_name

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

NOWHERE = (4, 0xFFFFFFFF)  # what counts for an address that is none (INADDR_NONE)


class GeoConf(Conf, level=Level.MAIN):
    """The blocks."""

    knows_proxies = True

    @command("geo", HTTP, block=True)
    def add(self, cf: Cf) -> None:
        """`geo [$address] $variable { … }`"""
        names = [variable_name(word) for word in cf.args]
        source = cf.scope.variables.ref(names[0]) if len(names) == 2 else None
        name = names[-1]
        cf.scope.variables.reserve(name)
        table = GeoTable(self.knows_proxies)
        cf.table(partial(table.read, cf))
        flags = CHANGEABLE | (NOCACHEABLE if table.volatile else 0)
        cf.scope.variables.add(Variable(name, table.getter(source), flags))


class GeoTable:
    """The rows of one geo block: networks, or with `ranges` ranges of IPv4 addresses."""

    def __init__(self, knows_proxies: bool = True) -> None:
        self.knows_proxies = knows_proxies
        self.ranges = False
        self.volatile = False
        self.recursive = False
        self.proxies: list[Cidr] = []
        self.default: bytes | None = None
        self.networks: dict[tuple[int, int], dict[int, bytes]] = {}  # (version, mask) -> net -> value
        self.starts: list[int] = []
        self.spans: list[tuple[int, int, bytes]] = []

    def __repr__(self) -> str:
        return f"<GeoTable {len(self.spans) if self.ranges else sum(map(len, self.networks.values()))} rows>"

    # ---- reading

    def read(self, cf: Cf, words: tuple[str, ...]) -> None:
        """One row; raises Invalid."""
        if words == ("ranges",):
            if self.networks:
                raise Invalid('the "ranges" directive must be the first directive inside "geo" block')
            self.ranges = True
        elif words == ("proxy_recursive",) and self.knows_proxies:
            self.recursive = True
        elif words == ("volatile",):
            self.volatile = True
        elif len(words) != 2:
            raise Invalid("invalid number of the geo parameters")
        elif words[0] == "proxy" and self.knows_proxies:
            self.proxies.append(read_network(cf, words[1]))
        elif self.ranges:
            self._range(cf, *words)
        else:
            self._cidr(cf, *words)

    def _cidr(self, cf: Cf, first: str, second: str) -> None:
        if first == "default":
            value = to_bytes(second)
            for version in (4, 6):
                self._insert(cf, (version, 0), 0, value, "default")
            return
        if first == "delete":
            network = read_network(cf, second)
            table = self.networks.get((network.version, network.mask), {})
            if table.pop(network.net, None) is None:
                cf.warn(f'no network "{second}" to delete')
            return
        network = read_network(cf, first)
        self._insert(cf, (network.version, network.mask), network.net, to_bytes(second), first)

    def _insert(self, cf: Cf, key: tuple[int, int], net: int, value: bytes, shown: str) -> None:
        table = self.networks.setdefault(key, {})
        old = table.get(net)
        if old is not None:
            cf.warn(f'duplicate network "{shown}", value: "{to_text(value)}", old value: "{to_text(old)}"')
        table[net] = value

    def _range(self, cf: Cf, first: str, second: str) -> None:
        if first == "default":
            value = to_bytes(second)
            if self.default is not None:
                cf.warn(f'duplicate default geo range value: "{second}", old value: "{to_text(self.default)}"')
            self.default = value
            return
        text = second if first == "delete" else first
        start, end = _limits(text)
        if first == "delete":
            if (start, end) not in [span[:2] for span in self.spans]:
                cf.warn(f'no address range "{text}" to delete')
                return
            self._replace([span for span in self.spans if span[:2] != (start, end)])
            return
        self._add_range(cf, text, start, end, to_bytes(second))

    def _add_range(self, cf: Cf, text: str, start: int, end: int, value: bytes) -> None:
        at = bisect_right(self.starts, start) - 1
        touched = [
            span for span in self.spans[max(at, 0) : at + 3] if span[0] <= end and span[1] >= start
        ]  # fmt: skip
        if len(touched) > 1 or (touched and not (touched[0][0] <= start and end <= touched[0][1])):
            low, high, _ = touched[0]
            raise Invalid(f'range "{text}" overlaps "{_dotted(low)}-{_dotted(high)}"')
        rest = []
        if touched:
            low, high, old = touched[0]
            if (low, high) == (start, end):
                cf.warn(f'duplicate range "{text}", value: "{to_text(value)}", old value: "{to_text(old)}"')
            rest = [span for span in ((low, start - 1, old), (end + 1, high, old)) if span[0] <= span[1]]
            self.spans.remove(touched[0])
        if not touched and (not self.spans or start > self.spans[-1][1]):
            self.spans.append((start, end, value))
            self.starts.append(start)
            return
        self._replace(sorted([*self.spans, *rest, (start, end, value)]))

    def _replace(self, spans: list[tuple[int, int, bytes]]) -> None:
        self.spans = spans
        self.starts = [span[0] for span in spans]

    # ---- finding

    def find(self, address: tuple[int, int]) -> bytes:
        """The value for an address, (version, number)."""
        version, number = address
        if self.ranges:
            if version != 4:
                return self.default or b""
            at = bisect_right(self.starts, number) - 1
            if at >= 0 and number <= self.spans[at][1]:
                return self.spans[at][2]
            return self.default or b""
        for mask, table in self.sorted[version]:
            found = table.get(number & mask)
            if found is not None:
                return found
        return b""

    def getter(self, source: Any) -> Getter:
        """What finds the value for a request; *source*: the variable that holds the address."""
        self.sorted = {
            version: [(mask, self.networks[v, mask]) for v, mask in sorted(self.networks, reverse=True) if v == version]
            for version in (4, 6)
        }
        address = self._address_of(source)

        def get(r: Request) -> bytes | None:
            try:
                where = parse(address(r))
            except BadCidr:
                where = NOWHERE
            return self.find(where if where[0] else NOWHERE)

        return get

    def _address_of(self, source: Any) -> Callable[[Request], bytes]:
        proxies, recursive = self.proxies, self.recursive

        def get(r: Request) -> bytes:
            address: bytes = r.c.addr_text if source is None else source.get(r) or b""
            if not proxies:
                return address
            told = r.head.getall(b"x-forwarded-for")
            found = forwarded_address(address, told, proxies, recursive) if told else None
            return address if found is None else found[0]

        return get


def read_network(cf: Cf, text: str) -> Cidr:
    """The network that *text* means; raises Invalid."""
    if text == "255.255.255.255":
        network = Cidr("0.0.0.0")
        network.net = NOWHERE[1]
        return network
    try:
        network = Cidr(text)
    except BadCidr:
        raise Invalid(f'invalid network "{text}"') from None
    if not network.version:
        raise Invalid(f'invalid network "{text}"')
    if network.loose:
        cf.warn(f"low address bits of {text} are meaningless")
    return network


def _limits(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    try:
        start, end = map(ipv4_number, (first, last))
    except BadCidr:
        start, end = 1, 0
    if not dash or start > end:
        raise Invalid(f'invalid range "{text}"')
    return start, end


def _dotted(number: int) -> str:
    return socket.inet_ntop(socket.AF_INET, number.to_bytes(4, "big"))


module = Module(name="http_geo", confs=(GeoConf,))
