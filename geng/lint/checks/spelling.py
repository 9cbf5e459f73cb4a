"""What is written in the way of older versions, and how it is written now."""

from __future__ import annotations

from collections.abc import Iterator

from geng.lint.checks import examples
from geng.lint.model import Check, Edit, Found, Severity
from geng.lint.tree import Place, Tree

OBSOLETE = {
    "http2_idle_timeout": "keepalive_timeout",
    "http2_max_field_size": "large_client_header_buffers",
    "http2_max_header_size": "large_client_header_buffers",
    "http2_max_requests": "keepalive_requests",
    "http2_recv_timeout": "client_header_timeout",
    "http2_max_concurrent_pushes": "nothing: there is no server push any more",
    "http2_push": "nothing: there is no server push any more; early_hints is its heir",
    "http2_push_preload": "nothing: there is no server push any more",
    "limit_zone": "limit_conn_zone",
    "proxy_downstream_buffer": "proxy_buffer_size",
    "proxy_upstream_buffer": "proxy_buffer_size",
    "connection_limit": "limit_conn",
}


def deprecated_spelling(tree: Tree) -> Iterator[Found]:
    for place in tree.named("listen"):
        yield from _listen(place)
    for name, instead in OBSOLETE.items():
        for place in tree.named(name):
            yield Found(place, f"{name} is out of use", 0, f"now: {instead}")
    for place in tree.named("ssl"):
        if place.args[:1] in (("on",), ("off",)):
            yield Found(place, "the directive ssl is gone since 1.25.1", 0, "now: listen … ssl", _ssl_edits(place))


def _listen(place: Place) -> Iterator[Found]:
    words = place.statement.words
    for index, word in enumerate(place.args[1:], 2):
        if word == "http2" and place.http:
            yield Found(place, "http2 in listen is out of use since 1.25.1", index, "now: http2 on;", _http2_edits(place))
        elif word == "default" and place.http:
            edit = Edit(words[index].start, words[index].end, "default_server")
            yield Found(place, "default is now called default_server", index, "", (edit,))
        elif word == "spdy" and place.http:
            yield Found(place, "SPDY is gone since 1.9.5", index, "now: http2 on;")


def _http2_edits(place: Place) -> tuple[Edit, ...]:
    """Without the word, and with `http2 on;` behind: only where all of the server's TLS sockets have it."""
    server = place.parent
    if server is None or server.name != "server" or place.through is not server.through:
        return ()
    listens = server.all("listen")
    with_tls = [each for each in listens if "ssl" in each.args]
    if (
        not with_tls
        or any("http2" not in each.args for each in with_tls)
        or any("http2" in e.args and e not in with_tls for e in listens)
    ):
        return ()
    edits = [_removal(place, "http2")]
    first = next(each for each in listens if "http2" in each.args)
    if first is place and not server.inherited("http2"):
        text, start = place.document.text, place.statement.start
        line = text.rfind("\n", 0, start) + 1
        indent = text[line:start]
        end = "\n" + indent if not indent.strip() else " "
        edits.append(Edit(place.statement.end, place.statement.end, f"{end}http2 on;"))
    return tuple(edits)


def _removal(place: Place, name: str) -> Edit:
    words = place.statement.words
    index = next(index for index, word in enumerate(words) if index > 1 and word.text == name)
    return Edit(words[index - 1].end, words[index].end, "")


def _ssl_edits(place: Place) -> tuple[Edit, ...]:
    """`ssl off` goes; `ssl on` goes where every socket says ssl already."""
    block = place.parent
    listens = block.all("listen") if block is not None else []
    if place.args == ("on",) and (not listens or any("ssl" not in each.args for each in listens)):
        return ()
    text, start, end = place.document.text, place.statement.start, place.statement.end
    line = text.rfind("\n", 0, start) + 1
    if not text[line:start].strip() and text[end : end + 1] == "\n":
        start, end = line, end + 1
    return (Edit(start, end, ""),)


CHECKS = (
    Check(
        "deprecated_spelling",
        Severity.WARNING,
        "written as in older versions",
        """
`listen … http2`, `ssl on`, `listen … default` and some directives of the first years of HTTP/2 still work, warn, or are
gone. Where the new spelling means the same, `--fix` writes it.
""",
        examples.server("listen 443 ssl http2;\nssl_certificate cert.pem;\nssl_certificate_key key.pem;"),
        examples.server("listen 443 ssl;\nhttp2 on;\nssl_certificate cert.pem;\nssl_certificate_key key.pem;"),
        run=deprecated_spelling,
    ),
)
