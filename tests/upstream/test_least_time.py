"""least_time: the peer with the shortest time for what it has to do; averages, requests in flight."""

from __future__ import annotations

from typing import Any

import pytest

from geng.upstream import least_time
from geng.upstream.least_time import LeastTimeMethod, average
from geng.upstream.peers import FAILED, OK
from geng.upstream.state import UpstreamState

METRICS = ("response_time", "header_time")


class Under:
    """A request's exchange, as far as the picker looks at it."""

    def __init__(self, header: int, whole: int) -> None:
        self.state = UpstreamState()
        self.state.header_time, self.state.response_time = header, whole


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    now = [5000]
    monkeypatch.setattr(least_time, "msec", lambda: now[0])
    return now


def serve(up: Any, times: dict[int, int], count: int, state: int = OK) -> str:
    """Which servers *count* requests got, one after the other; each takes as many ms as *times* says."""
    chosen = ""
    for _ in range(count):
        picker = up.start()
        picker.get()
        index = up.index(picker)
        up.request.upstream = Under(times[index] // 2, times[index])
        picker.free(picker, state)
        chosen += str(index)
    return chosen


def method(metric: str = "response_time", inflight: bool = False) -> LeastTimeMethod:
    return LeastTimeMethod(metric, METRICS, inflight, needs_head=True)


@pytest.mark.parametrize("metric", METRICS)
def test_the_faster_wins(balanced: Any, metric: str) -> None:
    up = balanced({}, {}, method=method(metric))
    assert serve(up, {0: 400, 1: 100}, 6) == "011111"


def test_about_equals_take_turns(balanced: Any) -> None:
    up = balanced({}, {}, {}, method=method())
    assert serve(up, {0: 1, 1: 19, 2: 10}, 6) == "012012"


def test_weights_count(balanced: Any) -> None:
    up = balanced({"weight": 3}, {}, method=method())
    assert sorted(serve(up, {0: 100, 1: 100}, 8)) == sorted("00000001")


def test_a_connection_counts_as_one_more_time(balanced: Any) -> None:
    up = balanced({}, {}, method=method())
    serve(up, {0: 100, 1: 150}, 2)
    held = up.start()
    assert up.index(held.get()) == 0  # 2 * 120 against 160
    assert up.index(up.start().get()) == 1


def test_failures_are_no_measurements(balanced: Any) -> None:
    up = balanced({"max_fails": 0}, {"max_fails": 0}, method=method())
    serve(up, {0: 1, 1: 1}, 2, FAILED)
    assert [peer.response_time for peer in up.peers] == [0, 0]


def test_who_was_slow_gets_another_chance(balanced: Any) -> None:
    up = balanced({}, {}, method=method())
    serve(up, {0: 800, 1: 100}, 4)
    up.clock.now += 5 * 11
    assert "0" in serve(up, {0: 100, 1: 100}, 2)


def test_all_that_are_very_slow_are_equals(balanced: Any) -> None:
    up = balanced({}, {}, method=method())
    assert serve(up, {0: 7000, 1: 90000}, 6) == "011010"


def test_what_is_in_flight_counts(balanced: Any, at: list[int]) -> None:
    up = balanced({}, {}, method=method(inflight=True))
    serve(up, {0: 10, 1: 10}, 4)
    stuck = up.start()
    stuck.get()
    up.request.upstream = Under(10, 10)
    at[0] += 3000  # it has waited for so long already
    other = up.peers[1 - up.index(stuck)]
    assert serve(up, {0: 10, 1: 10}, 5) == str(up.peers.index(other)) * 5
    assert up.peers[up.index(stuck)].inflight == 1
    stuck.free(stuck, OK)
    assert [peer.inflight for peer in up.peers] == [0, 0]


def test_the_head_ends_a_request_in_flight(balanced: Any, at: list[int]) -> None:
    up = balanced({}, {}, method=method("header_time", inflight=True))
    picker = up.start()
    picker.get()
    up.request.upstream = Under(40, -1)
    assert picker.notifies
    picker.headed()
    assert (up.peers[0].inflight, up.peers[0].header_time) == (0, 40)
    up.request.upstream = Under(40, 90)
    picker.free(picker, OK)
    assert (up.peers[0].inflight, up.peers[0].header_time, up.peers[0].response_time) == (0, 40, 90)


def test_averages_move_slowly() -> None:
    assert average(0, 100) == 100
    assert average(100, 300) == 110
    assert average(100, 100) == 100
