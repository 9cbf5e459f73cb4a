"""gevent's pywsgi with a WSGI application that asks the backend over pooled connections: `FILE PORT BACKEND_PORT`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

from gevent import monkey

monkey.patch_all()

import http.client  # noqa: E402  (patched above)

from gevent.pywsgi import WSGIServer  # noqa: E402

PER_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "content-length"}


def main(port: int, backend: int) -> None:
    idle: list[http.client.HTTPConnection] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        c = idle.pop() if idle else http.client.HTTPConnection("127.0.0.1", backend)
        path = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ["QUERY_STRING"] else "")
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        c.request(environ["REQUEST_METHOD"], path, environ["wsgi.input"].read() or None, headers)
        answer = c.getresponse()
        body = answer.read()
        idle.append(c)
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in PER_HOP]
        start_response(f"{answer.status} {answer.reason}", kept)
        return [body]

    WSGIServer(("127.0.0.1", port), application, backlog=1024, log=None).serve_forever()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
