"""What a TLS client says first, in the clear: its version, the server's name, the protocols it offers.

RFC 8446, 4.1.2; RFC 6066, 3; RFC 7301, 3.1; nginx: ngx_stream_ssl_preread_module.c
"""

from __future__ import annotations

from dataclasses import dataclass, field

HANDSHAKE = 0x16
CLIENT_HELLO = 1
SERVER_NAME, ALPN, SUPPORTED_VERSIONS = 0, 16, 43
HOST_NAME = 0
RECORD_HEAD = 5

#: As SSL_get_version() names them
VERSIONS = {
    (0, 2): b"SSLv2",
    (3, 0): b"SSLv3",
    (3, 1): b"TLSv1",
    (3, 2): b"TLSv1.1",
    (3, 3): b"TLSv1.2",
    (3, 4): b"TLSv1.3",
}


@dataclass(slots=True)
class ClientHello:
    """A ClientHello, as far as anybody asks."""

    version: tuple[int, int] = (0, 0)
    server_name: bytes = b""
    alpn: list[bytes] = field(default_factory=list)

    @property
    def protocol(self) -> bytes:
        """`TLSv1.3`; b"" for what has no name."""
        return VERSIONS.get(self.version, b"")


class NotTls(ValueError):
    """No ClientHello, or a broken one."""


class NeedsMore(Exception):
    """The ClientHello goes on; *hello* is what is known of it so far."""

    def __init__(self, hello: ClientHello) -> None:
        super().__init__()
        self.hello = hello


class _Reader:
    """A walk over the handshake message; *left* is how much of it there shall still be, have it come or not."""

    def __init__(self, data: bytes, hello: ClientHello) -> None:
        self.data = data
        self.at = 0
        self.left = 4
        self.hello = hello

    def take(self, n: int) -> bytes:
        """The next *n* bytes; raises NotTls when the message is shorter, NeedsMore when they have not come yet."""
        if n > self.left:
            raise NotTls
        if self.at + n > len(self.data):
            raise NeedsMore(self.hello)
        found = self.data[self.at : self.at + n]
        self.at += n
        self.left -= n
        return found

    def number(self, n: int) -> int:
        return int.from_bytes(self.take(n), "big")


def read_client_hello(data: bytes) -> ClientHello:
    """The ClientHello that *data* begins with. Raises NotTls, NeedsMore; records are looked at once they are whole."""
    hello = ClientHello()
    message = b""
    at = 0
    while len(data) - at >= RECORD_HEAD:
        head = data[at : at + RECORD_HEAD]
        if head[0] & 0x80 and head[2] == CLIENT_HELLO and head[3] in (0, 3):
            hello.version = head[3], head[4]  # SSL 2's
            return hello
        if head[0] != HANDSHAKE or head[1] != 3:
            raise NotTls
        end = at + RECORD_HEAD + int.from_bytes(head[3:], "big")
        if len(data) < end:
            break
        message += data[at + RECORD_HEAD : end]
        at = end
        try:
            return _read(message)
        except NeedsMore as more:
            hello = more.hello
    raise NeedsMore(hello)


def _read(message: bytes) -> ClientHello:
    hello = ClientHello()
    reader = _Reader(message, hello)
    kind, size = reader.number(1), reader.number(3)
    if kind != CLIENT_HELLO:
        raise NotTls
    reader.left = size
    version = reader.take(2)
    hello.version = version[0], version[1]
    reader.take(32)  # random
    reader.take(reader.number(1))  # session id
    reader.take(reader.number(2))  # cipher suites
    reader.take(reader.number(1))  # compression methods
    if reader.left:
        reader.take(2)  # length of all extensions
    while reader.left:
        kind, size = reader.number(2), reader.number(2)
        if kind == SERVER_NAME and not hello.server_name:
            _server_name(reader, hello)
        elif kind == ALPN and not hello.alpn:
            _alpn(reader, hello)
        elif kind == SUPPORTED_VERSIONS:
            hello.version = 3, 4
            reader.take(reader.number(1))
        else:
            reader.take(size)
    return hello


def _server_name(reader: _Reader, hello: ClientHello) -> None:
    left = reader.number(2)
    kind, size = reader.number(1), reader.number(2)
    if kind != HOST_NAME or left < 3 + size:
        raise NotTls
    hello.server_name = reader.take(size)
    reader.take(left - 3 - size)


def _alpn(reader: _Reader, hello: ClientHello) -> None:
    left = reader.number(2)
    while True:
        size = reader.number(1)
        if not size or left < 1 + size:
            raise NotTls
        hello.alpn.append(reader.take(size))
        left -= 1 + size
        if not left:
            return
