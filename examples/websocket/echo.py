"""A WebSocket server that sends back what it receives (RFC 6455): `python3 echo.py PORT`. Nothing to install."""

from __future__ import annotations

import base64
import hashlib
import sys
from socketserver import StreamRequestHandler, ThreadingTCPServer

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


class Echo(StreamRequestHandler):
    def handle(self) -> None:
        key = None
        while line := self.rfile.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"sec-websocket-key":
                key = value.strip()
        if key is None:
            self.wfile.write(b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n")
            return
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        while head := self.rfile.read(2):
            self.frame(head)
            if head[0] & 15 == CLOSE:
                return

    def frame(self, head: bytes) -> None:
        """Reads the rest of one frame and returns it, unmasked; a ping comes back as a pong."""
        length = head[1] & 127
        if length > 125:
            length = int.from_bytes(self.rfile.read(2 if length == 126 else 8), "big")
        mask = self.rfile.read(4)
        data = bytes(byte ^ mask[index % 4] for index, byte in enumerate(self.rfile.read(length)))
        first = head[0] & 0xF0 | PONG if head[0] & 15 == PING else head[0]
        size = bytes([length]) if length < 126 else b"\x7e" + length.to_bytes(2, "big")
        if length > 0xFFFF:
            size = b"\x7f" + length.to_bytes(8, "big")
        self.wfile.write(bytes([first]) + size + data)


class Server(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", int(sys.argv[1])), Echo) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
