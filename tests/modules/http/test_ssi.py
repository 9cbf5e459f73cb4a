"""Pages that include others, with variables, conditions and errors."""

from __future__ import annotations

import time
from typing import Any

import pytest

from geng.modules.http.ssi_command import SsiError, closing, parameters
from tests.harness.backend import Answer
from tests.harness.client import Truncated

CONF = """
events { }
http {
    types { text/html html; }
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        ssi on;
        location /said { ssi off; default_type text/html; return 200 "said $arg_what"; }
        location /quiet/ { ssi_silent_errors on; alias %DIR%/; }
    }
}
"""

PAGES = {
    "plain.html": ("no command <!-- a comment -->", "no command <!-- a comment -->"),
    "include.html": ('a<!--#include virtual="/said?what=b" -->c', "asaid bc"),
    "relative.html": ('<!--#include file="part.txt" -->', "part"),
    "set.html": ('<!--#set var="x" value="1&2" --><!--#echo var="x" -->', "1&amp;2"),
    "none.html": ('<!--#echo var="nothing" -->', "(none)"),
    "default.html": ('<!--#echo var="nothing" default="some" -->', "some"),
    "raw.html": ('<!--#set var="x" value="<>" --><!--#echo var="x" encoding="none" -->', "<>"),
    "after.html": (
        '<!--#set var="x" value="<" --><!--#echo var="x" encoding="none" --><!--#echo var="x" -->'
        '<!--#echo var="x" encoding="entity" --><!--#echo var="x" -->',
        "<<&lt;&lt;",
    ),
    "caught.html": ('<!--#include virtual="/said?what=x" set="y" -->[<!--#echo var="y" -->]', "[said x]"),
    "if.html": ('<!--#if expr="$arg_a = /^(b+)$/" -->1<!--#echo var="1" --><!--#else -->2<!--#endif -->', "1bb"),
    "stub.html": ('<!--#block name="s" -->stub<!--#endblock --><!--#include virtual="/missing" stub="s" -->', "stub"),
    "error.html": ("a<!--#nonsense -->b", "a[an error occurred while processing the directive]b"),
    "message.html": ('<!--#config errmsg="oh" --><!--#include -->', "oh"),
    "cycle.html": ('<!--#include virtual="/cycle.html" -->', None),
}


@pytest.mark.live
@pytest.mark.parametrize("page", PAGES)
def test_page(server: Any, page: str) -> None:
    files = {name: text for name, (text, _) in PAGES.items()}
    s = server(CONF, files={**files, "part.txt": "part"})
    answer = s.get(f"/{page}?a=bb")
    expected = PAGES[page][1]
    assert answer.status == 200
    if expected is None:
        assert "subrequests cycle while processing" in s.log()
    else:
        assert answer.text == expected
        assert answer.get("Content-Length") is None
        assert answer.get("Last-Modified") is None


@pytest.mark.live
def test_silent_errors(server: Any) -> None:
    s = server(CONF, files={"error.html": "a<!--#nonsense -->b"})
    assert s.get("/quiet/error.html").text == "ab"
    assert 'invalid SSI command: "nonsense"' in s.log()


PARAMS = [
    (b' a="b" ', {b"a": b"b"}),
    (b"a='b' C=\"d\"", {b"a": b"b", b"c": b"d"}),
    (b'a = "b\\"c"', {b"a": b'b"c'}),
    (b"", {}),
]


@pytest.mark.parametrize(("text", "params"), PARAMS)
def testparameters(text: bytes, params: dict[bytes, bytes]) -> None:
    assert parameters(text, "echo") == params


@pytest.mark.parametrize("text", [b"a", b"a=b", b"=1", b'a="1" a="2"', b"a=", b"-"])
def test_badparameters(text: bytes) -> None:
    with pytest.raises(SsiError):
        parameters(text, "echo")


def test_a_quoted_end_is_none() -> None:
    assert closing(b'<!--#a b="-->" -->x', 5) == 18
    assert closing(b'<!--#a b="-->"', 5) == -1


