"""Bodies by splice(): geng/net/pipes.py."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest

from geng.errors import ConnectionClosed, TimedOut
from geng.net.pipes import Pipe, PipePool, splice_body
from tests.net.test_connection import drain, tcp_pair


@pytest.fixture
def pipe():
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def two(pool):
    """A connection to read from and one to write to, each with its other end."""
    (a, source_end), (b, target_end) = tcp_pair(), tcp_pair()
    yield pool.get(a.detach()), source_end, pool.get(b.detach()), target_end
    source_end.close()
    target_end.close()


def feed(end: socket.socket, data: bytes, close: bool = False) -> threading.Thread:
    def run() -> None:
        with contextlib.suppress(OSError):  # some tests break the connection under it
            end.sendall(data)
            if close:
                end.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_exactly_n_bytes(hub, two, pipe) -> None:
    source, source_end, target, target_end = two
    data = os.urandom(5_000_000)
    got: list[bytes] = []
    threads = feed(source_end, data + b"next"), drain(target_end, got, len(data))
    moved = hub.do(splice_body, pipe, source, target, len(data), 5000, 5000)
    for thread in threads:
        thread.join()
    assert moved == len(data) and b"".join(got) == data
    assert target.sent == len(data)
    assert pipe.held == 0 and not source.eof
    assert hub.do(source.read, 100, 1000) == b"next"


@pytest.mark.parametrize("n", [None, 2_000_000])
def test_until_the_end(hub, two, pipe, n) -> None:
    source, source_end, target, target_end = two
    data = os.urandom(1_000_001)
    got: list[bytes] = []
    threads = feed(source_end, data, close=True), drain(target_end, got, len(data))
    assert hub.do(splice_body, pipe, source, target, n, 5000, 5000) == len(data)
    for thread in threads:
        thread.join()
    assert b"".join(got) == data and source.eof


def test_nothing_to_move(hub, two, pipe) -> None:
    source, _, target, _ = two
    assert hub.do(splice_body, pipe, source, target, 0, 5, 5) == 0


def test_source_that_stalls(hub, two, pipe) -> None:
    source, source_end, target, target_end = two
    source_end.send(b"half")
    with pytest.raises(TimedOut):
        hub.do(splice_body, pipe, source, target, 8, 5, 5000)
    assert source.timedout and not target.timedout
    assert target_end.recv(10) == b"half"


def test_target_that_does_not_read(hub, two, pipe) -> None:
    source, source_end, target, _ = two
    thread = feed(source_end, bytes(20_000_000))
    with pytest.raises(TimedOut):
        hub.do(splice_body, pipe, source, target, None, 5000, 10)
    assert target.timedout and not source.timedout
    source.close()
    thread.join()


def test_target_that_went(hub, two, pipe) -> None:
    source, source_end, target, target_end = two
    target_end.close()
    thread = feed(source_end, bytes(3_000_000))
    with pytest.raises(ConnectionClosed) as caught:
        hub.do(splice_body, pipe, source, target, 3_000_000, 5000, 5000)
    assert caught.value.call == "splice()" and target.error and not source.error
    assert pipe.held
    source.close()
    source_end.close()
    thread.join()


def test_pool_keeps_only_empty_pipes() -> None:
    pool = PipePool(keep=1)
    a, b, c = pool.get(), pool.get(), pool.get()
    assert repr(pool) == "<PipePool 3 lent, 0 idle>"
    assert a.size >= 65536 and repr(a) == f"<Pipe 0 of {a.size}>"
    a.held = 1
    pool.put(a)
    assert repr(pool) == "<PipePool 2 lent, 0 idle>"
    pool.put(b)
    pool.put(c)
    assert repr(pool) == "<PipePool 0 lent, 1 idle>"
    assert pool.get() is b
    pool.put(b)
    pool.close()
    assert repr(pool) == "<PipePool 0 lent, 0 idle>"
