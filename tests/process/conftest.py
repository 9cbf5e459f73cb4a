"""`background`: a server that has gone to the background, as `daemon on` has it; `said`: waits for a line in a log."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.lib.processes import children
from scripts.lib.servers import wait_until
from tests.harness.server import Server

HERE = Path(__file__).parent

RETURN = """
events { }
http { access_log off; server { listen 127.0.0.1:%PORT%; location / { return 200 "$pid"; } } }
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.live)


@pytest.fixture
def said() -> Callable[..., str]:
    """`said(server, pattern)` waits until the error log (or `name`) has it: what matched."""

    def wait(server: Server, pattern: str, name: str = "error.log") -> str:
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, server.log(name))
            if match:
                found.append(match)
            return bool(match)

        try:
            wait_until(look, pattern)
        except TimeoutError as late:
            raise AssertionError(f"{late}\n{server.log(name)}") from None
        return found[0][0]

    return wait


def workers(server: Server, count: int = 1) -> list[int]:
    """Pids of the *count* workers, which may still be on their way."""

    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for pid in server.workers() if title(pid).endswith("worker process")]
        return len(found) == count

    wait_until(there, f"{count} workers")
    return found


class Background(Server):
    """A server whose master is nobody's child; its pid is what the pid file says."""

    @property
    def pid(self) -> int:
        return self.written()

    def written(self, name: str = "nginx.pid") -> int:
        """The number in a pid file, 0 while there is none."""
        text = self.log(name).strip()
        return int(text) if text else 0

    def start(self) -> Background:
        done = self.run()
        assert done.returncode == 0, done.stderr
        wait_until(lambda: self.written() > 0 and alive(self.written()), "the master")
        return self

    def stop(self) -> None:
        """TERM to all that are left; a new binary's end gives the old one its pid file back, so until none is named."""

        def left() -> set[int]:
            named = self.written("nginx.pid.oldbin"), self.written()  # in this order: the one becomes the other
            return {pid for pid in named if pid and alive(pid)}

        while pids := left():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            for pid in pids:
                wait_until(lambda pid=pid: not alive(pid), f"the end of {pid}")  # type: ignore[misc]


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def title(pid: int) -> str:
    """What a process is called; nothing when it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def titles(pid: int) -> list[str]:
    """What the children of *pid* are called."""
    return sorted(title(child) for child in children(pid))


@pytest.fixture
def background(tmp_path: Path, command: list[str]) -> Iterator[Callable[..., Background]]:
    """`background(conf)`: daemon on."""
    started: list[Background] = []

    def start(conf: str, **options: Any) -> Background:
        options.setdefault("command", command)
        started.append(Background("daemon on;\n" + conf, tmp_path, **options))
        return started[-1].start()

    yield start
    for one in started:
        one.stop()
