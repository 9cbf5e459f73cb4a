"""A backend in threads for the endurance checks: digests of uploads, and answers that no upstream should give."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Origin(ThreadingHTTPServer):
    """`with Origin() as origin: origin.port`; serves from a thread until the block ends."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port: int = self.server_address[1]

    def __enter__(self) -> Origin:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Silent: the clients here go away in the middle on purpose, and what matters is checked at the far end."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_POST(self) -> None:
        left, digest = int(self.headers["Content-Length"]), hashlib.sha256()
        while left:
            data = self.rfile.read(min(left, 65536))
            if not data:
                self.close_connection = True
                return
            digest.update(data)
            left -= len(data)
        self._send(digest.hexdigest().encode())

    def do_GET(self) -> None:
        """Faults by address: /reset, /garbage, /short, /endless-head; all else is `fine`."""
        fault = FAULTS.get(self.path)
        if fault is None:
            self._send(b"fine")
            return
        self.wfile.write(fault)
        self.close_connection = True

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# What is written in place of a response, before the connection is closed.
FAULTS = {
    "/reset": b"",
    "/garbage": b"HTTP/1.1 200 OK\r\nno\x00 header at all\r\n\r\n",
    "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nonly this",
    "/endless-head": b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"x" * 1_000_000 + b"\r\n\r\n",
}
