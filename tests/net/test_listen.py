"""Listening sockets, accept and connect: geng/net/listen.py, accept.py, connect.py."""

from __future__ import annotations

import os
import resource
import socket
import time
from errno import EADDRINUSE, ECONNREFUSED, EMFILE, ENOENT

import gevent
import pytest

from geng.errors import ConnectionClosed, TimedOut
from geng.net import sockaddr as sa
from geng.net.accept import AcceptMutex, Acceptor
from geng.net.connect import NoConnections, connect
from geng.net.connection import ACCEPTED, ACTIVE, HANDLED, Connection, ConnectionPool
from geng.net.hub import Hub
from geng.net.listen import BindFailed, Listening, ListenOptions


@pytest.fixture
def accepted() -> list[Connection]:
    return []


@pytest.fixture
def listening(accepted, log):
    listening = Listening(("127.0.0.1", 0), handler=accepted.append)
    listening.open()
    listening.configure(log)
    yield listening
    listening.close()


# ---- addresses


@pytest.mark.parametrize(
    "address, with_port, without",
    [
        (("127.0.0.1", 80), "127.0.0.1:80", "127.0.0.1"),
        (("::1", 80, 0, 0), "[::1]:80", "::1"),
        ("/run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock"),
        (b"/run/x.sock", "unix:/run/x.sock", "unix:/run/x.sock"),
        ("", "unix:", "unix:"),
    ],
)
def test_address_text(address, with_port, without) -> None:
    assert sa.text(address) == with_port
    assert sa.text(address, port=False) == without


# ---- opening


def test_address_in_use_in_nginx_words(listening) -> None:
    with pytest.raises(BindFailed) as caught:
        Listening(listening.sockaddr).open()
    assert str(caught.value) == f"bind() to {listening.text} failed ({EADDRINUSE}: Address already in use)"
    assert caught.value.retry
    Listening(listening.sockaddr).open(test=True)  # -t does not mind


def test_foreign_address() -> None:
    with pytest.raises(BindFailed) as caught:
        Listening(("192.0.2.1", 8080)).open()
    assert str(caught.value) == "bind() to 192.0.2.1:8080 failed (99: Cannot assign requested address)"
    assert not caught.value.retry


def test_options_reach_the_kernel(log) -> None:
    options = ListenOptions(
        backlog=7, rcvbuf=8192, sndbuf=16384, fastopen=5, keepalive=True, keepidle=30, keepintvl=10, keepcnt=4,
        deferred=True, reuseport=True,
    )  # fmt: skip
    first = Listening(("127.0.0.1", 0), options)
    first.open()
    first.configure(log)
    second = first.clone(1)
    second.open()
    assert second.sockaddr == first.sockaddr and second.worker == 1
    get = first.sock.getsockopt
    tcp = socket.IPPROTO_TCP
    assert get(socket.SOL_SOCKET, socket.SO_RCVBUF) == 16384  # the kernel doubles
    assert get(socket.SOL_SOCKET, socket.SO_SNDBUF) == 32768
    assert get(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert [get(tcp, o) for o in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)] == [30, 10, 4]
    assert get(tcp, socket.TCP_FASTOPEN) == 5
    assert get(tcp, socket.TCP_DEFER_ACCEPT) > 0
    assert log.lines == []
    first.close()
    second.close()


def test_ipv6only(log) -> None:
    for flag in (True, False):
        listening = Listening(("::", 0, 0, 0), ListenOptions(ipv6only=flag))
        listening.open()
        assert listening.sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == flag
        assert listening.text.startswith("[::]:")
        listening.close()


def test_unix_socket(tmp_path, log) -> None:
    path = str(tmp_path / "s")
    listening = Listening(path)
    listening.open()
    assert os.stat(path).st_mode & 0o777 == 0o666
    assert repr(listening) == f"<Listening unix:{path} fd {listening.fd}>"
    listening.close()
    assert os.path.exists(path)  # other processes may still use it
    with pytest.raises(BindFailed):
        Listening(path).open()
    os.unlink(path)
    listening.open()
    listening.close()
    listening.remove(log)
    assert not os.path.exists(path) and log.lines == []
    listening.remove(log)
    assert log.lines == [f"emerg: unlink() {path} failed ({ENOENT})"]


