"""The fixtures themselves, on the smallest configurations: what they promise other tests holds."""

from __future__ import annotations

import pytest

from tests.harness.backend import Answer
from tests.harness.client import Truncated

RETURN = """
events { }
http {
    server {
        listen 127.0.0.1:%PORT%;
        location / { return 200 "hello $request_method $uri"; }
        location /file/ { alias %DIR%/site/; }
    }
}
"""
PROXY = """
events { }
http {
    server {
        listen 127.0.0.1:%PORT%;
        location / { proxy_pass http://127.0.0.1:%UP%; proxy_http_version 1.1; proxy_set_header Connection ""; }
    }
}
"""


def test_answers(server):
    s = server(RETURN, files={"site/a.txt": "from a file"})
    assert s.get("/x").text == "hello GET /x"
    assert s.get("/file/a.txt").body == b"from a file"
    assert s.get("/file/none").status == 404


def test_one_connection_serves_many(server):
    s = server(RETURN)
    with s.connect() as c:
        assert [c.ask(f"/{number}").text for number in range(3)] == ["hello GET /0", "hello GET /1", "hello GET /2"]
        assert c.ask("/", method="HEAD").body == b""
        c.send(b"GET /pipe HTTP/1.1\r\nHost: x\r\n\r\nGET /line HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert c.response().text == "hello GET /pipe"
        assert c.response().text == "hello GET /line"
        assert c.closed()


def test_raw_bytes(server):
    s = server(RETURN)
    assert [r.status for r in s.raw(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGARBAGE\r\n\r\n")] == [200, 400]


def test_backend_sees_the_request(server, backend):
    up = backend(lambda request: Answer(request.body[::-1], 201, {"X-Seen": request["X-Mark"]}, "Created"))
    s = server(PROXY, UP=up.port)
    answer = s.get("/p?q=1", method="POST", headers={"X-Mark": "7"}, body=b"abc")
    assert (answer.status, answer.body, answer["X-Seen"]) == (201, b"cba", "7")
    assert [(r.method, r.target, r.body) for r in up.requests] == [("POST", "/p?q=1", b"abc")]


def test_backend_with_a_socket_to_itself(server, backend):
    def cut(sock):
        sock.recv(65536)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    s = server(PROXY, UP=backend(talk=cut).port)
    with s.connect() as c, pytest.raises(Truncated):
        c.ask("/")


def test_reload(server):
    s = server(RETURN)
    s.reload(RETURN.replace("hello", "bye"))
    assert s.get("/").text == "bye GET /"


def test_configtest(configtest):
    assert configtest(RETURN).returncode == 0
    refused = configtest("events { }\nhttp { nonsense on; }\n")
    assert refused.returncode == 1
    assert 'unknown directive "nonsense"' in refused.stderr


def test_peer_is_a_path(peer):
    assert peer("sh").startswith("/")
