"""Packet protection, against the examples of RFC 9001, appendix A."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geng.quic import packet as packets
from geng.quic.frames import APPLICATION, INITIAL
from geng.quic.protection import INITIAL_SALT, SUITES, Aead, Keys, Secret, expand_label, retry_tag

DCID = bytes.fromhex("8394c8f03e515708")

CLIENT_CRYPTO = bytes.fromhex(
    "060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e868"
    "04fe3a47f06a2b69484c00000413011302010000c000000010000e00000b6578"
    "616d706c652e636f6dff01000100000a00080006001d00170018001000070005"
    "04616c706e000500050100000000003300260024001d00209370b2c9caa47fba"
    "baf4559fedba753de171fa71f50f1ce15d43e994ec74d748002b000302030400"
    "0d0010000e0403050306030203080408050806002d00020101001c0002400100"
    "3900320408ffffffffffffffff05048000ffff07048000ffff08011001048000"
    "75300901100f088394c8f03e51570806048000ffff"
)
SERVER_PAYLOAD = bytes.fromhex(
    "02000000000600405a020000560303eefce7f7b37ba1d1632e96677825ddf739"
    "88cfc79825df566dc5430b9a045a1200130100002e00330024001d00209d3c94"
    "0d89690b84d08a60993c144eca684d1081287c834d5311bcf32bb9da1a002b00"
    "020304"
)
SERVER_PACKET = bytes.fromhex(
    "cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a"
    "5816b6394100f37a1c69797554780bb38cc5a99f5ede4cf73c3ec2493a1839b3"
    "dbcba3f6ea46c5b7684df3548e7ddeb9c3bf9c73cc3f3bded74b562bfb19fb84"
    "022f8ef4cdd93795d77d06edbb7aaf2f58891850abbdca3d20398c276456cbc4"
    "2158407dd074ee"
)


def test_the_keys_of_initial_packets() -> None:
    """A.1"""
    import hmac

    common = hmac.digest(INITIAL_SALT, DCID, "sha256")
    client = expand_label("sha256", common, b"client in", 32)
    assert client.hex() == "c00cf151ca5be075ed0ebfb5c80323c42d6b7db67881289af4008f1f6c357aea"
    assert expand_label("sha256", client, b"quic key", 16).hex() == "1f369613dd76d5467730efcbe3b1a22d"
    assert expand_label("sha256", client, b"quic iv", 12).hex() == "fa044b2f42a3fd3b46fb255c"
    assert expand_label("sha256", client, b"quic hp", 16).hex() == "9f50449e04a0e810283a1e9933adedd2"


def test_a_client_s_initial_packet() -> None:
    """A.2: what the client protects, the server reads."""
    client, server = Keys(), Keys()
    client.set_initial(DCID, server=False)
    server.set_initial(DCID)
    write, read = client.write[INITIAL], server.read[INITIAL]
    assert write is not None and read is not None
    payload = CLIENT_CRYPTO + bytes(1162 - len(CLIENT_CRYPTO))
    sent = packets.build(INITIAL, write, DCID, b"", 2, 4, payload, False)
    assert sent[:18].hex() == "c000000001088394c8f03e5157080000449e7b9aec34"[:36]
    assert sent[18:34].hex() == "7b9aec34d1b1c98dd7689fb8ec11d242"
    assert sent[-16:].hex() == "e221af44860018ab0856972e194cd934"
    packet = packets.parse(sent, 0)
    size = packets.unhide(packet, read, -1)
    assert (size, packet.number) == (4, 2)
    assert packets.open_payload(packet, read, size)
    assert packet.payload == payload


def test_a_server_s_initial_packet() -> None:
    """A.3"""
    keys = Keys()
    keys.set_initial(DCID)
    write = keys.write[INITIAL]
    assert write is not None
    scid = bytes.fromhex("f067a5502a4262b5")
    assert packets.build(INITIAL, write, b"", scid, 1, 2, SERVER_PAYLOAD, False) == SERVER_PACKET


def test_a_retry_packet() -> None:
    """A.4"""
    retry = bytes.fromhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba")
    assert retry_tag(bytes((len(DCID),)) + DCID + retry[:-16]) == retry[-16:]


def test_a_short_packet_with_chacha20() -> None:
    """A.5"""
    secret = bytes.fromhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
    own = Secret(SUITES[0x03001303], secret, True)
    sent = packets.build(APPLICATION, own, b"", b"", 654360564, 3, b"\x01", False)
    assert sent.hex() == "4cfe4189655e5cd55c41f69080575d7999c25a5bfb"


def test_the_next_key_phase() -> None:
    """A.5: the secret after an update"""
    secret = bytes.fromhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")
    following = Secret(SUITES[0x03001303], secret, False).next()
    assert following.secret.hex() == "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9"


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.aead)
def test_every_cipher_opens_what_it_has_sealed(suite: object) -> None:
    key, iv = bytes(range(suite.key)), bytes(12)  # type: ignore[attr-defined]
    seal, opener = Aead(suite, key, iv, True), Aead(suite, key, iv, False)  # type: ignore[arg-type]
    for number, data in ((0, b""), (1, b"x"), (1 << 40, b"y" * 1500)):
        sealed = seal.seal(number, b"header", data)
        assert len(sealed) == len(data) + 16
        assert opener.open(number, b"header", sealed) == data
        assert opener.open(number, b"other", sealed) is None
        assert opener.open(number + 1, b"header", sealed) is None
        assert opener.open(number, b"header", sealed[:-1] + bytes((sealed[-1] ^ 1,))) is None
    assert opener.open(0, b"", b"short") is None


@given(st.integers(0, (1 << 62) - 1), st.integers(0, 1 << 20))
def test_numbers_are_restored(number: int, behind: int) -> None:
    """What number_size() says suffices does."""
    largest = max(-1, number - 1 - behind)
    size = packets.number_size(number, largest)
    truncated = number & ((1 << 8 * size) - 1)
    assert packets.full_number(truncated, size, largest) == number


def test_the_example_of_a_number() -> None:
    """RFC 9000, A.3"""
    assert packets.full_number(0x9B32, 2, 0xA82F30EA) == 0xA82F9B32


@given(st.binary(max_size=1300))
def test_any_datagram_is_a_packet_or_garbage(data: bytes) -> None:
    packets.destination(data)
    keys = Keys()
    keys.set_initial(DCID)
    secret = keys.read[INITIAL]
    assert secret is not None
    at = 0
    while at < len(data):
        try:
            packet = packets.parse(data, at)
        except packets.BadPacket:
            return
        if packet.supported:
            size = packets.unhide(packet, secret, -1)
            assert not size or not packets.open_payload(packet, secret, size)
        assert packet.end > at
        at = packet.end
