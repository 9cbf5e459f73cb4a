"""QPACK: the examples of RFC 9204, Appendix B, another implementation, and what breaks the rules."""

from __future__ import annotations

from collections.abc import Callable

import pylsqpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geng.wire import http3 as wire
from geng.wire import qpack
from geng.wire.http3 import Http3Error

LIMIT = 8192


def section(block: bytes, table: qpack.Table | None = None, step: int = 0, total: int = 32768) -> qpack.SectionReader:
    """*block*, read at once or *step* bytes at a time."""
    reader = qpack.SectionReader(table or qpack.Table(), LIMIT, total)
    pieces = [block[at : at + step] for at in range(0, len(block), step)] if step else [block]
    for number, piece in enumerate(pieces, 1):
        reader.feed(piece, number == len(pieces))
    return reader


def code_of(function: Callable[[], object]) -> int:
    with pytest.raises(Http3Error) as caught:
        function()
    return caught.value.code


@pytest.mark.parametrize("step", [0, 1, 3])
def test_examples_of_the_rfc(step: int) -> None:
    assert section(bytes.fromhex("0000510b2f696e6465782e68746d6c"), step=step).fields == [(b":path", b"/index.html")]

    table = qpack.Table()
    encoder = qpack.EncoderReader(table, LIMIT)

    def tell(text: str) -> None:
        data = bytes.fromhex(text)
        for at in range(0, len(data), step or len(data)):
            encoder.feed(data[at : at + (step or len(data))])

    tell("3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468")
    assert repr(table) == "<Table 2 entries, 106 of 220 bytes>"
    found = section(bytes.fromhex("03811011"), table, step)
    assert found.fields == [(b":authority", b"www.example.com"), (b":path", b"/sample/path")]
    assert found.required == 2

    tell("4a637573746f6d2d6b65790c637573746f6d2d76616c7565")
    assert repr(table) == "<Table 3 entries, 160 of 220 bytes>"

    tell("02")
    assert repr(table) == "<Table 4 entries, 217 of 220 bytes>"
    found = section(bytes.fromhex("050080c181"), table, step)
    assert found.fields == [(b":authority", b"www.example.com"), (b":path", b"/"), (b"custom-key", b"custom-value")]

    tell("810d637573746f6d2d76616c756532")
    assert repr(table) == "<Table 4 entries, 215 of 220 bytes>"
    assert table.lookup(0) is None and table.lookup(4) == (b"custom-key", b"custom-value2")


def test_what_the_decoder_says() -> None:
    assert (qpack.acknowledge(4), qpack.increment(1), qpack.cancel(8)) == (b"\x84", b"\x01", b"\x48")
    assert qpack.acknowledge(200) == b"\xff\x49"


def test_static_table_is_the_other_implementations() -> None:
    decoder = pylsqpack.Decoder(0, 0)
    for index, entry in enumerate(qpack.STATIC):
        _, fields = decoder.feed_header(index * 4, qpack.NO_TABLE + qpack.indexed(index))
        assert fields == [entry]


NAMES = st.sampled_from([b"host", b":path", b"x-a", b"cookie", b"user-agent", b"x-long-name-that-no-table-has"])
VALUES = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"/", b"GET", b"*/*", b"text/plain", b"a" * 300]))
LINES = st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=12)


@settings(max_examples=50, deadline=None)
@given(LINES)
def test_what_is_written_another_implementation_reads(lines: list[tuple[bytes, bytes]]) -> None:
    block = qpack.NO_TABLE + b"".join(qpack.field(name, value) for name, value in lines)
    assert pylsqpack.Decoder(0, 0).feed_header(0, block)[1] == lines
    assert section(block).fields == section(block, step=1).fields == lines


