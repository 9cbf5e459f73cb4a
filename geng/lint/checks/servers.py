"""Virtual servers: who is the default, and who has the same name twice."""

from __future__ import annotations

from collections.abc import Iterator

from geng.lint.checks import examples
from geng.lint.checks.scope import addresses, incomplete
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree


def default_server_flag(tree: Tree) -> Iterator[Found]:
    if tree.fragment:
        return  # another file may have it
    groups: dict[str, list[Place]] = {}
    for server in tree.servers():
        if incomplete(tree, server):
            return
        for address, listen in addresses(server).items():
            groups.setdefault(address, []).append(listen)
    told: set[tuple[int, ...]] = set()
    for address, listens in groups.items():
        who = tuple(id(each.parent) for each in listens)
        if who in told:
            continue  # the same servers by IPv4 and by IPv6
        told.add(who)
        if len(listens) > 1 and not any({"default_server", "default"} & set(each.args) for each in listens):
            message = f"{len(listens)} servers listen on {address} and none is default_server: this one, the first, is"
            yield Found(listens[0], message, 0, "say default_server, or add a server that refuses other names")


def server_name_conflict(tree: Tree) -> Iterator[Found]:
    seen: dict[tuple[str, str], Place] = {}
    for server in tree.servers():
        told = False
        for address in addresses(server):
            for place in server.all("server_name") or [server]:
                for index, word in enumerate(place.args or ("",), 1):
                    first = seen.setdefault((address, word.lower()), server)
                    if first is not server and not told:
                        told = True
                        where = first.seen_from(place)
                        shown = word or "without a name"
                        message = f'the server "{shown}" on {address} is there already ({where}): this one gets no requests'
                        yield Found(place, message, index if place.args else 0, "", severity=None)


_TWO = "server {\n    listen 80%s;\n    server_name a.example;\n}\nserver {\n    listen 80;\n    server_name %s;\n}"

CHECKS = (
    Check(
        "default_server_flag",
        Severity.NOTE,
        "nobody says which server is the default",
        """
Requests for unknown names go to the first server of the address; with files that are included by a pattern that is
whichever name sorts first. `default_server` says which it is meant to be.
""",
        examples.http(_TWO % ("", "b.example")),
        examples.http(_TWO % (" default_server", "b.example")),
        run=default_server_flag,
    ),
    Check(
        "server_name_conflict",
        Severity.WARNING,
        "two servers with one name on one address",
        """
The second is ignored for that name. nginx warns of it without saying where either stands; both are named here, also
where they are in different files.
""",
        examples.http(_TWO % (" default_server", "a.example")),
        examples.http(_TWO % (" default_server", "b.example")),
        run=server_name_conflict,
    ),
)
