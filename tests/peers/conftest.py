"""Every test below this folder talks to a program from outside, or compares with one."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import peers
from tests.harness.server import Server

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.peer)
            item.add_marker(pytest.mark.live)


def product() -> str:
    """`nginx/1.22.1`, as the installed nginx calls itself."""
    shown = subprocess.run([peers.peer("nginx"), "-v"], capture_output=True, text=True, check=True).stderr
    return shown.partition(": ")[2].split()[0]


@pytest.fixture
def pair(tmp_path: Path, command: list[str]) -> Iterator[Callable[..., tuple[Server, Server]]]:
    """`pair(conf, files={...})`: nginx and geng, each running this configuration in a folder of its own."""
    started: list[Server] = []

    def start(conf: str, **options: Any) -> tuple[Server, Server]:
        for name, its_command in (("nginx", [peers.peer("nginx")]), ("geng", command)):
            folder = tmp_path / name
            folder.mkdir()
            text = conf if name == "nginx" else f"server_product {product()};\n{conf}"  # or lengths would differ
            started.append(Server(text, folder, command=its_command, **options))
            started[-1].start()
        return started[0], started[1]

    yield start
    failures = []
    for one in started:
        try:
            one.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)
