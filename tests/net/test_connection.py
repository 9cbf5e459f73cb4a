"""Connections over real socket pairs, and their pool: geng/net/connection.py."""

from __future__ import annotations

import os
import socket
import struct
import threading
from errno import ECONNABORTED, ECONNRESET, EPIPE

import pytest
from greenlet import getcurrent

from geng.errors import Abandoned, ConnectionClosed, TimedOut
from geng.net.connection import ACTIVE, STAT_SIZE, WAITING, Connection, ConnectionPool


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        a = socket.create_connection(server.getsockname())
        b, _ = server.accept()
    a.setblocking(False)
    b.settimeout(30)
    return a, b


def drain(end: socket.socket, into: list[bytes], size: int) -> threading.Thread:
    """Read *size* bytes from *end* in a thread."""

    def run() -> None:
        left = size
        while left > 0:
            data = end.recv(65536)
            if not data:
                break
            into.append(data)
            left -= len(data)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


# ---- reading


def test_recv_does_not_block(pair) -> None:
    c, end = pair
    assert c.recv(10) is None
    end.send(b"hello")
    assert c.recv(3) == b"hel"
    assert c.recv(3) == b"lo"
    assert c.recv(3) is None
    end.close()
    assert c.recv(3) == b""
    assert c.eof


def test_recv_into(pair) -> None:
    c, end = pair
    room = memoryview(bytearray(4))
    assert c.recv_into(room) == -1
    end.send(b"hello")
    assert c.recv_into(room) == 4 and bytes(room) == b"hell"
    assert c.recv_into(room) == 1
    end.close()
    assert c.recv_into(room) == 0 and c.eof


def test_read_waits(hub, pair) -> None:
    c, end = pair
    hub.after(2, end.send, b"late")
    assert hub.do(c.read, 100, 5000) == b"late"
    with pytest.raises(TimedOut):
        hub.do(c.read, 100, 3)
    assert c.timedout
    hub.after(2, end.close)
    assert hub.do(c.read, 100, 5000) == b""


def test_reset_is_told_with_its_errno(hub, pool) -> None:
    ours, end = tcp_pair()
    c = pool.get(ours.detach())
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
    with pytest.raises(ConnectionClosed) as caught:
        hub.do(c.read, 100, 5000)
    assert (caught.value.error, caught.value.call, c.error) == (ECONNRESET, "recv()", ECONNRESET)


def test_a_full_read_means_more_may_be_there(hub, pair) -> None:
    c, end = pair
    end.send(b"12345678")

    def main() -> None:
        assert c.wait_read(1000)
        assert c.recv(4) == b"1234" and c.ready
        assert c.wait_read(1000) and c.recv(5) == b"5678" and not c.ready

    hub.do(main)


# ---- events


def test_on_read_is_called_in_the_hub_when_nobody_waits(hub, pair) -> None:
    c, end = pair
    got = []

    def readable(c: Connection) -> None:
        assert hub.in_hub()
        got.append(c.recv(10))

    c.on_read = readable
    end.send(b"a")
    hub.until(lambda: got)
    end.send(b"b")
    hub.until(lambda: len(got) == 2)
    assert got == [b"a", b"b"]


def test_a_waiting_greenlet_comes_before_on_read(hub, pair) -> None:
    c, end = pair
    c.on_read = lambda c: pytest.fail("a greenlet waits")
    hub.after(1, end.send, b"a")
    assert hub.do(c.read, 10, 1000) == b"a"


def test_unwanted_bytes_do_not_spin(hub, pair) -> None:
    c, end = pair
    c.on_read = lambda c: pytest.fail("taken back")
    c.on_read = None
    end.send(b"pipelined")
    before = hub.loop.iteration
    hub.do(hub.sleep, 30)
    assert hub.loop.iteration - before < 20
    assert hub.do(c.read, 100, 1000) == b"pipelined"
    end.send(b"more")
    assert hub.do(c.read, 100, 1000) == b"more"


def test_a_failing_handler_is_reported_once(hub, pair) -> None:
    c, end = pair

    def fail(c: Connection) -> None:
        raise ValueError("on purpose")

    c.on_read = fail
    end.send(b"x")
    hub.until(lambda: hub.errors)
    hub.do(hub.sleep, 10)
    assert len(hub.errors) == 1
    hub.errors.clear()
    c.on_read = lambda c: c.close()
    hub.until(lambda: c.closed)


def test_deadline_of_an_idle_connection(hub, pair) -> None:
    c, end = pair
    c.on_timeout = Connection.close
    c.set_timeout(2)
    c.set_timeout(10_000)
    hub.do(hub.sleep, 15)
    assert not c.closed
    c.set_timeout(5)
    hub.do(hub.sleep, 15)
    assert c.closed
    assert end.recv(1) == b""


