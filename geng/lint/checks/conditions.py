"""`if`, `map`, `geo` and variables."""

from __future__ import annotations

from collections.abc import Iterator

from geng.conf.tables import HTTP, LIF
from geng.lint.checks import examples
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree
from geng.lint.variables import names

SAFE = frozenset({"return", "set", "break", "include", "rewrite_log"})
_NOTHING_FOR_EMPTY = (
    "add_header add_trailer proxy_set_header grpc_set_header fastcgi_param limit_req_zone limit_conn_zone access_log "
    "proxy_no_cache proxy_cache_bypass fastcgi_no_cache fastcgi_cache_bypass"
)
EMPTY_MEANS = frozenset(_NOTHING_FOR_EMPTY.split())
"""Directives that do nothing, by their documentation, for an empty value."""

LEAVING = frozenset({"last", "redirect", "permanent"})


def if_is_evil(tree: Tree) -> Iterator[Found]:
    for block in tree.named("if"):
        for place in block.children:
            if place.context != LIF or place.name in SAFE:
                continue
            if place.name == "rewrite":
                if not (len(place.args) > 2 and place.args[2] in LEAVING):
                    message = "a rewrite inside if goes on in the location of the if, without what is beside it"
                    yield Found(place, message, 0, "with the flag last it leaves", severity=Severity.NOTE)
                continue
            message = f"{place.name} inside if makes a location of its own, which has not all of what is around it"
            yield Found(place, message, 0, "only return and rewrite … last are safe; a map gives a value by condition")


def hash_without_default(tree: Tree) -> Iterator[Found]:
    for block in tree.named("map", "geo"):
        if block.context != HTTP or block.node.block is None or block.first("default", "include"):
            continue
        rows = [row for row in block.children if row.name not in ("hostnames", "volatile", "ranges", "proxy", "delete")]
        if any(row.name in ("0.0.0.0/0", "::/0", "~.", "~.*", "~^", "~*.*") for row in rows):
            continue
        if block.name == "map" and _every_value_has_a_row(tree, block, {row.name for row in rows}):
            continue
        if block.args and _empty_is_meant(tree, block.args[-1].removeprefix("$")):
            continue
        if len(rows) >= (2 if block.name == "map" else 1):
            yield Found(
                block, f"{block.args[-1] if block.args else 'the variable'} is empty where no row fits", 0, "default …;"
            )


def _every_value_has_a_row(tree: Tree, block: Place, known: set[str]) -> bool:
    """Whether what the map looks at is itself of a map, geo or split_clients, all of whose values are among its rows."""
    makers = [each for each in tree.named("map", "geo", "split_clients") if each.args and each.args[-1] == block.args[0]]
    if len(makers) != 1 or makers[0].first("include") or not (makers[0].first("default", "*")):
        return False
    values = [row.args[0] for row in makers[0].children if row.args and row.name not in ("proxy", "delete")]
    return all("$" not in value and value in known for value in values)


def _empty_is_meant(tree: Tree, variable: str) -> bool:
    """Whether all that uses *variable* has a meaning for the empty value."""
    used = False
    for place in tree.root.walk():
        if any(variable in names(word) for word in place.args) and place.name not in ("map", "geo"):
            bare = place.name == "if" and len(place.args) == 1
            if not bare and not (place.name == "return" and used) and place.name not in EMPTY_MEANS:
                return False
            used = True
    return used or bool(tree.missing) or tree.fragment  # those that use it may be out of sight


def mixed_case_variable(tree: Tree) -> Iterator[Found]:
    first: dict[str, tuple[str, Place]] = {}
    for place in tree.root.walk():
        if not place.http:
            continue
        for index, word in enumerate(place.args, 1):
            if "$" not in word:
                continue
            for name in names(word):
                spelt, where = first.setdefault(name.lower(), (name, place))
                if spelt != name:
                    message = f"${name} is ${spelt} of line {where.node.start_line}: names of variables have no case"
                    yield Found(place, message, index, f"${spelt}")


CHECKS = (
    Check(
        "if_is_evil",
        Severity.WARNING,
        "if in a location with more than return or rewrite",
        """
When the condition holds, the request goes on in a location that the `if` is; it inherits some of what is around it and
loses the rest, handlers and try_files among them, and of two such blocks only the last one counts. Only `return` and
`rewrite … last` do what they say. `set` alone does no harm and is not reported. A `map` gives values by condition.
""",
        examples.location("if ($request_method = POST) {\n    add_header X-Debug 1;\n}\nproxy_pass http://127.0.0.1:8080;"),
        examples.location("if ($request_method = POST) {\n    return 405;\n}\nproxy_pass http://127.0.0.1:8080;"),
        run=if_is_evil,
    ),
    Check(
        "hash_without_default",
        Severity.NOTE,
        "map or geo without default",
        """
What no row names is the empty string, which many tests take for "no". Say what it shall be: it is the value that
everybody gets whom the list forgot. A `map` of one row is not reported: that is how limit_req keys are made.
""",
        examples.http("geo $remote_addr $trusted {\n    10.0.0.0/8 1;\n}"),
        examples.http("geo $remote_addr $trusted {\n    default 0;\n    10.0.0.0/8 1;\n}"),
        run=hash_without_default,
    ),
    Check(
        "mixed_case_variable",
        Severity.NOTE,
        "one variable in two spellings",
        """
$Backend and $backend are the same variable: nginx makes names small. Whoever reads the file may think otherwise.
""",
        examples.server("set $backend a;\nadd_header X-Backend $Backend;"),
        examples.server("set $backend a;\nadd_header X-Backend $backend;"),
        run=mixed_case_variable,
    ),
)
