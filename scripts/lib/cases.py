"""What scripts/bench measures: one configuration text for both servers, and one URL per case."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from . import handshakes

KB, MB = 1024, 1024 * 1024
SMALL = "sixty-one bytes come from the backend, neither more nor less"  # with its newline
assert len(SMALL) + 1 == 61


@dataclass(frozen=True)
class Case:
    name: str
    what: str
    uri: str
    body: int  # bytes of the answer, at least
    connections: int = 64
    headers: tuple[str, ...] = ()
    send: int = 0  # bytes of the request's body
    tls: bool = False
    handshakes: tuple[str, ...] = ()  # options of `openssl s_time`, where connections are the load


CASES = (
    Case("return", "`return 200`", "/return", 3),
    Case("static1k", "static file, 1 KB, `open_file_cache`", "/cached/1k", KB),
    Case("static1k-open", "static file, 1 KB, opened each time", "/static/1k", KB),
    Case("static1m", "static file, 1 MB", "/static/1m", MB, 16),
    Case("proxy", "proxied, 61 bytes, upstream keepalive, access log", "/proxy/small", 61),
    Case("proxy-real", "the same in a configuration of everyday size", "/api/v1/orders/4711?page=2", 61),
    Case("proxy1m", "proxied, 1 MB", "/proxy/1m", MB, 16),
    Case("proxy10m", "proxied, 10 MB", "/proxy/10m", 10 * MB, 8),
    Case("post10k", "proxied POST of 10 KB", "/upload/small", 61, send=10 * KB),
    Case("post10m", "proxied POST of 10 MB, buffered", "/upload/small", 61, 8, send=10 * MB),
    Case("post10m-stream", "proxied POST of 10 MB, `proxy_request_buffering off`", "/stream/small", 61, 8, send=10 * MB),
    Case("gzip", "20 KB of JSON, compressed", "/gzip/20k.json", KB, headers=("Accept-Encoding: gzip",)),
    Case("connect", "`return 200`, a new connection for each request", "/return", 3, headers=("Connection: close",)),
    Case("tls-full", "full handshakes, TLS 1.3, ECDSA P-256", "/return", 0, tls=True, handshakes=("-new", "-tls1_3")),
    Case(
        "tls-resumed",
        "resumed handshakes, TLS 1.2, session cache and tickets",
        "/return",
        0,
        tls=True,
        handshakes=("-reuse", "-tls1_2"),
    ),
    Case(
        "tls-resumed13",
        "resumed handshakes, TLS 1.3, and a `return 200`",
        "/return",
        3,
        tls=True,
        handshakes=("-reuse", "-tls1_3", "-www", "/return"),
    ),
    Case("tls-small", "`return 200` over TLS, keepalive", "/return", 3, tls=True),
    Case("tls1m", "static file, 1 MB, over TLS", "/static/1m", MB, 16, tls=True),
)
GROUPS = {"tls": [case.name for case in CASES if case.tls]}
IDLE = "idle"  # measured otherwise: memory of many keepalive connections

# Those that most configurations have.
SET_HEADERS = """
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
"""

HEAD = """
worker_processes 1;
worker_rlimit_nofile {files};
events {{ worker_connections {connections}; }}
"""

BACKEND = """
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 100000000;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            default_type application/json;
            add_header Cache-Control "private, max-age=0";
            add_header X-Request-Cost 12;
            add_header X-Served-By backend-1;
            add_header Set-Cookie "session=0123456789abcdef0123456789abcdef; Path=/; HttpOnly; SameSite=Lax";
            add_header Vary "Accept, Origin";
            add_header ETag '"5f2b-61a0c9"';
            add_header X-Request-Id 7f3c9a52-1b77-4e60-9f0d-2a8c4b5d6e7f;
            return 200 "{small}\\n";
        }}
        location /proxy/small {{ return 200 "{small}\\n"; }}
        location /body/ {{
            client_body_buffer_size 11m;  # all of a body is read before the answer, as applications do
            proxy_pass http://127.0.0.1:{port}/proxy/small;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
        }}
        location /proxy/1m {{ alias {files}/1m; }}
        location /proxy/10m {{ alias {files}/10m; }}
    }}
}}
"""

FRONT = """
http {{
    sendfile on;
    tcp_nopush on;
    keepalive_timeout 600s;
    keepalive_requests 100000000;
    access_log access.log;
    client_max_body_size 0;
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 64; }}
    map $http_x_tier $pool {{ default standard; gold express; ~^silver priority; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        listen 127.0.0.1:{tls} ssl backlog=1024;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {files}/localhost.crt;
        ssl_certificate_key {files}/localhost.key;
        ssl_session_cache shared:SSL:10m;
        location = /return {{ return 200 "ok\\n"; }}
        location /static/ {{ alias {files}/; }}
        location /cached/ {{ alias {files}/; open_file_cache max=1000; }}
        location /gzip/ {{ alias {files}/; gzip on; gzip_types application/json; types {{ application/json json; }} }}
        location /proxy/ {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /upload/ {{
            proxy_pass http://backend/body/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /stream/ {{
            proxy_pass http://backend/body/;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
        }}
    }}
    server {{
        listen 127.0.0.1:{real} backlog=1024;
        server_name www.example.com example.com *.example.org;
        root {files};
        gzip on;
{prefixes}
{regexes}
        location /api/ {{
            proxy_pass http://backend;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Pool $pool;
            add_header X-Frame-Options SAMEORIGIN;
            add_header X-Content-Type-Options nosniff;
            add_header X-Pool $pool;
        }}
    }}
}}
"""


def make_files(folder: Path) -> None:
    folder.mkdir()
    for name, size in (("1k", KB), ("1m", MB), ("10m", 10 * MB)):
        (folder / name).write_bytes(os.urandom(size))
    (folder / "20k.json").write_text(json_of(20 * KB))
    handshakes.make_certificate(folder)


def json_of(size: int) -> str:
    """A list of records as an interface gives them; the same each time."""
    records: list[dict[str, object]] = []
    text = ""
    while len(text) < size:
        n = len(records)
        price = {"amount": n * 37 % 9973 / 100, "currency": ("EUR", "USD", "CHF")[n % 3]}
        records.append({"id": 4711 + n * 13, "name": f"Article {n * n % 997}", "price": price, "stock": n * 7919 % 211})
        text = json.dumps(records, indent=1)
    return text


def head(connections: int) -> str:
    return HEAD.format(connections=connections, files=connections + 1000)


def backend(port: int, files: Path) -> str:
    return head(4096) + BACKEND.format(port=port, files=files, small=SMALL)


def front(port: int, real: int, tls: int, backend: int, files: Path, connections: int) -> str:
    prefixes = "\n".join(f"        location /section{n}/ {{ expires {n}m; }}" for n in range(30))
    regexes = "\n".join(f"        location ~* \\.type{n}$ {{ expires {n}d; }}" for n in range(10))
    return head(connections) + FRONT.format(
        port=port, real=real, tls=tls, backend=backend, files=files, prefixes=prefixes, regexes=regexes
    )