def test_deadline_taken_back(hub, pair) -> None:
    c, _ = pair
    c.on_timeout = Connection.close
    c.set_timeout(2)
    c.set_timeout(None)
    hub.do(hub.sleep, 10)
    assert not c.closed


# ---- a client that goes while its request waits for something else


def test_abort_throws_into_the_waiting_greenlet(hub, pair) -> None:
    c, end = pair

    def serve() -> None:
        c.abort_on_close(getcurrent())
        hub.sleep(10_000)

    hub.after(2, end.close)
    with pytest.raises(Abandoned):
        hub.do(serve)
    assert c.eof


def test_abort_calls_back(hub, pair) -> None:
    c, end = pair
    gone = []
    c.abort_on_close(gone.append)
    end.send(b"pipelined")
    before = hub.loop.iteration
    hub.do(hub.sleep, 10)
    assert gone == [] and hub.loop.iteration - before < 20
    assert hub.do(c.read, 100, 100) == b"pipelined"
    c.abort_on_close(gone.append)
    end.close()
    hub.until(lambda: gone)
    assert gone == [c]


def test_peek(pair) -> None:
    c, end = pair
    assert not c.peek_closed()
    end.send(b"x")
    assert not c.peek_closed()
    assert c.recv(10) == b"x"
    end.close()
    assert c.peek_closed()


# ---- writing


def test_send_one_and_many_parts(hub, pair) -> None:
    c, end = pair
    hub.do(c.send, [b"one"], 1000)
    hub.do(c.send, [b"two", bytearray(b"three"), memoryview(b"four")], 1000)
    hub.do(c.send, [b"", b""], 1000)
    hub.do(c.send, [], 1000)
    assert end.recv(100) == b"onetwothreefour"
    assert c.sent == 15


@pytest.mark.parametrize(
    "parts",
    [
        [os.urandom(3_000_000)],
        [os.urandom(1000) for _ in range(3000)],
        [b"", os.urandom(1_000_000), b"", os.urandom(7), os.urandom(500_000), b""],
    ],
    ids=["one", "more than IOV_MAX", "mixed"],
)
def test_send_more_than_the_socket_takes(hub, pair, parts) -> None:
    c, end = pair
    got: list[bytes] = []
    size = sum(map(len, parts))
    thread = drain(end, got, size)
    hub.do(c.send, parts, 5000)
    thread.join()
    assert b"".join(got) == b"".join(parts)
    assert c.sent == size
    assert c._writer is None or not c._writer.active


def test_send_times_out_without_progress(hub, pair) -> None:
    c, _ = pair
    with pytest.raises(TimedOut):
        hub.do(c.send, [bytes(10_000_000)], 5)
    assert c.timedout and 0 < c.sent < 10_000_000


def test_send_to_a_closed_peer(hub, pair) -> None:
    c, end = pair
    end.close()
    with pytest.raises(ConnectionClosed) as caught:
        hub.do(c.send, [b"x"], 100)
    assert (caught.value.error, caught.value.call) == (EPIPE, "send()")


def test_sendfile(hub, pair, tmp_path) -> None:
    c, end = pair
    data = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(data)
    got: list[bytes] = []
    with open(tmp_path / "file", "rb") as file:
        thread = drain(end, got, len(data) - 10)
        hub.do(c.sendfile, file.fileno(), 10, len(data) - 10, 5000)
        thread.join()
        assert b"".join(got) == data[10:]
        with pytest.raises(ConnectionClosed):
            hub.do(c.sendfile, file.fileno(), len(data) - 5, 10, 1000)
    assert c.sent == len(data) - 10 + 5


# ---- closing


def test_close_frees_the_slot_once(pool, pair) -> None:
    c, end = pair
    assert repr(pool) == "<ConnectionPool 1 active, 0 reusable, 511 free>"
    assert repr(c).startswith("<Connection *1 ? fd ")
    c.close()
    c.close()
    assert repr(pool) == "<ConnectionPool 0 active, 0 reusable, 512 free>"
    assert repr(c) == "<Connection *1 closed>"
    assert end.recv(1) == b""


def test_close_wakes_who_waits(hub, pair) -> None:
    c, _ = pair
    hub.after(2, c.close)
    with pytest.raises(ConnectionClosed) as caught:
        hub.do(c.read, 10, 10_000)
    assert caught.value.error == ECONNABORTED


def test_a_closed_connection_refuses_everything(hub, pair) -> None:
    c, _ = pair
    c.close()
    for call in (
        lambda: c.recv(1),
        lambda: c.recv_into(bytearray(1)),
        lambda: c.send([b"x"], 1),
        lambda: c.wait_read(1),
        lambda: c.wait_write(1),
        lambda: c.sock,
    ):
        with pytest.raises(ConnectionClosed):
            hub.do(call)
    c.set_timeout(1)
    c.set_timeout(None)


