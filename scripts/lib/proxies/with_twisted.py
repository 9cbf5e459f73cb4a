"""Twisted's own reverse proxy: `with_twisted.py PORT BACKEND_PORT`."""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.web import proxy, server


def main(port: int, backend: int) -> None:
    site = server.Site(proxy.ReverseProxyResource("127.0.0.1", backend, b""))
    reactor.listenTCP(port, site, backlog=1024, interface="127.0.0.1")
    reactor.run()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
