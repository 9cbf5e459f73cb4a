"""proxy_cache and proxy_store: what is kept, for how long, who fetches it, and what goes wrong."""

from __future__ import annotations

import os
import threading
import time
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.backend import Answer

CONF = """
%MAIN%
events {}
http {
    proxy_cache_path %DIR%/cache levels=1:2 keys_zone=one:1m %CACHE%;
    server {
        listen 127.0.0.1:%PORT%;
        add_header X-Cache $upstream_cache_status always;
        location / {
            proxy_pass http://127.0.0.1:%UP%;
            proxy_cache one;
            proxy_cache_valid 200 1h;
            %BODY%
        }
        %SERVER%
    }
}
"""


class Counting:
    """A backend's handler that counts what it was asked for."""

    def __init__(self, **headers: str) -> None:
        self.headers = headers
        self.asked: list[Any] = []
        self.status = 200
        self.body = "body"

    def __call__(self, request: Any) -> Answer:
        self.asked.append(request)
        return Answer(f"{self.body} {len(self.asked)}", self.status, headers=dict(self.headers))


def cached(server: Any, backend: Any, handler: Any, body: str = "", **more: Any) -> Any:
    conf = CONF.replace("%BODY%", body).replace("%CACHE%", more.pop("cache", ""))
    conf = conf.replace("%SERVER%", more.pop("server_block", "")).replace("%MAIN%", more.pop("main", ""))
    return server(conf, UP=backend(handler).port, **more)


def files(s: Any) -> list[Path]:
    return [path for path in (s.folder / "cache").rglob("*") if path.is_file()]


def test_second_time_from_the_cache(server: Any, backend: Any) -> None:
    handler = Counting(ETag='"e"')
    s = cached(server, backend, handler)
    first, second = s.get("/a?b=c"), s.get("/a?b=c")
    assert (first.text, first.get("X-Cache")) == ("body 1", "MISS")
    assert (second.text, second.get("X-Cache"), second.get("ETag")) == ("body 1", "HIT", '"e"')
    assert len(handler.asked) == 1
    assert s.get("/a?b=d").get("X-Cache") == "MISS"


def test_the_file_is_as_nginx_writes_it(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(), "proxy_cache_key $uri;")
    s.get("/a")
    (path,) = files(s)
    assert path.name == md5(b"/a").hexdigest()
    assert path.parent.name == path.name[-3:-1] and path.parent.parent.name == path.name[-1:]
    data = path.read_bytes()
    assert int.from_bytes(data[:8], "little") == 5
    assert data[336:].startswith(b"\nKEY: /a\nHTTP/1.1 200 ")
    assert data.endswith(b"\r\n\r\nbody 1")
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("headers", "stored"),
    [
        ({}, True),
        ({"Cache-Control": "max-age=60"}, True),
        ({"Cache-Control": "max-age=0"}, False),
        ({"Cache-Control": "no-store"}, False),
        ({"Cache-Control": "Private"}, False),
        ({"Cache-Control": "max-age=x"}, False),
        ({"Set-Cookie": "a=b"}, False),
        ({"Vary": "*"}, False),
        ({"Expires": "Thu, 01 Jan 1970 00:00:01 GMT"}, False),
        ({"Expires": "Thu, 01 Jan 1970 00:00:01 GMT", "X-Accel-Expires": "60"}, True),
        ({"X-Accel-Expires": "0"}, False),
        ({"X-Accel-Expires": "@1"}, True),  # stored, and too old at once
    ],
)
def test_what_the_head_says(server: Any, backend: Any, headers: dict[str, str], stored: bool) -> None:
    s = cached(server, backend, Counting(**headers))
    s.get("/")
    assert bool(files(s)) is stored


def test_statuses(server: Any, backend: Any) -> None:
    handler = Counting()
    handler.status = 404
    s = cached(server, backend, handler, "proxy_cache_valid 404 any 1m;")
    assert [s.get("/").get("X-Cache") for _ in range(2)] == ["MISS", "HIT"]
    assert s.get("/").status == 404


