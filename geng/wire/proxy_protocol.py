"""The PROXY protocol: who a connection really comes from, told by a balancer in front; versions 1 and 2.

nginx: ngx_proxy_protocol.c; https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence
from typing import Any

from geng.errors import ProtocolError

MAX_HEADER = 4096  # a header must arrive within the first so many bytes
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FIXED = 16  # signature, version and command, family and transport, length

LOCAL, PROXY = 0, 1
UNSPEC, INET, INET6 = 0, 1, 2
STREAM, DGRAM = 1, 2

TLV_CRC32C = 0x03
TLV_SSL = 0x20
SSL_FIXED = 5  # client flags, verify result

#: Names of $proxy_protocol_tlv_<name>, and of $proxy_protocol_tlv_ssl_<name>, which lie inside the SSL one.
TLVS = {"alpn": 0x01, "authority": 0x02, "unique_id": 0x05, "ssl": TLV_SSL, "netns": 0x30}
SSL_TLVS = {"version": 0x21, "cn": 0x22, "cipher": 0x23, "sig_alg": 0x24, "key_alg": 0x25}

CLIENT_SSL, CLIENT_CERT_CONN, CLIENT_CERT_SESS = 1, 2, 4

#                       PROXY TCP4 source        destination   ports
_V1 = re.compile(rb"PROXY TCP[46] ([0-9A-Fa-f:.]*) ([0-9A-Fa-f:.]*) ([0-9]+) ([0-9]+)\r\n")
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN.*?\r\n", re.DOTALL)
_LINE = re.compile(rb"[^\r\n]*")


class BrokenHeader(ProtocolError):
    """A header that ends the connection; the message is for the error log."""

    def __init__(self, message: str) -> None:
        super().__init__(400, message)


class ProxyProtocol:
    """What a header said; addresses as text, without port."""

    __slots__ = ("src_addr", "src_port", "dst_addr", "dst_port", "tlvs")

    def __init__(self, src_addr: bytes, src_port: int, dst_addr: bytes, dst_port: int, tlvs: bytes = b"") -> None:
        self.src_addr = src_addr
        self.src_port = src_port
        self.dst_addr = dst_addr
        self.dst_port = dst_port
        self.tlvs = tlvs

    def __repr__(self) -> str:
        src, dst = self.src_addr.decode(), self.dst_addr.decode()
        return f"<ProxyProtocol {src} {self.src_port} to {dst} {self.dst_port}>"

    def tlv(self, name: str) -> bytes | None:
        """The value of TLV *name* (`alpn`, `ssl_cn`, `0xea`, `ssl_0x21`, `ssl_verify`), None if it was not sent.

        Raises ProtocolError with what nginx logs for a broken TLV or an unknown name; the variable is then not found.
        """
        return _find(self.tlvs, name)


def _find(tlvs: bytes, name: str) -> bytes | None:
    known, wanted = TLVS, name
    if name.startswith("ssl_"):
        ssl = _lookup(tlvs, TLV_SSL)
        if ssl is None:
            return None
        if len(ssl) < SSL_FIXED:
            raise ProtocolError(500, "broken PROXY protocol TLV")
        wanted = name[4:]
        if wanted == "verify":
            return b"%d" % int.from_bytes(ssl[1:SSL_FIXED], "big")
        known, tlvs = SSL_TLVS, ssl[SSL_FIXED:]
    if wanted.startswith("0x"):
        if not re.fullmatch("[0-9a-fA-F]+", wanted[2:]):
            raise ProtocolError(500, f'invalid PROXY protocol TLV "{name}"')
        return _lookup(tlvs, int(wanted[2:], 16))
    if wanted not in known:
        raise ProtocolError(500, f'unknown PROXY protocol TLV "{name}"')
    return _lookup(tlvs, known[wanted])


def _lookup(tlvs: bytes, kind: int) -> bytes | None:
    """The first TLV of *kind*."""
    at = 0
    while at < len(tlvs):
        start = at + 3
        end = start + int.from_bytes(tlvs[at + 1 : start], "big")
        if start > len(tlvs) or end > len(tlvs):
            raise ProtocolError(500, "broken PROXY protocol TLV")
        if tlvs[at] == kind:
            return tlvs[start:end]
        at = end
    return None


# ---- reading


def read(data: bytes) -> tuple[ProxyProtocol | None, int]:
    """The header at the start of *data* (None: it tells no addresses) and how many bytes it takes.

    Raises BrokenHeader in nginx's words; as in nginx, a header that has not arrived whole is broken.
    """
    if len(data) >= FIXED and data.startswith(SIGNATURE):
        return _read_v2(data)
    found = _V1.match(data)
    if found is not None and int(found[3]) <= 65535 and int(found[4]) <= 65535:
        return ProxyProtocol(found[1], int(found[3]), found[2], int(found[4])), found.end()
    if found is None and (found := _V1_UNKNOWN.match(data)) is not None:
        return None, found.end()
    line = _LINE.match(data)[0].decode("utf-8", "surrogateescape")  # type: ignore[index]  # it always matches
    raise BrokenHeader(f'broken header: "{line}"')


def _read_v2(data: bytes) -> tuple[ProxyProtocol | None, int]:
    version, command = data[12] >> 4, data[12] & 15
    if version != 2:
        raise BrokenHeader(f"unknown PROXY protocol version: {version}")
    end = FIXED + int.from_bytes(data[14:FIXED], "big")
    if len(data) < end:
        raise BrokenHeader("header is too large")
    family, transport = data[13] >> 4, data[13] & 15
    if command != PROXY or transport != STREAM or family not in (INET, INET6):
        return None, end
    size, af = (4, socket.AF_INET) if family == INET else (16, socket.AF_INET6)
    ports = FIXED + 2 * size
    tlvs = ports + 4
    if end < tlvs:
        raise BrokenHeader("header is too small")  # nginx closes without a word
    src = socket.inet_ntop(af, data[FIXED : FIXED + size]).encode()
    dst = socket.inet_ntop(af, data[FIXED + size : ports]).encode()
    src_port = int.from_bytes(data[ports : ports + 2], "big")
    dst_port = int.from_bytes(data[ports + 2 : tlvs], "big")
    return ProxyProtocol(src, src_port, dst, dst_port, data[tlvs:end]), end


# ---- writing


def write(src: Any, dst: Any) -> bytes:
    """A version 1 header for a connection from sockaddr *src* to *dst*."""
    if not isinstance(src, tuple):
        return b"PROXY UNKNOWN\r\n"
    word = "TCP6" if ":" in src[0] else "TCP4"
    return f"PROXY {word} {src[0]} {dst[0]} {src[1]} {dst[1]}\r\n".encode()


def write_v2(
    src: Any,
    dst: Any,
    *,
    transport: int = STREAM,
    tlvs: Sequence[tuple[int, bytes]] = (),
    ssl: tuple[int, int, Sequence[tuple[int, bytes]]] | None = None,
) -> bytes:
    """A version 2 header, with its CRC32c. *ssl*: client flags, verify result and the TLVs inside the SSL one."""
    command, family, addresses = _addresses(src, dst)
    body = addresses + b"".join(_tlv(kind, value) for kind, value in tlvs)
    if ssl is not None:
        client, verify, inner = ssl
        value = bytes([client]) + verify.to_bytes(4, "big") + b"".join(_tlv(kind, value) for kind, value in inner)
        body += _tlv(TLV_SSL, value)
    size = len(body) + 7  # with the checksum
    head = SIGNATURE + bytes([0x20 | command, family << 4 | (transport if family else 0)]) + size.to_bytes(2, "big")
    header = head + body + bytes([TLV_CRC32C, 0, 4])
    return header + crc32c(header + bytes(4)).to_bytes(4, "big")


def _tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def _addresses(src: Any, dst: Any) -> tuple[int, int, bytes]:
    """Command, family and address block; IPv4 is promoted where the other side is IPv6, both mapped are demoted."""
    if not isinstance(src, tuple) or not isinstance(dst, tuple):
        return LOCAL, UNSPEC, b""
    ports = src[1].to_bytes(2, "big") + dst[1].to_bytes(2, "big")
    a, b = _packed(src[0]), _packed(dst[0])
    mapped = bytes(10) + b"\xff\xff"
    if len(a) == len(b) == 16 and a.startswith(mapped) and b.startswith(mapped):
        a, b = a[12:], b[12:]
    if len(a) == len(b) == 4:
        return PROXY, INET, a + b + ports
    a, b = (x if len(x) == 16 else mapped + x for x in (a, b))
    return PROXY, INET6, a + b + ports


def _packed(host: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0x82F63B78 if byte & 1 else byte >> 1  # RFC 3720, B.4, reflected
        table.append(byte)
    return tuple(table)


_CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    """RFC 3720's checksum (Castagnoli)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF
