"""Header lines: which are lost between levels, and which do harm."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.lint.checks.scope import incomplete, tls_servers
from geng.lint.model import Check, Edit, Found, Severity
from geng.lint.tree import Place, Tree

SECURITY = frozenset(
    [
        "content-security-policy",
        "cross-origin-embedder-policy",
        "cross-origin-opener-policy",
        "cross-origin-resource-policy",
        "permissions-policy",
        "referrer-policy",
        "strict-transport-security",
        "x-content-type-options",
        "x-frame-options",
    ]
)
HALF_A_YEAR = 15768000

_FOLDED = re.compile(r"[ \t]*\r?\n[ \t]*")
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d+)", re.I)


def lost(tree: Tree, name: str) -> Iterator[tuple[Place, list[str], Place]]:
    """The first *name* of each block that has some, what of the levels above it lets fall, and where that stands."""
    blocks = {id(place.parent): place.parent for place in tree.named(name) if place.parent is not None}
    for block in blocks.values():
        here = block.all(name)
        above = block.parent.inherited(name) if block.parent is not None else []
        if not above or _merged(block, name):
            continue
        kept = {each.args[0].lower() for each in here if each.args}
        dropped = [each.args[0] for each in above if each.args and each.args[0].lower() not in kept]
        if dropped:
            yield here[0], list(dict.fromkeys(dropped)), above[0]


def _merged(block: Place, name: str) -> bool:
    return block.name != "" and block.value(f"{name}_inherit") == "merge"


def add_header_redefinition(tree: Tree) -> Iterator[Found]:
    for place, dropped, above in lost(tree, "add_trailer"):
        message = f"the trailers of {above.seen_from(place)} are not sent from here: {', '.join(dropped)}"
        yield Found(place, message, 0, "repeat them here", severity=Severity.NOTE)
    for place, dropped, above in lost(tree, "add_header"):
        severe = any(name.lower() in SECURITY for name in dropped)
        message = f"the headers of {above.seen_from(place)} are not sent from here: {', '.join(dropped)}"
        yield Found(place, message, 0, "repeat them here", severity=Severity.WARNING if severe else Severity.NOTE)


def proxy_set_header_redefinition(tree: Tree) -> Iterator[Found]:
    for name in ("proxy_set_header", "grpc_set_header"):
        for place, dropped, above in lost(tree, name):
            yield Found(
                place, f"what {above.seen_from(place)} sets is not sent from here: {', '.join(dropped)}", 0, "repeat it here"
            )


def add_header_multiline(place: Place) -> Iterator[Found]:
    for index, word in enumerate(place.statement.words[1:], 1):
        if "\n" in word.text:
            text = place.document.text[word.start : word.end]
            edit = Edit(word.start, word.end, _FOLDED.sub(" ", text))
            yield Found(place, "the value of the header goes over several lines", index, "write it in one", (edit,))


def add_header_content_type(place: Place) -> Iterator[Found]:
    if not place.args or place.args[0].lower() != "content-type":
        return
    hiding = [f"{kind}_hide_header" for kind in ("proxy", "fastcgi", "uwsgi", "scgi", "grpc")]
    hidden = [each.args[0].lower() for each in place.inherited(*hiding) if each.args]
    if "content-type" not in hidden:
        yield Found(place, "this adds a second Content-Type to the response's own", 1, "use default_type or types")


def hsts_header(tree: Tree) -> Iterator[Found]:
    for server in tls_servers(tree):
        if incomplete(tree, server) or server.value("ssl_reject_handshake") == "on" or _says_nothing(server):
            continue
        lines = [each for each in server.inherited("add_header") if _is_hsts(each)]
        if not lines and not any(_is_hsts(each) for each in server.walk() if each.name == "add_header"):
            if not _third_party(server):
                yield Found(server, f"{server.described()} speaks TLS and sends no Strict-Transport-Security", 0)
        for line in lines:
            found = _MAX_AGE.search(line.args[1]) if len(line.args) > 1 else None
            if found and 0 < int(found[1]) < HALF_A_YEAR:
                yield Found(line, f"max-age={found[1]} of Strict-Transport-Security is less than half a year", 2)


def _is_hsts(place: Place) -> bool:
    return bool(place.args) and place.args[0].lower() == "strict-transport-security"


def _says_nothing(server: Place) -> bool:
    closing = server.first("return")
    return closing is not None and bool(closing.args) and closing.args[0] == "444"


def _third_party(server: Place) -> bool:
    for each in server.inherited("more_set_headers", "security_headers"):
        if each.name == "security_headers" or any("strict-transport" in word.lower() for word in each.args):
            return True
    return False


CHECKS = (
    Check(
        "add_header_redefinition",
        Severity.WARNING,
        "add_header lets the headers of outer levels fall",
        """
`add_header` is inherited only by levels that have none of their own: one line in a location, and the headers that the
server sets are no longer sent from there. Nothing warns of it. Repeat the outer headers, keep them in a file that both
include, or say `add_header_inherit merge;`.
""",
        """
events {}
http {
    server {
        add_header X-Frame-Options DENY always;
        location /api/ {
            add_header Cache-Control no-store;
        }
    }
}
""",
        """
events {}
http {
    server {
        add_header X-Frame-Options DENY always;
        location /api/ {
            add_header X-Frame-Options DENY always;
            add_header Cache-Control no-store;
        }
    }
}
""",
        run=add_header_redefinition,
    ),
    Check(
        "proxy_set_header_redefinition",
        Severity.WARNING,
        "proxy_set_header lets what outer levels set fall",
        """
As with `add_header`: a location with one `proxy_set_header` of its own inherits none, and the application no longer
hears the client's address or the scheme that the server's level sets.
""",
        """
events {}
http {
    server {
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        location /ws/ {
            proxy_set_header Upgrade $http_upgrade;
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
""",
        """
events {}
http {
    server {
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        location /ws/ {
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
""",
        run=proxy_set_header_redefinition,
    ),
    Check(
        "add_header_multiline",
        Severity.WARNING,
        "a header's value goes over several lines",
        """
Lines that continue a header were allowed once; RFC 9112 forbids senders to make them, and some clients take the second
line for garbage or for a header of its own. `--fix` joins them with a space.
""",
        """
events {}
http {
    add_header Content-Security-Policy "default-src 'self';
        img-src *";
}
""",
        """
events {}
http {
    add_header Content-Security-Policy "default-src 'self'; img-src *";
}
""",
        on=("add_header", "more_set_headers", "proxy_set_header"),
        look=add_header_multiline,
    ),
    Check(
        "add_header_content_type",
        Severity.WARNING,
        "Content-Type set with add_header",
        """
`add_header` adds: the response then has two Content-Type headers, and which counts is up to the client. `default_type`
or `types` say what the type is; for a proxied response hide the upstream's first.
""",
        "events {}\nhttp {\n    add_header Content-Type text/plain;\n}\n",
        "events {}\nhttp {\n    default_type text/plain;\n}\n",
        on=("add_header",),
        look=add_header_content_type,
    ),
    Check(
        "hsts_header",
        Severity.NOTE,
        "TLS without Strict-Transport-Security, or with a short one",
        """
Without the header a browser asks by plain HTTP first, each time, and whoever sits between can keep it there. RFC 6797.
At least half a year is usual; begin with less while you try it.
""",
        """
events {}
http {
    server {
        listen 443 ssl;
        server_name example.com;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
    }
}
""",
        """
events {}
http {
    server {
        listen 443 ssl;
        server_name example.com;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        add_header Strict-Transport-Security "max-age=31536000" always;
    }
}
""",
        run=hsts_header,
    ),
)
