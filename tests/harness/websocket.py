"""WebSocket (RFC 6455) for tests: the request that asks for it, and a client's masked frames."""

from __future__ import annotations

from .client import Connection

UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # what a server makes of that key: RFC 6455, 1.3
TEXT, CLOSE = 1, 8


def frame(data: bytes, opcode: int = TEXT, mask: bytes = b"\x01\x02\x03\x04") -> bytes:
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return bytes([0x80 | opcode]) + size + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def receive(c: Connection) -> tuple[int, bytes]:
    """The opcode and content of the next message, which may come in several frames."""
    opcode, content = 0, b""
    while True:
        first, size = c.exactly(2)
        if size == 126:
            size = int.from_bytes(c.exactly(2), "big")
        opcode = opcode or first & 15
        content += c.exactly(size)
        if first & 0x80:
            return opcode, content
