"""What is explained is what the running server does."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from geng.errors import ConfigError
from geng.tools.explain import Explainer, main

CONF = """\
events {}
http {
    gzip on;
    server { listen 127.0.0.1:8088; server_name a.example; root /srv/a; }
    server {
        listen 127.0.0.1:8088;
        server_name b.example ~^(?<sub>\\w+)\\.b\\.example$;
        root /srv/b;
        rewrite ^/old/(.*)$ /new/$1;
        location / { index i.html; }
        location /new/ { proxy_pass http://127.0.0.1:9; gzip off; set $x 1; }
        location ~ \\.php$ { return 403; }
        location ~ ^/new/x { rewrite ^ /last last; }
        location = /last { return 200 "hi"; }
        location /in { internal; }
    }
}
"""


@pytest.fixture
def explainer(tmp_path: Path) -> Explainer:
    (tmp_path / "nginx.conf").write_text(CONF)
    return Explainer("nginx.conf", str(tmp_path))


def test_server_and_steps(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain("GET", "http://b.example:8088/old/y?q=1")
    assert found.server == f"{tmp_path}/nginx.conf:5" and found.why == '"b.example" is one of its names'
    assert found.steps == [
        "rewritten to /new/y?q=1",
        "tried prefixes: /new/ is the longest that fits",
        "tried ~ \\.php$: no match",
        "tried ~ ^/new/x: no match",
        "location: /new/",
        "$x = '1'",
    ]
    assert (found.location, found.uri, found.args) == ("/new/", "/new/y", "q=1")
    assert found.answer == "proxy_pass http://127.0.0.1:9"
    assert ("gzip", "off", f"{tmp_path}/nginx.conf:11") in found.values
    assert ("root", "/srv/b", f"{tmp_path}/nginx.conf:8") in found.values
    assert [name for name, _, _ in found.values].count("gzip") == 1


def test_rewrites_lead_on(explainer: Explainer) -> None:
    found = explainer.explain("GET", "http://x.b.example:8088/old/x")
    assert found.location == "= /last" and found.answer == "200 in the rewrite phase"


def test_default_server(explainer: Explainer) -> None:
    found = explainer.explain("GET", "http://other:8088/")
    assert found.why == 'it is the default of 2: no other has the name "other"'
    assert found.answer == "root /srv/a"


def test_internal(explainer: Explainer) -> None:
    assert explainer.explain("GET", "http://b.example:8088/in").answer == "404 in the rewrite phase"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nginx.conf").write_text(CONF)
    words = ["-p", str(tmp_path), "-c", "nginx.conf", "GET"]
    assert main(["--json", *words, "http://b.example:8088/a.php"]) == 0
    assert json.loads(capsys.readouterr().out)["location"] == "~ \\.php$"
    assert main([*words, "http://b.example:9/"]) == 2
    assert "nobody listens on port 9, but on 127.0.0.1:8088" in capsys.readouterr().err
    (tmp_path / "nginx.conf").write_text("events {}\nhttp { foo; }")
    with pytest.raises(ConfigError):
        Explainer("nginx.conf", str(tmp_path))
    assert main([*words, "http://b.example:9/"]) == 2


def _location(number: int, chosen: random.Random) -> str:
    path = "/" + "/".join(chosen.choice(["a", "b", "ab", "c.php"]) for _ in range(chosen.randint(1, 3)))
    kind = chosen.choice(["", "", "= ", "^~ ", "~ ", "~* "])
    name = {"~ ": f"^{path}", "~* ": f"{path[-2:]}$".replace(".", "\\.")}.get(kind, path)
    return f"location {kind}{name} {{ return 200 {number}; }}"


@pytest.mark.live
def test_it_agrees_with_the_server(server: Any) -> None:
    chosen = random.Random(7)
    blocks = []
    for site in range(12):
        locations: dict[str, str] = {}
        for number in range(15):
            text = _location(site * 100 + number, chosen)
            locations.setdefault(text.partition(" {")[0].replace("^~ ", ""), text)
        inside = "\n".join(locations.values())
        blocks.append(f"server {{ listen 127.0.0.1:%PORT%; server_name s{site}; {inside} }}")
    s = server("events {}\nhttp {\n" + "\n".join(blocks) + "\n}\n")
    explainer = Explainer(str(s.folder / "nginx.conf"), str(s.folder))
    served = 0
    for _ in range(300):
        host = f"s{chosen.randrange(12)}"
        path = "/" + "/".join(chosen.choice(["a", "b", "ab", "c.php", "B", "x"]) for _ in range(chosen.randint(1, 4)))
        response = s.get(path, headers={"Host": host})
        port = next(iter(s.ports.values()))
        found = explainer.explain("GET", f"http://{host}:{port}{path}")
        said = next((args for name, args, _ in found.values if name == "return"), "404")
        assert said.removeprefix("200 ") == (response.text if response.status == 200 else "404"), (host, path, found)
        served += response.status == 200
    assert served > 100
