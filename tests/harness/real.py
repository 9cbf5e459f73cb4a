"""Real configurations made to run anywhere: which server, location, rewrite and error page take a request stays as it was.

Addresses become free ports, upstreams one backend, roots one folder; what needs certificates, other files or modules goes.
"""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

from geng.conf.syntax import Node, Row, parse
from geng.tools.quoting import quoted

ROOT = Path(__file__).resolve().parents[2]
PASSING = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass")
GONE = re.compile(
    r"(?:ssl|quic|http2|http3|resolver|limit_req|limit_conn|auth_basic|geoip|lua|more|js|perl|brotli|pagespeed|ocsp|passenger)"
    r"(?:_|\Z)|(?:proxy|fastcgi|uwsgi|scgi)_(?:cache|ssl|temp|store|redirect|bind|next)|.*_temp_path\Z|"
    r"(?:access_log|error_log|include|upstream|user|pid|load_module|mirror|log_format|open_log_file_cache|"
    r"keepalive_timeout|proxy_http_version|aio|thread_pool|stub_status|post_action|limit_rate|secure_link\w*)\Z"
)
SITE = {
    "index.html": "<p>index</p>",
    "index.php": "<?php",
    "404.html": "not found",
    "50x.html": "broken",
    "favicon.ico": "i",
    "robots.txt": "r",
    "static/a.css": "a",
    "images/b.png": "b",
    "docs/index.html": "d",
}
USUAL = [
    "/",
    "/index.html",
    "/index.php",
    "/favicon.ico",
    "/robots.txt",
    "/static/a.css",
    "/images/b.png",
    "/docs",
    "/docs/",
    "/x.php/more",
    "/.git/config",
    "/.htaccess",
    "/a/b/c.jpg",
    "/wp-login.php",
    "/no/such",
    "/50x.html",
    "/%41b",
]


def corpus() -> list[Path]:
    """Real configurations, where GENG_CORPUS or the folder beside the source has some."""
    beside = Path(os.environ.get("GENG_CORPUS", ROOT.parent / "shared" / "corpus")) / "files"
    return sorted(path for kind in ("full", "http", "server") for path in (beside / kind).glob("*") if path.is_file())


class Adapted:
    """The configuration *path*, for the harness's Server: *text*, *hosts*, *paths* that its locations are about."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self.ports: dict[str, str] = {}
        self.default_on: set[str] = set()
        self.hosts: list[str] = []
        self.paths: list[str] = []
        rows = [row for row in parse(path.read_bytes(), path.name) if isinstance(row, Node)]
        level = path.parent.name
        if level == "full":
            http = next((row for row in rows if row.name == "http"), None)
            rows = [row for row in (http.block if http is not None and http.block else []) if isinstance(row, Node)]
        elif level == "server":
            rows = [Node("server", (), path.name, 1, 1, 1, list(rows), 1, None, (False,))]
        body = self._written([row for row in rows if row.name != "server" or row.block is not None], "    ")
        self.text = (
            "worker_processes 1;\nevents { worker_connections 64; }\nhttp {\n"
            "    log_format tested escape=none '$geng_server|$geng_location|$status|$uri';\n"
            f"    access_log %DIR%/tested.log tested;\n{body}}}\n"
        )

    @property
    def locations(self) -> int:
        return len(self.paths)

    def _written(self, rows: list[Node], margin: str) -> str:
        made = []
        listening: set[str] = set()
        passes = False
        for row in rows:
            if row.name in PASSING:
                if not passes:
                    made.append(f"{margin}proxy_pass http://127.0.0.1:%UP%;\n")
                passes = True
            elif row.name == "listen":
                made.append(self._listen(row, listening, margin))
            elif row.raw is None and not GONE.match(row.name):
                made.append(self._one(row, margin))
        if margin == "        " and not listening and any(row.name in ("location", "server_name", "root") for row in rows):
            made.append(self._listen(None, listening, margin))
        return "".join(made)

    def _one(self, row: Node, margin: str) -> str:
        words = list(row.args)
        if row.name in ("root", "alias"):
            words = ["%DIR%/site" + ("/" if words[0].endswith("/") else "")]
        elif row.name == "server_name":
            self.hosts += words
        elif row.name == "location":
            self.paths.append(words[-1])
        head = " ".join([row.name, *map(quoted, words)]).rstrip()
        if row.block is None:
            return f"{margin}{head};\n"
        inside: list[Row] = row.block
        nodes = [each for each in inside if isinstance(each, Node)]
        return f"{margin}{head} {{\n{self._written(nodes, margin + '    ')}{margin}}}\n"

    def _listen(self, row: Node | None, listening: set[str], margin: str) -> str:
        words = row.args if row is not None else ("80",)
        number = re.search(r"(?:^|:)(\d+)\Z", words[0])
        if words[0].startswith("unix:"):
            return ""
        port = number[1] if number is not None else "80"
        if port in listening:
            return ""
        listening.add(port)
        name = self.ports.setdefault(port, f"PORT{len(self.ports) or ''}")
        default = ""
        if {"default_server", "default"} & set(words) and port not in self.default_on:
            self.default_on.add(port)
            default = " default_server"
        return f"{margin}listen 127.0.0.1:%{name}%{default};\n"

    def host(self, chosen: random.Random) -> str:
        """A name that some server has, or none."""
        names = ["unknown.example", *self.hosts]
        name = chosen.choice(names).lower().removeprefix("~").removeprefix("^").removesuffix("$")
        name = name.replace("*", chosen.choice(["www", "a.b"])).replace("\\.", ".")
        name = "sub" + name if name.startswith(".") else name
        return name if re.fullmatch(r"[a-z0-9._-]+", name) and ".." not in name else "other.example"

    def target(self, chosen: random.Random) -> str:
        """A path and arguments, often about one of the locations."""
        if self.paths and chosen.random() < 0.7:
            path = sample(chosen.choice(self.paths), chosen)
        else:
            path = chosen.choice(USUAL)
        if chosen.random() < 0.3:
            path += chosen.choice(["/", "x", "/deep/er.html", ".php", "/index.php", "%20a", "/../up"])
        if chosen.random() < 0.2:
            path += chosen.choice(["?a=1", "?q=x%20y&z", "?page=../etc"])
        return path


def sample(pattern: str, chosen: random.Random) -> str:
    """A path that is about the location *pattern*: a prefix as it is, of an expression something like it."""
    text = re.sub(r"\(\?[:<P][^>:]*[>:]?|[()^$]", "", pattern) if re.search(r"[\\^$|*+?()\[]", pattern) else pattern
    text = chosen.choice(text.split("|"))
    text = re.sub(r"\[[^\]]*\][*+?]?", lambda _: chosen.choice("a7"), text)
    text = re.sub(r"\\[dw][*+]?", lambda _: chosen.choice("37"), text)
    text = re.sub(r"\.[*+]\??", lambda _: chosen.choice(["", "abc", "a/b"]), text)
    text = re.sub(r"\\(.)", r"\1", text)
    text = re.sub(r"[*+?{}<>\s\"'#%\\^`|\[\]]", "", text)
    if pattern.startswith("@"):
        return "/" + pattern[1:]
    return text if text.startswith("/") else chosen.choice(["/some", "/"]) + text


__all__ = ["SITE", "Adapted", "corpus", "sample"]
