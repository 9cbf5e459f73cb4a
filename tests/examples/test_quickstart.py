"""examples/quickstart: a site, an API over three backends, an access log."""

from __future__ import annotations

import json

from tests.harness.server import wait_until


def test_site(example):
    s = example("quickstart")
    page = s.get("/")
    assert (page.status, page["Content-Type"]) == (200, "text/html")
    assert "<h1>It works</h1>" in page.text
    assert s.get("/style.css")["Content-Type"] == "text/css"
    assert s.get("/nothing").status == 404


def test_api_goes_round(example):
    s = example("quickstart")
    with s.connect() as c:
        answers = [json.loads(c.ask(f"/api/users/{number}?x=1").body) for number in range(6)]
    assert [a["backend"] for a in answers] == ["one", "two", "three"] * 2
    assert answers[2]["uri"] == "/users/2?x=1"


def test_access_log(example):
    s = example("quickstart")
    s.get("/api/users", headers={"Host": "localhost"})
    wait_until(lambda: s.log("logs/access.log"), "a line in the access log")
    line = s.log("logs/access.log")
    assert line.startswith("127.0.0.1 [")
    assert '"GET /api/users HTTP/1.1" 200 ' in line
    assert line.rstrip().endswith(f"upstream=127.0.0.1:{s.ports['PORT8081']}")
