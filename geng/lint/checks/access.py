"""Who may see what: allow and deny, status pages, versions."""

from __future__ import annotations

from collections.abc import Iterator

from geng.conf.tables import HTTP, LOC, SRV
from geng.lint.checks import examples
from geng.lint.checks.scope import incomplete
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree

GUARDS = ("allow", "deny", "auth_basic", "auth_request", "internal")
LOOPBACK = ("127.", "localhost", "[::1]", "unix:")


def allow_without_deny(tree: Tree) -> Iterator[Found]:
    blocks = {id(place.parent): place.parent for place in tree.named("allow") if place.parent is not None}
    for block in blocks.values():
        if block.all("deny") or incomplete(tree, block) or block.value("satisfy") == "any":
            continue
        allow = block.all("allow")[0]
        if allow.http and allow.args[:1] != ("all",):
            yield Found(allow, "allow without a deny keeps nobody out", 0, "deny all; behind it")


def return_bypasses_allow_deny(tree: Tree) -> Iterator[Found]:
    for place in tree.named("return"):
        block = place.parent
        if block is None or not place.http or not _says_something(place):
            continue
        if block.name == "if" and block.parent is not None and place.args[0][:1] == "2" and len(place.args) > 1:
            block = block.parent  # what an `if` answers with is not asked for either
        if block.inside not in (LOC, SRV):
            continue
        if block.all("deny") or block.inside == LOC and block.all("allow"):
            where = block.first("deny", "allow")
            assert where is not None
            message = f"return answers before {where.name} is asked: everybody gets this"
            yield Found(place, message, 0, "let the content phase answer: try_files, a file, proxy_pass")


def _says_something(place: Place) -> bool:
    code = place.args[0] if place.args else ""
    return not code.isdigit() or int(code) < 400 or len(place.args) > 1


def status_page_exposed(place: Place) -> Iterator[Found]:
    block = place.parent
    if block is None or place.inherited("allow", "deny"):
        return
    if any(place.inherited(guard) for guard in GUARDS):
        return
    server = place.server()
    listens = server.all("listen") if server is not None else []
    if listens and all(listen.args and listen.args[0].startswith(LOOPBACK) for listen in listens):
        return
    if any(each.name == "if" for each in (block, *block.above())):
        return
    yield Found(place, "anyone can see this page", 0, "allow 127.0.0.1; deny all;")


def status_pages(tree: Tree) -> Iterator[Found]:
    for place in tree.named("stub_status", "vhost_traffic_status_display", "status", "api"):
        if place.parent is not None and not incomplete(tree, place.parent) and place.http:
            yield from status_page_exposed(place)


def version_disclosure(tree: Tree) -> Iterator[Found]:
    for place in tree.named("server_tokens"):
        if place.args[:1] in (("on",), ("build",)):
            yield Found(place, "every response names the version of the server", 1, "server_tokens off;")
    for block in tree.named("http"):
        if tree.fragment or block.inside != HTTP or incomplete(tree, block):
            continue
        if not block.all("server_tokens") and not all(server.all("server_tokens") for server in tree.servers()):
            message = "server_tokens is on unless it is switched off: every response names the version"
            yield Found(block, message, 0, "server_tokens off;", severity=Severity.NOTE)


CHECKS = (
    Check(
        "allow_without_deny",
        Severity.WARNING,
        "allow without deny",
        """
Addresses that no rule names are let in. A list of `allow` alone is a list without effect; it must end with `deny all;`.
""",
        examples.location("allow 10.0.0.0/8;\nroot /srv/private;"),
        examples.location("allow 10.0.0.0/8;\ndeny all;\nroot /srv/private;"),
        run=allow_without_deny,
    ),
    Check(
        "return_bypasses_allow_deny",
        Severity.WARNING,
        "return beside allow and deny",
        """
`return` belongs to the rewrite phase, `allow` and `deny` to the access phase, which comes later: who is denied gets the
same answer. Errors without a body are not reported.
""",
        examples.location('allow 10.0.0.0/8;\ndeny all;\nreturn 200 "secret";'),
        examples.location("allow 10.0.0.0/8;\ndeny all;\nroot /srv/secret;"),
        run=return_bypasses_allow_deny,
    ),
    Check(
        "status_page_exposed",
        Severity.WARNING,
        "a status page that everybody can see",
        """
What `stub_status` tells helps whoever wants to know when the server is about to break down. Allow the monitor alone.
""",
        examples.location("stub_status;", "/status"),
        examples.location("stub_status;\nallow 127.0.0.1;\ndeny all;", "/status"),
        run=status_pages,
    ),
    Check(
        "version_disclosure",
        Severity.WARNING,
        "the version of the server in every response",
        """
With the version goes the list of its known faults. `server_tokens off;` leaves the name alone.
""",
        examples.http("server_tokens on;"),
        examples.http("server_tokens off;"),
        run=version_disclosure,
    ),
)
