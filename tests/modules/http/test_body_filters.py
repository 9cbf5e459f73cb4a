"""sub_filter, add_before_body, charset: what changes a body on its way."""

from __future__ import annotations

from typing import Any

import pytest

from geng.http.filters import Writer
from geng.modules.http import charset
from geng.modules.http.sub import Replacer, search_for
from tests.harness.backend import Answer


class Collected(Writer):
    """The next writer."""

    def __init__(self) -> None:
        self.body = b""
        self.flushes = 0
        self.ended = False

    def write(self, parts: Any, flush: bool = False) -> None:
        self.body += b"".join(parts)
        self.flushes += flush

    def end(self) -> None:
        self.ended = True


def replaced(pieces: list[bytes], once: bool, *pairs: tuple[bytes, bytes]) -> bytes:
    inner = Collected()
    texts = tuple((number, pair[0]) for number, pair in enumerate(pairs))
    writer = Replacer(inner, None, texts, tuple((lambda r, to=to: to) for _, to in pairs), once)  # type: ignore
    for piece in pieces:
        writer.write([piece])
    writer.end()
    assert inner.ended
    return inner.body


CASES: list[tuple[bytes, bool, tuple[tuple[bytes, bytes], ...], bytes]] = [
    (b"some foo and Foo", True, ((b"foo", b"bar"),), b"some bar and Foo"),
    (b"some foo and Foo", False, ((b"foo", b"bar"),), b"some bar and bar"),
    (b"fofoo", False, ((b"foo", b"bar"),), b"fobar"),
    (b"aaab", False, ((b"aab", b"x"),), b"ax"),
    (b"ab abc", False, ((b"abc", b"1"), (b"ab", b"2")), b"2 1"),
    (b"abcabd", False, ((b"ab", b"1"), (b"abc", b"2")), b"1c1d"),
    (b"one two one two", True, ((b"one", b"1"), (b"two", b"2")), b"1 2 one two"),
    (b"xaby", False, ((b"abc", b"1"), (b"b", b"2")), b"xa2y"),
    (b"foo", False, ((b"foo", b""),), b""),
    (b"fo", False, ((b"foo", b"x"),), b"fo"),
    (b"a.b axb", False, ((b"a.b", b"!"),), b"! axb"),
]


@pytest.mark.parametrize(("body", "once", "pairs", "expected"), CASES)
def test_replacing(body: bytes, once: bool, pairs: tuple[tuple[bytes, bytes], ...], expected: bytes) -> None:
    assert replaced([body], once, *pairs) == expected
    assert replaced([bytes((ch,)) for ch in body], once, *pairs) == expected
    for i in range(len(body)):
        assert replaced([body[:i], body[i:]], once, *pairs) == expected


def test_only_what_may_begin_a_text_is_held() -> None:
    search = search_for(((0, b"foobar"), (1, b"oo")))
    assert search.partial(b"a foob", 0) == (2, 0)
    assert search.partial(b"a food o", 0) == (7, 1)
    assert search.partial(b"a", 0) == (1, 255)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"plain", (b"plain", b"")),
        ("caf\u00e9".encode(), (b"caf\xe9", b"")),
        ("\u20ac!".encode(), (b"&#8364;!", b"")),
        ("\U0001f600".encode(), (b"&#128512;", b"")),
        (b"a\xffb", (b"a?b", b"")),
        (b"\xc3", (b"", b"\xc3")),
        (b"a\xe2\x82", (b"a", b"\xe2\x82")),
        (b"\xe2\x82A", (b"?", b"")),
        (b"\xc0\x80", (b"??", b"")),
    ],
)
def test_from_utf8(text: bytes, expected: tuple[bytes, bytes]) -> None:
    assert charset.from_utf8(text, {0xE9: 0xE9}) == expected


CONF = """
events {}
http {
    charset_map iso-8859-1 utf-8 { E9 C3A9; FC C3BC; }
    charset_map iso-8859-1 swapped { E9 FC; }
    types { text/html html; text/plain txt; }
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        location /sub/ { alias %DIR%/; sub_filter foo "<$arg_x>"; sub_filter bar BAZ; }
        location /all/ { alias %DIR%/; sub_filter foo FOO; sub_filter_once off; sub_filter_last_modified on; }
        location /dyn/ { alias %DIR%/; sub_filter $arg_s found; }
        location /subup/ { proxy_pass http://127.0.0.1:%UP%; sub_filter foo FOO; sub_filter_once off; }
        location /around/ { alias %DIR%/; add_before_body /b.txt; add_after_body /sub/c.html; }
        location /txt/ { alias %DIR%/; add_before_body /b.txt; addition_types text/plain; }
        location /cs/ { alias %DIR%/; charset koi8-r; }
        location /utf/ { alias %DIR%/; source_charset iso-8859-1; charset utf-8; }
        location /latin/ { alias %DIR%/; source_charset utf-8; charset iso-8859-1; }
        location /swap/ { alias %DIR%/; source_charset iso-8859-1; charset swapped; }
        location /csup/ { proxy_pass http://127.0.0.1:%UP%; charset utf-8; }
        location /override/ { proxy_pass http://127.0.0.1:%UP%; charset utf-8; override_charset on; }
        location /redirect { charset utf-8; return 301 /x; }
    }
}
"""

