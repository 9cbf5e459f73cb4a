"""examples/http3: one port, HTTP/1 and HTTP/3."""

from __future__ import annotations

from tests.harness.tls import Authority, Connection
from tests.http.v3.client import Client


def test_both(example, tmp_path):
    made = Authority(tmp_path).issue("site", "localhost")
    s = example("http3")
    address = s.address("PORT8043")
    with Connection(address, made.context()) as tcp:
        answer = tcp.ask("/hello", headers={"Connection": "close"})
        assert answer.text == "Hello by HTTP/1.1\n"
        assert answer["Alt-Svc"] == f'h3=":{s.ports["PORT8043"]}"; ma=86400'
    with Client(address) as c:
        assert c.get("/hello").text == "Hello by HTTP/3.0\n"
        assert "<h1>HTTP/3</h1>" in c.get("/").text
