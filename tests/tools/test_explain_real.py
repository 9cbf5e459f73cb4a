"""geng explain against the running server: random URLs on real configurations, and on made-up ones that are always at hand.

$geng_server and $geng_location say in the access log what served each request.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from geng.errors import ConfigError
from geng.tools.explain import Explainer, Explanation
from scripts.lib.servers import wait_until
from tests.harness.backend import Answer
from tests.harness.real import SITE, Adapted, corpus
from tests.harness.server import Server

CONFIGURATIONS, URLS = 30, 1020

pytestmark = pytest.mark.live


def asked(port: int, host: str, target: str) -> None:
    """One request; the answer does not matter."""
    head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), 30) as s:
        s.sendall(head.encode())
        while s.recv(65536):
            pass


def logged(s: Server, count: int) -> list[list[str]]:
    """Server, location, status, uri of each request: one worker serves them, one after the other."""
    wait_until(lambda: s.log("tested.log").count("\n") >= count, "every request in the log")
    return [line.split("|", 3) for line in s.log("tested.log").splitlines()]


def said(found: Explanation) -> list[str]:
    status = 200 if found.destination is not None else found.status
    return [found.server, found.where, f"{status:03}", found.uri]


def compare(s: Server, adapted: Adapted, count: int, chosen: random.Random) -> int:
    """How many of *count* requests were served by a location; fails where what was explained is not what was done."""
    explainer = Explainer(str(s.folder / "nginx.conf"), str(s.folder))
    expected = []
    for _ in range(count):
        name = chosen.choice(list(adapted.ports.values()))
        host, target = adapted.host(chosen), adapted.target(chosen)
        port = s.ports[name]
        found = explainer.explain("GET", f"http://127.0.0.1:{port}{target}", ["Connection: close", f"Host: {host}"])
        expected.append((f"{host}:{port}{target}", found))
        asked(port, host, target)
    served = logged(s, count)
    assert len(served) == count
    for (url, found), row in zip(expected, served, strict=True):
        assert said(found) == row, (url, adapted.name, [(step.what, step.result) for step in found.steps])
    return sum(found.where != found.server for _, found in expected)


@pytest.fixture
def run(server: Callable[..., Server], backend: Callable[..., Any]) -> Iterator[Callable[[Adapted], Server | None]]:
    up = backend(lambda request: Answer("up"))

    def start(adapted: Adapted) -> Server | None:
        return server(adapted.text, files={f"site/{name}": text for name, text in SITE.items()}, UP=up.port)

    yield start


def runnable(path: Path, folder: Path) -> Adapted | None:
    """What of the corpus is left to be served when what it needs from its machine is gone."""
    adapted = Adapted(path)
    if adapted.locations < 3 or not adapted.ports:
        return None
    text = adapted.text.replace("%DIR%", str(folder)).replace("%UP%", "9")
    for number, name in enumerate(adapted.ports.values()):
        text = text.replace(f"%{name}%", str(9000 + number))
    (folder / "try.conf").write_text(text)
    try:
        Explainer(str(folder / "try.conf"), str(folder))
    except (ConfigError, ValueError):
        return None
    return adapted


def test_real_configurations(run: Callable[[Adapted], Server], tmp_path: Path) -> None:
    files = corpus()
    if not files:
        pytest.skip("no real configurations: GENG_CORPUS names their folder")
    chosen = random.Random(20)
    folder = tmp_path / "try"
    folder.mkdir()
    found = [each for each in (runnable(path, folder) for path in files) if each is not None]
    most = sorted(found, key=lambda each: -each.locations)[:CONFIGURATIONS]
    assert len(most) == CONFIGURATIONS
    in_locations = 0
    for adapted in most:
        s = run(adapted)
        in_locations += compare(s, adapted, URLS // CONFIGURATIONS, chosen)
        s.stop()
    assert in_locations > URLS // 2
