"""degradation: a worker that has grown too large."""

from __future__ import annotations

from typing import Any

import pytest

CONF = """
events {}
http {
    degradation sbrk=%SIZE%;
    server {
        listen 127.0.0.1:%PORT%;
        location / { degrade 204; return 200 whole; }
        location /content { degrade 204; empty_gif; }
        location /closes { degrade 444; empty_gif; }
        location /always { empty_gif; }
    }
}
"""


@pytest.mark.live
def test_a_small_worker(server: Any) -> None:
    s = server(CONF, SIZE="16000m")
    assert s.get("/content").status == 200
    assert s.get("/closes").status == 200
    assert s.log().lacks("degradation sbrk")


@pytest.mark.live
def test_a_large_worker(server: Any) -> None:
    s = server(CONF, SIZE="1m")
    assert s.get("/").text == "whole"  # rewrite comes before
    assert s.get("/content").status == 204
    with s.connect() as c:
        assert c.send(b"GET /closes HTTP/1.1\r\nHost: x\r\n\r\n").closed()
    assert s.get("/always").status == 200
    assert "degradation sbrk:" in s.log()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("degradation sbrk=x;", 'invalid sbrk size "sbrk=x" in'),
        ("degradation heap=1m;", 'invalid parameter "heap=1m" in'),
        ("degrade 200;", 'invalid value "200" in'),
    ],
)
def test_mistakes(configtest: Any, text: str, message: str) -> None:
    assert message in configtest(f"events {{}} http {{ {text} }}").stderr
