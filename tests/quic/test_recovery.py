"""Buffers, packet number spaces and congestion: what they do without a network."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geng.quic.buffers import Arrived, Outgoing
from geng.quic.congestion import INITIAL_WINDOW, Congestion
from geng.quic.frames import APPLICATION, Ack, Ping
from geng.quic.space import ACK_GAP, Space

DATA = bytes(range(256)) * 4


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 300))), st.integers(1, 200))
def test_pieces_in_any_order(pieces: list[tuple[int, int]], step: int) -> None:
    """What arrives, in whatever order and how often, is read once and in order."""
    arrived = Arrived()
    got = b""
    have: set[int] = set()
    for offset, size in pieces:
        arrived.put(offset, DATA[offset : offset + size])
        have.update(range(offset, min(offset + size, len(DATA))))
        got += arrived.take(step)
        assert arrived.received == len(have)
    while part := arrived.take(step):
        got += part
    whole = next((i for i in range(len(DATA)) if i not in have), len(DATA))
    assert got == DATA[:whole]
    assert arrived.size == 0


def test_gaps_are_counted() -> None:
    arrived = Arrived()
    for offset in range(2, 20, 2):
        arrived.put(offset, b"x")
    assert (arrived.gaps, arrived.size, arrived.received) == (9, 0, 9)
    arrived.put(0, b"x" * 20)
    assert (arrived.gaps, arrived.take(50)) == (0, b"x" * 20)


def test_what_waits_is_taken_in_pieces() -> None:
    outgoing = Outgoing()
    for part in (b"abc", bytearray(b"def"), memoryview(b"ghi")):
        outgoing.append(part)
    assert (outgoing.take(4), outgoing.size) == (b"abcd", 5)
    assert (outgoing.take(10), outgoing.size, outgoing.take(1)) == (b"efghi", 0, b"")


@given(st.lists(st.integers(0, 20), max_size=60))
def test_ranges_are_the_packets_that_came(numbers: list[int]) -> None:
    space = Space(APPLICATION)
    for number in numbers:
        space.arrived(number, True, 0)
    said = [n for first, last in space.ranges for n in range(last, first - 1, -1)]
    assert said == sorted(set(numbers), reverse=True)
    for (first, _), (_, last) in zip(space.ranges, space.ranges[1:], strict=False):
        assert first > last + 1
    if numbers:
        space.make_ack(0, 3)
        frame = space.frames[0]
        assert isinstance(frame, Ack) and frame.ranges == space.ranges
        middle = numbers[len(numbers) // 2]
        space.drop_ranges(middle)
        assert {n for first, last in space.ranges for n in range(first, last + 1)} == {n for n in numbers if n > middle}


def test_packets_out_of_order_are_acknowledged_at_once() -> None:
    space = Space(APPLICATION)
    space.arrived(0, True, 5)
    assert (space.send_ack, space.ack_delay_start) == (1, 5)
    space.arrived(2, True, 6)
    assert space.send_ack == ACK_GAP


def test_frames_go_back_when_the_socket_is_full() -> None:
    space = Space(APPLICATION)
    pings = [Ping(), Ping(), Ping()]
    space.frames.append(pings[2])
    space.sending += pings[:2]
    space.pnum = 4
    space.revert(3)
    assert (list(space.frames), space.sending, space.pnum) == (pings, [], 3)


def test_slow_start_loss_and_growth() -> None:
    congestion = Congestion(1000)
    assert congestion.window == INITIAL_WINDOW == 12000
    congestion.in_flight = 12000
    assert congestion.blocked
    assert congestion.acked(1200, 1000, 1050)  # may go on
    assert (congestion.window, congestion.in_flight) == (13200, 10800)
    assert not congestion.lost(1200, 1000, 1060, 1200, False)
    assert congestion.ssthresh == congestion.window == 6720
    assert congestion.recovery_start == 1060
    congestion.lost(1200, 1050, 1070, 1200, False)
    assert congestion.window == 6720  # of the same round trip: once is enough
    congestion.acked(1200, 1055, 1080)
    assert congestion.window == 6720
    congestion.acked(1200, 1100, 1200)
    assert congestion.window > 6720


def test_a_lost_probe_says_nothing() -> None:
    congestion = Congestion(1000)
    congestion.in_flight = 2400
    congestion.lost(2400, 1001, 1100, 1200, True)
    assert (congestion.window, congestion.in_flight) == (INITIAL_WINDOW, 0)


def test_a_window_that_is_not_used_does_not_grow() -> None:
    congestion = Congestion(1000)
    congestion.in_flight = 1200
    congestion.set_idle(True, 1000)
    congestion.acked(1200, 1001, 1100)
    assert congestion.window == INITIAL_WINDOW


def test_persistent_congestion() -> None:
    congestion = Congestion(1000)
    congestion.persistent(1400, 5000)
    assert (congestion.window, congestion.recovery_start) == (2800, 4999)
