"""What the tests of the net floor share: a hub whose greenlets can be waited for, pairs of connections, a log."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from geng.net.connection import Connection, ConnectionPool
from geng.net.hub import Hub

LIMIT = 20_000  # ms: a test that hangs fails


class Lines:
    """A log that keeps its lines as `level: message (errno)context`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        if level.startswith("_"):
            raise AttributeError(level)

        def write(message: str, *, err: int | None = None, ctx: Any = None) -> None:
            error = f" ({err})" if err is not None else ""
            self.lines.append(f"{level}: {message}{error}{ctx.log_context() if ctx is not None else ''}")

        return write


class TestHub(Hub):
    __test__ = False
    __slots__ = ("errors",)

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        super().__init__(self.errors.append)

    def do(self, function: Callable[..., Any], *args: Any) -> Any:
        """Run function(*args) in a pooled greenlet and return what it returns or raise what it raises."""
        box: list[Any] = []

        def run() -> None:
            try:
                box.append((function(*args), None))
            except BaseException as error:
                box.append((None, error))
            self.stop()

        alarm = self.after(LIMIT, self.stop)
        self.spawn(run)
        self.run()
        alarm.cancel()
        assert box, "the test hangs"
        result, error = box[0]
        if error is not None:
            raise error
        return result

    def until(self, met: Callable[[], object]) -> None:
        """Run until *met* says so."""

        def wait() -> None:
            while not met():
                self.sleep(5)

        self.do(wait)


@pytest.fixture
def log() -> Lines:
    return Lines()


@pytest.fixture
def hub() -> Iterator[TestHub]:
    hub = TestHub()
    yield hub
    hub.close()
    assert hub.errors == []


@pytest.fixture
def pool(hub: TestHub, log: Lines) -> Iterator[ConnectionPool]:
    pool = ConnectionPool(hub, 512, log)
    yield pool
    for c in list(pool.connections):
        c.close()


@pytest.fixture
def pair(pool: ConnectionPool) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection, and the blocking socket at its other end."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(30)
    c = pool.get(ours.detach())
    assert c is not None
    yield c, theirs
    theirs.close()
