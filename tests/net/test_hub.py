"""Pooled greenlets, waits and timers of one loop: geng/net/hub.py."""

from __future__ import annotations

import threading
import time

import gevent
import gevent.threadpool
import pytest
from greenlet import getcurrent

from geng.net.hub import Hub, describe


def test_spawned_work_returns_its_greenlet_to_the_pool(hub) -> None:
    seen = []

    def work(i: int) -> None:
        seen.append((i, getcurrent()))

    def main() -> None:
        for i in range(3):
            hub.spawn(work, i)
            hub.sleep(1)

    hub.do(main)
    assert [i for i, _ in seen] == [0, 1, 2]
    assert len({id(g) for _, g in seen}) == 1
    assert repr(hub) == "<Hub 2 greenlets idle, 0 timers>"


def test_spawn_from_the_hub_runs_at_once(hub) -> None:
    order = []

    def callback() -> None:
        order.append("before")
        hub.spawn(order.append, "work")
        order.append("after")

    hub.call_soon(callback)
    hub.do(hub.sleep, 5)
    assert order == ["before", "work", "after"]


def test_an_escaping_error_is_reported_and_the_loop_goes_on(hub) -> None:
    def fail() -> None:
        raise ValueError("on purpose")

    hub.spawn(fail)
    hub.call_soon(fail)
    hub.after(1, fail)
    hub.do(hub.sleep, 20)
    assert [str(error) for error in hub.errors] == ["on purpose"] * 3
    hub.errors.clear()


def test_default_report_is_one_alert(capfd) -> None:
    hub = Hub()
    hub.report(ValueError("on purpose"))
    hub.close()
    assert capfd.readouterr().err == "[alert] ValueError: on purpose\n"


def test_description_names_the_place() -> None:
    try:
        raise ValueError("bad")
    except ValueError as error:
        assert describe(error).startswith("ValueError: bad (") and "test_hub.py" in describe(error)


def test_after_cancel_and_reset(hub) -> None:
    fired = []

    def main() -> None:
        hub.after(200, fired.append, "later")
        hub.after(10, fired.append, "sooner")
        hub.after(10, fired.append, "never").cancel()
        moved = hub.after(1, fired.append, "moved")
        moved.reset(400)
        hub.sleep(600)

    hub.do(main)
    assert fired == ["sooner", "later", "moved"]


def test_stop_from_the_hub(hub) -> None:
    hub.after(5, hub.stop)
    hub.run()


def test_gevent_works_in_pooled_greenlets(hub) -> None:
    def main() -> int:
        gevent.sleep(0.001)
        pool = gevent.get_hub().threadpool
        assert pool.apply(threading.get_ident) != threading.get_ident()
        with pytest.raises(gevent.Timeout), gevent.Timeout(0.005):
            hub.sleep(10_000)
        event = gevent.event.Event()
        hub.after(1, event.set)
        assert event.wait(30)
        return 42

    assert hub.do(main) == 42


def test_a_thread_wakes_the_loop(hub) -> None:
    def main() -> float:
        me = getcurrent()
        thread = threading.Thread(target=lambda: hub.call_from_thread(me.switch, "woken"))
        start = time.monotonic()
        thread.start()
        assert hub.park() == "woken"
        thread.join()
        return time.monotonic() - start

    hub.do(main)


def test_the_pool_keeps_to_its_size(hub) -> None:
    hub.most_idle = 2

    def main() -> None:
        for _ in range(10):
            hub.spawn(hub.sleep, 2)
        hub.sleep(30)

    hub.do(main)
    assert repr(hub) == "<Hub 2 greenlets idle, 0 timers>"


def test_wait_for_the_first_of_several(hub, pool) -> None:
    import socket

    ends, cs = [], []
    for _ in range(3):
        a, b = socket.socketpair()
        a.setblocking(False)
        ends.append(b)
        cs.append(pool.get(a.detach()))

    def main() -> None:
        assert hub.wait(5, read=cs) is None
        hub.after(2, ends[1].send, b"x")
        assert hub.wait(5000, read=cs) is cs[1]
        assert hub.wait(5000, read=cs) is cs[1]  # not read yet: still ready
        assert cs[1].recv(10) == b"x"
        assert hub.wait(5000, read=[cs[0]], write=[cs[2]]) is cs[2]
        assert hub.wait(3, read=[cs[0], cs[1]]) is None
        ends[0].close()
        assert hub.wait(None, read=cs) is cs[0]
        assert cs[0].recv(1) == b""

    hub.do(main)
    for end in ends:
        end.close()
