"""Which files a configuration is made of, in nginx's order, and what is said of those that are not there."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import pytest

from geng.conf import source
from geng.conf.source import Sources
from geng.conf.syntax import Fault, Node, Row
from geng.errors import ConfigError


def sources(files: dict[str, str], prefix: str = "/usr") -> Sources:
    def read(name: str) -> bytes:
        if name not in files:
            raise IsADirectoryError(21, "x") if name.endswith("/") else FileNotFoundError(2, "x")
        return files[name].encode()

    def glob(pattern: str) -> list[str]:
        return [name for name in reversed(files) if fnmatch(name, pattern)]

    return Sources(read, glob, prefix)


def names(found: Sources, rows: list[Row]) -> list[str]:
    """What each directive is, in reading order, with its file: included ones in place."""
    read = []
    for row in rows:
        if isinstance(row, Fault):
            raise ConfigError(row.message, row.file, row.line)
        if row.name == "include":
            for tree in found.include(row):
                read += names(found, tree)
        else:
            read.append(f"{row.name} {row.file}:{row.line}")
            read += names(found, row.block or [])
    return read


def test_includes_stand_in_place() -> None:
    found = sources({"/etc/n.conf": "a; x { include b.conf; c; } include /d/*.conf; e;", "/etc/b.conf": "\nb;"})
    assert names(found, found.main("/etc/n.conf")) == [
        *("a /etc/n.conf:1", "x /etc/n.conf:1", "b /etc/b.conf:2", "c /etc/n.conf:1", "e /etc/n.conf:1")
    ]


def test_a_pattern_brings_files_in_the_order_of_their_bytes() -> None:
    files = {"/c/é.conf": "e;", "/c/b.conf": "b;", "/c/B.conf": "B;", "/c/10.conf": "ten;", "/c/2.conf": "two;"}
    found = sources({"/c/nginx": "include *.conf;", **files})
    assert [name.split()[0] for name in names(found, found.main("/c/nginx"))] == ["ten", "two", "B", "b", "e"]


MISSING = [
    ("\n\ninclude no;", 'open() "/c/no" failed (2: No such file or directory) in /c/nginx:3'),
    ("include\n /no;", 'open() "/no" failed (2: No such file or directory) in /c/nginx:2'),
    ("include *.no;", ""),
    ("include /x[a-z]y;", ""),
    ("include d/;", 'pread() "/c/d/" failed (21: Is a directory)'),
    ("include 'a\0b';", 'open() "/c/a" failed (2: No such file or directory) in /c/nginx:1'),
    ("include bad;", 'unexpected "}" in /c/bad:2'),
    ("include nginx;", 'open() "/c/nginx" failed (24: Too many open files) in /c/nginx:1'),
]


@pytest.mark.parametrize("text, message", MISSING)
def test_what_cannot_be_included(text: str, message: str) -> None:
    found = sources({"/c/nginx": text, "/c/bad": "a;\n}"})
    try:
        names(found, found.main("/c/nginx"))
    except ConfigError as error:
        assert str(error) == message
        assert error.level == ("crit" if "pread" in message else "emerg")
    else:
        assert not message


def test_the_main_file_is_missing() -> None:
    with pytest.raises(ConfigError) as raised:
        sources({}).main("/c/nginx")
    assert str(raised.value) == 'open() "/c/nginx" failed (2: No such file or directory)'


def test_on_the_command_line() -> None:
    found = sources({})
    (node,) = found.parameter("include /no;")
    assert isinstance(node, Node)
    with pytest.raises(ConfigError) as raised:
        list(found.include(node))
    assert str(raised.value) == 'open() "/no" failed (2: No such file or directory) in command line'


def test_names_are_relative_to_two_folders() -> None:
    found = sources({"/etc/nginx/nginx.conf": ""}, prefix="/usr/share/nginx")
    found.main("/etc/nginx/nginx.conf")
    assert found.full_name("html") == "/usr/share/nginx/html"
    assert found.full_name("html", True) == "/etc/nginx/html"
    assert found.full_name("/html", True) == "/html"
    assert found.full_name("") == "/usr/share/nginx/"


def test_files_are_kept_once_in_the_order_of_reading() -> None:
    found = sources({"/c/nginx": "include z; include a; include z;", "/c/a": "a;", "/c/z": "z;"})
    names(found, found.main("/c/nginx"))
    assert list(found.files.items()) == [
        ("/c/nginx", b"include z; include a; include z;"),
        ("/c/z", b"z;"),
        ("/c/a", b"a;"),
    ]
    assert repr(found) == "<Sources 3 files, prefix /usr/>"


def test_a_file_is_read_only_when_it_is_reached() -> None:
    found = sources({"/c/nginx": "include x*;", "/c/x1": "}", "/c/x2": "b;"})
    with pytest.raises(ConfigError):
        names(found, found.main("/c/nginx"))
    assert list(found.files) == ["/c/nginx", "/c/x1"]


@pytest.mark.parametrize("name", ["syntax", "lexer", "source", "tables", "directives"])
def test_no_io(name: str) -> None:
    """Law 1: whoever reads files hands the function in; only the grammar is geng's own to read."""
    text = (Path(source.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    for word in ("open(", "socket", "gevent", "os.environ", "listdir"):
        assert f" {word}" not in text and f"import {word}" not in text
    assert text.count("read_text(") == (name == "syntax")