def test_inherited_socket(listening) -> None:
    twin = Listening.inherit(os.dup(listening.fd))
    assert (twin.sockaddr, twin.text, twin.inherited, twin.listens) == (listening.sockaddr, listening.text, True, True)
    twin.close()
    read, write = os.pipe()
    with pytest.raises(OSError):
        Listening.inherit(read)
    os.close(read)
    os.close(write)


# ---- accepting


def test_accepted_connection_knows_where_it_comes_from(hub, pool, log, listening, accepted) -> None:
    acceptor = Acceptor(hub, pool, [listening], log)
    assert repr(acceptor) == "<Acceptor 1 sockets, idle>"
    acceptor.start()
    assert repr(acceptor) == "<Acceptor 1 sockets, accepting>"
    with socket.create_connection(listening.sockaddr) as client:
        hub.until(lambda: accepted)
        (c,) = accepted
        assert c.listening is listening and c.sockaddr == client.getsockname()
        assert (c.addr_text, c.port) == (b"127.0.0.1", client.getsockname()[1])
        assert c.local_addr() == listening.sockaddr
        assert not os.get_blocking(c.fd) and not os.get_inheritable(c.fd)
        assert [pool.stat[i] for i in (ACCEPTED, HANDLED, ACTIVE)] == [1, 1, 1]
        c.close()
        assert pool.stat[ACTIVE] == 0
    acceptor.stop()
    with socket.create_connection(listening.sockaddr):
        hub.do(hub.sleep, 5)
    assert len(accepted) == 1
    assert repr(pool) == "<ConnectionPool 0 active, 0 reusable, 512 free>"


def test_accept_on_a_unix_socket(hub, pool, log, accepted, tmp_path) -> None:
    listening = Listening(str(tmp_path / "s"), handler=accepted.append)
    listening.open()
    acceptor = Acceptor(hub, pool, [listening], log)
    acceptor.start()
    c = hub.do(lambda: connect(hub, pool, listening.sockaddr, ms=1000))
    assert c.addr_text == b"unix:" + listening.sockaddr.encode()
    hub.until(lambda: accepted)
    assert accepted[0].addr_text == b"unix:" and accepted[0].port == 0
    acceptor.stop()
    listening.close()


@pytest.mark.parametrize("multi, turns", [(False, 5), (True, 1)])
def test_multi_accept(hub, pool, log, listening, accepted, multi, turns) -> None:
    clients = [socket.create_connection(listening.sockaddr) for _ in range(5)]
    seen = []
    listening.handler = lambda c: seen.append(hub.loop.iteration)
    acceptor = Acceptor(hub, pool, [listening], log, multi_accept=multi)
    acceptor.start()
    hub.until(lambda: len(seen) == 5)
    assert len(set(seen)) == turns
    acceptor.stop()
    for client in clients:
        client.close()


def test_several_sockets_are_served_in_the_order_of_their_clients(hub, pool, log, accepted) -> None:
    listenings = [Listening(("127.0.0.1", 0), handler=accepted.append) for _ in range(4)]
    for listening in listenings:
        listening.open()
    acceptor = Acceptor(hub, pool, listenings, log)
    acceptor.start()
    hub.do(hub.sleep, 5)  # libev makes its registrations in one order, the clients come in another
    order = [2, 0, 3, 1]
    clients = [socket.create_connection(listenings[i].sockaddr) for i in order]
    hub.until(lambda: len(accepted) == 4)
    assert [listenings.index(c.listening) for c in accepted] == order
    acceptor.stop()
    for end in (*clients, *accepted, *listenings):
        end.close()


def test_what_is_stopped_meanwhile_accepts_no_more(hub, pool, log, accepted) -> None:
    listenings = [Listening(("127.0.0.1", 0), handler=lambda c: (accepted.append(c), acceptor.stop())) for _ in range(2)]
    for listening in listenings:
        listening.open()
    acceptor = Acceptor(hub, pool, listenings, log)
    acceptor.start()
    hub.do(hub.sleep, 5)
    clients = [socket.create_connection(listening.sockaddr) for listening in listenings]
    hub.until(lambda: accepted)
    hub.do(hub.sleep, 20)
    assert [c.listening for c in accepted] == listenings[:1]
    for end in (*clients, *accepted, *listenings):
        end.close()


