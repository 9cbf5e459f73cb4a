"""What goes to upstreams: paths that change on the way, names that are looked up once or never."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.conf.tables import LIF, LMT, LOC, UPS
from geng.lint.checks import examples
from geng.lint.checks.injection import expand
from geng.lint.checks.paths import prefix_of
from geng.lint.checks.scope import incomplete, is_address, is_local
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree
from geng.lint.variables import DECODED, captures, names

_TARGET = re.compile(r"https?://(?P<host>unix:[^:]+|\[[^\]]+\]|[^/:?#]+)(?P<port>:[^/?#]*)?(?P<uri>.*)\Z", re.S | re.I)

INNER = (".local", ".localhost", ".internal", ".intranet", ".private", ".corp", ".home", ".lan", ".localdomain", ".test",
         ".example", ".invalid", ".svc", ".consul", ".arpa", ".onion", ".docker")  # fmt: skip


def proxy_pass_normalized(tree: Tree) -> Iterator[Found]:
    for place in tree.named("proxy_pass"):
        location = place.enclosing("location")
        target = _TARGET.match(place.args[0]) if place.args else None
        if location is None or target is None or not place.context & (LOC | LIF | LMT):
            continue
        if location.args[:1] == ("=",):
            continue
        raw = _rewritten_to_raw(place, location)
        if raw and not target["uri"] and "$" not in place.args[0]:
            message = "after rewrite … $request_uri the path is encoded a second time: %2F arrives as %252F"
            yield Found(place, message, 1, f"{place.args[0]}$uri")
            continue
        yield from _slashes(place, location, target["uri"])
        if not raw:
            yield from _decoded(place, target["uri"])


def _rewritten_to_raw(place: Place, location: Place) -> bool:
    """Whether the URI has been made what the client sent, with its %XX, by a rewrite in the location."""
    rewrites = [each for each in location.all("rewrite") if len(each.args) >= 2 and location is not place]
    return any("$request_uri" in each.args[1] and not each.args[1].startswith("http") for each in rewrites)


def _slashes(place: Place, location: Place, uri: str) -> Iterator[Found]:
    prefix = prefix_of(location)
    if not uri or prefix is None or "?" in uri or "$" in place.args[0]:
        return
    if uri.endswith("/") and not prefix.endswith("/"):
        message = f'{prefix}/x is sent as {uri}/x, and {prefix}x as {uri}x: the location does not end with "/"'
        yield Found(place, message, 1, f"location {prefix}/")
    elif prefix == uri == "/":
        message = "the slash at the end has the path decoded and encoded anew; without it the path goes on as it came"
        yield Found(place, message, 1, place.args[0].removesuffix("/"), severity=Severity.NOTE)
    elif prefix.endswith("/") and not uri.endswith(("/", "=")):
        message = f'{prefix}x is sent as {uri}x: the location ends with "/", the address does not'
        yield Found(place, message, 1, f"{place.args[0]}/")


def _decoded(place: Place, uri: str) -> Iterator[Found]:
    from_path = {name for each in captures(place) if each.against == "$uri" for name in each.pattern.names}
    for name in names(uri):
        if (
            name in DECODED
            or name in from_path
            or (name.isdigit() and any(each.against == "$uri" for each in captures(place)))
        ):
            message = f"${name} is the decoded path, and is sent as it is: %3F arrives as ?, %25 as %"
            yield Found(place, message, 1, "use $request_uri, or no variable in the path", severity=Severity.NOTE)
            return


def proxy_buffering_off(place: Place) -> Iterator[Found]:
    if place.args[:1] == ("off",):
        message = "a client that reads slowly holds the upstream's connection for as long"
        yield Found(place, message, 1, "only where answers are streams: X-Accel-Buffering: no says it per response")


def _upstreams(tree: Tree) -> set[str]:
    return {each.args[0].lower() for each in tree.named("upstream") if each.args}


def missing_resolver(tree: Tree) -> Iterator[Found]:
    if not tree.fragment:
        known = _upstreams(tree)
        for place in tree.named("proxy_pass"):
            if place.args and place.http and "$" in place.args[0] and not _can_resolve(tree, place):
                target = _TARGET.match(expand(place, place.args[0]))
                host = target["host"].lower() if target else ""
                if host and "$" not in host and host not in known and not is_address(host) and not host.startswith("unix:"):
                    message = (
                        f'an address with variables is looked up while requests run, and no resolver can look up "{host}"'
                    )
                    yield Found(place, message, 1, "resolver 127.0.0.53; or whichever is yours")
    for place in tree.named("server"):
        if place.context == UPS and "resolve" in place.args and not _can_resolve(tree, place) and not tree.fragment:
            yield Found(place, "resolve needs a resolver in http or in the upstream", 0, "resolver 127.0.0.53;")


def _can_resolve(tree: Tree, place: Place) -> bool:
    return bool(place.inherited("resolver")) or incomplete(tree, place)


def stale_dns_cache(tree: Tree) -> Iterator[Found]:
    known = _upstreams(tree)
    for place in tree.named("proxy_pass"):
        target = _TARGET.match(place.args[0]) if place.args and place.http and "$" not in place.args[0] else None
        if target and target["host"].lower() not in known and _outside(target["host"]):
            yield Found(
                place, _stale(target["host"]), 1, "put the name in a variable, with a resolver", severity=Severity.NOTE
            )
    for place in tree.named("server"):
        if place.context == UPS and place.args and "resolve" not in place.args:
            host = place.args[0].rpartition(":")[0] or place.args[0]
            if _outside(host):
                yield Found(place, _stale(host), 1, "server … resolve; with a zone and a resolver")


def _stale(host: str) -> str:
    return f"the addresses of {host} are looked up at the start, and never again"


def _outside(host: str) -> bool:
    """Whether *host* is a name of the public internet."""
    host = host.lower().rstrip(".")
    if is_address(host) or host.startswith("unix:") or "." not in host or "_" in host or "$" in host:
        return False
    top = host.rpartition(".")[2]
    return not host.endswith(INNER) and ".svc." not in host and (top.isalpha() or top.startswith("xn--"))


def resolver_external(place: Place) -> Iterator[Found]:
    for index, word in enumerate(place.args, 1):
        if "=" in word:
            continue
        host = word.rpartition(":")[0] if word.count(":") == 1 else word.rpartition("]")[0].lstrip("[") or word
        if is_address(host) and not is_local(host):
            message = f"answers of {host} come over the internet: whoever can forge one chooses where requests go"
            yield Found(place, message, index, "a resolver of your own, such as 127.0.0.53")
            return


_BACKEND = "proxy_pass http://127.0.0.1:8080"

CHECKS = (
    Check(
        "proxy_pass_normalized",
        Severity.WARNING,
        "proxy_pass sends another path than the one that came",
        """