def test_a_path_is_decoded_once(server: Any) -> None:
    pages = {
        "mark.html": '<!--#include virtual="/part.txt%3f" -->',
        "twice.html": '<!--#include virtual="/part.txt%253f" -->',
    }
    s = server(CONF, files={**pages, "part.txt?": "with a mark", "part.txt%3f": "with an escape"})
    assert s.get("/mark.html").text == "with a mark"
    assert s.get("/twice.html").text == "with an escape"


@pytest.mark.parametrize("more", ["", "chunked_transfer_encoding off; gzip off; sub_filter x y;"])
def test_a_variable_has_a_limit(server: Any, more: str) -> None:
    small = 'location /small { ssi off; subrequest_output_buffer_size 6; MORE return 200 "said $arg_what"; } '
    conf = CONF.replace("location /quiet/", small.replace("MORE", more) + "location /quiet/")
    page = '<!--#include virtual="/small?what=%s" set="y" -->[<!--#echo var="y" -->]'
    s = server(conf, files={"short.html": page % "x", "long.html": page % "xy"})
    assert s.get("/short.html").text == "[said x]"
    with pytest.raises(Truncated):
        s.get("/long.html")
    assert "too big subrequest response" in s.log()


LENGTHS = """
        location /short/ { ssi_value_length 6; alias %DIR%/; }
        location /kept/ { ssi_last_modified on; alias %DIR%/; }
        location /up/ { proxy_pass http://127.0.0.1:%UP%/; }
"""


@pytest.mark.live
def test_values_that_are_too_long(server: Any, backend: Any) -> None:
    """The command ends with the next `-->`, be that in quotes, and nothing of it is kept meanwhile."""
    page = "<!--#set var='a' value='%s' -->[<!--#echo var=\"a\" -->]"
    endless = b'a<!--#set var="a" value="' + b"x" * 3_000_000 + b"-->b"
    names = b"a<!--#set " + b"y" * 3_000_000 + b"-->b"
    up = backend(lambda request: Answer(endless if request.target == "/x" else names, headers={"Content-Type": "text/html"}))
    files = {
        "6.html": page % "123456",
        "7.html": page % "1234567",
        "255.html": page % ("v" * 255),
        "256.html": page % ("v" * 256),
    }
    s = server(CONF.replace("        location /said", LENGTHS + "        location /said"), files=files, UP=up.port)
    failed = "[an error occurred while processing the directive]"
    assert s.get("/short/6.html").text == "[123456]"
    assert s.get("/short/7.html").text == failed + "[(none)]"
    assert s.get("/255.html").text == "[" + "v" * 255 + "]"
    assert s.get("/256.html").text == failed + "[(none)]"
    for target in ("/up/x", "/up/y"):
        assert s.get(target).text == f"a{failed}b"
    assert 'too long "1234567..." value of "value" parameter in "set" SSI command' in s.log()
    assert 'too long "' + "x" * 256 + '..." value of "value" parameter in "set" SSI command' in s.log()


@pytest.mark.live
def test_what_is_kept_of_the_head(server: Any) -> None:
    s = server(CONF.replace("        location /said", LENGTHS + "        location /said"), files={"a.html": "a"}, UP=1)
    answer = s.get("/kept/a.html")
    assert "Last-Modified" in answer and answer["ETag"].startswith("W/")
    assert "Last-Modified" not in s.get("/a.html") and "ETag" not in s.get("/a.html")


@pytest.mark.live
@pytest.mark.parametrize("variable", ["date_local", "date_gmt"])
def test_dates(server: Any, variable: str) -> None:
    page = "|".join(f'<!--#config timefmt="{what}" --><!--#echo var="{variable}" -->' for what in ("%s", "%Z"))
    s = server("env TZ; " + CONF, files={"a.html": page}, env={"TZ": "XYZ-5"})
    seconds, zone = s.get("/a.html").text.split("|")
    assert abs(int(seconds) - time.time()) < 1000
    assert zone == ("XYZ" if variable == "date_local" else "GMT")
