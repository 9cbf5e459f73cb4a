"""Fixtures for every test that runs the server: `server`, `backend`, `peer`, `configtest`.

def test_proxy(server, backend):
    up = backend(lambda request: "hello")
    s = server('''
        events {}
        http { server { listen 127.0.0.1:%PORT%; location / { proxy_pass http://127.0.0.1:%UP%; } } }
    ''', UP=up.port)
    assert s.get("/").text == "hello"
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import peers
from tests.harness.backend import Backend, Conversation, Handler
from tests.harness.server import Server, geng_command

# How long an example takes says how busy the machine is, not whether the property holds. The examples are the same
# in every run, so that what passes once passes everywhere; others are looked for with --hypothesis-profile=search.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("geng", settings.get_profile("search"), derandomize=True)
settings.load_profile("geng")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--binary", help="run the live tests with this server (nginx, say) in geng's place")


@pytest.fixture(scope="session")
def command(request: pytest.FixtureRequest) -> list[str]:
    """How the server under test is started."""
    given = request.config.getoption("--binary")
    return shlex.split(given) if given else geng_command()


@pytest.fixture
def server(tmp_path: Path, command: list[str]) -> Iterator[Callable[..., Server]]:
    """`server(conf, files={...}, alerts=False, **places)` starts it; at the end it must stop cleanly."""
    started: list[Server] = []

    def start(conf: str, **options: Any) -> Server:
        folder = tmp_path / f"server{len(started)}" if started else tmp_path
        folder.mkdir(exist_ok=True)
        options.setdefault("command", command)
        started.append(Server(conf, folder, **options))
        return started[-1].start()

    yield start
    failures = []
    for one in started:
        try:
            one.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


@pytest.fixture
def configtest(tmp_path: Path, command: list[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`configtest(conf, **places)` runs `-t` on it: `returncode`, and the messages in `stderr`."""

    def check(conf: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return Server(conf, tmp_path, command=command, **options).run("-t")

    return check


@pytest.fixture
def backend() -> Iterator[Callable[..., Backend]]:
    """`backend(handler)` or `backend(talk=function_of_a_socket)` starts a fake upstream."""
    started: list[Backend] = []

    def start(handler: Handler | None = None, talk: Conversation | None = None, port: int = 0) -> Backend:
        started.append(Backend(handler, talk, port))
        return started[-1]

    yield start
    failures = []
    for one in started:
        try:
            one.stop()
        except Exception as failure:  # whatever a handler raised fails the test that wrote it
            failures.append(f"{type(failure).__name__}: {failure}")
    assert not failures, "\n".join(failures)


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """`peer("nginx")`: its path, or the test skips (fails with GENG_REQUIRE_PEERS=1)."""
    return peers.peer
