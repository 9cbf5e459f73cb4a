"""From the URI to the file: alias, root, try_files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.lint.checks.scope import incomplete
from geng.lint.model import Check, Found, Severity
from geng.lint.patterns import pattern
from geng.lint.tree import Place, Tree
from geng.lint.variables import location_pattern

_GROUP = re.compile(r"(?<=/)\$\{?(\w+)\}?")


def prefix_of(location: Place) -> str | None:
    """The prefix that *location* is for; None for `=`, patterns and named ones."""
    args = location.args
    if len(args) == 2:
        return args[1] if args[0] == "^~" else None
    if len(args) != 1 or args[0][:1] in "@=~":
        return None
    return args[0]


def alias_traversal(place: Place) -> Iterator[Found]:
    location = place.parent
    if location is None or location.name != "location" or not place.args:
        return
    prefix = prefix_of(location)
    alias = place.args[0]
    if prefix is None:
        yield from _through_group(place, location, alias)
    if prefix is None or prefix.endswith("/"):
        return
    if alias.endswith("/"):
        message = f'"{prefix}../" leads out of {alias}: the location does not end with "/", the alias does'
        yield Found(place, message, None, f"location {prefix}/")
    elif "$" not in alias and "." not in alias.rpartition("/")[2]:
        message = f'"{prefix}…" leads to whatever has a name that begins with {alias}'
        yield Found(place, message, None, f'end both with "/": location {prefix}/', severity=Severity.NOTE)


def _through_group(place: Place, location: Place, alias: str) -> Iterator[Found]:
    """A group of the location's pattern that can begin with `../` where the alias puts a slash before it."""
    own = location_pattern(location)
    used = _GROUP.search(alias)
    if own is None or own.tree is None or used is None:
        return
    number = own.names.get(used[1]) or (int(used[1]) if used[1].isdigit() else 0)
    inside = _source(own.text, number)
    if inside is None or not pattern(f"^(?:{inside[2]})$").matches("../x"):
        return
    begin, end, _ = inside
    for sample in pattern(own.text[:begin] + r"(?:\.\./x)" + own.text[end:], own.caseless).samples():
        before = sample.partition("../x")[0]
        if before and not before.endswith("/") and sample.startswith("/"):
            yield Found(place, f'"{before}../" leads out of {alias[: used.start()]}: no "/" stands before the group', 1)
            return


def _source(text: str, number: int) -> tuple[int, int, str] | None:
    """Where the group *number* of a pattern begins and ends, and what is in it."""
    open_at: list[tuple[int, int]] = []
    count, at, in_set = 0, 0, False
    while at < len(text):
        char = text[at]
        if char == "\\":
            at += 1
        elif in_set:
            in_set = char != "]"
        elif char == "[":
            in_set = True
            at += text[at + 1 : at + 2] in ("]", "^")
        elif char == "(":
            captures = (
                text[at + 1 : at + 2] != "?" or text[at + 2 : at + 4] not in ("<=", "<!") and text[at + 2 : at + 3] in "<'P"
            )
            count += captures
            open_at.append((at, count if captures else 0))
        elif char == ")" and open_at:
            begin, own = open_at.pop()
            if own == number:
                inside = re.sub(r"\A\?(?:P?<\w+>|'\w+')", "", text[begin + 1 : at])
                return begin, at + 1, inside
        at += 1
    return None


def alias_slash(place: Place) -> Iterator[Found]:
    location = place.parent
    if location is None or location.name != "location" or not place.args:
        return
    prefix, alias = prefix_of(location), place.args[0]
    if prefix is not None and prefix.endswith("/") and not alias.endswith("/") and "$" not in alias:
        message = f'{prefix}x is looked for as {alias}x: the location ends with "/", the alias does not'
        yield Found(place, message, 1, f"alias {alias}/")