def test_bypass_and_no_cache(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(), "proxy_cache_bypass $arg_bypass; proxy_no_cache $arg_no; proxy_cache_key $uri;")
    assert s.get("/a?no=1").get("X-Cache") == "MISS" and not files(s)
    assert s.get("/a").text == "body 2"
    refreshed = s.get("/a?bypass=1")
    assert (refreshed.get("X-Cache"), refreshed.text) == ("BYPASS", "body 3")
    assert s.get("/a").text == "body 3"


def test_min_uses(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(), "proxy_cache_min_uses 3;")
    assert [s.get("/").get("X-Cache") for _ in range(4)] == ["MISS", "MISS", "MISS", "HIT"]


def test_vary(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(Vary="X-Lang, Accept-Encoding"))

    def get(lang: str, coding: str = "gzip, br") -> Any:
        return s.get("/", headers={"Host": "a", "X-Lang": lang, "Accept-Encoding": coding})

    assert [get(lang).text for lang in ("de", "fr", "de", "fr")] == ["body 1", "body 2", "body 1", "body 2"]
    assert get("de", "gzip,br").text == "body 1"
    assert get("de", "br").text == "body 3"


def test_head_is_fetched_whole(server: Any, backend: Any) -> None:
    handler = Counting()
    s = cached(server, backend, handler)
    head = s.get("/", method="HEAD")
    assert (head.text, head.get("Content-Length")) == ("", "6")
    assert handler.asked[0].method == "GET"
    assert s.get("/").get("X-Cache") == "HIT"


def test_ranges_of_what_is_kept(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(**{"Accept-Ranges": "bytes"}))
    part = {"Host": "a", "Range": "bytes=1-2"}
    assert [(r.status, r.text) for r in (s.get("/", headers=part), s.get("/", headers=part))] == [(206, "od")] * 2
    assert s.get("/").text == "body 1"
    two = s.get("/", headers={"Host": "a", "Range": "bytes=0-0,2-2"})
    assert two.get("Content-Type").startswith("multipart/byteranges")


def test_not_modified_from_the_cache(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(ETag='"e"'))
    s.get("/")
    assert s.get("/", headers={"Host": "a", "If-None-Match": '"e"'}).status == 304


def test_stale_when_the_upstream_fails(server: Any, backend: Any) -> None:
    handler = Counting(**{"X-Accel-Expires": "@1"})
    s = cached(server, backend, handler, "proxy_cache_use_stale http_500;")
    s.get("/")
    handler.status = 500
    stale = s.get("/")
    assert (stale.status, stale.text, stale.get("X-Cache")) == (200, "body 1", "STALE")
    handler.status = 503
    assert (s.get("/").status, s.get("/").get("X-Cache")) == (503, "EXPIRED")


def test_revalidation(server: Any, backend: Any) -> None:
    handler = Counting(**{"X-Accel-Expires": "@1", "ETag": '"e"', "Last-Modified": "Thu, 01 Jan 1970 00:00:09 GMT"})
    s = cached(server, backend, handler, "proxy_cache_revalidate on;")
    s.get("/")
    handler.status = 304
    handler.headers = {"X-Accel-Expires": "60"}
    again = s.get("/")
    assert (again.status, again.text, again.get("X-Cache")) == (200, "body 1", "REVALIDATED")
    sent = handler.asked[1]
    assert sent.get("If-None-Match") == '"e"'
    assert sent.get("If-Modified-Since") == "Thu, 01 Jan 1970 00:00:09 GMT"
    assert s.get("/").get("X-Cache") == "HIT"


def test_background_update(server: Any, backend: Any) -> None:
    handler = Counting(**{"X-Accel-Expires": "@1"})
    s = cached(server, backend, handler, "proxy_cache_background_update on; proxy_cache_use_stale updating;")
    s.get("/")
    handler.headers = {}
    assert s.get("/").text == "body 1"
    wait_until(lambda: s.get("/").text == "body 2", "the update")


