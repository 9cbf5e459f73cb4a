"""One configuration, one request, two servers: nginx's answer is the expected one, byte for byte.

Left out of the comparison: the server's name and version, the date, and the port and folder that differ by necessity.
"""

from __future__ import annotations

import re
import socket
import zlib

import pytest

from tests.harness.backend import Answer
from tests.harness.client import Connection
from tests.harness.server import Server

FILES = {
    "site/index.html": "<h1>index</h1>\n",
    "site/a.txt": "0123456789" * 30,
    "site/folder/index.html": "<h1>folder</h1>\n",
    "site/with space.txt": "space\n",
    "site/empty.txt": "",
    "site/404.html": "<h1>lost</h1>\n",
}

CONF = """
events { }
http {
    types { text/html html; text/plain txt; }
    default_type application/octet-stream;
    client_max_body_size 1k;
    server {
        listen 127.0.0.1:%PORT%;
        server_name localhost;
        root %DIR%/site;

        location /return/ { return 200 "uri=$uri args=$args host=$host method=$request_method\\n"; }
        location /gone { return 410; }
        location /moved/ { return 301 /elsewhere?$args; }
        location /found { return 302 http://other.test/; }
        location /page { error_page 404 =203 /404.html; }
        location /named { try_files $uri @named; }
        location @named { return 202 "named\\n"; }
        location = /exact { return 200 "exact\\n"; }
        location ~ \\.php$ { return 403; }
        location /rewrite/ { rewrite ^/rewrite/(.*)$ /return/$1?more=1 last; }
        location /added { add_header X-A 1; add_header X-B 2 always; return 204; }
        location /denied { deny all; }
        location /proxy/ { proxy_pass http://127.0.0.1:%UP%/base/; }
        location /expires { expires 1h; alias %DIR%/site/a.txt; }
        location /gzip.txt { gzip on; gzip_types text/plain; alias %DIR%/site/a.txt; }
        location /list/ { autoindex on; alias %DIR%/site/; }
    }
    server {
        listen 127.0.0.1:%PORT%;
        server_name *.second.test;
        return 200 "second: $host\\n";
    }
}
"""


def get(target: str, *headers: str, method: str = "GET", version: str = "1.1", body: str = "") -> str:
    lines = "".join(f"{header}\r\n" for header in headers)
    host = "" if any(header.startswith("Host:") for header in headers) else "Host: localhost\r\n"
    return f"{method} {target} HTTP/{version}\r\n{host}{lines}\r\n{body}"


