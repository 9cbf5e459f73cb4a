"""What soak and reload-check share: the site they serve, and threads that visit it until told to end."""

from __future__ import annotations

import http.client
import os
import random
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from . import clients

CONF = """
worker_processes {workers};
error_log error.log warn;
events {{ worker_connections 2048; }}
http {{
    access_log access.log;
    sendfile on;
    gzip_types text/plain;
    types {{ text/plain txt; }}
    default_type application/octet-stream;
    client_max_body_size 2m;
    client_header_timeout 3s;
    client_body_timeout 5s;
    send_timeout 5s;
    keepalive_timeout 5s;
    upstream api {{
        server 127.0.0.1:{inner} max_fails=0;
        server 127.0.0.1:{inner} max_fails=0;
        keepalive 16;
    }}
    upstream origin {{ server 127.0.0.1:{origin} max_fails=0; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        root {files};
        location = /generation {{ return 200 "{generation} $pid"; }}
        location /echo/ {{ return 200 "$uri\\n<end>\\n"; }}
        location = /small.txt {{ gzip on; }}
        location /api/ {{
            proxy_pass http://api;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
        location /proxied/ {{ proxy_pass http://127.0.0.1:{inner}/; }}
        location = /upload {{ proxy_pass http://origin; }}
        location /broken/ {{ proxy_pass http://origin/; proxy_next_upstream off; }}
    }}
    server {{
        listen 127.0.0.1:{inner} backlog=1024;
        access_log off;
        root {files};
        location /api/ {{ return 200 "$request_uri\\n"; }}
    }}
}}
"""

TROUBLE = re.compile(r"\[(?:alert|emerg)\].*|Traceback \(most recent call last\).*")


def conf(port: int, inner: int, origin: int, files: Path, workers: int, generation: int = 0) -> str:
    return CONF.format(port=port, inner=inner, origin=origin, files=files, workers=workers, generation=generation)


def make_site(folder: Path, port: int) -> clients.Site:
    folder.mkdir()
    folder.parent.chmod(0o755)
    site = clients.Site(port, b"".join(b"line %d\n" % number for number in range(500)), os.urandom(1_000_000))
    (folder / "small.txt").write_bytes(site.small)
    (folder / "large.bin").write_bytes(site.large)
    return site


class Crowd:
    """One thread per client function, each visiting over and over; what went wrong is kept with its name."""

    def __init__(self, site: clients.Site, visits: Iterable[Callable[[clients.Site], None]], pause: float) -> None:
        self.site, self.pause = site, pause
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._keep, args=(visit,), daemon=True) for visit in visits]
        for thread in self.threads:
            thread.start()

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(clients.PATIENCE + 10)
        if any(thread.is_alive() for thread in self.threads):
            self.wrong.append("a client never came to its end")

    def _keep(self, visit: Callable[[clients.Site], None]) -> None:
        while not self.over.is_set():
            try:
                visit(self.site)
            except (clients.Wrong, OSError, http.client.HTTPException) as reason:
                self.wrong.append(f"{visit.__name__}: {type(reason).__name__}: {reason}")
            self.counts[visit.__name__] += 1
            self.over.wait(random.uniform(0, 2 * self.pause))
