"""The search for a location, beside a plain reading of nginx's documentation.   nginx: ngx_http_core_find_location"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.errors import ConfigError
from geng.http.location import FOUND, NONE, REDIRECT, LocationTree, find
from geng.http.request import Request


def loc(name: str, **more: Any) -> Any:
    given = {"nameless": False, "named": False, "regex": None, "exact": False, "noregex": False, "auto_redirect": False,
             "search": None, "file": "nginx.conf", "line": 7} | more  # fmt: skip
    return SimpleNamespace(name=name, prefix=name.encode(), **given)


def regex(pattern: str, **more: Any) -> Any:
    import re

    matches = re.compile(pattern.encode()).search
    return loc(pattern, regex=SimpleNamespace(exec=lambda r, uri: matches(uri) is not None), **more)


def searched(uri: str, *children: Any) -> tuple[int, str]:
    r = Request.__new__(Request)
    r.uri, r.loc = uri.encode(), loc("none")
    return find(r, LocationTree(list(children))), r.loc.name


CASES = [
    # uri, locations, outcome, found
    ("/a", [loc("/")], NONE, "/"),
    ("/a", [loc("/"), loc("/a")], NONE, "/a"),
    ("/ab", [loc("/a"), loc("/abc"), loc("/ab")], NONE, "/ab"),
    ("/abd", [loc("/a"), loc("/abc"), loc("/ab")], NONE, "/ab"),
    ("/b", [loc("/a"), loc("/abc")], NONE, "none"),
    ("/a", [loc("/a", exact=True), loc("/")], FOUND, "/a"),
    ("/ab", [loc("/a", exact=True), loc("/")], NONE, "/"),
    ("/a.php", [loc("/"), regex(r"\.php$")], FOUND, r"\.php$"),
    ("/a.php", [loc("/", noregex=True), regex(r"\.php$")], NONE, "/"),
    ("/a.php", [regex("a"), regex("php")], FOUND, "a"),
    ("/api", [loc("/"), loc("/api/", auto_redirect=True)], REDIRECT, "/api/"),
    ("/api", [loc("/"), loc("/api/")], NONE, "/"),
    ("/api", [loc("/api"), loc("/api/", auto_redirect=True)], NONE, "/api"),
    ("/api", [loc("/api", exact=True), loc("/api/", auto_redirect=True)], FOUND, "/api"),
]


@pytest.mark.parametrize(("uri", "children", "outcome", "name"), CASES)
def test_find(uri: str, children: list[Any], outcome: int, name: str) -> None:
    assert searched(uri, *children) == (outcome, name)


def test_nested_regexes_come_before_outer_ones() -> None:
    outer = loc("/a", search=LocationTree([regex("inner")]))
    assert searched("/a/inner", outer, regex("inner|x"))[1] == "inner"
    assert searched("/a/x", outer, regex("inner|x"))[1] == "inner|x"


def test_duplicates_are_refused_where_they_stand() -> None:
    with pytest.raises(ConfigError, match=r'duplicate location "/a" in nginx.conf:7'):
        LocationTree([loc("/a"), loc("/a")])


paths = st.text("ab/", max_size=6).map(lambda s: "/" + s)


@given(st.sets(paths, min_size=1, max_size=8), paths)
def test_the_longest_prefix_wins(names: set[str], uri: str) -> None:
    expected = max((n for n in names if uri.startswith(n)), key=len, default="none")
    assert searched(uri, *(loc(n) for n in sorted(names)))[1] == expected
