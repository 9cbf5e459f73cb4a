"""Directives of small modules whose effect is small: each is used once, and seen."""

from __future__ import annotations

import gzip
from typing import Any

from tests.harness.backend import Answer
from tests.harness.client import Connection

CONF = """
events { }
http {
    limit_req_zone $server_port zone=req:1m rate=1r/m;
    server {
        listen 127.0.0.1:%PORT%;
        root %DIR%;
        types { text/plain txt; }
        location /packed/ {
            gzip on; gzip_types text/plain; gzip_min_length 1; gzip_buffers 4 4k; gzip_no_buffer on;
            alias %DIR%/;
        }
        location /unpacked/ { gunzip on; gunzip_buffers 4 4k; gzip_static always; alias %DIR%/; }
        location /dry { limit_req zone=req; limit_req_dry_run on; limit_req_log_level info; try_files $uri @said; }
        location /limited { limit_req zone=req; limit_req_status 429; try_files $uri @said; }
        location @said { return 200 "$limit_req_status"; }
        location /charset/ { charset utf-8; charset_types text/x-a; default_type text/x-a; types { } alias %DIR%/; }
        location /trailers {
            add_trailer A 1;
            location /trailers/merged { add_trailer_inherit merge; add_trailer B 2; return 200 x; }
            location /trailers/own { add_trailer B 2; return 200 x; }
        }
        location /proxied/ {
            proxy_pass http://127.0.0.1:%UP%/;
            proxy_socket_keepalive on;
            proxy_socket_rcvbuf 64k;
            proxy_socket_sndbuf 64k;
            proxy_send_timeout 5s;
            proxy_send_lowat 0;
            proxy_headers_hash_max_size 1024;
            proxy_headers_hash_bucket_size 128;
            proxy_buffer_size 8k;
            proxy_temp_file_write_size 16k;
            proxy_next_upstream_timeout 5s;
            proxy_ignore_client_abort on;
            proxy_set_header X-To $proxy_host:$proxy_port;
        }
        location /ranges/ { proxy_pass http://127.0.0.1:%UP%/; proxy_force_ranges on; }
    }
}
"""
TEXT = "0123456789" * 100


def start(server: Any, backend: Any) -> Any:
    up = backend(lambda request: Answer(request.get("X-To") or TEXT, headers={"Accept-Ranges": "none"}))
    return server(CONF, files={"a.txt": TEXT, "a.txt.gz": gzip.compress(TEXT.encode())}, UP=up.port), up


def test_gzip_and_gunzip_with_buffers_of_any_size(server: Any, backend: Any) -> None:
    s, _ = start(server, backend)
    with Connection(s.address()) as c:
        packed = c.ask("/packed/a.txt", headers={"Accept-Encoding": "gzip"})
        assert packed["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.body).decode() == TEXT
        plain = c.ask("/unpacked/a.txt")
        assert ("Content-Encoding" in plain, plain.text) == (False, TEXT)


def test_limits_that_only_tell(server: Any, backend: Any) -> None:
    s, _ = start(server, backend)
    with Connection(s.address()) as c:
        assert c.ask("/limited").text == "PASSED"
        assert c.ask("/dry").text == "REJECTED_DRY_RUN"
        assert c.ask("/limited").status == 429
    assert "[info]" in next(line for line in s.log().splitlines() if "limiting requests, dry run, excess: " in line)


def test_charset_types(server: Any, backend: Any) -> None:
    s, _ = start(server, backend)
    with Connection(s.address()) as c:
        assert c.ask("/charset/a.txt")["Content-Type"] == "text/x-a; charset=utf-8"


def test_trailers_of_the_level_above(server: Any, backend: Any) -> None:
    s, _ = start(server, backend)
    with Connection(s.address()) as c:
        assert c.ask("/trailers/merged").trailers == [("B", "2"), ("A", "1")]
        assert c.ask("/trailers/own").trailers == [("B", "2")]


def test_proxy_with_everything_said(server: Any, backend: Any) -> None:
    s, up = start(server, backend)
    with Connection(s.address()) as c:
        assert c.ask("/proxied/x").text == f"127.0.0.1:{up.port}:{up.port}"
        part = c.ask("/ranges/x", headers={"Range": "bytes=5-9"})
        assert (part.status, part.text) == (206, "56789")
