"""PROXY protocol headers, read and written: geng/wire/proxy_protocol.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.errors import ProtocolError
from geng.wire import proxy_protocol as pp

V4 = (("192.0.2.1", 1234), ("198.51.100.2", 80))
V6 = (("2001:db8::1", 1234, 0, 0), ("2001:db8::2", 443, 0, 0))


@pytest.mark.parametrize(
    "line, told",
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\n", "<ProxyProtocol 192.0.2.1 123 to 192.0.2.2 5678>"),
        (b"PROXY TCP6 2001:Db8::1 ::1 1 65535\r\n", "<ProxyProtocol 2001:Db8::1 1 to ::1 65535>"),
        (b"PROXY UNKNOWN\r\n", "None"),
        (b"PROXY UNKNOWN 1 2 3 4 5 6\r\n", "None"),
        (b"PROXY UNKNOWN with a lone \r and \n in it\r\n", "None"),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n\r\n"])
def test_version_1(line, told, rest) -> None:
    header, size = pp.read(line + rest)
    assert repr(header) == told
    assert size == len(line)


@pytest.mark.parametrize(
    "data, message",
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 'broken header: "GET / HTTP/1.1"'),
        (b"PROXY", 'broken header: "PROXY"'),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678", 'broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 123 5678"'),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\n", 'broken header: "PROXY TCP4 192.0.2.1 192.0.2.2 123 5678"'),
        (b"PROXY TCP5 1.1.1.1 1.1.1.1 1 1\r\n", 'broken header: "PROXY TCP5 1.1.1.1 1.1.1.1 1 1"'),
        (b"PROXY TCP4 1.1.1.g 1.1.1.1 1 1\r\n", 'broken header: "PROXY TCP4 1.1.1.g 1.1.1.1 1 1"'),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1 1 65536\r\n", 'broken header: "PROXY TCP4 1.1.1.1 1.1.1.1 1 65536"'),
        (b"PROXY TCP4 1.1.1.1 1.1.1.1  1\r\n", 'broken header: "PROXY TCP4 1.1.1.1 1.1.1.1  1"'),
        (b"PROXY UNKNOWN without an end", 'broken header: "PROXY UNKNOWN without an end"'),
        (pp.SIGNATURE + b"\x11\x11\0\0", "unknown PROXY protocol version: 1"),
        (pp.SIGNATURE + b"\x21\x11\0\x0c" + bytes(11), "header is too large"),
        (pp.SIGNATURE + b"\x21\x11\0\x0b" + bytes(11), "header is too small"),
    ],
)
def test_broken(data, message) -> None:
    with pytest.raises(pp.BrokenHeader) as caught:
        pp.read(data)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "kind", [b"\x20\x11", b"\x21\x12", b"\x21\x00", b"\x21\x31"], ids=["LOCAL", "DGRAM", "UNSPEC", "UNIX"]
)
def test_version_2_without_addresses(kind) -> None:
    data = pp.SIGNATURE + kind + b"\0\x0c" + bytes(12)
    assert pp.read(data + b"rest") == (None, len(data))


def test_version_2_with_tlvs() -> None:
    ssl = (pp.CLIENT_SSL | pp.CLIENT_CERT_SESS, 1, [(0x21, b"TLSv1.3"), (0x22, b"client.example")])
    data = pp.write_v2(*V4, tlvs=[(0x01, b"h2"), (0x02, b"example.com"), (0xEA, b"\1vpce")], ssl=ssl)
    header, size = pp.read(data + b"rest")
    assert size == len(data)
    assert repr(header) == "<ProxyProtocol 192.0.2.1 1234 to 198.51.100.2 80>"
    assert header.tlv("alpn") == b"h2"
    assert header.tlv("authority") == b"example.com"
    assert header.tlv("0xea") == header.tlv("0xEA") == b"\1vpce"
    assert header.tlv("unique_id") is None
    assert header.tlv("ssl_version") == header.tlv("ssl_0x21") == b"TLSv1.3"
    assert header.tlv("ssl_cn") == b"client.example"
    assert header.tlv("ssl_cipher") is None
    assert header.tlv("ssl_verify") == b"1"
    assert header.tlv("ssl").startswith(b"\x05\0\0\0\1\x21")


@pytest.mark.parametrize(
    "name, message",
    [
        ("nope", 'unknown PROXY protocol TLV "nope"'),
        ("ssl_nope", 'unknown PROXY protocol TLV "ssl_nope"'),
        ("0x", 'invalid PROXY protocol TLV "0x"'),
        ("0xfg", 'invalid PROXY protocol TLV "0xfg"'),
    ],
)
def test_wrong_tlv_names(name, message) -> None:
    header, _ = pp.read(pp.write_v2(*V4, ssl=(1, 0, [])))
    with pytest.raises(ProtocolError) as caught:
        header.tlv(name)
    assert caught.value.message == message


@pytest.mark.parametrize("tlvs", [b"\1", b"\1\0\2x", b"\2\0\1x\1\0"])
def test_broken_tlvs(tlvs) -> None:
    with pytest.raises(ProtocolError) as caught:
        pp.ProxyProtocol(b"", 0, b"", 0, tlvs).tlv("alpn")
    assert caught.value.message == "broken PROXY protocol TLV"


def test_ssl_name_without_an_ssl_tlv() -> None:
    header, _ = pp.read(pp.write_v2(*V4))
    assert header.tlv("ssl_cn") is None


@pytest.mark.parametrize(
    "src, dst, line",
    [
        (*V4, b"PROXY TCP4 192.0.2.1 198.51.100.2 1234 80\r\n"),
        (*V6, b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n"),
        ("", "/run/s", b"PROXY UNKNOWN\r\n"),
    ],
)
def test_write_version_1(src, dst, line) -> None:
    assert pp.write(src, dst) == line


def test_write_version_2() -> None:
    def addresses(src, dst):
        data = pp.write_v2(src, dst)
        assert pp.crc32c(data[:-4] + bytes(4)) == int.from_bytes(data[-4:], "big")
        return repr(pp.read(data)[0])

    assert addresses(*V6) == "<ProxyProtocol 2001:db8::1 1234 to 2001:db8::2 443>"
    assert addresses(V4[0], V6[1]) == "<ProxyProtocol ::ffff:192.0.2.1 1234 to 2001:db8::2 443>"
    mapped = ("::ffff:192.0.2.1", 1, 0, 0), ("::ffff:192.0.2.2", 2, 0, 0)
    assert addresses(*mapped) == "<ProxyProtocol 192.0.2.1 1 to 192.0.2.2 2>"
    assert addresses("", "/run/s") == "None"


def test_checksum() -> None:
    assert pp.crc32c(b"123456789") == 0xE3069283  # the check value of the catalogue


@given(st.binary(max_size=200))
def test_noise_is_refused_or_measured(data) -> None:
    for candidate in (data, b"PROXY " + data, pp.SIGNATURE + data):
        try:
            _, size = pp.read(candidate)
        except pp.BrokenHeader:
            continue
        assert 0 < size <= len(candidate)


@given(st.binary(max_size=60), st.sampled_from(["alpn", "ssl_cn", "0x05"]))
def test_noise_in_tlvs(tlvs, name) -> None:
    try:
        pp.ProxyProtocol(b"", 0, b"", 0, tlvs).tlv(name)
    except ProtocolError as error:
        assert error.message == "broken PROXY protocol TLV"
