"""Lazy deadlines: geng/net/timers.py."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geng.net.timers import NEVER, Timer, Timers


class Clock:
    """A clock that stands until told, with the one alarm that Timers may ask for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.alarm = NEVER
        self.alarms = 0
        self.timers = Timers(self.arm, now=lambda: self.now)

    def arm(self, seconds: float) -> None:
        self.alarm = self.now + seconds
        self.alarms += 1

    def advance(self, to: float) -> None:
        """Let time pass until *to*, with an alarm whenever one was asked for."""
        while self.alarm <= to:
            self.now = max(self.now, self.alarm)
            self.alarm = NEVER
            self.timers.run_due()
        self.now = to


def test_fires_at_its_time_and_once() -> None:
    clock, fired = Clock(), []
    clock.timers.set(Timer(fired.append, "a"), 500)
    clock.advance(1000.4)
    assert fired == []
    clock.advance(1000.6)
    clock.advance(1010)
    assert fired == ["a"]
    assert repr(clock.timers) == "<Timers 0 set, 0 in heap>"


def test_a_later_deadline_touches_nothing() -> None:
    clock, fired = Clock(), []
    timer = Timer(fired.append, "a")
    clock.timers.set(timer, 1000)
    for _ in range(100_000):
        clock.timers.set(timer, 60_000)
    assert clock.alarms == 1
    assert repr(clock.timers) == "<Timers 1 set, 1 in heap>"
    clock.advance(1059)
    assert fired == []
    clock.advance(1061)
    assert fired == ["a"]


def test_storing_never_disarms() -> None:
    clock, fired = Clock(), []
    timer = Timer(fired.append, "a")
    clock.timers.set(timer, 1000)
    timer.deadline = NEVER
    assert repr(timer) == "<Timer off>"
    clock.advance(1010)
    assert fired == []
    assert timer.due == NEVER


def test_cancelled_timers_do_not_pile_up() -> None:
    clock = Clock()
    for _ in range(100_000):
        timer = Timer(print)
        clock.timers.set(timer, 60_000)
        timer.deadline = NEVER
        clock.timers.cancelled()
    assert len(clock.timers._heap) < 200


def test_late_alarm_keeps_the_order_of_the_deadlines() -> None:
    clock, fired = Clock(), []
    a, b = Timer(fired.append, "a"), Timer(fired.append, "b")
    clock.timers.set(a, 1000)
    clock.timers.set(a, 5000)
    clock.timers.set(b, 2000)
    clock.timers.set(b, 3000)
    clock.now = 1006.0  # nothing ran for six seconds
    clock.timers.run_due()
    assert fired == ["b", "a"]


def test_callbacks_may_set_timers() -> None:
    clock, fired = Clock(), []
    timer = Timer(lambda _: (fired.append(clock.now), clock.timers.set(timer, 100)))
    clock.timers.set(timer, 100)
    clock.advance(1000.35)
    assert [round(at - 1000, 3) for at in fired] == [0.1, 0.2, 0.3]


def test_an_error_does_not_stop_the_others() -> None:
    fired, errors = [], []
    clock = Clock()
    clock.timers.on_error = errors.append
    clock.timers.set(Timer(lambda _: 1 / 0), 100)
    clock.timers.set(Timer(fired.append, "b"), 100)
    clock.advance(1001)
    assert fired == ["b"]
    assert [type(error) for error in errors] == [ZeroDivisionError]


step = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 9), st.integers(0, 5000)),
    st.tuples(st.just("cancel"), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("advance"), st.just(0), st.integers(0, 3000)),
)


@given(st.lists(step, max_size=200))
def test_like_a_plain_table_of_deadlines(steps: list[tuple[str, int, int]]) -> None:
    clock, fired = Clock(), []
    timers = [Timer(lambda i: fired.append((i, clock.now)), i) for i in range(10)]
    model: dict[int, float] = {}
    expected: list[tuple[float, int]] = []
    for what, which, ms in steps:
        if what == "set":
            clock.timers.set(timers[which], ms)
            model[which] = clock.now + ms * 0.001
        elif what == "cancel":
            timers[which].deadline = NEVER
            clock.timers.cancelled()
            model.pop(which, None)
        else:
            to = clock.now + ms * 0.001
            due = sorted((at, i) for i, at in model.items() if at <= to)
            expected += due
            for _, i in due:
                del model[i]
            clock.advance(to)
        assert len(clock.timers) == len(model)
    # equal deadlines may fire in either order
    assert sorted((at, i) for i, at in fired) == expected
    assert [at for _, at in fired] == sorted(at for _, at in fired)
