"""What is explained is what the running server does."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from geng.errors import ConfigError
from geng.tools.explain import Explainer, Explanation, Value, main

CONF = """\
events {}
http {
    gzip on;
    upstream app { server 127.0.0.1:9001; server 127.0.0.1:9002 backup; }
    server { listen 127.0.0.1:8088; server_name a.example *.b.example; root /srv/a; }
    server {
        listen 127.0.0.1:8088;
        server_name b.example ~^(?<sub>\\w+)\\.c\\.example$;
        root %DIR%;
        error_page 404 /404.html;
        error_page 403 @denied;
        rewrite ^/old/(.*)$ /new/$1;
        location / { index i.html; try_files $uri $uri/ @app; add_header X y; }
        location /new/ { proxy_pass http://app/up/; gzip off; set $x 1; allow 10.0.0.0/8; deny 127.0.0.2; }
        location ~ \\.php$ { return 403; }
        location ~* ^/NEW/x { rewrite ^ /last last; }
        location = /last { return 200 "hi"; }
        location /in { internal; }
        location @app { fastcgi_pass 127.0.0.1:9000; auth_request /auth; limit_except GET { deny all; } }
        location @denied { return 302 /login?from=$sub; }
        location /if { if ($cookie_a = b) { set $y 1; add_header A b; } return 204; }
        location ^~ /all/ { alias %DIR%/; if (-f $request_filename) { return 201; } }
        location /var/ { set $to 127.0.0.1:99; proxy_pass http://$to; }
    }
}
"""


@pytest.fixture
def explainer(tmp_path: Path) -> Explainer:
    (tmp_path / "nginx.conf").write_text(CONF.replace("%DIR%", str(tmp_path)))
    (tmp_path / "i.html").write_text("index")
    return Explainer("nginx.conf", str(tmp_path))


def told(found: Explanation, *phases: str) -> list[tuple[str, str]]:
    return [(step.what, step.result) for step in found.steps if step.phase in phases]


def test_servers_and_why_not_the_others(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain("GET", "http://b.example:8088/")
    assert (found.listen, found.server) == ("127.0.0.1:8088", f"{tmp_path}/nginx.conf:6")
    assert found.why == '"b.example" is one of its names'
    (other,) = found.others
    assert other.where == f"{tmp_path}/nginx.conf:5" and other.names == ["a.example", "*.b.example"]
    assert other.why == "the default, for names that no server has"
    found = explainer.explain("GET", "http://x.c.example:8088/")
    assert found.why == '"x.c.example" matches ~^(?<sub>\\w+)\\.c\\.example$'
    found = explainer.explain("GET", "http://w.b.example:8088/")
    assert found.why == '"w.b.example" fits a name with a wildcard in front' and found.answer == "404 Not Found"
    found = explainer.explain("GET", "http://other:8088/")
    assert found.why == 'it is the default of 2 (is the first one): no other has the name "other"'


def test_rewrite_search_and_upstream(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain("GET", "http://b.example:8088/old/y?q=1", ["X-A: b"])
    assert told(found, "server-rewrite", "find-config", "rewrite", "access") == [
        ("rewrite ^/old/(.*)$ /new/$1", '"^/old/(.*)$" matches "/old/y"; rewritten data: "/new/y", args: "q=1"'),
        ("location /new/", "the longest prefix that fits"),
        ("location ~ \\.php$", "does not match"),
        ("location ~* ^/NEW/x", "does not match"),
        ("the location is", "location /new/"),
        ("set $x 1", "$x is '1'"),
        ("allow 10.0.0.0/8", "no rule is about 127.0.0.1"),
    ]
    assert (found.location, found.uri, found.args) == ("location /new/", "/new/y", "q=1")
    assert found.destination is not None
    assert found.destination.url == "http://app/up/y?q=1"
    assert found.destination.peers == ["127.0.0.1:9001", "127.0.0.1:9002 (backup)"]
    assert found.destination.request[0] == "GET /up/y?q=1 HTTP/1.1" and "X-A: b" in found.destination.request
    assert Value("gzip", "off", f"{tmp_path}/nginx.conf:14") in found.values
    assert Value("root", str(tmp_path), f"{tmp_path}/nginx.conf:9") in found.values
    assert [each.directive for each in found.values].count("gzip") == 1
    assert found.filters == ["not_modified", "range_header"]  # gzip is off there


def test_access_rules_are_about_the_client(explainer: Explainer) -> None:
    found = explainer.explain("GET", "http://x.c.example:8088/new/y", client="127.0.0.2")
    assert told(found, "access", "error") == [
        ("deny 127.0.0.2", "is about 127.0.0.2: answers 403; access forbidden by rule"),
        ("error_page 403 @denied", "the status is 403: goes to @denied"),
    ]
    assert found.location == "location @denied" and found.answer.endswith("/login?from=x")
    allowed = explainer.explain("GET", "http://b.example:8088/new/y", client="10.1.1.1")
    assert ("allow 10.0.0.0/8", "is about 10.1.1.1: allowed") in told(allowed, "access")


def test_rewrites_lead_on(explainer: Explainer) -> None:
    found = explainer.explain("GET", "http://b.example:8088/old/x")
    assert found.location == "location = /last" and found.answer == "200 OK"
    assert told(found, "find-config")[-2:] == [
        ("location = /last", "is the same: nothing else is tried"),
        ("the location is", "location = /last"),
    ]


def test_files_that_are_tried(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain("GET", "http://b.example:8088/")
    assert told(found, "precontent")[0][1] == f"file {tmp_path}/: not there; folder {tmp_path}/: there"
    assert ("index i.html", "one of them is there") in told(found, "content")
    assert told(found, "internal") == [("redirect to /i.html", "")]
    assert told(found, "content")[-1] == ("static", f"sends {tmp_path}/i.html")
    assert found.answer == "200 OK" and "headers" in found.filters
    found = explainer.explain("GET", "http://b.example:8088/none")
    assert told(found, "precontent") == [
        (
            "try_files $uri $uri/ @app",
            f"file {tmp_path}/none: not there; folder {tmp_path}/none: not there; none: goes to @app",
        )
    ]
    assert ("auth_request /auth", "is not asked here; taken as allowed") in told(found, "access")
    assert found.destination is not None and found.destination.group == "127.0.0.1:9000"
    found = explainer.explain("POST", "http://b.example:8088/none")
    assert ("deny all", "is about 127.0.0.1: answers 403; access forbidden by rule") in told(found, "access")


def test_internal_and_error_page(explainer: Explainer) -> None:
    found = explainer.explain("GET", "http://b.example:8088/in")
    assert ("the location is", "location /in") in told(found, "find-config")
    assert ("error_page 404 /404.html", "the status is 404: goes to /404.html") in told(found, "error")
    assert found.location == "location @app"  # /404.html is not there, and location / goes on


def test_conditions(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain("GET", "http://b.example:8088/if", ["Cookie: a=b"])
    assert told(found, "rewrite") == [
        ("if ($cookie_a = b)", "holds: its own values count from here on; $y is '1'"),
        ("return 204", "answers 204"),
    ]
    assert found.location == "if ($cookie_a = b) in location /if"
    assert Value("add_header", "A b", f"{tmp_path}/nginx.conf:21") in found.values
    found = explainer.explain("GET", "http://b.example:8088/if")
    assert told(found, "rewrite")[0][1] == "does not hold, or changes nothing"
    assert found.location == "location /if" and found.answer == "204 No Content"


def test_longest_prefix_without_expressions(explainer: Explainer, tmp_path: Path) -> None:
    found = explainer.explain("GET", "http://b.example:8088/all/a.php")
    assert told(found, "find-config")[0] == (
        "location ^~ /all/",
        "the longest prefix that fits: no regular expression is tried",
    )
    found = explainer.explain("GET", "http://b.example:8088/all/i.html")
    assert found.status == 201 and found.location.startswith("if (-f $request_filename) in location ^~ /all/")
    names = [each.directive for each in found.values]
    assert "alias" in names and "root" not in names


def test_upstream_of_a_variable(explainer: Explainer) -> None:
    found = explainer.explain("GET", "http://b.example:8088/var/a")
    assert found.destination is not None and found.destination.url == "http://127.0.0.1:99/var/a"
    assert found.destination.peers == ["127.0.0.1:99"]


def test_a_request_that_is_refused(explainer: Explainer) -> None:
    assert explainer.explain("GET", "http://b.example:8088/../up").answer == "400 Bad Request"
    with pytest.raises(ValueError, match="no URL"):
        explainer.explain("GET", "/path")


def test_tls(tmp_path: Path) -> None:
    text = """events {}
http {
    server { listen 127.0.0.1:80; listen 127.0.0.1:443 ssl; server_name a; ssl_reject_handshake on;
        if ($scheme = http) { return 301 https://$host$request_uri; }
        location / { return 200 "$https $ssl_protocol"; }
    }
}
"""
    (tmp_path / "nginx.conf").write_text(text)
    explainer = Explainer("nginx.conf", str(tmp_path))
    assert explainer.explain("GET", "http://a/x?y").answer == "301 Moved Permanently to https://a/x?y"
    assert explainer.explain("GET", "https://a/x").answer == "200 OK"
    assert explainer.explain("GET", "http://a:443/x").answer == "400 Bad Request"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "nginx.conf").write_text(CONF.replace("%DIR%", str(tmp_path)))
    words = ["-p", str(tmp_path), "-c", "nginx.conf", "GET"]
    assert main(["--json", *words, "http://b.example:8088/a.php"]) == 0
    read = json.loads(capsys.readouterr().out)
    assert read["location"] == "location @denied" and read["steps"][0]["phase"] == "server-rewrite"
    assert main([*words, "http://b.example:8088/old/y", "-H", "Cookie: a=b"]) == 0
    text = capsys.readouterr().out
    assert f"          not {tmp_path}/nginx.conf:5 (a.example *.b.example): the default" in text
    assert "          > Cookie: a=b\n" in text and f"gzip off;  [{tmp_path}/nginx.conf:14]\n" in text
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
    for site in range(30):
        locations: dict[str, str] = {}
        for number in range(15):
            text = _location(site * 100 + number, chosen)
            locations.setdefault(text.partition(" {")[0].replace("^~ ", ""), text)
        inside = "\n".join(locations.values())
        blocks.append(f"server {{ listen 127.0.0.1:%PORT%; server_name s{site}; {inside} }}")
    s = server("events {}\nhttp {\n" + "\n".join(blocks) + "\n}\n")
    explainer = Explainer(str(s.folder / "nginx.conf"), str(s.folder))
    served = 0
    for _ in range(1000):
        host = f"s{chosen.randrange(30)}"
        path = "/" + "/".join(chosen.choice(["a", "b", "ab", "c.php", "B", "x"]) for _ in range(chosen.randint(1, 4)))
        response = s.get(path, headers={"Host": host})
        port = next(iter(s.ports.values()))
        found = explainer.explain("GET", f"http://{host}:{port}{path}")
        said = next((each.arguments for each in found.values if each.directive == "return"), "404")
        assert said.removeprefix("200 ") == (response.text if response.status == 200 else "404"), (host, path, found)
        served += response.status == 200
    assert served > 300
