"""Directives of ngx_http_core_module whose effect is small or only shows at an edge: each has one, and it is seen here."""

from __future__ import annotations

import re
import socket
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.client import Connection, Response

MSIE = "Mozilla/4.0 (compatible; MSIE 6.0)"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10) AppleWebKit Safari/1"
DIGITS = "0123456789" * 30

CONF = """
timer_resolution 100ms;
events { }
http {
    variables_hash_max_size 2048;
    variables_hash_bucket_size 128;
    server_names_hash_max_size 1024;
    server_names_hash_bucket_size 128;
    types_hash_max_size 2048;
    types_hash_bucket_size 128;
    map_hash_max_size 4096;
    map_hash_bucket_size 256;
    connection_pool_size 512;
    request_pool_size 8k;
    postpone_output 1460;
    types { text/plain txt; }
    map $uri $mapped { /mapped yes; default no; }
    server {
        listen 127.0.0.1:%PORT%;
        server_name named.test;
        root %DIR%/site;

        location /relative { absolute_redirect off; return 301 /x; }
        location /without_port { port_in_redirect off; return 301 /x; }
        location /by_name { server_name_in_redirect on; port_in_redirect off; return 301 /x; }
        location /padded { return 404; }
        location /not_padded { msie_padding off; return 404; }
        location /refreshed { msie_refresh on; return 301 http://other.test/<b>; }
        location /not_refreshed { return 301 http://other.test/<b>; }
        location /ka_msie { keepalive_disable msie6; return 200 x; }
        location /ka_safari { keepalive_disable safari; return 200 x; }
        location /ka_none { keepalive_disable none; return 200 x; }
        location /recursive { recursive_error_pages on; error_page 404 /second; return 404; }
        location /second { recursive_error_pages on; error_page 403 /third; return 403; }
        location /once { error_page 404 /twice; return 404; }
        location /twice { error_page 403 /third; return 403; }
        location /third { return 200 third; }
        location /since_off { if_modified_since off; alias %DIR%/site/a.txt; }
        location /since_exact { if_modified_since exact; alias %DIR%/site/a.txt; }
        location /since_before { if_modified_since before; alias %DIR%/site/a.txt; }
        location /pieces { sendfile on; sendfile_max_chunk 100; alias %DIR%/site/a.txt; }
        location /nodelay { tcp_nodelay off; sendfile on; tcp_nopush on; alias %DIR%/site/a.txt; }
        location /threads { aio threads; aio_write on; directio 100; directio_alignment 4k; alias %DIR%/site/a.txt; }
        location /cached/ {
            open_file_cache max=10 inactive=10s;
            open_file_cache_events off;
            open_file_cache_errors on;
            alias %DIR%/site/;
        }
        location /mapped { postpone_output 0; return 200 $mapped; }
        location /in_file {
            client_body_in_file_only clean;
            proxy_pass http://127.0.0.1:%PORT%/echo;
            proxy_set_header X-Body $request_body_file;
            proxy_set_header X-Memory "[$request_body]";
        }
        location /in_one_buffer {
            client_body_in_single_buffer on;
            client_body_buffer_size 8;
            proxy_pass http://127.0.0.1:%PORT%/echo;
            proxy_set_header X-Memory "[$request_body]";
        }
        location /echo { return 200 "$http_x_body|$http_x_memory"; }
        location /lingers { lingering_close always; lingering_time 5s; lingering_timeout 300ms; return 200 x; }
        location /lingers_not { lingering_close off; return 200 x; }
        location /min { keepalive_timeout 300ms; keepalive_min_timeout 100ms; return 200 x; }
        location /slow { send_timeout 200ms; sendfile off; alias %DIR%/site/large; }
        location /late { client_body_timeout 200ms; reset_timedout_connection on; proxy_pass http://127.0.0.1:%PORT%/echo; }
        location /real { return 200 "$realpath_root $document_root"; }
        location /no_real { root %DIR%/gone; return 200 "[$realpath_root]"; }
    }
    server {
        listen 127.0.0.1:%PORT2%;
        client_body_early_read 1;
        location / { return 200 "[$request_body]"; }
        location /small { client_max_body_size 3; return 200 "[$request_body]"; }
    }
}
"""


@pytest.fixture
def served(server: Any) -> Any:
    return server(CONF, files={"site/a.txt": DIGITS, "site/large": b"x" * 8_000_000})


