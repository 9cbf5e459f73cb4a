"""Which directive may stand where, with how many arguments, with or without a block.

nginx: ngx_conf_file.c (ngx_conf_handler). The table itself is geng.conf.directives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geng.conf import directives
from geng.errors import Invalid, UnknownDirective

if TYPE_CHECKING:
    from geng.conf.syntax import Node

# Contexts. nginx tells http's from mail's by the type of the module; here each has a bit of its own.
MAIN = 1 << 0
DIRECT = 1 << 1  # no context: the directive fills its module's one conf at the top (NGX_DIRECT_CONF)
EVENTS = 1 << 2
HTTP = 1 << 3
SRV = 1 << 4
LOC = 1 << 5
UPS = 1 << 6
SIF = 1 << 7  # `if` in a server
LIF = 1 << 8  # `if` in a location
LMT = 1 << 9  # limit_except
MAIL = 1 << 10
MAIL_SRV = 1 << 11
STREAM = 1 << 12
STREAM_SRV = 1 << 13
STREAM_UPS = 1 << 14
ANY = MAIN | EVENTS | HTTP | SRV | LOC | UPS | SIF | LIF | LMT | MAIL | MAIL_SRV | STREAM | STREAM_SRV | STREAM_UPS

HS = HTTP | SRV
SL = SRV | LOC
HSL = HTTP | SRV | LOC
HSLL = HTTP | SRV | LOC | LIF
MS = MAIL | MAIL_SRV
SS = STREAM | STREAM_SRV

CONTEXTS = {
    "main": MAIN,
    "direct": DIRECT,
    "events": EVENTS,
    "http": HTTP,
    "srv": SRV,
    "loc": LOC,
    "ups": UPS,
    "sif": SIF,
    "lif": LIF,
    "lmt": LMT,
    "mail": MAIL,
    "mail_srv": MAIL_SRV,
    "stream": STREAM,
    "stream_srv": STREAM_SRV,
    "stream_ups": STREAM_UPS,
    "any": ANY,
}

MAX_ARGS = 7


@dataclass(slots=True, frozen=True)
class Entry:
    """One row of a module's command table; geng.conf.directives says what *arity* may be."""

    name: str
    module: str
    contexts: int
    arity: str
    block: bool

    def accepts(self, n: int) -> bool:
        """Whether *n* arguments are right."""
        if self.arity == "flag":
            return n == 1
        if self.arity.endswith("+"):
            return n >= int(self.arity[:-1])
        return n <= MAX_ARGS and str(n) in self.arity


def _read(table: str) -> Iterator[Entry]:
    module = ""
    for line in table.splitlines():
        if line.startswith(" "):
            name, contexts, arity, *block = line.split()
            bits = 0
            for context in contexts.split(","):
                bits |= CONTEXTS[context]
            yield Entry(name, module, bits, arity, bool(block))
        else:
            module = line


def _tables() -> dict[str, tuple[Entry, ...]]:
    found: dict[str, tuple[Entry, ...]] = {}
    for table in (directives.NGINX, directives.OWN):
        for entry in _read(table):
            found[entry.name] = (*found.get(entry.name, ()), entry)
    return found


ENTRIES = _tables()
"""Every entry by the directive's name, in nginx's order of modules."""


def entries(name: str) -> tuple[Entry, ...]:
    """What is known of the directive *name*: one entry per module that has it; nothing if it is unknown."""
    return ENTRIES.get(name, ())


def check(node: Node, context: int) -> Entry:
    """The entry by which *node* may stand in *context*, a single bit; raises Invalid with nginx's words."""
    return check_among([entry for entry in entries(node.name) if entry.module not in directives.ELSEWHERE], node, context)


def check_among(known: Sequence[Entry], node: Node, context: int) -> Entry:
    """The same, with the entries that there are for the name."""
    shown = node.name.partition("\0")[0]
    if not known:
        raise UnknownDirective(f'unknown directive "{shown}"')
    for entry in known:
        if entry.contexts & context:
            _check_shape(entry, node)
            return entry
    raise Invalid(f'"{shown}" directive is not allowed here')


def _check_shape(entry: Entry, node: Node) -> None:
    opened = node.block is not None or node.raw is not None
    if opened and not entry.block:
        raise Invalid(f'directive "{entry.name}" is not terminated by ";"')
    if entry.block and not opened:
        raise Invalid(f'directive "{entry.name}" has no opening "{{"')
    if not entry.accepts(len(node.args)):
        raise Invalid(f'invalid number of arguments in "{entry.name}" directive')
