"""upstream{} blocks and what may be wrong with them; each message and warning is what nginx 1.31.5 says of the same."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from geng.errors import ConfigError
from geng.modules.http.upstream import UpstreamMain
from geng.process.cycle import Cycle, Options
from geng.upstream.upstream import Upstream

VERDICTS = Path(__file__).parents[1] / "data" / "upstream_verdicts.tsv"
AROUND = "error_log stderr;\npid p;\nevents {}\nhttp {\n%s\n}\n"  # the tested text begins at line 5


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def log(self, level: str, message: str, **_: object) -> None:
        self.lines.append(f"[{level}] {message}")


def resolve(host: str, port: int) -> list[Any]:
    """What the system's resolver says, without asking it."""
    if host == "localhost":
        return [("127.0.0.1", port)]
    try:
        return [(socket.inet_ntoa(socket.inet_aton(host)), port)]  # 127.1, 0x7f.1
    except OSError:
        raise socket.gaierror(socket.EAI_NONAME, "unknown") from None


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The cycle of a text inside http{}, read, its zones made."""
    monkeypatch.setattr(Cycle, "resolve_host", staticmethod(resolve), raising=False)

    def make(text: str, log: Log) -> Cycle:
        (tmp_path / "nginx.conf").write_text(AROUND % text)
        cycle = Cycle(Options(prefix=str(tmp_path), conf="nginx.conf", test=True), log)  # type: ignore[arg-type]
        cycle.read()
        cycle.zones.create()
        return cycle

    return make


def verdicts() -> list[Any]:
    lines = VERDICTS.read_text().splitlines()[1:]
    rows = [[json.loads(cell) for cell in line.split("\t")] for line in lines]
    return [pytest.param(text, said, id=" ".join(text.split("server { listen")[0].split())[:80]) for text, said in rows]


@pytest.mark.parametrize(("text", "expected"), verdicts())
def test_as_nginx_says(read: Any, tmp_path: Path, text: str, expected: list[str]) -> None:
    log = Log()
    try:
        read(text, log)
    except ConfigError as error:
        log.lines.append(f"[{error.level}] {error}")
    assert [line.replace(f"{tmp_path}/", "") for line in log.lines] == expected


SERVER = "server { listen 127.0.0.1:18080; location / { proxy_pass http://u; } }"


def upstream(read: Any, body: str, around: str = "") -> Upstream:
    cycle = read(f"{around} upstream u {{ {body} }} {SERVER}", Log())
    found: Upstream = cycle.http.main.confs[UpstreamMain].all.find("U", 0)
    return found


class TestWhatIsMade:
    def test_parameters(self, read: Any) -> None:
        made = upstream(read, "server 127.0.0.1:81 weight=5 max_fails=3 fail_timeout=1m max_conns=7 down; server localhost;")
        first, second = made.peers.list
        assert (first.weight, first.max_fails, first.fail_timeout, first.max_conns, first.down) == (5, 3, 60, 7, 1)
        assert (second.name, second.server) == (b"127.0.0.1:80", b"localhost")
        assert (second.weight, second.max_fails, second.fail_timeout, second.max_conns, second.down) == (1, 1, 10, 0, 0)

    @pytest.mark.parametrize(
        ("directives", "expected"),
        [
            ("", (32, 1000, 3_600_000, 60_000, True)),
            ("keepalive 8;", (8, 1000, 3_600_000, 60_000, False)),
            ("keepalive 8 local;", (8, 1000, 3_600_000, 60_000, True)),
            ("keepalive_time 1s; keepalive_timeout 2s; keepalive_requests 3;", (32, 3, 1000, 2000, True)),
            ("keepalive 0;", None),
        ],
    )
    def test_keepalive(self, read: Any, directives: str, expected: Any) -> None:
        cache = upstream(read, f"server 127.0.0.1; {directives}").keepalive
        found = cache and (cache.size, cache.requests, cache.lifetime, cache.timeout, cache.local)
        assert found == expected

    @pytest.mark.parametrize(
        ("directive", "picker"),
        [
            ("", "RoundRobin"),
            ("least_conn;", "LeastConn"),
            ("ip_hash;", "IpHash"),
            ("hash $uri;", "Hash"),
            ("hash $uri consistent;", "Consistent"),
            ("random;", "Random"),
            ("random two least_conn;", "RandomTwo"),
            ("ip_hash; least_conn;", "LeastConn"),
        ],
    )
    def test_methods(self, read: Any, directive: str, picker: str) -> None:
        assert upstream(read, f"{directive} server 127.0.0.1;").picker.__name__ == picker

    @pytest.mark.parametrize("around", ["", "zone z 64k;"])
    def test_the_ring_is_made_once(self, read: Any, around: str) -> None:
        made = upstream(read, f"{around} hash $uri consistent; server 127.0.0.1; server 127.0.0.2;")
        assert len(made.method.points) == (0 if around else 320)  # type: ignore[union-attr]

    def test_resolver(self, read: Any) -> None:
        servers = "zone z 64k; server name.example resolve;"
        inherited = upstream(read, servers, "resolver 127.0.0.1:5353; resolver_timeout 5s;")
        assert inherited.resolver.servers == [("127.0.0.1", 5353)] and inherited.resolver_timeout == 5000
        own = upstream(read, f"resolver 127.0.0.2; resolver_timeout 1s; {servers}", "resolver 127.0.0.1;")
        assert own.resolver.servers == [("127.0.0.2", 53)] and own.resolver_timeout == 1000
        assert upstream(read, f"resolver 127.0.0.2; {servers}").resolver_timeout == 30_000

    def test_what_a_proxy_pass_implies(self, read: Any) -> None:
        location = "location /%s { proxy_pass http://%s; }"
        urls = ("127.0.0.1", "127.0.0.1:80/x", "127.0.0.1:81", "localhost", "LOCALHOST:80", "localhost:8080")
        body = "".join(location % (i, url) for i, url in enumerate(urls))
        cycle = read(f"server {{ listen 127.0.0.1:18080; {body} }}", Log())
        found = cycle.http.main.confs[UpstreamMain].all
        names = [("127.0.0.1", 80), ("127.0.0.1", 81), ("localhost", 80), ("localhost", 8080)]
        assert [(u.host, u.port) for u in found] == names
        assert [u.keepalive for u in found] == [None] * 4
        assert found.find("localhost", 8080).peers.list[0].name == b"127.0.0.1:8080"
        assert found.find("localhost", 99) is None