def test_a_failing_handler_costs_its_connection_only(hub, pool, log, listening, accepted) -> None:
    def handler(c: Connection) -> None:
        accepted.append(c)
        if len(accepted) == 1:
            raise ValueError("on purpose")

    listening.handler = handler
    acceptor = Acceptor(hub, pool, [listening], log)
    acceptor.start()
    clients = [socket.create_connection(listening.sockaddr) for _ in range(2)]
    hub.until(lambda: len(accepted) == 2)
    assert [c.closed for c in accepted] == [True, False]
    assert len(hub.errors) == 1
    hub.errors.clear()
    acceptor.stop()
    for client in clients:
        client.close()


def test_full_pool_closes_what_it_accepts(hub, log, listening, accepted) -> None:
    pool = ConnectionPool(hub, 2, log)
    acceptor = Acceptor(hub, pool, [listening], log)  # takes a slot for the listening socket, as nginx does
    acceptor.start()
    clients = [socket.create_connection(listening.sockaddr) for _ in range(2)]
    hub.until(lambda: log.lines)
    assert len(accepted) == 1
    assert log.lines == ["alert: 2 worker_connections are not enough"]
    assert clients[1].recv(1) == b""
    assert [pool.stat[i] for i in (ACCEPTED, HANDLED, ACTIVE)] == [2, 1, 1]
    acceptor.stop()
    for end in (*clients, *accepted):
        end.close()


def test_out_of_descriptors_pauses(hub, pool, log, listening, accepted) -> None:
    acceptor = Acceptor(hub, pool, [listening], log, mutex_delay=1000)
    acceptor.start()
    client = socket.create_connection(listening.sockaddr)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    probe = os.dup(0)
    os.close(probe)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe, limits[1]))
    try:
        hub.until(lambda: log.lines)
        assert repr(acceptor) == "<Acceptor 1 sockets, paused>"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert log.lines == [f"crit: accept4() failed ({EMFILE}) while accepting new connection on {listening.text}"]
    hub.until(lambda: accepted)
    assert len(accepted) == 1
    acceptor.stop()
    client.close()