REQUESTS = {
    # files
    "index": get("/"),
    "head": get("/a.txt", method="HEAD"),
    "file": get("/a.txt"),
    "empty file": get("/empty.txt"),
    "space in a name": get("/with%20space.txt"),
    "missing": get("/missing"),
    "folder without slash": get("/folder?x=1"),
    "folder": get("/folder/"),
    "post to a file": get("/a.txt", "Content-Length: 0", method="POST"),
    "dots": get("/folder/../a.txt"),
    "too many dots": get("/../a.txt"),
    "double slash": get("//a.txt"),
    "range": get("/a.txt", "Range: bytes=5-9"),
    "last bytes": get("/a.txt", "Range: bytes=-3"),
    "several ranges out of order": get("/a.txt", "Range: bytes=900-"),
    "not modified": get("/a.txt", "If-Modified-Since: Fri, 01 Jan 2999 00:00:00 GMT"),
    "precondition": get("/a.txt", "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT"),
    "expires": get("/expires"),
    "gzip": get("/gzip.txt", "Accept-Encoding: gzip"),
    "autoindex": get("/list/"),
    # configuration
    "return": get("/return/a%20b?c=d"),
    "return with status alone": get("/gone"),
    "redirect": get("/moved/?a=b"),
    "redirect elsewhere": get("/found"),
    "error page with another status": get("/page"),
    "try_files": get("/named/x"),
    "exact": get("/exact"),
    "regex": get("/x.php"),
    "rewrite": get("/rewrite/x?y=1"),
    "added headers": get("/added"),
    "denied": get("/denied"),
    "proxied": get("/proxy/x?y=1", "Connection: close"),
    "proxied post": get("/proxy/x", "Content-Length: 3", "Connection: close", method="POST", body="abc"),
    # names
    "second server": get("/", "Host: a.second.test"),
    "name with dot": get("/", "Host: A.SECOND.TEST."),
    "name and port": get("/return/", "Host: localhost:99"),
    # versions and connections
    "HTTP/1.0": get("/return/", version="1.0"),
    "HTTP/1.0 keepalive": get("/return/", "Connection: keep-alive", version="1.0") + get("/exact", version="1.0"),
    "HTTP/0.9": "GET /exact\r\n",
    "HTTP/2.0": get("/", version="2.0"),
    "pipelined": get("/exact") + get("/return/") + get("/missing"),
    "absolute address": get("http://a.second.test/x"),
    # refused
    "no host": "GET / HTTP/1.1\r\n\r\n",
    "two hosts": get("/", "Host: a", "Host: b"),
    "bad host": get("/", "Host: a/b"),
    "garbage": "garbage\r\n\r\n",
    "bad version": "GET / HTTP/x\r\n\r\n",
    "bad method": "get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad header": get("/", "Bad Header: x"),
    "bad escape": get("/%zz"),
    "length and chunks": get("/exact", "Content-Length: 1", "Transfer-Encoding: chunked", method="POST"),
    "bad length": get("/exact", "Content-Length: x", method="POST"),
    "body too large": get("/a.txt", "Content-Length: 2000", method="POST"),
    "unknown coding": get("/exact", "Transfer-Encoding: gzip", method="POST"),
    "TRACE": get("/exact", method="TRACE"),
    "CONNECT": "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long line": get("/" + "x" * 10_000),
    "long header": get("/", "X: " + "x" * 10_000),
    "expect": get("/exact", "Expect: 100-continue", "Content-Length: 1", method="POST", body="x"),
}

# Where nginx 1.31.5, which is what geng is, answers with another status than Debian's 1.22.
CHANGED = {"CONNECT": 405}


def echo(r):
    """What the backend was sent; nginx keeps connections to it only since 1.29.7."""
    return Answer(f"{r.method} {r.target} {r.body!r} {sorted(name for name, _ in r.headers if name != 'Connection')}\n")


@pytest.mark.parametrize("name", REQUESTS)
def test_same_answer(name, pair, backend):
    up = backend(echo)
    nginx, geng = pair(CONF, files=FILES, UP=up.port)
    ask = REQUESTS[name].encode()
    expected, found = answer(nginx, ask), answer(geng, ask)
    if name in CHANGED:
        assert found.startswith(f"HTTP/1.1 {CHANGED[name]} ")
    else:
        assert found == expected


def answer(s: Server, ask: bytes) -> str:
    """All that the server sends, made comparable."""
    with Connection(s.address()) as c:
        c.send(ask)
        if b"Connection: close" not in ask:  # one who says it may still listen: both give up a proxied request for less
            c.sock.shutdown(socket.SHUT_WR)
        received = c.rest().decode("latin-1")
    received = received.replace(f":{s.ports['PORT']}", ":PORT")
    received = re.sub(r"(Server: |<center>)nginx/[\d.]+|(Server: |<center>)geng[^\r<]*", r"\1\2SERVER", received)
    received = re.sub(r"(Date|Last-Modified|Expires): [^\r]+", r"\1: DATE", received)
    received = re.sub(r'ETag: (W/)?"[^"]+"', r"ETag: \1TAG", received)
    head, _, body = received.partition("\r\n\r\n")
    if "Content-Encoding: gzip" in head:  # what a library other than zlib makes of it is as good
        size, _, chunk = body.partition("\r\n")
        received = head + zlib.decompress(chunk[: int(size, 16)].encode("latin-1"), 31).decode()
    return re.sub(r"\d\d-\w\w\w-\d{4} \d\d:\d\d", "WHEN", received)