def test_a_recycled_slot_forgets_its_past(hub, pool) -> None:
    timeouts = []
    for i in range(20):
        a, b = socket.socketpair()
        a.setblocking(False)
        c = pool.get(a.detach())
        c.on_timeout = timeouts.append
        c.set_timeout(5 if i < 19 else 10_000)
        if i < 19:
            c.close()
        b.close()
    assert len(pool._spare) == 0 and len(hub.timers._heap) <= 2
    hub.do(hub.sleep, 20)
    assert timeouts == []
    assert hub.do(c.read, 1, 1000) == b""


def test_detach_gives_the_descriptor_away(pair) -> None:
    c, end = pair
    fd = c.detach()
    assert c.closed
    os.write(fd, b"still here")
    assert end.recv(100) == b"still here"
    os.close(fd)


# ---- options


def test_tcp_options(hub, pool) -> None:
    ours, end = tcp_pair()
    address = ours.getsockname()
    c = pool.get(ours.detach())
    c.port = end.getsockname()[1]
    c.set_nodelay()
    c.set_nodelay()
    c.set_cork(True)
    get = c.sock.getsockopt
    assert get(socket.IPPROTO_TCP, socket.TCP_NODELAY) and get(socket.IPPROTO_TCP, socket.TCP_CORK)
    c.set_cork(False)
    assert not get(socket.IPPROTO_TCP, socket.TCP_CORK)
    assert c.local_addr() == address
    c.shutdown_write()
    assert end.recv(1) == b""
    end.send(b"x")
    assert hub.do(c.read, 10, 1000) == b"x"
    end.close()


def test_options_are_nothing_to_a_unix_socket(pair) -> None:
    c, _ = pair
    c.set_nodelay()
    c.set_cork(True)


# ---- the pool


def fill(pool: ConnectionPool, n: int) -> list[Connection]:
    made = []
    for _ in range(n):
        a, b = socket.socketpair()
        b.close()
        made.append(pool.get(a.detach()))
    return made


def test_pool_runs_out(hub, log) -> None:
    pool = ConnectionPool(hub, 4, log)
    cs = fill(pool, 4)
    assert None not in cs and log.lines == []
    read, write = os.pipe()
    assert pool.get(read) is None
    assert log.lines == ["alert: 4 worker_connections are not enough"]
    os.close(read)
    os.close(write)
    for c in cs:
        c.close()
    assert pool.free == 4


def test_pool_drains_the_longest_idle(hub, log) -> None:
    pool = ConnectionPool(hub, 32, log)
    cs = fill(pool, 30)
    for c in cs[:24]:
        c.reusable(True)
    cs[0].reusable(False)
    cs[0].reusable(True)  # the youngest now
    assert repr(pool) == "<ConnectionPool 6 active, 24 reusable, 2 free>"
    assert pool.stat[WAITING] == 24
    cs += fill(pool, 1)
    # free (2) is not above a sixteenth of 32: max(min(32, 24 // 8), 1) = 3 went
    assert repr(pool) == "<ConnectionPool 7 active, 21 reusable, 4 free>"
    assert [i for i, c in enumerate(cs) if c.closed] == [1, 2, 3]
    cs += fill(pool, 2)
    assert len(log.lines) == 1  # once a second
    assert log.lines == ["warn: 32 worker_connections are not enough, reusing connections"]
    assert pool.accept_disabled == 2
    for c in cs:
        c.close()
    assert repr(pool) == "<ConnectionPool 0 active, 0 reusable, 32 free>"


def test_pool_drains_twice_what_lingers(hub, log) -> None:
    pool = ConnectionPool(hub, 2, log)
    asked = []

    def linger(c: Connection) -> None:
        asked.append(c)
        c.on_drain = None
        c.reusable(True)

    cs = fill(pool, 2)
    cs[0].on_drain = linger
    cs[0].reusable(True)
    cs += fill(pool, 1)
    assert asked == [cs[0]] and cs[0].closed and cs[2] is not None
    for c in cs:
        c.close()


def test_graceful_shutdown_closes_only_the_idle(hub, pool) -> None:
    cs = fill(pool, 3)
    cs[1].idle = True
    pool.close_idle()
    assert [c.closed for c in cs] == [False, True, False]


def test_shared_statistics_and_numbers(hub, log) -> None:
    rows = memoryview(bytearray(8 * STAT_SIZE * 2)).cast("q")
    pool = ConnectionPool(hub, 8, log, stat=rows[STAT_SIZE:], number=2, step=4)
    cs = fill(pool, 3)
    assert [c.number for c in cs] == [2, 6, 10]
    cs[0].reusable(True)
    assert rows[STAT_SIZE + WAITING] == 1
    assert rows[STAT_SIZE + ACTIVE] == 0  # counts accepted connections only
    for c in cs:
        c.close()
    assert rows[STAT_SIZE + WAITING] == 0