def test_one_fetches_for_all(server: Any, backend: Any) -> None:
    arrived, leave = threading.Event(), threading.Event()
    asked = []

    def slow(request: Any) -> str:
        asked.append(request)
        arrived.set()
        leave.wait(30)
        return "slow"

    s = cached(server, backend, slow, "proxy_cache_lock on;", main="worker_processes 2;")
    clients = [s.connect() for _ in range(4)]
    try:
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert arrived.wait(30)
        time.sleep(0.2)
        leave.set()
        assert [client.response().text for client in clients] == ["slow"] * 4
        assert len(asked) == 1
    finally:
        for client in clients:
            client.close()


def test_a_client_that_goes_does_not_end_it(server: Any, backend: Any) -> None:
    asked, go = threading.Event(), threading.Event()

    def slow(request: Any) -> str:
        asked.set()
        go.wait(30)
        return "x" * 200_000

    s = cached(server, backend, slow)
    client = s.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert asked.wait(30)
    client.close()
    go.set()
    wait_until(lambda: len(files(s)) == 1, "the file")
    assert s.get("/").get("X-Cache") == "HIT"


def test_a_broken_response_is_not_kept(server: Any, backend: Any) -> None:
    def talk(sock: Any) -> None:
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")

    up = backend(talk=talk)
    conf = CONF.replace("%BODY%", "").replace("%CACHE%", "").replace("%SERVER%", "").replace("%MAIN%", "")
    s = server(conf, UP=up.port)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert c.rest().endswith(b"short")
    wait_until(lambda: "prematurely closed" in s.log(), "the log line")
    assert not files(s)
    assert not [path for path in (s.folder / "proxy_temp").rglob("*") if path.is_file()]


def test_a_broken_file_is_fetched_again(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting())
    s.get("/")
    (path,) = files(s)
    path.write_bytes(b"garbage")
    assert (s.get("/").text, s.get("/").text) == ("body 2", "body 2")
    assert f'cache file "{path}" is too small' in s.log()


def test_a_vanished_file_is_fetched_again(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting())
    s.get("/")
    (path,) = files(s)
    path.unlink()
    assert (s.get("/").text, s.get("/").text) == ("body 2", "body 2")


def test_no_place_to_store(server: Any, backend: Any) -> None:
    """Root writes anywhere: a file stands where a folder is needed."""
    s = cached(server, backend, Counting(), cache="use_temp_path=off")
    for digit in "0123456789abcdef":
        (s.folder / "cache" / digit).write_text("")
    assert [s.get("/").text for _ in range(2)] == ["body 1", "body 2"]
    assert "[crit]" in s.log()


def test_kept_over_a_reload(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting())
    s.get("/")
    s.reload()
    assert s.get("/").get("X-Cache") == "HIT"


def test_kept_over_a_restart(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting())
    s.get("/")
    s.stop()
    s.start()
    assert s.get("/").get("X-Cache") == "HIT"


def test_the_manager_deletes_what_nobody_wants(server: Any, backend: Any) -> None:
    s = cached(server, backend, Counting(), cache="inactive=3s manager_sleep=50ms")
    s.get("/")
    assert len(files(s)) == 1
    wait_until(lambda: not files(s), "the file to go")
    assert s.get("/").get("X-Cache") == "MISS"


def test_the_manager_keeps_to_the_size(server: Any, backend: Any) -> None:
    handler = Counting()
    handler.body = "x" * 100_000
    s = cached(server, backend, handler, cache="max_size=300k")
    for i in range(10):
        s.get(f"/{i}")
    wait_until(lambda: len(files(s)) <= 3, "the cache to shrink")
    assert s.get("/9").get("X-Cache") == "HIT"


def test_by_a_variable(server: Any, backend: Any) -> None:
    s = cached(
        server, backend, Counting(),
        server_block="location /v/ { proxy_pass http://127.0.0.1:%UP%; proxy_cache $arg_zone; proxy_cache_valid any 1h; }",
    )  # fmt: skip
    assert [s.get("/v/?zone=one").get("X-Cache") for _ in range(2)] == ["MISS", "HIT"]
    assert s.get("/v/?zone=off").get("X-Cache") is None
    assert s.get("/v/?zone=two").status == 500
    assert 'cache "two" not found' in s.log()


