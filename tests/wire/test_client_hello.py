"""What a ClientHello says, whole and in pieces, as the standard library's TLS sends it and made by hand."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.wire.client_hello import ClientHello, NeedsMore, NotTls, read_client_hello


def hello(name: str | None = "example.com", alpn: list[str] | None = None, newest: bool = True) -> bytes:
    context = ssl.create_default_context()
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def records(message: bytes, size: int) -> bytes:
    """*message* in records of at most *size* bytes."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + len(piece).to_bytes(2, "big") + piece for piece in pieces)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (hello(alpn=["h2", "http/1.1"]), (b"TLSv1.3", b"example.com", [b"h2", b"http/1.1"])),
        (hello(newest=False), (b"TLSv1.2", b"example.com", [])),
        (hello(name=None), (b"TLSv1.3", b"", [])),
    ],
)
def test_what_a_library_sends(data: bytes, expected: tuple[bytes, bytes, list[bytes]]) -> None:
    found = read_client_hello(data)
    assert (found.protocol, found.server_name, found.alpn) == expected
    message = data[5:]
    for size in (1, 7, 100):
        assert read_client_hello(records(message, size)) == found
    for end in range(0, len(data), 9):
        with pytest.raises(NeedsMore):
            read_client_hello(data[:end])


def extensions(data: bytes) -> bytes:
    """A ClientHello with these extensions."""
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\2\0\1" + b"\1\0" + len(data).to_bytes(2, "big") + data
    return records(b"\1" + len(body).to_bytes(3, "big") + body, 16384)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\0\0\0\7\0\5\0\0\2ab", b"ab"),
        (b"\0\1\0\1x\0\0\0\7\0\5\0\0\2ab", b"ab"),  # behind another one
        (b"\0\0\0\x0c\0\x0a\0\0\2ab\0\0\2cd", b"ab"),  # the first of two names
    ],
)
def test_server_names(data: bytes, name: bytes) -> None:
    assert read_client_hello(extensions(data)) == ClientHello((3, 3), name)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x02\x01\0\5\1\0\0\1x",
        b"\x16\x03\x01\0\4\2\0\0\0",  # a ServerHello
        b"\x16\x03\x01\0\6\1\0\0\1xy",  # shorter than its parts
        extensions(b"\0\0\0\7\0\5\1\0\2ab"),  # no host name
        extensions(b"\0\0\0\7\0\4\0\0\2ab"),  # longer than the list that it is in
        extensions(b"\0\x10\0\3\0\1\0"),  # ALPN's empty name
        extensions(b"\0\x10\0\4\0\1\2h"),
        extensions(b"\0\0\0\7\0\5\0\0\xffab"),
    ],
)
def test_what_is_none(data: bytes) -> None:
    with pytest.raises(NotTls):
        read_client_hello(data)


def test_ssl_2() -> None:
    assert read_client_hello(b"\x80\x2e\1\3\1rest").protocol == b"TLSv1"
    assert read_client_hello(b"\x80\x2e\1\0\2rest").protocol == b"SSLv2"


@given(st.binary(max_size=80))
def test_anything_else(data: bytes) -> None:
    with contextlib.suppress(NotTls, NeedsMore):
        read_client_hello(b"\x16\x03\x01" + data)
        read_client_hello(extensions(data))
