"""What surrounds fastcgi_pass: headers of the response, errors, stores and caches, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import Pair, Request, end, stderr, stdout

PASS = "location / { fastcgi_pass u; %s }"


def test_headers_of_the_response(fastcgi: Pair) -> None:
    s, _ = fastcgi(
        "location / { fastcgi_pass u; fastcgi_hide_header X-Hide; fastcgi_pass_header X-Accel-Expires; }"
        "location /ignored { fastcgi_pass u; fastcgi_ignore_headers X-Accel-Redirect; }"
        "location = /secret { internal; return 200 secret; }",
        lambda request: (
            stdout(
                (b"X-Accel-Redirect: /secret\r\n" if b"x" in request.body else b"")
                + b"X-Hide: 1\r\nX-Accel-Expires: 7\r\nX-Show: 2\r\n\r\nplain"
            )
            + end()
        ),
    )
    answer = s.get("/")
    assert (answer.get("X-Hide"), answer.get("X-Accel-Expires"), answer.get("X-Show")) == (None, "7", "2")
    assert s.get("/", method="POST", body=b"x").text == "secret"
    assert s.get("/ignored", method="POST", body=b"x").text == "plain"


def test_intercept_errors(fastcgi: Pair) -> None:
    s, _ = fastcgi(
        "location / { fastcgi_pass u; fastcgi_intercept_errors on; error_page 404 /page; }"
        "location /not { fastcgi_pass u; error_page 404 /page; } location = /page { return 200 page; }",
        stdout(b"Status: 404\r\n\r\nits own") + end(),
    )
    assert s.get("/").text == "page"
    assert s.get("/not").text == "its own"


def test_force_ranges_and_limit_rate(fastcgi: Pair) -> None:
    s, _ = fastcgi(PASS % "fastcgi_force_ranges on; fastcgi_limit_rate 1m;")
    assert s.get("/", headers={"Range": "bytes=1-2"}).status == 200  # there is no length to take a part of
    s, _ = fastcgi(PASS % "fastcgi_force_ranges on;", stdout(b"Content-Length: 5\r\n\r\nhello") + end())
    answer = s.get("/", headers={"Range": "bytes=1-2"})
    assert (answer.status, answer.text) == (206, "el")


def test_variables_in_the_address(fastcgi: Pair, tmp_path: Path) -> None:
    s, app = fastcgi("location / { fastcgi_pass $arg_to; } location /named { set $up u; fastcgi_pass $up; }")
    port = s.places["UP"]
    assert s.get(f"/?to=127.0.0.1:{port}").text == "hello"
    assert s.get("/named").text == "hello"
    assert s.get("/?to=127.0.0.1").status == 500
    assert 'no port in upstream "127.0.0.1"' in s.log()
    assert s.get("/?to=127.0.0.1:x").status == 500
    assert 'invalid port in upstream "127.0.0.1:x"' in s.log()


def test_store(fastcgi: Pair) -> None:
    s, app = fastcgi(
        "location / { fastcgi_pass u; fastcgi_store %DIR%/store$uri; fastcgi_store_access user:rw group:r; }",
    )
    assert s.get("/file").text == "hello"
    stored = s.folder / "store" / "file"
    wait_until(stored.exists, "the stored file")
    assert stored.read_bytes() == b"hello"


@pytest.mark.parametrize("keep", ["on", "off"])
def test_cache(fastcgi: Pair, keep: str) -> None:
    count = [0]

    def answer(request: Request) -> bytes:
        count[0] += 1
        if "HTTP_IF_NONE_MATCH" in request.params:
            return stdout(b"Status: 304\r\n\r\n") + end()
        life = 1 if "old" in request.params["URI"] else 60
        head = b'Content-Length: 6\r\nAccept-Ranges: bytes\r\nETag: "e"\r\n'
        head += b"X-Count: %d\r\nCache-Control: max-age=%d\r\n\r\n" % (count[0], life)
        return stderr(b"n" * 9000) + stdout(head[:20]) + stderr(b"between") + stdout(head[20:] + b"cached") + end()

    s, app = fastcgi(
        "location / { fastcgi_pass u; fastcgi_cache one; fastcgi_cache_key $uri; add_header X-Cache $upstream_cache_status;"
        f" fastcgi_keep_conn {keep}; fastcgi_param URI $uri; fastcgi_cache_valid 304 1s; fastcgi_cache_revalidate on;"
        " fastcgi_cache_use_stale error; }",
        answer,
        "fastcgi_cache_path %DIR%/cache levels=1:2 keys_zone=one:1m;",
    )
    headers = {"Range": "bytes=0-2", "If-Match": "x"}
    first = s.get("/a")
    assert (first["X-Cache"], first.text, first["X-Count"]) == ("MISS", "cached", "1")
    for _ in range(2):
        second = s.get("/a")
        assert (second["X-Cache"], second.text, second["X-Count"]) == ("HIT", "cached", "1")
    assert s.get("/a", headers={"Range": "bytes=0-2"}).text == "cac"
    s.get("/b", headers=headers)
    asked = app.requests[-1].params
    assert not {"HTTP_RANGE", "HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH"} & set(asked)
    assert s.get("/a", method="HEAD")["X-Cache"] == "HIT"
    assert s.get("/old").text == "cached"
    wait_until(lambda: s.get("/old")["X-Cache"] == "REVALIDATED", "an old response")
    assert app.requests[-1].params["HTTP_IF_NONE_MATCH"] == '"e"'


def test_a_stored_head_that_is_broken(fastcgi: Pair) -> None:
    s, app = fastcgi(
        PASS % "fastcgi_cache one; fastcgi_cache_key $uri; fastcgi_cache_valid 1h; add_header X $upstream_cache_status;",
        http="fastcgi_cache_path %DIR%/cache keys_zone=one:1m;",
    )
    assert s.get("/")["X"] == "MISS"
    (stored,) = (path for path in (s.folder / "cache").rglob("*") if path.is_file())
    data = stored.read_bytes()
    assert data.count(b"\1\6\0\1") == 1
    stored.write_bytes(data.replace(b"\1\6\0\1", b"\1\6\0\2"))
    answer = s.get("/")
    assert (answer.status, answer.text) == (200, "hello")
    assert "contains invalid header" in s.log()
    assert len(app.requests) == 2


def test_cache_needs_no_key_but_says_so(configtest: Any) -> None:
    conf = """
    events {}
    http {
        fastcgi_cache_path %DIR%/cache keys_zone=one:1m;
        server { location / { fastcgi_pass 127.0.0.1:9; fastcgi_cache one; } }
    }
    """
    checked = configtest(conf)
    assert checked.returncode == 0
    assert "[warn]" in checked.stderr and 'no "fastcgi_cache_key" for "fastcgi_cache" in ' in checked.stderr


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("fastcgi_pass 127.0.0.1:9; fastcgi_pass 127.0.0.1:9;", '"fastcgi_pass" directive is duplicate'),
        ("fastcgi_pass http://127.0.0.1:9;", 'invalid host in upstream "http://127.0.0.1:9"'),
        ("fastcgi_pass 127.0.0.1:9/uri;", 'invalid host in upstream "127.0.0.1:9/uri"'),
        ("fastcgi_param A b c;", 'invalid parameter "c"'),
        ("fastcgi_split_path_info ^(.+)$;", 'pattern "^(.+)$" must have 2 captures'),
        ("fastcgi_next_upstream http_502;", 'invalid value "http_502"'),
        ("fastcgi_buffers 1 4k;", 'there must be at least 2 "fastcgi_buffers"'),
        ("fastcgi_cache one; fastcgi_store on;", '"fastcgi_store" directive is incompatible with "fastcgi_cache"'),
        ("fastcgi_cache nowhere;", '"fastcgi_cache" zone "nowhere" is unknown'),
        ("fastcgi_keep_conn maybe;", 'invalid value "maybe" in "fastcgi_keep_conn" directive'),
    ],
)
def test_refused(configtest: Any, body: str, message: str) -> None:
    conf = "events {} http { fastcgi_cache_path %DIR%/c keys_zone=one:1m; server { location / { " + body + " } } }"
    checked = configtest(conf)
    assert checked.returncode == 1
    assert message in checked.stderr