def test_accept_mutex_between_processes(hub, pool, log, listening, accepted) -> None:
    fd = os.memfd_create("accept_mutex")
    ready, release = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:  # another worker, which holds the mutex until told
        AcceptMutex(fd).try_lock()
        os.write(ready[1], b"x")
        os.read(release[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    mutex = AcceptMutex(fd)
    acceptor = Acceptor(hub, pool, [listening], log, mutex=mutex, mutex_delay=5)
    acceptor.start()
    client = socket.create_connection(listening.sockaddr)
    hub.do(hub.sleep, 20)
    assert accepted == [] and repr(mutex) == "<AcceptMutex not held>"
    os.write(release[1], b"x")
    os.waitpid(child, 0)
    hub.until(lambda: accepted)
    assert len(accepted) == 1
    acceptor.stop()
    assert repr(mutex) == "<AcceptMutex not held>"
    client.close()
    for end in (fd, *ready, *release):
        os.close(end)


def test_a_busy_worker_leaves_the_mutex_alone(hub, log, listening, accepted) -> None:
    pool = ConnectionPool(hub, 16, log)
    fd = os.memfd_create("accept_mutex")
    mutex = AcceptMutex(fd)
    acceptor = Acceptor(hub, pool, [listening], log, mutex=mutex, mutex_delay=5)
    acceptor.start()
    clients = [socket.create_connection(listening.sockaddr) for _ in range(15)]
    hub.until(lambda: len(accepted) == 15)
    assert len(accepted) == 15  # it slows down, it does not stop
    acceptor.stop()
    for end in (*clients, *accepted):
        end.close()
    os.close(fd)


# ---- connecting


def test_connect_over_loopback_needs_no_wait(hub, pool, listening) -> None:
    def main() -> Connection:
        before = hub.loop.iteration
        c = connect(hub, pool, listening.sockaddr, ms=1000)
        assert hub.loop.iteration == before
        return c

    c = hub.do(main)
    assert (c.addr_text, c.port, c.sockaddr) == (b"127.0.0.1", listening.sockaddr[1], listening.sockaddr)


def test_connect_refused(hub, pool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionClosed) as caught:
            hub.do(lambda: connect(hub, pool, taken.getsockname(), ms=1000))
    assert (caught.value.error, caught.value.call) == (ECONNREFUSED, "connect()")
    with pytest.raises(ConnectionClosed) as caught:
        hub.do(lambda: connect(hub, pool, "/nonexistent/socket", ms=1000))
    assert caught.value.error == ENOENT
    assert pool.free == pool.size


def test_connect_times_out(hub, pool) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = []
        for _ in range(4):  # fill the queue: further handshakes are not answered
            other = socket.socket()
            other.setblocking(False)
            other.connect_ex(full.getsockname())
            others.append(other)
        with pytest.raises(TimedOut):
            hub.do(lambda: connect(hub, pool, full.getsockname(), ms=10))
        for other in others:
            other.close()
    assert pool.free == pool.size


def test_connect_from_a_given_address(hub, pool, listening) -> None:
    c = hub.do(lambda: connect(hub, pool, listening.sockaddr, ms=1000, local=("127.0.0.2", 0)))
    assert c.local_addr()[0] == "127.0.0.2"
    with pytest.raises(ConnectionClosed) as caught:
        hub.do(lambda: connect(hub, pool, listening.sockaddr, ms=1000, local=("192.0.2.1", 0)))
    assert (caught.value.error, caught.value.call) == (99, "bind()")


def test_connect_without_a_free_slot(hub, log, listening) -> None:
    pool = ConnectionPool(hub, 0, log)
    with pytest.raises(NoConnections):
        hub.do(lambda: connect(hub, pool, listening.sockaddr, ms=1000))
    assert log.lines == ["alert: 0 worker_connections are not enough"]


# ---- EPOLLEXCLUSIVE


def epoll_events(hub, fd: int) -> str:
    """The event mask that epoll has for *fd*, as /proc shows it."""
    with open(f"/proc/self/fdinfo/{hub.loop.fileno()}") as info:
        (line,) = [line.split() for line in info if line.split()[:2] == ["tfd:", str(fd)]]
    return line[3]


def test_exclusive_registration(hub, pool, log, listening, accepted) -> None:
    acceptor = Acceptor(hub, pool, [listening], log, exclusive=True, mutex_delay=5)
    acceptor.start()
    hub.do(hub.sleep, 10)
    assert epoll_events(hub, listening.fd) == "10000019"  # IN, ERR, HUP, EXCLUSIVE
    clients = []
    for _ in range(40):  # over two reorderings
        clients.append(socket.create_connection(listening.sockaddr))
        hub.do(hub.sleep, 1)
    hub.until(lambda: len(accepted) == 40)
    assert epoll_events(hub, listening.fd) == "10000019"
    acceptor._disable(everything=True)
    clients.append(socket.create_connection(listening.sockaddr))
    hub.do(hub.sleep, 5)
    assert len(accepted) == 40
    acceptor._resume()
    hub.until(lambda: len(accepted) == 41)
    assert epoll_events(hub, listening.fd) == "10000019"
    acceptor.stop()
    for client in clients:
        client.close()


def test_one_connection_wakes_one_worker(hub, pool, log, listening) -> None:
    """Two idle processes watch one socket; each tells over a pipe how often it slept and was woken."""
    workers = []
    for _ in range(2):
        told = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(told[0])
            gevent.reinit()
            os._exit(count_wakes(listening, log, told[1]))
        os.close(told[1])
        workers.append((pid, told[0]))
    for _, fd in workers:
        assert os.read(fd, 1) == b"."  # it is watching
    for _ in range(20):
        with socket.create_connection(listening.sockaddr) as client:
            assert client.recv(1) == b"x"
        time.sleep(0.002)  # both are asleep again
    Listening.inherit(os.dup(listening.fd)).sock.shutdown(socket.SHUT_RD)  # ends both
    counts = []
    for pid, fd in workers:
        os.waitpid(pid, 0)
        counts.append(tuple(map(int, os.read(fd, 100).split())))
        os.close(fd)
    assert sum(accepted for accepted, _ in counts) == 20
    assert sum(wakes for _, wakes in counts) <= 32  # without the flag 42: two each, and the end wakes both


def count_wakes(listening: Listening, log, fd: int) -> int:
    hub = Hub()
    pool = ConnectionPool(hub, 512, log)
    served: list[Connection] = []

    def serve(c: Connection) -> None:
        served.append(c)
        c.try_send((b"x",))
        c.close()

    def slept() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw

    def begin() -> None:
        os.write(fd, b".")
        before.append(slept())

    before: list[int] = []
    listening.handler = serve
    acceptor = Acceptor(hub, pool, [listening], log, exclusive=True)
    acceptor._refused = lambda listening, errno: hub.stop()  # the socket was shut down
    acceptor.start()
    hub.after(50, begin)
    hub.run()
    os.write(fd, f"{len(served)} {slept() - before[0]}".encode())
    return 0