@settings(max_examples=50, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=8), st.integers(1, 50))
def test_another_implementation_writes(heads: list[list[tuple[bytes, bytes]]], step: int) -> None:
    encoder = pylsqpack.Encoder()
    table = qpack.Table()
    reader = qpack.EncoderReader(table, LIMIT)
    reader.feed(encoder.apply_settings(qpack.TABLE_CAPACITY, 16))
    for number, lines in enumerate(heads):
        said, block = encoder.encode(number * 4, lines)
        waiting = section(block, table, step)
        for at in range(0, len(said), step):
            reader.feed(said[at : at + step])
        if waiting.required > 0:
            waiting = section(block, table, step)
            encoder.feed_decoder(qpack.acknowledge(number * 4))
        assert waiting.fields == lines
        assert table.size <= table.capacity


def test_a_section_waits_for_its_entries() -> None:
    table = qpack.Table()
    reader = qpack.SectionReader(table, LIMIT, 32768)
    reader.feed(bytes.fromhex("038110"), False)
    assert reader.blocked and not reader.fields
    reader.feed(b"\x11", True)
    assert reader.blocked
    qpack.EncoderReader(table, LIMIT).feed(
        bytes.fromhex("3fbd01c00f7777772e6578616d706c652e636f6dc10c2f73616d706c652f70617468")
    )
    assert not reader.blocked
    reader.feed(b"", True)
    assert [name for name, _ in reader.fields] == [b":authority", b":path"]


@pytest.mark.parametrize(
    ("block", "code"),
    [
        ("0000", wire.FRAME_ERROR),  # no field
        ("00", wire.FRAME_ERROR),  # no prefix
        ("000051", wire.FRAME_ERROR),  # half a field
        ("0000ff24", wire.DECOMPRESSION_FAILED),  # static entry 99
        ("000080", wire.DECOMPRESSION_FAILED),  # a dynamic entry, of none
        ("000010", wire.DECOMPRESSION_FAILED),  # and behind the base
        ("00000000", wire.DECOMPRESSION_FAILED),
        ("ff8101", wire.FRAME_ERROR),  # more than all insertions, and no base
        ("ff810100", wire.DECOMPRESSION_FAILED),
        ("0081", wire.DECOMPRESSION_FAILED),  # a base below zero
        ("00005f7fffffffffffffffffff01", wire.EXCESSIVE_LOAD),
        ("0000518bffffffffffffffffffffff", 0),  # no text of Huffman's code
        ("0000" + "51ff8040", wire.EXCESSIVE_LOAD),  # longer than a buffer
        ("000020", 0),  # no name
    ],
)
def test_bad_sections(block: str, code: int) -> None:
    assert code_of(lambda: section(bytes.fromhex(block))) == code


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("3fe21f", wire.ENCODER_STREAM_ERROR),  # a table of 4097 bytes
        ("c00161", wire.ENCODER_STREAM_ERROR),  # an entry without a table
        ("3fbd01" + "00", wire.ENCODER_STREAM_ERROR),  # a copy of nothing
        ("3fbd01" + "800161", wire.ENCODER_STREAM_ERROR),  # the name of nothing
        ("3fbd01" + "ff240161", wire.ENCODER_STREAM_ERROR),  # static entry 99
        ("3fbd01" + "400161", 0),  # no name
        ("3fbd01" + "c07f8120", 0),  # longer than any entry may be
        ("3fbd01" + "c07f814080", wire.EXCESSIVE_LOAD),
    ],
)
def test_bad_encoders(said: str, code: int) -> None:
    assert code_of(lambda: qpack.EncoderReader(qpack.Table(), LIMIT).feed(bytes.fromhex(said))) == code


def test_a_decoder_that_acknowledges_nothing() -> None:
    qpack.DecoderReader().feed(b"\x48")
    assert code_of(lambda: qpack.DecoderReader().feed(b"\x84")) == wire.DECODER_STREAM_ERROR
    assert code_of(lambda: qpack.DecoderReader().feed(b"\x01")) == wire.DECODER_STREAM_ERROR


def test_too_many_fields_are_not_read() -> None:
    block = qpack.NO_TABLE + qpack.field(b"x-a", b"b" * 100) * 10
    reader = section(block, total=250)
    assert reader.too_large and len(reader.fields) == 2
