"""Converters: words, and the value or nginx's words about them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from geng.conf import convert
from geng.conf.convert import Path, Sized, bounded, enum, to_bytes, to_text
from geng.conf.directive import Conf, Level, directive
from geng.errors import ConfigError, Invalid, Refused


class Scope:
    """A scope whose variables are words that begin with a dollar sign."""

    def value(self, cf: Any, text: str) -> Any:
        if text == "$":
            raise Invalid("invalid variable name")
        return Text(text)


class Text:
    def __init__(self, text: str) -> None:
        self.literal = None if "$" in text else to_bytes(text)
        self.text = text

    def __call__(self, r: Any) -> bytes:
        return self.literal if self.literal is not None else r.vars[self.text]


class Cf:
    """As much of the compiler as converters use."""

    def __init__(self) -> None:
        self.node = SimpleNamespace(name="x", args=())
        self.scope = Scope()
        self.cycle = SimpleNamespace(paths=[])
        self.file, self.line = "/etc/nginx.conf", 7
        self.warnings: list[str] = []
        self.duplicate = '"x" directive is duplicate'

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def path(self, name: str, conf_prefix: bool = False) -> str:
        return name if name.startswith("/") else "/usr/local/nginx/" + name


@pytest.fixture
def cf() -> Cf:
    return Cf()


def run(convert: Any, cf: Any, *words: str) -> Any:
    """What the compiler does with a converter; a refusal is shown as the compiler will print it."""
    try:
        return convert(cf, *words) if getattr(convert, "takes_cf", False) else convert(*words)
    except Refused as refused:
        return f'ERROR "{cf.node.name}" directive {refused}'
    except Invalid as invalid:
        return f"ERROR {invalid}"


NUMBER = 'ERROR "x" directive invalid number'
VALUE = 'ERROR "x" directive invalid value'

CASES: list[tuple[Any, tuple[str, ...], Any]] = [
    (convert.string, ("a b",), "a b"),
    (convert.octets, ("caf\u00e9\udcff",), b"caf\xc3\xa9\xff"),
    (convert.flag, ("on",), True),
    (convert.flag, ("OFF",), False),
    (convert.flag, ("yes",), 'ERROR invalid value "yes" in "x" directive, it must be "on" or "off"'),
    (convert.num, ("10",), 10),
    (convert.num, ("-1",), NUMBER),
    (convert.num, ("1k",), NUMBER),
    (bounded(1), ("1",), 1),
    (bounded(1), ("0",), "ERROR value must be equal to or greater than 1"),
    (bounded(1, 9), ("9",), 9),
    (bounded(1, 9), ("10",), "ERROR value must be between 1 and 9"),
    (bounded(1, 9), ("x",), NUMBER),
    (convert.size, ("8k",), 8192),
    (convert.size, ("8g",), VALUE),
    (convert.off, ("1g",), 1 << 30),
    (convert.off, ("1t",), VALUE),
    (convert.msec, ("1m500ms",), 60_500),
    (convert.msec, ("1y",), VALUE),
    (convert.sec, ("1y",), 31_536_000),
    (convert.sec, ("500ms",), VALUE),
    (enum({"off": 0, "If_Modified": "i"}), ("if_modified",), "i"),
    (enum({"off": 0}), ("OFF",), 0),
    (enum({"k": 0}), ("\u212a",), 'ERROR invalid value "\u212a"'),
    (enum({"off": 0}), ("on",), 'ERROR invalid value "on"'),
    (convert.keyval, ("a", "b"), ("a", "b")),
    (convert.bufs, ("8", "4k"), (8, 4096)),
    (convert.bufs, ("0", "4k"), VALUE),
    (convert.bufs, ("8", "0"), VALUE),
    (convert.bufs, ("8", "x"), VALUE),
    (convert.access, ("user:rw",), 0o600),
    (convert.access, ("group:r", "all:r"), 0o644),
    (convert.access, ("user:r",), 0o400),
    (convert.access, ("user:rw", "group:rw", "all:r"), 0o664),
    (convert.access, ("user:w",), 'ERROR invalid value "user:w"'),
    (convert.access, ("group:rw", "other:r"), 'ERROR invalid value "other:r"'),
    (convert.access, ("user",), 'ERROR invalid value "user"'),
    (convert.complex_value, ("$",), "ERROR invalid variable name"),
    (convert.complex_size, ("huge",), VALUE),
]


@pytest.mark.parametrize(("converter", "words", "expected"), CASES)
def test_words(cf: Cf, converter: Any, words: tuple[str, ...], expected: Any) -> None:
    assert run(converter, cf, *words) == expected
    assert cf.warnings == []


@pytest.mark.parametrize("raw", [b"", b"plain", "é".encode(), b"\xff\x80", bytes(range(1, 256))])
def test_bytes_come_back(raw: bytes) -> None:
    assert to_bytes(to_text(raw)) == raw


# -- bitmask -----------------------------------------------------------------------------------------------------------

ERRORS = convert.bitmask({"error": 2, "timeout": 4, "off": 8})


@pytest.mark.parametrize(
    ("words", "have", "bits", "warnings"),
    [
        (("error",), None, 2, []),
        (("ERROR", "timeout"), None, 6, []),
        (("error", "Error"), None, 2, ['duplicate value "Error"']),
        (("error", "timeout"), 2, 6, ['duplicate value "error"']),
        (("off",), 6, 14, []),
    ],
)
def test_bitmask(cf: Cf, words: tuple[str, ...], have: int | None, bits: int, warnings: list[str]) -> None:
    assert ERRORS(cf, *words, have=have) == bits  # type: ignore[arg-type]
    assert cf.warnings == warnings


def test_bitmask_refuses(cf: Cf) -> None:
    assert run(ERRORS, cf, "error", "http_500") == 'ERROR invalid value "http_500"'


# -- in a directive ----------------------------------------------------------------------------------------------------


class Things(Conf, level=Level.LOCATION):
    next_upstream: int = directive("next", 0, ERRORS, default=0)
    tests: Any = directive("tests", 0, convert.predicates, default=())
    hide: Any = directive("hide", 0, convert.string, repeat=True, default=())
    number: int = directive("number", 0, convert.num, default=1)


def give(cf: Any, conf: Conf, name: str, *words: str) -> None:
    cf.node.name, cf.node.args = name, words
    conf.commands[name].set(conf, cf)


def test_directives_that_add_up(cf: Any) -> None:
    conf = Things()
    give(cf, conf, "next", "error")
    give(cf, conf, "next", "timeout", "error")
    give(cf, conf, "tests", "$a")
    give(cf, conf, "tests", "$b", "1")
    give(cf, conf, "hide", "A")
    give(cf, conf, "hide", "B")
    assert conf.next_upstream == 6
    assert [t.text for t in conf.tests] == ["$a", "$b", "1"]
    assert conf.hide == ["A", "B"]
    assert cf.warnings == ['duplicate value "error"']
    give(cf, conf, "number", "3")
    with pytest.raises(Invalid, match="is duplicate"):
        give(cf, conf, "number", "4")


def test_deprecated(cf: Cf) -> None:
    old = convert.deprecated("old_size", "new_size", convert.size)
    assert run(old, cf, "1k") == 1024
    assert cf.warnings == ['the "old_size" directive is deprecated, use the "new_size" directive instead']
    assert run(convert.deprecated("a", "b", convert.flag), cf, "on") is True


# -- folders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "levels"),
    [
        (("/tmp/p",), "/tmp/p", ()),
        (("/tmp/p/", "1", "2"), "/tmp/p", (1, 2)),
        (("proxy_temp", "3", "3", "4"), "/usr/local/nginx/proxy_temp", (3, 3, 4)),
    ],
)
def test_path(cf: Any, words: tuple[str, ...], name: str, levels: tuple[int, ...]) -> None:
    path = run(convert.path, cf, *words)
    assert path == Path(name, levels, "/etc/nginx.conf", 7)
    assert cf.cycle.paths == [path]
    assert run(convert.path, cf, *words) is path
    assert cf.cycle.paths == [path]


@pytest.mark.parametrize("levels", [("0",), ("x",), ("1", "0"), ("11",), ("5", "6"), ("4", "4", "3")])
def test_path_refuses(cf: Cf, levels: tuple[str, ...]) -> None:
    assert run(convert.path, cf, "/tmp/p", *levels) == VALUE
    assert cf.cycle.paths == []


OWNED = Path("/p", (), "f.conf", 2, object())

CLASHES = [
    (Path("/p", (1,), "f.conf", 2), Path("/p", (2,), "f.conf", 7),
     'the same path name "/p" in f.conf:2 has the different levels than'),
    (Path("/p", (1,), "f.conf", 2), Path("/p", (2,)),
     'the path name "/p" in f.conf:2 has the same name as default path, but the different levels, you need to define'
     " default path in http section"),
    (Path("/p", (1,)), Path("/p", (1, 2)),
     'the default path name "/p" has the same name as another default path, but the different levels, you need to'
     " redefine one of them in http section"),
    (OWNED, Path("/p", (), "f.conf", 7), 'the same path name "/p" used in f.conf:2 and'),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second", "message"), CLASHES)
def test_paths_that_clash(cf: Any, first: Path, second: Path, message: str) -> None:
    assert convert.add_path(cf, first) is first
    with pytest.raises((Invalid, ConfigError)) as refusal:
        convert.add_path(cf, second)
    assert str(refusal.value) == message


def test_default_path(cf: Any) -> None:
    path = convert.default_path(cf, "proxy_temp", 1, 2)
    assert path == Path("/usr/local/nginx/proxy_temp", (1, 2))
    assert convert.default_path(cf, "proxy_temp", 1, 2) is path


# -- texts with variables ----------------------------------------------------------------------------------------------


class Request:
    def __init__(self, **variables: bytes) -> None:
        self.vars = {"$" + name: value for name, value in variables.items()}
        self.errors: list[str] = []
        self.log = self

    def error(self, message: str, *, ctx: Any = None) -> None:
        assert ctx is self
        self.errors.append(message)


def test_complex_value(cf: Cf) -> None:
    assert run(convert.complex_value, cf, "text").literal == b"text"
    assert run(convert.complex_value, cf, "$a")(Request(a=b"1")) == b"1"


def test_complex_size(cf: Cf) -> None:
    fixed: Sized = run(convert.complex_size, cf, "4k")
    assert fixed.fixed == 4096
    assert fixed(None) == 4096
    varying: Sized = run(convert.complex_size, cf, "$rate")
    assert varying.fixed is None
    assert varying(Request(rate=b"1m")) == 1 << 20
    r = Request(rate=b"fast")
    assert varying(r, 5) == 5
    assert r.errors == ['invalid size "fast"']


@pytest.mark.parametrize(
    ("a", "b", "holds"),
    [(b"", b"", False), (b"0", b"", False), (b"1", b"", True), (b"", b"00", True), (b"0", b"x", True)],
)
def test_predicates(cf: Cf, a: bytes, b: bytes, holds: bool) -> None:
    tests = run(convert.predicates, cf, "$a", "$b")
    assert convert.holds(tests, Request(a=a, b=b)) is holds
    assert convert.holds((), Request()) is False
