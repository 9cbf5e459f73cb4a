"""limit_conn and limit_req: what they count, and a zone that is full."""

from __future__ import annotations

import threading
from hashlib import blake2b
from typing import Any

import pytest

from geng.core.table import WIDTH, SharedTable
from geng.core.zone import RESERVED, WORD, Zone
from geng.http.limits import Counted
from geng.modules.http.limit_req import COUNT, NO_ROOM, OK, Limit, _look
from scripts.lib.servers import wait_until
from tests.harness.client import Connection, request

CONF = """
events {}
http {
    limit_conn_zone $arg_k zone=one:32k;
    limit_req_zone $arg_k zone=two:32k rate=1r/m;
    proxy_cache_path %DIR%/cache keys_zone=three:32k;
    server {
        listen 127.0.0.1:%PORT%;
        location /conn { limit_conn one 1; proxy_pass http://127.0.0.1:%UP%; }
        location /dry { limit_conn one 1; limit_conn_dry_run on; add_header X-Status $limit_conn_status; empty_gif; }
        location /req { limit_req zone=two burst=1 nodelay; limit_req_status 429; empty_gif; }
        location /cache { proxy_pass http://127.0.0.1:%UP%; proxy_cache three; proxy_cache_key $arg_k; }
    }
}
"""


def of_one_bucket(count: int, buckets: int, hashed: Any) -> list[str]:
    """*count* keys that the hash sends to the same place."""
    found: list[str] = []
    wanted = -1
    for i in range(10_000_000):
        number = int.from_bytes(blake2b(hashed(f"k{i}"), digest_size=8).digest(), "little", signed=True) or 1
        if wanted < 0:
            wanted = number % buckets
        if number % buckets == wanted:
            found.append(f"k{i}")
            if len(found) == count:
                return found
    raise AssertionError


def test_counted(server: Any, backend: Any) -> None:
    go = threading.Event()
    s = server(CONF, UP=backend(lambda r: "x" if go.wait(60) else None).port)
    with s.connect() as c:
        c.send(request("/conn?k=a"))
        wait_until(lambda: s.get("/dry?k=a")["X-Status"] == "REJECTED_DRY_RUN", "the first one counted")
        assert s.get("/conn?k=a").status == 503
        assert s.get("/dry?k=b")["X-Status"] == "PASSED"
        go.set()
        assert c.response().text == "x"
        wait_until(lambda: s.get("/dry?k=a")["X-Status"] == "PASSED", "the first one gone")
    assert 'limiting connections by zone "one", client: ' in s.log()
    assert [s.get("/req?k=a").status for _ in range(3)] == [200, 200, 429]
    assert s.get("/req?k=b").status == 200
    assert ' by zone "two", client: ' in s.log()


def test_no_room_for_connections(server: Any, backend: Any) -> None:
    go = threading.Event()
    s = server(CONF, UP=backend(lambda r: "x" if go.wait(60) else None).port)
    keys = of_one_bucket(WIDTH + 1, (32768 // WORD - RESERVED) // (2 * WIDTH), str.encode)
    held = [s.connect() for _ in range(WIDTH)]
    for c, key in zip(held, keys, strict=False):
        c.send(request(f"/conn?k={key}"))
        wait_until(lambda key=key: s.get(f"/dry?k={key}")["X-Status"] == "REJECTED_DRY_RUN", "it counted")  # type: ignore[misc]
    assert s.get(f"/conn?k={keys[-1]}").status == 503
    assert "[crit]" in s.log() and 'ngx_slab_alloc() failed: no memory in limit_conn_zone "one"\n' in s.log()
    assert s.get(f"/dry?k={keys[-1]}")["X-Status"] == "REJECTED_DRY_RUN"
    go.set()
    for c in held:
        assert c.response().status == 200
        c.close()
    wait_until(lambda: s.get(f"/dry?k={keys[-1]}")["X-Status"] == "PASSED", "room again")


def test_no_room_in_the_cache(server: Any, backend: Any) -> None:
    from hashlib import md5

    from geng.upstream.cache_zone import START, WORDS

    go = threading.Event()
    up = backend(lambda r: "x" if go.wait(60) else None)
    s = server(CONF, UP=up.port, alerts=True)
    buckets = (32768 // WORD - START) // ((WORDS + 1) * WIDTH)
    keys = of_one_bucket(WIDTH + 1, buckets, lambda key: md5(key.encode()).digest())
    held = [s.connect() for _ in range(WIDTH)]
    for i, (c, key) in enumerate(zip(held, keys, strict=False), 1):
        c.send(request(f"/cache?k={key}"))
        wait_until(lambda i=i: len(up.requests) == i, "it on its way")  # type: ignore[misc]
    assert s.get(f"/cache?k={keys[-1]}").status == 500
    assert "[alert]" in s.log() and 'could not allocate node in cache keys zone "three"\n' in s.log()
    go.set()
    for c in held:
        assert c.response().status == 200
        c.close()
    wait_until(lambda: s.get(f"/cache?k={keys[-1]}").status == 200, "room again")


def test_no_room_for_requests() -> None:
    """Only while other workers look at every entry of a bucket, so nothing from outside can bring it about."""
    zone = Zone("z", 32768)
    zone.map()
    counted = Counted(None, 3, 1000)  # type: ignore[arg-type]
    counted.table = table = SharedTable(zone, 3)
    limit = Limit(zone, 0, 0)
    keys = [key.encode() for key in of_one_bucket(WIDTH + 1, table.buckets, str.encode)]
    for key in keys[:-1]:
        assert _look(limit, counted, key, 1000, True)[0] == OK
        table.slots[table.find(key, lambda at: -1, create=False)[0] + COUNT] = 1
    assert _look(limit, counted, keys[-1], 1000, True)[0] == NO_ROOM
    table.slots[table.find(keys[3], lambda at: -1, create=False)[0] + COUNT] = 0
    assert _look(limit, counted, keys[-1], 1000, True)[0] == OK


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("limit_conn_zone a zone=one:8k;", 'zone "zone=one:8k" is too small'),
        ("limit_req_zone a zone=one:32k rate=0r/s;", "invalid rate"),
    ],
)
def test_mistakes(configtest: Any, text: str, words: str) -> None:
    assert words in configtest(f"events {{}} http {{ {text} }}").stderr


def test_a_request_that_is_redirected_inside_counts_once(server):
    """`/` becomes /index.html, and what is missing @else: still one request, of one that is allowed."""
    s = server(
        """
        events { }
        http {
            limit_req_zone $arg_key zone=req:1m rate=1r/m;
            limit_conn_zone $server_port zone=conn:1m;
            server {
                listen 127.0.0.1:%PORT%;
                root %DIR%;
                limit_req zone=req;
                limit_conn conn 1;
                location / { index index.html; }
                location /missing { try_files $uri @else; }
                location @else { return 200 "$limit_req_status $limit_conn_status"; }
                location /lost { error_page 404 = @else; }
            }
        }
        """,
        files={"index.html": "index"},
    )
    with Connection(s.address()) as c:
        assert [c.ask(target).text for target in ("/?key=a", "/missing?key=b", "/lost?key=c")] == [
            "index",
            "PASSED PASSED",
            "PASSED PASSED",
        ]
        assert c.ask("/?key=a").status == 503
    assert "limiting connections" not in s.log()