def ask(served: Any, target: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Response:
    with Connection(served.address()) as c:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response: Response = c.ask(target, method, {"Host": "h.test:81", **named}, body)
        return response


def test_where_a_redirect_goes(served: Any) -> None:
    asked = ("/relative", "/without_port", "/by_name", "/not_refreshed")
    assert [ask(served, target)["Location"] for target in asked] == [
        "/x",
        "http://h.test/x",
        "http://named.test/x",
        "http://other.test/<b>",
    ]


def test_old_browsers_get_pages_of_their_own(served: Any) -> None:
    padding = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n"
    assert ask(served, "/padded", User_Agent=MSIE).text.count(padding) == 6
    assert padding not in ask(served, "/not_padded", User_Agent=MSIE).text
    assert padding not in ask(served, "/padded").text
    refreshed = ask(served, "/refreshed", User_Agent=MSIE)
    assert refreshed.status == 200
    assert (
        'content="0; URL=http://other.test/&lt;b&gt;"' in refreshed.text or "URL=http://other.test/%3Cb%3E" in refreshed.text
    )
    assert ask(served, "/refreshed").status == 301


KEPT = (
    ("/ka_msie", MSIE, "POST", False),
    ("/ka_msie", MSIE, "GET", True),
    ("/ka_msie", SAFARI, "POST", True),
    ("/ka_safari", SAFARI, "GET", False),
    ("/ka_none", SAFARI, "POST", True),
    ("/ka_none", MSIE, "POST", True),
)


def test_keepalive_disable(served: Any) -> None:
    for target, agent, method, kept in KEPT:
        found = ask(served, target, method, b"" if method == "POST" else None, User_Agent=agent)
        assert found["Connection"] == ("keep-alive" if kept else "close"), (target, agent, method)


def test_recursive_error_pages(served: Any) -> None:
    assert ask(served, "/recursive").text == "third"
    assert ask(served, "/once").status == 403


def test_if_modified_since(served: Any) -> None:
    changed = ask(served, "/since_exact")["Last-Modified"]
    later = "Fri, 01 Jan 2100 00:00:00 GMT"
    seen = {
        name: [ask(served, f"/since_{name}", If_Modified_Since=date).status for date in (changed, later)]
        for name in ("off", "exact", "before")
    }
    assert seen == {"off": [200, 200], "exact": [304, 200], "before": [304, 304]}


def test_however_a_file_is_sent_it_is_the_same(served: Any) -> None:
    with Connection(served.address()) as c:
        for target in ("/pieces", "/nodelay", "/threads", "/cached/a.txt") * 3:
            assert c.ask(target).text == DIGITS
            assert c.ask(target, headers={"Range": "bytes=5-104"}).text == DIGITS[5:105]


def test_tables_of_any_size(served: Any) -> None:
    assert ask(served, "/mapped").text == "yes"


def test_body_in_a_file_or_in_one_buffer(served: Any) -> None:
    name, _, memory = ask(served, "/in_file", "POST", b"0123456789").text.partition("|")
    assert re.search(r"/\d{10}$", name)
    assert memory in ("", "[]"), "in the file, and nowhere else"
    assert ask(served, "/in_one_buffer", "POST", b"0123456789abcdef"[:9]).text.endswith("|[012345678]")


def test_real_path_of_the_root(served: Any, tmp_path: Any) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "site").rename(tmp_path / "real")
    (tmp_path / "site").symlink_to(tmp_path / "real")
    assert ask(served, "/real").text == f"{tmp_path.resolve()}/real {tmp_path}/site"
    assert ask(served, "/no_real").text == "[]"
    assert "gone" in served.log(), "why there is none"


def test_lingering(served: Any) -> None:
    with Connection(served.address()) as c:
        c.send(b"GET /lingers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert c.rest().endswith(b"x")  # no more comes, but what is sent is still taken
        c.send(b"more")
        assert c.closed()
    with Connection(served.address()) as c:
        c.send(b"GET /lingers_not HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert c.rest().endswith(b"x")


def test_idle_connection_ends(served: Any) -> None:
    with Connection(served.address()) as c:
        assert c.ask("/min").text == "x"
        assert c.closed()


def test_client_that_takes_nothing(served: Any) -> None:
    with Connection(served.address()) as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: "client timed out (110: Connection timed out)" in served.log(), "send_timeout")


def test_client_that_gives_nothing_is_reset(served: Any) -> None:
    with Connection(served.address()) as c:
        c.send(b"POST /late HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        with pytest.raises(ConnectionResetError):
            c.sock.recv(1)


def test_body_before_anything_else(served: Any) -> None:
    with Connection(served.address("PORT2")) as c:
        assert c.ask("/", "POST", body=b"abc").text == "[abc]"
        for size, status in ((3, 200), (4, 413)):
            c.send(
                b"POST /small HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
                % (size, b"x" * size)
            )
            assert c.response().status == status, "one that came in chunks has a length once it is here"
    assert "client intended to send too large body: 4 bytes" in served.log()


def test_trailers_are_no_reason_to_close(server: Any) -> None:
    """What cannot be sent to an old client is left out; the length that is known stays."""
    s = server("events { } http { server { listen 127.0.0.1:%PORT%; add_trailer T v; location / { return 200 abc; } } }")
    with Connection(s.address()) as c:
        for _ in range(2):
            c.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            found = c.response()
            assert (found["Connection"], found["Content-Length"], found.text) == ("keep-alive", "3", "abc")
        found = c.ask("/")
        assert ("Content-Length" in found, found.text, found.trailers) == (False, "abc", [("T", "v")])
