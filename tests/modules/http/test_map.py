"""map: strings, host names, regular expressions, values with variables, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

CONF = """
events {}
http {
    map $arg_a $plain {
        default    none;
        one        1;
        TWO        2;
        ""         empty;
        \\default  escaped;
        \\~x       tilde;
        "a b"      "c d";
        ~^(?<first>[a-c]+)z  "low $first$1";
        ~*^[X-Z]+$ high;
        x          exact;
        include    conf/more;
        \\include   word;
    }
    map $arg_a $bare { one 1; }
    map $arg_a $hosts {
        hostnames;
        default         none;
        example.com     exact;
        .example.org    both;
        *.example.net   front;
        *.a.example.net longer;
        www.example.*   behind;
        ~^mail          regex;
    }
    map "$arg_a-$arg_b" $made { "1-2" $request_method:${arg_b}; default $plain; }
    map $uri $chained { ~/(\\d+) $1; }
    map $arg_c $kept { default $arg_c; }
    map $arg_c $again { volatile; default $arg_c; }
    server {
        listen 127.0.0.1:%PORT%;
        location / { return 200 "$plain|$bare|$hosts|$made|$chained"; }
        location /set {
            set $before "$kept|$again";
            set $args c=2;
            return 200 "$before|$kept|$again";
        }
        location /assign { set $bare mine; return 200 $bare; }
        location ~ ^/captures/(.) { return 200 "$chained|$1"; }
    }
}
"""
FILES = {"conf/more": "three 3;"}

PLAIN = [
    ("one", "1"),
    ("ONE", "1"),
    ("two", "2"),
    ("three", "3"),
    ("four", "none"),
    ("", "empty"),
    ("default", "escaped"),
    ("~x", "tilde"),
    ("include", "word"),
    ("abz", "low abab"),
    ("Abz", "none"),
    ("xy", "high"),
    ("x", "exact"),
]
HOSTS = [
    ("example.com", "exact"),
    ("EXAMPLE.com", "exact"),
    ("example.com.", "exact"),
    ("www.example.com", "behind"),
    ("example.org", "both"),
    ("a.b.example.org", "both"),
    ("example.net", "none"),
    ("x.example.net", "front"),
    ("x.a.example.net", "longer"),
    ("a.example.net", "front"),
    ("www.example.co.uk", "behind"),
    ("mailer", "regex"),
    ("mail.example.net", "front"),
]


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files=FILES)


@pytest.mark.live
def test_values(s: Any) -> None:
    with s.connect() as c:
        for key, expected in PLAIN:
            assert c.ask(f"/?a={key}").text.split("|")[0] == expected, key
        assert c.ask("/?a=one").text.split("|")[1] == "1"
        assert c.ask("/?a=other").text.split("|")[1] == ""


@pytest.mark.live
def test_host_names(s: Any) -> None:
    with s.connect() as c:
        for key, expected in HOSTS:
            assert c.ask(f"/?a={key}").text.split("|")[2] == expected, key


@pytest.mark.live
def test_values_with_variables(s: Any) -> None:
    assert s.get("/?a=1&b=2").text.split("|")[3] == "GET:2"
    assert s.get("/?a=one&b=2").text.split("|")[3] == "1"
    assert s.get("/x/42").text.split("|")[4] == "42"
    assert s.get("/captures/77").text == "77|77"


@pytest.mark.live
def test_volatile(s: Any) -> None:
    assert s.get("/set?c=1").text == "1|1|1|2"
    assert s.get("/assign").text == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("map $uri x { }", 'invalid variable name "x" in'),
        ("map $uri $x { a; }", "invalid number of the map parameters in"),
        ("map $uri $x { a b c; }", "invalid number of the map parameters in"),
        ("map $uri $x { default a; default b; }", "duplicate default map parameter in"),
        ("map $uri $x { a 1; A 2; }", 'conflicting parameter "a" in'),
        ("map $uri $x { hostnames; a.*.b 1; }", 'invalid hostname or wildcard "a.*.b" in'),
        ("map $uri $x { hostnames; .a 1; a 2; }", 'conflicting parameter "a" in'),
        ("map $uri $x { a { } }", 'unexpected "{" in'),
        ("map $uri $x { ~( 1; }", 'pcre2_compile() failed: missing closing parenthesis in "(" in'),
        ("map $uri $x { a $; }", "invalid variable name in"),
        ("map $uri $x { a $nope; } server { return 200 $x; }", 'unknown "nope" variable'),
        ("map $uri $host { a b; }", 'the duplicate "host" variable in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr


def test_the_last_of_two_with_one_name_counts(server: Any) -> None:
    s = server(
        "events {} http { map $uri $x { default 1; } map $uri $x { default 2; }"
        " server { listen 127.0.0.1:%PORT%; return 200 $x; } }"
    )
    assert s.get("/").text == "2"


@pytest.mark.live
def test_a_value_made_of_itself(server: Any) -> None:
    s = server(
        "events {} http { map $arg_a $x { default $x; 1 one; } map $y $y { a b; }"
        ' server { listen 127.0.0.1:%PORT%; return 200 "[$x][$y]"; } }'
    )
    assert s.get("/?a=1").text == "[one][]"
    assert s.get("/?a=2").text == "[][]"
    assert 'cycle while evaluating variable "x", client:' in s.log()
