"""return, rewrite, if, set, break: what a client gets, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

CONF = r"""
events {}
http {
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        default_type text/plain;
        absolute_redirect off;
        location /t { return 200 "$uri|$args"; }

        location /return/text { return 200 "text $uri"; }
        location /return/url { return http://there$request_uri; }
        location /return/path { return 301 /t?$args; }
        location /return/empty { return 301 ""; }
        location /return/bare { return 303; }
        location /return/404 { return 404; }
        location /return/nope { return 404 nope; }
        location /return/odd { return 305 abc; }
        location /return/204 { return 204 "not shown"; }
        location /return/page { error_page 404 /t; return 404; }
        location /return/own { error_page 404 /t; return 404 own; }
        location /return/close { return 444; }

        location /last { rewrite ^/last(.*)$ /t$1 last; return 200 unreached; }
        location /plain { rewrite ^/plain(.*)$ /t$1; return 200 "reached $uri"; }
        location /twice { rewrite ^/twice(.*)$ /x$1; rewrite ^/x(.*)$ /t$1; }
        location /break { rewrite ^/break(.*)$ /file$1 break; return 200 unreached; }
        location /permanent { rewrite ^/permanent(.*)$ /t$1 permanent; }
        location /redirect { rewrite ^/redirect(.*)$ /t$1? redirect; }
        location /away { rewrite ^/away(.*)$ http://there/%41$1?x=%41$1; }
        location /more { rewrite ^/more/(.*)$ /t?x=$1 last; }
        location /only { rewrite ^/only/(.*)$ /t?x=$1? last; }
        location /strip { rewrite ^/strip(.*)$ /t$1? last; }
        location /named { rewrite ^/named/(?<One>\w+)/(?<two>.*)$ /t/$two/$one last; }
        location /loop { rewrite ^/loop(.*)$ /loop$1 last; }
        location /nothing { rewrite ^ $arg_none last; }
        location /internal { internal; return 200 "inside $uri"; }
        location /into { rewrite ^ /internal last; }

        location /set { set $a 1; set $b "${a}2"; set $args x=$b; return 200 "$b|$args|$arg_x"; }
        location /unset { if ($arg_a) { set $c set; } return 200 "[$c]"; }
        location /rate { set $limit_rate 10k; return 200 $limit_rate; }
        location /stop { set $d 1; break; return 200 unreached; }

        location /if/truth { if ($arg_a) { return 200 yes; } return 200 no; }
        location /if/equal {
            if ($arg_a = "") { return 200 empty; }
            if ($arg_a = $arg_b) { return 200 same; }
            if ($arg_a != x) { return 200 other; }
            return 200 x;
        }
        location /if/regex {
            if ($arg_a ~ ^x(.)) { return 200 "x $1"; }
            if ($arg_a ~* ^y) { return 200 y; }
            if ($arg_a !~ [0-9]) { return 200 "no digit"; }
            if ($arg_a !~* Z) { return 200 "no z"; }
            return 200 rest;
        }
        location /if/file {
            if (-f %DIR%$arg_p) { set $e f; }
            if (-d %DIR%$arg_p) { set $e "${e}d"; }
            if (-e %DIR%$arg_p) { set $e "${e}e"; }
            if (-x %DIR%$arg_p) { set $e "${e}x"; }
            if (!-f %DIR%$arg_p) { set $e "$e!f"; }
            if (!-d %DIR%$arg_p) { set $e "$e!d"; }
            if (!-e %DIR%$arg_p) { set $e "$e!e"; }
            if (!-x %DIR%$arg_p) { set $e "$e!x"; }
            return 200 $e;
        }
        location /if/place { add_header X-A outer; if ($arg_a) { add_header X-A inner always; } try_files /file.txt =404; }
        location /if/last { if ($arg_a) { rewrite ^ /t/if last; } return 200 after; }
        location /if/break { if ($arg_a) { break; } return 200 after; }
    }
    server {
        listen 127.0.0.1:%PORT2%;
        set $where server;
        if ($arg_a) { rewrite ^/(.*)$ /from/$1; }
        location / { return 200 "$where $uri"; }
        location /from { return 200 "from $uri"; }
    }
}
"""

TEXTS = [
    # what is asked for, what comes
    ("/return/text", 200, "text /return/text"),
    ("/return/nope", 404, "nope"),
    ("/return/odd", 305, "abc"),
    ("/return/204", 204, ""),
    ("/return/page", 404, "/t|"),
    ("/return/own", 404, "own"),
    ("/last/a%20b?c", 200, "/t/a b|c"),
    ("/plain/a?c", 200, "reached /t/a"),
    ("/twice/a?c", 200, "/t/a|c"),
    ("/break.txt", 200, "content"),
    ("/more/x%26y?z", 200, "/t|x=x%26y&z"),
    ("/more/x", 200, "/t|x=x"),
    ("/only/x?z", 200, "/t|x=x"),
    ("/strip/x?z", 200, "/t/x|"),
    ("/named/a/b", 200, "/t/b/a|"),
    ("/internal", 404, None),
    ("/into", 200, "inside /internal"),
    ("/loop/", 500, None),
    ("/nothing", 500, None),
    ("/set", 200, "12|x=12|12"),
    ("/unset?a=1", 200, "[set]"),
    ("/unset", 200, "[]"),
    ("/rate", 200, "10240"),
    ("/stop", 404, None),
    ("/if/truth?a=1", 200, "yes"),
    ("/if/truth?a=0", 200, "no"),
    ("/if/truth?a=00", 200, "yes"),
    ("/if/truth", 200, "no"),
    ("/if/equal", 200, "empty"),
    ("/if/equal?a=1&b=1", 200, "same"),
    ("/if/equal?a=1&b=2", 200, "other"),
    ("/if/equal?a=x", 200, "x"),
    ("/if/regex?a=xy", 200, "x y"),
    ("/if/regex?a=Y", 200, "y"),
    ("/if/regex?a=X", 200, "no digit"),
    ("/if/regex?a=1", 200, "no z"),
    ("/if/regex?a=1z", 200, "rest"),
    ("/if/file?p=/file.txt", 200, "fe!d!x"),
    ("/if/file?p=/logs", 200, "dex!f"),
    ("/if/file?p=/none", 200, "!f!d!e!x"),
    ("/if/last?a=1", 200, "/t/if|a=1"),
    ("/if/last", 200, "after"),
    ("/if/break?a=1", 404, None),
    ("/if/break", 200, "after"),
]
LOCATIONS = [
    ("/return/url?q", 302, "http://there/return/url?q"),
    ("/return/path?a=b", 301, "/t?a=b"),
    ("/return/empty", 301, ""),
    ("/return/bare", 303, ""),
    ("/permanent/%20?a=%20", 301, "/t/%20?a=%20"),
    ("/redirect/x?y", 302, "/t/x"),
    ("/away/%20%3f?q", 302, "http://there/A/%20??x=%41/%20%3F&q"),
]


@pytest.fixture
def s(server: Any) -> Any:
    return server(CONF, files={"file.txt": "content"})


@pytest.mark.live
def test_texts(s: Any) -> None:
    for target, status, text in TEXTS:
        answer = s.get(target)
        assert (answer.status, text if text is None else answer.text) == (status, text), target


@pytest.mark.live
def test_locations(s: Any) -> None:
    for target, status, location in LOCATIONS:
        answer = s.get(target)
        assert (answer.status, answer.all("Location")) == (status, [location]), target


@pytest.mark.live
def test_an_if_is_a_place_of_its_own(s: Any) -> None:
    assert s.get("/if/place")["X-A"] == "outer"
    assert s.get("/if/place?a=1").all("X-A") == ["inner"]


@pytest.mark.live
def test_in_a_server(s: Any) -> None:
    assert s.get("/x", port="PORT2").text == "server /x"
    assert s.get("/x?a=1", port="PORT2").text == "from /from/x"


@pytest.mark.live
def test_444_closes_without_a_word(s: Any) -> None:
    assert s.raw(b"GET /return/close HTTP/1.0\r\n\r\n") == []


@pytest.mark.live
def test_a_body_that_nobody_reads_is_skipped(s: Any) -> None:
    with s.connect() as c:
        assert c.ask("/return/text", method="POST", body=b"some body").text == "text /return/text"
        assert c.ask("/return/path", method="POST", body=b"x" * 100_000).status == 301
        assert c.ask("/return/text").text == "text /return/text"


@pytest.mark.live
def test_the_log(server: Any) -> None:
    s = server(
        "events {} http { rewrite_log on; server { listen 127.0.0.1:%PORT%;"
        " rewrite ^/none /x; rewrite ^/a(.*)$ /b$1?c; rewrite ^/b /d redirect; rewrite ^/e $arg_e;"
        ' if ($arg_x ~ y) { return 200 y; } return 200 "[$unset]"; if ($uri) { set $unset 1; } } }',
        log_level="notice",
    )
    s.get("/a1")
    s.get("/?x=z")
    s.get("/?x=y")
    s.get("/e")
    log = s.log()
    for line in (
        '"^/none" does not match "/a1", client:',
        '"^/a(.*)$" matches "/a1", client:',
        'rewritten data: "/b1", args: "c", client:',
        'rewritten redirect: "/d?c", client:',
        '"y" does not match "z", client:',
        '"y" matches "y", client:',
        'using uninitialized "unset" variable, client:',
        "the rewritten URI has a zero length, client:",
    ):
        assert line in log


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return abc;", 'invalid return code "abc" in'),
        ("return 1000;", 'invalid return code "1000" in'),
        ("return /x;", 'invalid return code "/x" in'),
        ("return http://x y;", 'invalid return code "http://x" in'),
        ("return 200 $;", "invalid variable name in"),
        ("return 200 ${a;", 'the closing bracket in "a" variable is missing in'),
        ("return 200 $nope;", 'unknown "nope" variable'),
        ("set a b;", 'invalid variable name "a" in'),
        ("set $ b;", 'invalid variable name "$" in'),
        ("set $host b;", 'the duplicate "host" variable in'),
        ("rewrite a b;", ""),
        ('rewrite a "";', "empty replacement in"),
        ("rewrite a b often;", 'invalid parameter "often" in'),
        ("rewrite ( b;", 'pcre2_compile() failed: missing closing parenthesis in "(" in'),
        ("if $uri { }", 'invalid condition "$uri" in'),
        ("if ($uri { }", 'invalid condition "$uri" in'),
        ("if () { }", 'invalid condition ")" in'),
        ("if ( ) { }", 'invalid condition ")" in'),
        ("if (uri) { }", 'invalid condition "uri" in'),
        ("if ($uri =) { }", 'invalid condition "$uri" in'),
        ("if ($uri == a) { }", 'unexpected "==" in condition in'),
        ("if (-f) { }", 'invalid condition "-f" in'),
        ("if (-z x) { }", 'invalid condition "-z" in'),
        ("if ($uri) { location / { } }", '"location" directive is not allowed here in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    result = configtest(f"events {{}} http {{ server {{ listen 127.0.0.1:%PORT%; {text} }} }}")
    assert message in result.stderr
    assert result.returncode == (1 if message else 0)
