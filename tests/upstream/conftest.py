"""What the balancers' tests share: upstreams made in Python, requests that only have what a picker looks at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from geng.net.address import Address
from geng.upstream.peers import OK, Picker
from geng.upstream.upstream import ALL, Method, Server, Upstream

FIRST_PORT = 18081  # the golden sequences of test_hash.py were recorded with these


class Log:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def warn(self, message: str, ctx: object = None) -> None:
        self.lines.append(message)


class Client:
    def __init__(self, addr_text: bytes = b"127.0.0.1") -> None:
        self.addr_text = addr_text


class Request:
    """*key* is what `hash` hashes."""

    def __init__(self, key: bytes = b"", addr: bytes = b"127.0.0.1") -> None:
        self.key = key
        self.c = Client(addr)
        self.log = Log()


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Balanced:
    """An upstream whose servers are named 0, 1, 2 … and that is asked for them."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self.upstream = upstream
        self.clock = clock
        self.request = Request()
        if upstream.peers is not None:
            self.tell_time()

    def tell_time(self) -> None:
        for group in (self.upstream.peers, self.upstream.peers.next):
            if group is not None:
                group.clock = self.clock

    @property
    def peers(self) -> list[Any]:
        backup = self.upstream.peers.next
        return [*self.upstream.peers.list, *(backup.list if backup else ())]

    def start(self, **request: Any) -> Picker:
        if request:
            self.request = Request(**request)
        return self.upstream.start(self.request)

    def index(self, picker: Picker) -> int:
        assert picker.name == b"127.0.0.1:%d" % picker.sockaddr[1]
        return int(picker.sockaddr[1]) - FIRST_PORT

    def ask(self, state: int = OK, **request: Any) -> int:
        """One request with one try: which server it got."""
        picker = self.start(**request)
        picker.get()
        picker.free(picker, state)
        return self.index(picker)

    def sequence(self, n: int) -> str:
        """Which servers *n* requests got, one after the other."""
        return "".join(str(self.ask()) for _ in range(n))


@pytest.fixture
def balanced() -> Callable[..., Balanced]:
    """`balanced({"weight": 5}, {}, {"backup": True}, method=LeastConnMethod())`"""

    def make(*servers: dict[str, Any], method: Method | None = None, clock: Clock | None = None) -> Balanced:
        upstream = Upstream("u", flags=ALL)
        upstream.servers = []
        for i, parameters in enumerate(servers):
            port = FIRST_PORT + i
            name = f"127.0.0.1:{port}"
            upstream.servers.append(Server(name, [Address(("127.0.0.1", port), name.encode())], port, **parameters))
        upstream.method = method
        if servers:
            upstream.link()
        return Balanced(upstream, clock or Clock())

    return make
