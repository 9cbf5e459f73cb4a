"""A cache that one server has filled serves the other: nginx's files are geng's, and the other way round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness.backend import Answer
from tests.harness.peers import peer
from tests.harness.server import Server

CONF = """
events {}
http {
    proxy_cache_path %CACHE% levels=1:2 keys_zone=one:1m;
    server {
        listen 127.0.0.1:%PORT%;
        location / {
            proxy_pass http://127.0.0.1:%UP%;
            proxy_cache one;
            proxy_cache_key $uri;
            proxy_cache_valid 1h;
            add_header X-Cache $upstream_cache_status;
        }
    }
}
"""


def test_the_same_files(server: Any, backend: Any, tmp_path: Path) -> None:
    nginx = peer("nginx")
    up = backend(lambda request: Answer(request.target, headers={"Vary": "Accept", "ETag": '"e"', "X-A": "b"}))
    folder = tmp_path / "nginx"
    folder.mkdir()
    theirs = Server(CONF, folder, command=[nginx], UP=up.port, CACHE=tmp_path / "shared").start()
    try:
        assert theirs.get("/from-nginx").get("X-Cache") == "MISS"
        ours = server(CONF, UP=up.port, CACHE=tmp_path / "shared")
        found = ours.get("/from-nginx")
        assert (found.get("X-Cache"), found.text, found["X-A"]) == ("HIT", "/from-nginx", "b")
        assert ours.get("/from-geng").get("X-Cache") == "MISS"
        found = theirs.get("/from-geng")
        assert (found.get("X-Cache"), found.text, found["X-A"]) == ("HIT", "/from-geng", "b")
    finally:
        theirs.stop()
