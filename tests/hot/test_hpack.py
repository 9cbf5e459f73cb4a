"""HPACK: the examples of RFC 7541, blocks in pieces, faults, and what is written, for both twins."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Fields = list[tuple[bytes, bytes]]

REQUEST = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com")]
SECURE = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/index.html"), (b":authority", b"www.example.com")]

#: RFC 7541, Appendix C.3 and C.4: three requests on one connection, plain and Huffman-coded
EXAMPLES: list[list[tuple[str, Fields]]] = [
    [
        ("828684410f7777772e6578616d706c652e636f6d", REQUEST),
        ("828684be58086e6f2d6361636865", [*REQUEST, (b"cache-control", b"no-cache")]),
        ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", [*SECURE, (b"custom-key", b"custom-value")]),
    ],
    [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUEST),
        ("828684be5886a8eb10649cbf", [*REQUEST, (b"cache-control", b"no-cache")]),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", [*SECURE, (b"custom-key", b"custom-value")]),
    ],
]

#: what a block is refused for: bytes, code, message
FAULTS: list[tuple[str, int, str]] = [
    ("80", 9, "client sent invalid hpack table index 0"),
    ("be", 9, "client sent out of bound hpack table index: 0"),
    ("7f", 6, "client sent header block with incorrect length"),
    ("ffffffffffff01", 9, "client sent header block with too long header index value"),
    ("3fffffffffff01", 9, "client sent header block with too long size update value"),
    ("3fe21f", 9, "client sent invalid table size update: 4097"),
    ("00", 6, "client sent header block with incorrect length"),
    ("0000", 1, "client sent zero header name length"),
    ("0003ab", 6, "client sent header field with incorrect length"),
    ("007fffff7f", 11, "client sent too large header field"),
    ("007fffffffff01", 9, "client sent header field with too long length value"),
    ("0084ffffffff", 9, "client sent invalid encoded header field"),
    ("008100", 9, "client sent invalid encoded header field"),
]


@pytest.mark.parametrize("connection", EXAMPLES)
def test_examples(hpack: ModuleType, connection: list[tuple[str, Fields]]) -> None:
    decoder = hpack.Decoder(8192, 32768)
    for block, fields in connection:
        assert decoder.decode(bytes.fromhex(block)) == fields


@pytest.mark.parametrize("connection", EXAMPLES)
def test_examples_in_pieces(hpack: ModuleType, connection: list[tuple[str, Fields]]) -> None:
    decoder = hpack.Decoder(8192, 32768)
    for text, fields in connection:
        block = bytes.fromhex(text)
        found: Fields = []
        rest = b""
        decoder.begin()
        for at in range(len(block)):
            rest += block[at : at + 1]
            stop = decoder.go_on(rest, 0, len(rest), False, found)
            rest = rest[stop:]
        decoder.go_on(rest, 0, len(rest), True, found)
        assert found == fields


@pytest.mark.parametrize(("block", "code", "message"), FAULTS)
def test_faults(hpack: ModuleType, block: str, code: int, message: str) -> None:
    with pytest.raises(hpack.HpackError) as raised:
        hpack.Decoder(8192, 32768).decode(bytes.fromhex(block))
    assert (raised.value.code, raised.value.message) == (code, message)


def test_a_block_has_a_limit(hpack: ModuleType) -> None:
    block = hpack.field(b"a", b"b" * 100)
    decoder = hpack.Decoder(8192, 250)
    assert len(decoder.decode(block * 2)) == 2
    assert len(decoder.decode(block * 2)) == 2
    with pytest.raises(hpack.HpackError, match="client sent too large header"):
        decoder.decode(block * 3)


def test_the_table_forgets_the_oldest(hpack: ModuleType) -> None:
    decoder = hpack.Decoder(8192, 65536)
    entry = [b"\x40" + hpack.text(b"n%02d" % n) + hpack.text(b"~" * 965) for n in range(5)]
    decoder.decode(b"".join(entry))  # 1000 bytes each, 4096 fit
    assert [decoder.decode(bytes((0x80 | 62 + n,)))[0][0] for n in range(4)] == [b"n04", b"n03", b"n02", b"n01"]
    with pytest.raises(hpack.HpackError):
        decoder.decode(bytes((0x80 | 66,)))
    decoder.decode(hpack.integer(0x20, 31, 1000))
    assert decoder.decode(b"\xbe")[0][0] == b"n04"
    with pytest.raises(hpack.HpackError):
        decoder.decode(b"\xbf")
    decoder.decode(b"\x20")
    with pytest.raises(hpack.HpackError):
        decoder.decode(b"\xbe")


def test_an_entry_larger_than_the_table_empties_it(hpack: ModuleType) -> None:
    decoder = hpack.Decoder(8192, 65536)
    decoder.decode(b"\x40" + hpack.text(b"a") + hpack.text(b"b"))
    decoder.decode(b"\x40" + hpack.text(b"a") + hpack.text(b"~" * 5000))
    with pytest.raises(hpack.HpackError):
        decoder.decode(b"\xbe")


def test_padding_of_any_length(hpack: ModuleType) -> None:
    assert hpack.Decoder(8192, 65536).decode(b"\x41\x82\x1f\xff") == [(b":authority", b"a")]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=60), st.binary(max_size=300)), max_size=10))
def test_what_is_written_is_read(hpack: ModuleType, fields: Fields) -> None:
    block = b"".join(hpack.field(name, value) for name, value in fields)
    assert hpack.Decoder(8192, 65536).decode(block) == fields