def filesystem_root_exposure(place: Place) -> Iterator[Found]:
    if not place.args or place.args[0] not in ("/", "//", "/./"):
        return
    location = place.parent if place.parent is not None and place.parent.name == "location" else place.enclosing("location")
    if location is not None:
        if location.first("internal") or location.args[:1] == ("=",):
            return
        if place.name == "root" and prefix_of(location) not in ("/", None):
            return
    yield Found(place, "every file of the machine can be asked for", 1)


def try_files_is_evil_too(tree: Tree) -> Iterator[Found]:
    if tree.fragment:
        return
    for place in tree.named("try_files"):
        if not place.inherited("open_file_cache") and not incomplete(tree, place):
            yield Found(
                place, "each request asks the file system for every name", 0, "open_file_cache remembers the answers"
            )


def try_files_with_proxy_pass(place: Place) -> Iterator[Found]:
    block = place.parent
    passing = block.first("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass") if block else None
    if passing is None or len(place.args) < 2 or passing.name != "proxy_pass":
        return
    names = [word for word in place.args[:-1] if "$uri" in word or "$request" in word]
    if names and not place.args[-1].startswith(("@", "=")):
        message = "files that are found are not served from here: proxy_pass answers, whatever try_files finds"
        yield Found(place, message, 0, "end it with a named location, try_files $uri @app; and put proxy_pass there")
    elif names:
        message = "a file that is found is still asked of proxy_pass, and not served from here"
        yield Found(place, message, 0, "move proxy_pass to the named location")


_LOCATION = "events {{}}\nhttp {{\n    server {{\n        location {0} {{\n            {1}\n        }}\n    }}\n}}\n"


def _example(location: str, *lines: str) -> str:
    return _LOCATION.format(location, "\n            ".join(lines))


CHECKS = (
    Check(
        "alias_traversal",
        Severity.ERROR,
        "a location without a slash, an alias with one",
        """
`location /files { alias /data/; }` turns /files../secret into /data/../secret: what lies beside the folder can be read.
End both with a slash. Without one on either side, /files-old leads to /data-old, which is rarely what was meant.
""",
        _example("/files", "alias /data/files/;"),
        _example("/files/", "alias /data/files/;"),
        on=("alias",),
        look=alias_traversal,
    ),
    Check(
        "alias_slash",
        Severity.WARNING,
        "a location with a slash, an alias without one",
        """
`alias` takes the place of the location's name, letter by letter: with `location /files/ { alias /data; }` the file of
/files/a.txt is /dataa.txt.
""",
        _example("/files/", "alias /data;"),
        _example("/files/", "alias /data/;"),
        on=("alias",),
        look=alias_slash,
    ),
    Check(
        "filesystem_root_exposure",
        Severity.ERROR,
        "the root of the file system is served",
        """
With `root /;` or `alias /;` any file that the workers can read may be asked for, /etc/passwd for one. Locations that are
`internal` (X-Accel-Redirect) are not reported.
""",
        _example("/", "root /;"),
        _example("/", "root /var/www;"),
        on=("root", "alias"),
        look=filesystem_root_exposure,
    ),
    Check(
        "try_files_is_evil_too",
        Severity.NOTE,
        "try_files without open_file_cache",
        """
Each request makes a call of the file system per name that try_files tries. On slow or network file systems
`open_file_cache` spares most of them.
""",
        _example("/", "try_files $uri $uri/ =404;"),
        _example("/", "open_file_cache max=1000;", "try_files $uri $uri/ =404;"),
        run=try_files_is_evil_too,
    ),
    Check(
        "try_files_with_proxy_pass",
        Severity.WARNING,
        "try_files and proxy_pass in one location",
        """
try_files only finds out which name there is; who answers is the location's handler. With proxy_pass beside it that is
the upstream, for files that exist as well. Put proxy_pass in a named location and end try_files with that.
""",
        _example("/", "try_files $uri $uri/ /index.html;", "proxy_pass http://127.0.0.1:8080;"),
        _example("/", "try_files $uri @app;", "} location @app {", "proxy_pass http://127.0.0.1:8080;"),
        on=("try_files",),
        look=try_files_with_proxy_pass,
    ),
)
