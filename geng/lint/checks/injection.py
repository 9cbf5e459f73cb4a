"""What a client can smuggle in: line ends into headers, hosts into proxy_pass, names into the Host header."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.lint.checks.scope import incomplete
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree
from geng.lint.variables import CLIENT, DEEPEST, assignments, can_hold, captures, names

_URL = re.compile(r"[a-z$][\w$+{}.-]*://", re.I)
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")
_ENDS_HOST = re.compile(r"[/?#]|\$\{?(?:request_uri|uri|document_uri|is_args)\b\}?")


def http_splitting(tree: Tree) -> Iterator[Found]:
    for place in tree.named("return", "rewrite", "add_header", "proxy_set_header", "proxy_pass"):
        if not place.http:
            continue
        index = _sent(place)
        if index is None:
            continue
        text = place.args[index]
        if place.name == "rewrite":  # its own groups are escaped when it redirects
            text = _without_groups(place, text)
        name = can_hold(tree, place, text, "\n")
        if name is not None and place.name == "proxy_pass" and _only_in_host(tree, place, text):
            continue
        if name is not None:
            yield Found(
                place,
                f"${name} can contain a line end, which then is a part of the header",
                index + 1,
                "use $request_uri, or a pattern that excludes white space such as [^\\s/]+",
            )


def _only_in_host(tree: Tree, place: Place, text: str) -> bool:
    """Whether a line end could only be in the name of the host, which then nobody can look up."""
    head = host_part(expand(place, text))
    rest = expand(place, text)[len(head) :]
    if can_hold(tree, place, rest, "\n") is not None:
        return False
    return all(
        can_hold(tree, place, f"${name}", "/") is None for name in names(head) if can_hold(tree, place, f"${name}", "\n")
    )


def _sent(place: Place) -> int | None:
    """The argument that goes into a request's or a response's head."""
    args = place.args
    if place.name == "return":
        if len(args) == 1:
            return None if args[0].isdigit() else 0
        return 1 if len(args) == 2 and args[0] in ("301", "302", "303", "307", "308") else None
    if place.name == "rewrite":
        redirects = len(args) == 3 and args[2] in ("redirect", "permanent")
        return 1 if len(args) >= 2 and (redirects or args[1].startswith(("http://", "https://", "$scheme"))) else None
    if place.name == "proxy_pass":
        return 0 if args else None
    return 1 if len(args) >= 2 else None


def _without_groups(place: Place, text: str) -> str:
    own = next(captures(place), None)
    named = set(own.pattern.names) if own is not None else set()
    return _VARIABLE.sub(lambda found: "" if found[1].isdigit() or found[1] in named else found[0], text)


def expand(place: Place, text: str, depth: int = 0) -> str:
    """*text* with the variables in it that one `set` gives a value replaced by that."""
    if depth > DEEPEST:
        return text

    def value(found: re.Match[str]) -> str:
        assigned = assignments(place, found[1])
        if len(assigned) == 1 and len(assigned[0].args) == 2:
            return expand(assigned[0], assigned[0].args[1], depth + 1)
        return found[0]

    return _VARIABLE.sub(value, text)


def host_part(text: str) -> str:
    """The scheme and the host of a proxy_pass's argument."""
    scheme = _URL.match(text)
    begin = scheme.end() if scheme else 0
    end = _ENDS_HOST.search(text, begin)
    return text[: end.start()] if end else text


def ssrf(tree: Tree) -> Iterator[Found]:
    for place in tree.named("proxy_pass"):
        location = place.enclosing("location")
        if not place.args or not place.http or (location is not None and location.first("internal")):
            continue
        head = host_part(expand(place, place.args[0]))
        if _only_groups(tree, place, head):
            continue
        for name in names(head):
            if _chosen_by_client(tree, place, head, name):
                yield Found(
                    place,
                    f"a client chooses where this request goes: ${name} is a part of the scheme or the host",
                    1,
                    "look the host up in a map of those that are allowed, or make the location internal",
                )
                break


def _only_groups(tree: Tree, place: Place, head: str) -> bool:
    """Whether *head* can name nothing but an upstream{}: no address ends in letters, and nobody looks names up."""
    scheme = _URL.match(head)
    if tree.fragment or incomplete(tree, place) or place.inherited("resolver") or scheme is None or "$" in scheme[0]:
        return False
    behind = _VARIABLE.split(head)[-1]
    return re.fullmatch(r"\w*[A-Za-z_]\w*", behind) is not None


def _chosen_by_client(tree: Tree, place: Place, head: str, name: str) -> bool:
    if name.startswith(CLIENT):
        return True
    assigned = [each.args[1] for each in assignments(place, name) if len(each.args) == 2]
    if assigned and all(not value or _ENDS_HOST.match(value) or "$" not in value for value in assigned):
        return False  # what comes of the client begins a path or a query
    behind = re.split(rf"\$\{{?{name}\}}?", head, maxsplit=1)[-1]
    chars = "/?#@" if behind.lstrip(":0123456789") else "."
    return any(can_hold(tree, place, f"${name}", char) for char in chars)


def host_spoofing(place: Place) -> Iterator[Found]:
    if len(place.args) == 2 and place.args[0].lower() == "host":
        name = next((each for each in names(place.args[1]) if each == "http_host" or each.startswith("arg_")), None)
        if name is not None:
            hint = "use $host, which is in the form of a name, or $server_name"
            yield Found(place, f"${name} is what the client wrote, whatever server was chosen for it", 2, hint)


CHECKS = (
    Check(
        "http_splitting",
        Severity.ERROR,
        "a variable can bring a line end into a header",
        """
$uri, $document_uri and groups of patterns that are matched against the decoded path contain whatever was sent as %0A
too. In `return`, `rewrite … redirect`, `add_header`, `proxy_set_header` or `proxy_pass` that ends the header line, and
the client writes the next ones. $request_uri is not decoded; a group of [^\\s]+ cannot hold a line end.
""",
        """
events {}
http {
    server {
        listen 80;
        return 301 https://example.com$uri;
    }
}
""",
        """
events {}
http {
    server {
        listen 80;
        return 301 https://example.com$request_uri;
    }
}
""",
        run=http_splitting,
    ),
    Check(
        "ssrf",
        Severity.ERROR,
        "the client chooses the host of proxy_pass",
        """
When the scheme or the host of `proxy_pass` comes from the request, anyone can make this server send requests to any
other, those of the inner network and of the cloud's metadata service included.
""",
        """
events {}
http {
    resolver 127.0.0.1;
    server {
        location ~ ^/proxy/(https?)/(.*?)/(.*)$ {
            proxy_pass $1://$2/$3;
        }
    }
}
""",
        """
events {}
http {
    resolver 127.0.0.1;
    server {
        location ~ ^/proxy/(a|b)/(.*)$ {
            proxy_pass http://$1.example.com/;
        }
    }
}
""",
        run=ssrf,
    ),
    Check(
        "host_spoofing",
        Severity.WARNING,
        "the Host header is passed on as the client wrote it",
        """
$http_host is the header as it came, even where the request line names another host: nginx then chooses the server by
one name and the application hears another. $host is the one that was chosen by, in lower case and without the port.
""",
        """
events {}
http {
    server {
        location / {
            proxy_set_header Host $http_host;
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
""",
        """
events {}
http {
    server {
        location / {
            proxy_set_header Host $host;
            proxy_pass http://127.0.0.1:8080;
        }
    }
}
""",
        on=("proxy_set_header", "grpc_set_header"),
        look=host_spoofing,
    ),
)