def test_store(server: Any, backend: Any) -> None:
    handler = Counting(**{"Last-Modified": "Thu, 01 Jan 1970 00:00:09 GMT"})
    s = cached(
        server, backend, handler,
        server_block="""
            location /on/ { root %DIR%/store; proxy_pass http://127.0.0.1:%UP%; proxy_store on; proxy_store_access all:r; }
            location /as/ { proxy_pass http://127.0.0.1:%UP%; proxy_store %DIR%/store/$arg_name; }
        """,
    )  # fmt: skip
    assert s.get("/on/a/b").text == "body 1"
    kept = s.folder / "store/on/a/b"
    assert kept.read_text() == "body 1"
    assert (kept.stat().st_mtime, kept.stat().st_mode & 0o777) == (9, 0o604)
    s.get("/as/?name=c")
    assert (s.folder / "store/c").read_text() == "body 2"
    handler.status = 404
    s.get("/as/?name=d")
    assert not (s.folder / "store/d").exists()


@pytest.mark.parametrize(
    ("directives", "message"),
    [
        ("proxy_cache nothing;", '"proxy_cache" zone "nothing" is unknown in'),
        ("proxy_cache one; proxy_cache one;", '"proxy_cache" directive is duplicate in'),
        ("proxy_cache one; proxy_store on;", '"proxy_store" directive is incompatible with "proxy_cache" in'),
        ("proxy_cache_valid 99 1m;", 'invalid status "99" in'),
        ("proxy_cache_valid 200 x;", 'invalid time value "x" in'),
        ("proxy_cache_methods PUT;", 'invalid value "PUT" in'),
        ("} proxy_cache_path p keys_zone=a:1k; server {", 'keys zone "keys_zone=a:1k" is too small in'),
        ("} proxy_cache_path p levels=3 keys_zone=a:1m; server {", 'invalid "levels" "levels=3" in'),
        ("} proxy_cache_path p; server {", "invalid number of arguments in"),
        ("} proxy_cache_path p inactive=1d; server {", '"proxy_cache_path" must have "keys_zone" parameter in'),
        ("} proxy_cache_path p keys_zone=one:1m; server {", 'duplicate zone "one" in'),
        ("} proxy_cache_path %DIR%/cache keys_zone=b:1m; server {", "the same path name"),
    ],
)
def test_refused(configtest: Any, directives: str, message: str) -> None:
    conf = """
        events {}
        http {
            proxy_cache_path %DIR%/cache levels=1:2 keys_zone=one:1m;
            server { listen 127.0.0.1:%PORT%; %DIRECTIVES% }
        }
    """
    assert message in configtest(conf.replace("%DIRECTIVES%", directives)).stderr


def test_the_loader_finds_what_is_there(tmp_path: Path) -> None:
    from geng.conf.convert import Path as Folder
    from geng.core.zone import Zone
    from geng.process.cache_processes import CacheProcess
    from geng.upstream.cache_zone import ENTRIES, SIZE, CacheZone, Parameters

    cache = CacheZone(Folder(str(tmp_path), (1,)), Parameters(name="z", size=1 << 20))
    cache.zone = Zone("z", 1 << 20)
    cache.zone.map()
    cache.mapped(cache.zone, None)
    assert cache.cold
    key = bytes(range(16))
    os.makedirs(os.path.dirname(cache.file_name(key)))
    Path(cache.file_name(key)).write_bytes(bytes(5000))
    Path(cache.file_name(key) + ".0000000001").write_bytes(b"unfinished")
    (tmp_path / "junk").write_bytes(bytes(5000))
    loader = CacheProcess.__new__(CacheProcess)
    loader._load(cache)
    assert cache.zone.slots[ENTRIES] == 1 and cache.zone.slots[SIZE] > 0
    assert not (tmp_path / "junk").exists()
    assert Path(cache.file_name(key) + ".0000000001").exists()
    at, new = cache.enter(key)
    assert at and not new
