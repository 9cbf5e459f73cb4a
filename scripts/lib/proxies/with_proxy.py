"""proxy.py as a reverse proxy: `with_proxy.py PORT BACKEND_PORT`."""

from __future__ import annotations

import re
import sys

import proxy
from proxy.http import Url
from proxy.http.parser import HttpParser
from proxy.http.server import ReverseProxyBasePlugin


class PassOn(ReverseProxyBasePlugin):  # type: ignore[misc]
    """Everything to the backend."""

    backend = 0

    def routes(self) -> list[str]:
        return [r"/.*"]

    def handle_route(self, request: HttpParser, pattern: re.Pattern[str]) -> Url:
        assert request.path
        return Url.from_bytes(b"http://127.0.0.1:%d%s" % (self.backend, request.path))


def main(port: int, backend: int) -> None:
    PassOn.backend = backend
    words = ["--hostname", "127.0.0.1", "--port", str(port), "--num-workers", "1", "--num-acceptors", "1", "--threaded",
             "--disable-http-proxy", "--enable-reverse-proxy", "--log-level", "ERROR"]  # fmt: skip
    with proxy.Proxy(words, plugins=[PassOn]) as running:
        proxy.sleep_loop(running)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