FILES: dict[str, bytes | str] = {
    "t.html": "some foo and Foo and bar",
    "t.txt": "text",
    "b.txt": "[before]",
    "c.html": "[after foo]",
    "l1.html": b"caf\xe9 \xfe",
    "u8.html": "caf\u00e9 \u20ac",
    "empty.html": "",
}


@pytest.fixture
def s(server: Any, backend: Any) -> Any:
    def answer(request: Any) -> Any:
        return Answer(
            b"caf\xe9 foo", headers={"Content-Type": 'text/html; charset="ISO-8859-1"', "X-Up": "1", "ETag": '"e"'}
        )

    return server(CONF, files=FILES, UP=backend(answer).port)


@pytest.mark.live
def test_sub_filter(s: Any) -> None:
    answer = s.get("/sub/t.html?x=1")
    assert answer.text == "some <1> and Foo and BAZ"
    assert "ETag" not in answer
    assert "Last-Modified" not in answer
    answer = s.get("/all/t.html")
    assert answer.text == "some FOO and FOO and bar"
    assert answer["ETag"].startswith("W/")
    assert "Last-Modified" in answer
    assert s.get("/sub/t.txt").text == "text"
    assert s.get("/sub/empty.html").text == ""
    assert s.get("/dyn/t.html?s=some").text == "found foo and Foo and bar"
    assert s.get("/dyn/t.html").text == FILES["t.html"]
    assert s.get("/subup/").body == b"caf\xe9 FOO"


@pytest.mark.live
def test_addition(s: Any) -> None:
    answer = s.get("/around/t.html?x=2")
    assert answer.text == "[before]some foo and Foo and bar[after <>]"
    assert answer["ETag"].startswith("W/")
    assert s.get("/around/t.txt").text == "text"
    assert s.get("/txt/t.txt").text == "[before]text"
    assert s.get("/around/empty.html").text == "[before][after <>]"
    assert "[before]" not in s.get("/around/nope").text
    with s.connect() as c:
        assert c.ask("/around/t.html", method="HEAD").status == 200
        assert c.ask("/txt/t.txt").text == "[before]text"


@pytest.mark.live
def test_charset(s: Any) -> None:
    assert s.get("/cs/t.html")["Content-Type"] == "text/html; charset=koi8-r"
    answer = s.get("/utf/l1.html")
    assert (answer["Content-Type"], answer.body) == ("text/html; charset=utf-8", "caf\u00e9 ?".encode())
    answer = s.get("/latin/u8.html")
    assert (answer["Content-Type"], answer.body) == ("text/html; charset=iso-8859-1", b"caf\xe9 &#8364;")
    answer = s.get("/swap/l1.html")
    assert (answer.body, answer["Content-Length"]) == (b"caf\xfc ?", "6")
    assert s.get("/redirect")["Content-Type"] == "text/html"


@pytest.mark.live
def test_charset_of_an_upstream(s: Any) -> None:
    answer = s.get("/csup/")
    assert answer["Content-Type"] == 'text/html; charset="ISO-8859-1"'
    assert answer.body == b"caf\xe9 foo"
    answer = s.get("/override/")
    assert (answer["Content-Type"], answer.text) == ("text/html; charset=utf-8", "caf\u00e9 foo")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("charset_map a a { }", '"charset_map" between the same charsets "a" and "a" in'),
        ("charset_map utf-8 a { }", '"charset_map" with "utf-8" charset should be given in the second column in'),
        ("charset_map a b { } charset_map b a { }", 'duplicate "charset_map" between "b" and "a" in'),
        ("charset_map a b { 100 1; }", 'invalid value "100" in'),
        ("charset_map a b { 1; }", "invalid parameters number in"),
        ("charset_map a utf-8 { 1 ZZ; }", 'invalid value "ZZ" in'),
        ("server { charset a; source_charset b; }", 'no "charset_map" between the charsets "b" and "a"'),
        ('sub_filter "" x;', "empty search pattern in"),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    result = configtest(f"events {{}} http {{ {text} }}")
    assert message in result.stderr
    assert result.returncode == 1
