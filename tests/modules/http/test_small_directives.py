"""Directives and variables of one effect each, all in one configuration that nginx takes as well (`--binary nginx`)."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.backend import Backend
from tests.harness.server import Server

CONF = """
env TZ;
events {}
http {
    log_format seen "$request_uri|$limit_req_status|$limit_conn_status|$sent_http_content_type|$sent_http_content_length"
        "|$sent_http_location|$sent_http_last_modified|$sent_http_connection|$sent_http_x_own|$body_bytes_sent|$pipe|$status";
    access_log %DIR%/access.log seen;
    types { text/html html; text/plain txt; text/x-own own; }
    limit_req_zone $arg_k zone=req:1m rate=1r/m;
    limit_conn_zone $arg_k zone=conn:1m;
    server {
        listen 127.0.0.1:%PORT%;
        server_name named.example;
        root %DIR%/html;
        add_header X-Own own;
        location /utc/ { alias %DIR%/html/list/; autoindex on; }
        location /local/ { alias %DIR%/html/list/; autoindex on; autoindex_localtime on; }
        location /charset/ { alias %DIR%/html/; charset utf-8; charset_types text/x-own; }
        location /req { limit_req zone=req burst=1 nodelay; limit_req_status 429; limit_req_log_level notice; return 204; }
        location /req/ { limit_req zone=req nodelay; limit_req_status 429; limit_req_log_level notice; alias %DIR%/html/; }
        location /dry/ { limit_req zone=req nodelay; limit_req_dry_run on; alias %DIR%/html/; }
        location /conn/ { limit_conn conn 1; limit_conn_status 429; limit_conn_log_level warn; proxy_pass http://127.0.0.1:%UP%; }
        location /last { set_real_ip_from 127.0.0.1; set_real_ip_from 192.0.2.0/24; real_ip_header X-Forwarded-For;
                         add_header X-Seen "$remote_addr $realip_remote_addr" always; }
        location /recursive { set_real_ip_from 127.0.0.1; set_real_ip_from 192.0.2.0/24; real_ip_header X-Forwarded-For;
                              real_ip_recursive on; add_header X-Seen "$remote_addr $realip_remote_addr" always; }
        location /referer {
            valid_referers none blocked server_names *.wild.example right.* /part.example/some ~\\.regex\\d;
            return 200 "[$invalid_referer]";
        }
        location /unset { set $known $arg_none; return 200 "$never$known"; }
        location /unset/quiet { uninitialized_variable_warn off; return 200 "$never2"; }
        if ($arg_never) { set $never 1; set $never2 1; }
        location /errors/ { error_page 404 /errors2/x; }
        location /errors/deep/ { recursive_error_pages on; error_page 404 /errors2/x; }
        location /errors2/ { error_page 404 =200 /page.html; recursive_error_pages on; }
        location /since/off/ { alias %DIR%/html/; if_modified_since off; }
        location /since/exact/ { alias %DIR%/html/; if_modified_since exact; }
        location /since/before/ { alias %DIR%/html/; if_modified_since before; }
        location /redirect/ { port_in_redirect off; rewrite ^ /page.html redirect; }
        location /redirect/named/ { server_name_in_redirect on; rewrite ^ /page.html redirect; }
        location /msie/ { msie_padding off; }
        location /refresh/ { msie_refresh on; rewrite ^ http://other.example/ redirect; }
        location /disable/ { alias %DIR%/html/; keepalive_disable safari; }
        location /file { client_body_in_file_only on; client_body_temp_path %DIR%/bodies; proxy_pass http://127.0.0.1:%UP%;
                         proxy_set_header X-File $request_body_file; }
        location /file/clean { client_body_in_file_only clean; client_body_temp_path %DIR%/bodies;
                               proxy_pass http://127.0.0.1:%UP%; proxy_set_header X-File $request_body_file; }
        location /variables {
            default_type text/plain;
            return 200 "$connection|$connection_requests|$msec|$hostname|$request_id|$is_args|$time_iso8601|$time_local|$tcpinfo_rtt|$tcpinfo_rttvar|$tcpinfo_snd_cwnd|$tcpinfo_rcv_space|$request|$http_referer|$http_via|$http_x_forwarded_for|$realpath_root|$request_time|$pid|$nginx_version";
        }
        location /alive { access_log off; return 204; }
    }
}
"""  # noqa: E501
TIME = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT

pytestmark = pytest.mark.live


class Up:
    """An upstream that answers, once it may; what it was asked."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()
        self.files: list[tuple[str, bytes]] = []
        self.backend = Backend(self.answer)

    def answer(self, request: Any) -> str:
        self.go.wait(20)
        name = request.get("X-File")
        if name:
            with open(name, "rb") as body:
                self.files.append((name, body.read()))
        return "up"


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    made = Up()
    yield made
    made.backend.stop()


@pytest.fixture(scope="module")
def s(tmp_path_factory: pytest.TempPathFactory, command: list[str], up: Up) -> Iterator[Server]:
    files: dict[str, bytes | str] = {"html/page.html": "page", "html/a.own": "own", "html/a.txt": "txt", "html/list/x": ""}
    folder = tmp_path_factory.mktemp("small")
    running = Server(CONF, folder, command=command, files=files, env={"TZ": "XYZ-5"}, UP=up.backend.port)
    for name in ("html/page.html", "html/list/x"):
        os.utime(folder / name, (TIME, TIME))
    yield running.start()
    running.stop()


@pytest.fixture(autouse=True)
def log_anew(s: Server) -> None:
    for name in ("error.log", "access.log"):
        os.truncate(s.folder / name, 0)


def logged(s: Server, *words: str, name: str = "error.log") -> None:
    wait_until(lambda: any(all(word in line for word in words) for line in s.log(name).splitlines()), f"{words} in {name}")


def test_times_in_an_index(s: Server) -> None:
    assert "06-Nov-1994 08:49" in s.get("/utc/").text
    assert "06-Nov-1994 13:49" in s.get("/local/").text


def test_charset_types(s: Server) -> None:
    assert s.get("/charset/a.own")["Content-Type"] == "text/x-own; charset=utf-8"
    assert s.get("/charset/a.txt")["Content-Type"] == "text/plain"
    assert s.get("/charset/page.html")["Content-Type"] == "text/html; charset=utf-8"


def test_limit_req(s: Server) -> None:
    assert [s.get("/req/page.html?k=a").status for _ in range(2)] == [200, 429]
    logged(s, "[notice]", "limiting requests, excess: ", 'by zone "req", client: ')
    assert s.get("/dry/page.html?k=a").status == 200
    logged(s, "[error]", "limiting requests, dry run, excess: ")
    for what in ("/req/page.html?k=a|PASSED|", "/req/page.html?k=a|REJECTED|", "/dry/page.html?k=a|REJECTED_DRY_RUN|"):
        logged(s, what, name="access.log")


def test_limit_conn(s: Server, up: Up) -> None:
    up.go.clear()
    with s.connect() as c:
        c.send(b"GET /conn/?k=b HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: s.get("/conn/?k=b").status == 429, "the first one counted")
        logged(s, "[warn]", 'limiting connections by zone "conn", client: ')
        up.go.set()
        assert c.response().text == "up"
    logged(s, "/conn/?k=b|-|PASSED|", name="access.log")
    logged(s, "/conn/?k=b|-|REJECTED|", name="access.log")


@pytest.mark.parametrize(
    ("target", "addresses", "seen"),
    [
        ("/last", "198.51.100.1, 192.0.2.7", "192.0.2.7 127.0.0.1"),
        ("/recursive", "198.51.100.1, 192.0.2.7", "198.51.100.1 127.0.0.1"),
        ("/recursive", "192.0.2.1, 192.0.2.7", "192.0.2.1 127.0.0.1"),
        ("/recursive", "rubbish, 192.0.2.7", "192.0.2.7 127.0.0.1"),
        ("/recursive", "rubbish", "127.0.0.1 127.0.0.1"),
    ],
)
def test_real_addresses(s: Server, target: str, addresses: str, seen: str) -> None:
    assert s.get(target, {"X-Forwarded-For": addresses})["X-Seen"] == seen


@pytest.mark.parametrize(
    ("referer", "invalid"),
    [
        (None, ""),
        ("something else", ""),
        ("http://named.example/x", ""),
        ("https://NAMED.example", ""),
        ("http://a.wild.example/", ""),
        ("http://wild.example/", "1"),
        ("http://right.org/", ""),
        ("http://part.example/something", "1"),
        ("http://www.regex7/", ""),
        ("http://other.example/", "1"),
        ("http://named.example.evil/", "1"),
    ],
)
def test_referers(s: Server, referer: str | None, invalid: str) -> None:
    assert s.get("/referer", {} if referer is None else {"Referer": referer}).text == f"[{invalid}]"


def test_uninitialized_variables(s: Server) -> None:
    assert s.get("/unset/quiet").text == ""
    assert s.get("/unset").text == ""
    logged(s, "[warn]", 'using uninitialized "never" variable')
    assert "never2" not in s.log()


def test_recursive_error_pages(s: Server) -> None:
    assert s.get("/errors/x").status == 404
    assert (s.get("/errors/deep/x").status, s.get("/errors/deep/x").text) == (200, "page")


@pytest.mark.parametrize(
    ("how", "since", "status"),
    [
        ("off", "Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ("exact", "Sun, 06 Nov 1994 08:49:37 GMT", 304),
        ("exact", "Sun, 06 Nov 1994 08:49:38 GMT", 200),
        ("before", "Sun, 06 Nov 1994 08:49:38 GMT", 304),
        ("before", "Sun, 06 Nov 1994 08:49:36 GMT", 200),
    ],
)
def test_if_modified_since(s: Server, how: str, since: str, status: int) -> None:
    assert s.get(f"/since/{how}/page.html", {"If-Modified-Since": since}).status == status


def test_redirects(s: Server) -> None:
    port = s.ports["PORT"]
    assert s.get("/redirect/", {"Host": "asked.example"})["Location"] == "http://asked.example/page.html"
    assert s.get("/redirect/named/", {"Host": "asked.example"})["Location"] == f"http://named.example:{port}/page.html"


MSIE = {"User-Agent": "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)"}
PADDING = "<!-- a padding to disable MSIE and Chrome friendly error page -->"


def test_msie(s: Server) -> None:
    assert s.get("/nowhere", MSIE).text.count(PADDING) == 6
    assert PADDING not in s.get("/nowhere").text and PADDING not in s.get("/msie/nowhere", MSIE).text
    answer = s.get("/refresh/", MSIE)
    assert answer.status == 200 and '<meta http-equiv="Refresh" content="0; URL=http://other.example/">' in answer.text
    assert s.get("/refresh/").status == 302


def test_keepalive_disable(s: Server) -> None:
    safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_6) AppleWebKit/533 Version/5.0 Safari/533"
    with s.connect() as c:
        assert c.ask("/disable/page.html")["Connection"] == "keep-alive"
        assert c.ask("/page.html", headers={"User-Agent": safari})["Connection"] == "keep-alive"
        assert c.ask("/disable/page.html", headers={"User-Agent": safari})["Connection"] == "close"
        assert c.closed()
    with s.connect() as c:  # msie6 is the default, of which only what has a body is meant
        assert c.ask("/page.html", headers=MSIE)["Connection"] == "keep-alive"
        assert c.ask("/page.html", "POST", MSIE, b"x")["Connection"] == "close"


def test_bodies_in_files(s: Server, up: Up) -> None:
    up.files.clear()
    for target in ("/file", "/file/clean"):
        assert s.get(target, method="POST", body=b"the body").text == "up"
    (kept, body), (cleaned, other) = up.files
    assert body == other == b"the body"
    assert os.path.exists(kept)
    wait_until(lambda: not os.path.exists(cleaned), "the file gone")


def test_variables(s: Server) -> None:
    before = time.time()
    answer = s.get("/variables?a=b", {"Referer": "r", "Via": "v", "X-Forwarded-For": "f"})
    (connection, requests, msec, hostname, id, is_args, iso, local, rtt, rttvar, cwnd, space, request, *rest) = (
        answer.text.split("|")
    )
    assert int(connection) > 0 and requests == "1"
    assert before - 1 <= float(msec) <= time.time() + 1 and len(msec.partition(".")[2]) == 3
    assert hostname == socket.gethostname().lower()
    assert len(bytes.fromhex(id)) == 16
    assert is_args == "?"
    assert iso.endswith("+05:00") and local.endswith("+0500")
    assert all(int(number) >= 0 for number in (rtt, rttvar, cwnd, space)) and int(cwnd) > 0
    assert request == "GET /variables?a=b HTTP/1.1"
    assert rest[:4] == ["r", "v", "f", str((s.folder / "html").resolve())]
    assert float(rest[4]) >= 0 and int(rest[5]) in s.workers() and rest[6].count(".") == 2


def test_what_was_sent(s: Server) -> None:
    with s.connect() as c:
        c.send(b"GET /page.html HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        assert [c.response().text for _ in range(2)] == ["page", "page"]
    s.get("/redirect/", {"Host": "a"})
    head = "/page.html|-|-|text/html|4|-|Sun, 06 Nov 1994 08:49:37 GMT|close|own|4|"  # to the log it is over
    logged(s, head + "p|200", name="access.log")
    logged(s, head + ".|200", name="access.log")
    logged(s, "/redirect/|-|-|text/html|", "|http://a/page.html|-|close|own|", "|.|302", name="access.log")
