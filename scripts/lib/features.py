"""What a feature costs where it is used: the plain proxied request, and the same with one thing more configured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import cases, handshakes, servers
from .instructions import Asker, Counted


@dataclass(frozen=True)
class Feature:
    """*text* stands in the location; *server* (a key of SERVERS) where it is a matter of the server."""

    name: str
    text: str = ""
    server: str = "plain"


PLAIN = "proxied, 61 bytes, upstream keepalive, access log"
FEATURES = (
    Feature(PLAIN),
    Feature("`access_log off`", "access_log off;"),
    Feature("`access_log` with a format of one's own", "access_log own.log own;"),
    Feature("`access_log … buffer=64k`", "access_log buffered.log combined buffer=64k;"),
    Feature("`add_header` ×3", "add_header X-A one; add_header X-B two; add_header X-C three;"),
    Feature("`proxy_set_header` ×4", cases.SET_HEADERS),
    Feature("a `map`, in `add_header`", "add_header X-Pool $pool;"),
    Feature("`gzip on`, another type", "gzip on;"),
    Feature("`sub_filter`, another type", "sub_filter a b;"),
    Feature("`expires 1h`", "expires 1h;"),
    Feature("`limit_req`", "limit_req zone=requests burst=1000 nodelay;"),
    Feature("`limit_conn`", "limit_conn connections 1000;"),
    Feature("`allow`, `deny`", "allow 127.0.0.0/8; deny all;"),
    Feature("`rewrite … break`", "rewrite ^/[^/]*/(.*)$ /proxy/$1 break;"),
    Feature("`set` and `if`", 'set $which a; if ($http_x_none = "b") { return 403; }'),
    Feature("an upstream of three servers", "proxy_pass http://three;"),
    Feature("30 prefix and 10 regex locations", "", "locations"),
    Feature("TLS", "", "tls"),
)

CONF = """
events {{ worker_connections 512; }}
http {{
    keepalive_timeout 600s;
    keepalive_requests 100000000;
    access_log access.log;
    log_format own '$remote_addr "$request" $status $body_bytes_sent $request_time $upstream_response_time $http_referer';
    upstream backend {{ server 127.0.0.1:{backend}; keepalive 16; }}
    upstream three {{
        server 127.0.0.1:{backend}; server 127.0.0.1:{backend} weight=2; server 127.0.0.1:{backend};
        keepalive 16;
    }}
    map $http_x_tier $pool {{ default standard; gold express; ~^silver priority; }}
    limit_req_zone $binary_remote_addr zone=requests:1m rate=1000000r/s;
    limit_conn_zone $binary_remote_addr zone=connections:1m;
    proxy_http_version 1.1;
    server {{
        listen 127.0.0.1:{plain};
        {inside}
    }}
    server {{
        listen 127.0.0.1:{locations};
        {inside}
        {prefixes}
        {regexes}
    }}
    server {{
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {files}/localhost.crt;
        ssl_certificate_key {files}/localhost.key;
        {inside}
    }}
}}
"""
LOCATION = 'location /f{number}/ {{ {target} proxy_set_header Connection ""; {text} }}'


def configuration(ports: dict[str, int], backend: int, files: Path) -> str:
    def location(number: int, feature: Feature) -> str:
        target = "" if "proxy_pass" in feature.text else "proxy_pass http://backend;"
        return LOCATION.format(number=number, target=target, text=feature.text)

    return CONF.format(
        **ports,
        backend=backend,
        files=files,
        inside="\n        ".join(location(number, feature) for number, feature in enumerate(FEATURES)),
        prefixes="\n        ".join(f"location /section{n}/ {{ expires {n}m; }}" for n in range(30)),
        regexes="\n        ".join(f"location ~* \\.type{n}$ {{ expires {n}d; }}" for n in range(10)),
    )


def show(folder: Path, commands: dict[str, list[str]]) -> int:
    """Prints a table in Markdown: instructions per request, and how many more than the plain one."""
    folder.chmod(0o755)
    files = folder / "files"
    files.mkdir()
    handshakes.make_certificate(files)
    port = servers.free_port()
    backend = servers.Server("backend", servers.nginx_command(), folder / "backend", cases.backend(port, files), port, None)
    with backend:
        found = {name: counted(name, command, folder, port, files) for name, command in commands.items()}
    print("| instructions per request, user space | nginx | geng | ratio | nginx, more | geng, more |")
    print("|---|---|---|---|---|---|")
    base = {name: counts[0] for name, counts in found.items()}
    for feature, nginx, geng in zip(FEATURES, found["nginx"], found["geng"], strict=True):
        more = [f"{count - base[name]:+,.0f}" for name, count in (("nginx", nginx), ("geng", geng))]
        cells = ["", ""] if feature.name == PLAIN else more
        print(f"| {feature.name} | {nginx:,.0f} | {geng:,.0f} | {geng / nginx:.2f} | {' | '.join(cells)} |")
    return 0


def counted(name: str, command: list[str], folder: Path, backend: int, files: Path) -> list[float]:
    """Instructions per request for each feature."""
    ports = {which: servers.free_port() for which in ("plain", "locations", "tls")}
    conf = configuration(ports, backend, files)
    found = []
    with Counted(name, command, folder / name, conf, ports["plain"]) as server:
        for number, feature in enumerate(FEATURES):
            ask = Asker(ports[feature.server], f"/f{number}/small", {}, tls=feature.server == "tls")
            found.append(server.count(ask).instructions)
            ask.close()
    return found
