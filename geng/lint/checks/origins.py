"""Who is believed to be the origin of a request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from geng.lint.model import Check, Found, Severity
from geng.lint.patterns import Pattern, pattern
from geng.lint.tree import Place, Tree
from geng.lint.variables import if_pattern

_ANY_CHAR = re.compile(r"(?<=[a-z0-9)])(?<!\\)\.(?=[a-z]{2,}(?![\w.*+?{]*\*))", re.I)
_URL = re.compile(r"(https?://)([^/:?#]+)(.*)", re.S)
SOURCES = ("$http_origin", "$http_referer")


def origins(tree: Tree) -> Iterator[Found]:
    for place in tree.named("if"):
        own = if_pattern(place)
        if own is not None and own.against in SOURCES:
            yield from _weak(place, own.pattern, own.against)
        elif own is not None and own.against == "$http_referrer":
            yield Found(place, "no browser sends a header Referrer", None, "$http_referer, with three r")
    for block in tree.named("map"):
        if block.args and block.args[0] in SOURCES:
            for row in block.children:
                if row.name.startswith("~") and row.args and row.args[0] not in ("", "0"):
                    found = pattern(row.name[1:].removeprefix("*"), row.name.startswith("~*"))
                    yield from _weak(row, found, block.args[0])


def _weak(place: Place, checked: Pattern, against: str) -> Iterator[Found]:
    if checked.tree is None:
        return
    if against == "$http_origin" and _never(checked):
        message = "this matches no Origin: that is scheme, name and port, and nothing behind"
        yield Found(place, message, None, "^https://example\\.com$")
        return
    evil = next((each for each in _candidates(checked, against) if checked.matches(each)), None)
    if evil is not None:
        what = "an origin" if against == "$http_origin" else "a referrer"
        severity = Severity.ERROR if against == "$http_origin" else Severity.WARNING
        yield Found(
            place, f'the pattern also matches "{evil}" as {what}', None, "anchor it, and escape dots", severity=severity
        )


def _never(checked: Pattern) -> bool:
    """Whether all that the pattern matches has a path, or no scheme though it begins where the header does."""
    samples = [each for each in checked.samples() if "\n" not in each]
    urls = [_URL.match(each) for each in samples]
    if checked.start_anchored and samples and not any(each.startswith("http") for each in samples):
        return "." in "".join(samples)
    return bool(samples) and all(url is not None and url[3].startswith("/") for url in urls)


def _dotted(checked: Pattern) -> Iterator[str]:
    """What the pattern was meant for: its dots taken for dots."""
    meant = pattern(_ANY_CHAR.sub(r"\\.", checked.text), checked.caseless)
    if meant.text != checked.text:
        yield from meant.samples()


def _candidates(checked: Pattern, against: str) -> Iterator[str]:
    """What a stranger could send and a pattern that means one site should not match."""
    referer = against == "$http_referer"
    for sample in [*checked.samples(), *_dotted(checked)]:
        url = _URL.match(sample)
        if url is None:
            if sample.strip("/") and "." in sample:
                yield f"http://evil.com/{sample}" if referer else f"http://evil{sample}"
            continue
        scheme, host, rest = url.groups()
        if "." not in host:
            continue
        yield f"{scheme}{host}.evil.com{rest if referer else ''}"
        if host.count(".") == 1 and host[0].isalnum():
            yield f"{scheme}evil{host}{rest}"
        if referer:
            yield f"{scheme}evil.com/{host}{rest or '/'}"
        if not checked.start_anchored:
            yield f"http://evil.com/{sample}" if referer else f"evil{sample}"
    yield from _any_chars(checked)
    yield from _wide(checked)


def _any_chars(checked: Pattern) -> Iterator[str]:
    """An unescaped dot in a host name, taken by its word."""
    for found in _ANY_CHAR.finditer(checked.text):
        if "[" in checked.text[: found.start()].rpartition("]")[2]:
            continue
        text = checked.text[: found.start()] + "x" + checked.text[found.end() :]
        yield from (each for each in pattern(text, checked.caseless).samples() if _URL.match(each))


def _wide(checked: Pattern) -> Iterator[str]:
    """`.*` in the middle of a host name, filled with another site."""
    for wide in (".*", ".+"):
        if wide in checked.text.rstrip("$/)"):
            text = checked.text.replace(wide, r"\.evil\.com/", 1)
            for sample in pattern(text, checked.caseless).samples():
                url = _URL.match(sample)
                if url and url[2].endswith("evil.com") and url[2] != "evil.com":
                    yield sample


def valid_referers(place: Place) -> Iterator[Found]:
    if "none" in place.args:
        index = place.args.index("none") + 1
        yield Found(place, '"none" also lets requests without a Referer through, which any page can make', index)


CHECKS = (
    Check(
        "origins",
        Severity.WARNING,
        "a pattern for Origin or Referer matches strangers",
        """
A pattern that shall let one site through must begin with ^, name the scheme, escape the dots of the name and end where
the name ends, with / or $; else evil.com/example.com, example.com.evil.com or examplexcom match as well. The report
shows one that does.
""",
        """
events {}
http {
    server {
        if ($http_origin ~ "^https://example.com") {
            return 403;
        }
    }
}
""",
        """
events {}
http {
    server {
        if ($http_origin ~ "^https://example\\.com$") {
            return 403;
        }
    }
}
""",
        run=origins,
    ),
    Check(
        "valid_referers",
        Severity.WARNING,
        '"none" among the valid referers',
        """
A page makes the browser leave the Referer out with one word (`referrerpolicy="no-referrer"`): with `none` in the list
the test then says that all is well.
""",
        "events {}\nhttp {\n    server {\n        valid_referers none server_names;\n    }\n}\n",
        "events {}\nhttp {\n    server {\n        valid_referers server_names *.example.com;\n    }\n}\n",
        on=("valid_referers",),
        look=valid_referers,
    ),
)
