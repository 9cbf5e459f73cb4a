"""Runs an example as it stands, from a copy of its folder; only its ports are replaced by free ones."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.server import Server, free_port

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture
def example(server: Callable[..., Server], tmp_path: Path) -> Callable[[str], Server]:
    """`example("quickstart")`: running; port 8080 of the text is `PORT`, the others are `PORT8081` and so on."""

    def start(name: str) -> Server:
        left_over = shutil.ignore_patterns("*.log", "*.pid", "*_temp")  # of somebody who has tried it
        shutil.copytree(EXAMPLES / name, tmp_path, dirs_exist_ok=True, ignore=left_over)
        conf, places = with_places((tmp_path / "nginx.conf").read_text())
        return server(conf, **places)

    return start


def with_places(conf: str) -> tuple[str, dict[str, int]]:
    """Ports that the text listens on become `%PORT…%`; others, of servers that run elsewhere, a free one each."""
    listens = set(re.findall(r"listen 127\.0\.0\.1:(\d+)", conf))
    places: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        port = found[1]
        if port in listens:
            return ":%PORT%" if port == "8080" else f":%PORT{port}%"
        places.setdefault(f"ELSEWHERE{port}", free_port())
        return f":%ELSEWHERE{port}%"

    return re.sub(r":(80\d\d)\b", place, conf), places