With a path in its address, `proxy_pass` puts that in place of the location's name, letter by letter: both must end with
a slash, or neither. A path with variables of the decoded URI is sent without being encoded again.
""",
        examples.location(f"{_BACKEND}/v1/;", "/api"),
        examples.location(f"{_BACKEND}/v1/;", "/api/"),
        run=proxy_pass_normalized,
    ),
    Check(
        "proxy_buffering_off",
        Severity.NOTE,
        "proxy_buffering off",
        """
Without buffers the upstream can send no faster than the client reads, and a few hundred slow clients occupy all of its
workers. Where a response must not wait, let the application say so with the header X-Accel-Buffering: no.
""",
        examples.location(f"proxy_buffering off;\n{_BACKEND};"),
        examples.location(f"{_BACKEND};"),
        on=("proxy_buffering",),
        look=proxy_buffering_off,
    ),
    Check(
        "missing_resolver",
        Severity.WARNING,
        "a name to look up, and nobody to ask",
        """
An address with variables is looked up when a request comes. Without `resolver` that fails, and the client gets 502.
""",
        examples.location("set $backend app.example.com;\nproxy_pass http://$backend;"),
        examples.location("resolver 127.0.0.53;\nset $backend app.example.com;\nproxy_pass http://$backend;"),
        run=missing_resolver,
    ),
    Check(
        "stale_dns_cache",
        Severity.NOTE,
        "a public name that is looked up once",
        """
A name in `proxy_pass` or in an upstream's `server` is looked up when the configuration is read. Services of the public
internet move; the proxy goes on with the addresses of that day. `server … resolve` (with `zone` and `resolver`), or the
name in a variable, follows them.
""",
        examples.location("proxy_pass https://api.github.com;"),
        examples.location("resolver 127.0.0.53;\nset $api api.github.com;\nproxy_pass https://$api;"),
        run=stale_dns_cache,
    ),
    Check(
        "resolver_external",
        Severity.WARNING,
        "a resolver on the internet",
        """
nginx asks by UDP and believes the first answer with the right number. From a resolver beyond the own network that can be
anybody's answer, and proxied requests go where it says.
""",
        examples.http("resolver 8.8.8.8;"),
        examples.http("resolver 127.0.0.53;"),
        on=("resolver",),
        look=resolver_external,
    ),
)
