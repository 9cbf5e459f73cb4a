"""What proxy_, fastcgi_, uwsgi_, scgi_ and memcached_ say alike, each directive under each of its names."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from scripts.lib.servers import wait_until
from tests.harness.applications import FastcgiApp, ScgiApp, UwsgiApp, end, stdout
from tests.harness.backend import Backend, read_request
from tests.harness.client import request
from tests.harness.server import Server

CONF = """
events {}
http {
    log_format states "$request_uri $status $upstream_status $upstream_addr";
    access_log %DIR%/access.log states;
    client_max_body_size 0;
%BLOCKS%
    server {
        listen 127.0.0.1:%PORT%;
        listen 127.0.0.1:%PORT2% sndbuf=64k;
        set $memcached_key $uri;
%LOCATIONS%
        location /alive { return 204; }
    }
}
"""
BLOCKS = """
    upstream %P%_two { server 127.0.0.1:%A%; server 127.0.0.1:%A%; server 127.0.0.1:%A%; }
    upstream %P%_stuck { server 127.0.0.1:%STUCK%; }
    proxy_set_header X-Own own; fastcgi_param URI $request_uri; scgi_param URI $request_uri; uwsgi_param URI $request_uri;
    uwsgi_param CONTENT_LENGTH $content_length; fastcgi_param CONTENT_LENGTH $content_length;
"""
EVERYBODYS = """
        location /%P%/plain { %P%_pass %TO%; }
        location /%P%/bind { %P%_pass %TO%; %P%_bind 127.0.0.2; }
        location /%P%/bind/variable { %P%_pass %TO%; %P%_bind $arg_from; }
        location /%P%/socket { %P%_pass %TO%; %P%_socket_keepalive on; }
        location /%P%/connect { %P%_pass %SCHEME%%P%_stuck; %P%_connect_timeout 150ms; }
        location /%P%/read { %P%_pass %TO%; %P%_read_timeout 150ms; }
        location /%P%/tries { %P%_pass %SCHEME%%P%_two; %P%_next_upstream timeout %BAD%; %P%_next_upstream_tries 2; }
        location /%P%/in-time {
            %P%_pass %SCHEME%%P%_two; %P%_read_timeout 150ms; %P%_next_upstream timeout; %P%_next_upstream_timeout 100ms;
        }
        location /%P%/tiny { %P%_pass %TO%; %P%_buffer_size 300; }
"""
BUFFERED = """
        location /%P%/sizes { %P%_pass %TO%; %P%_socket_rcvbuf 5k; %P%_socket_sndbuf 6k; }
        location /%P%/send { %P%_pass %TO%; %P%_send_timeout 150ms; %P%_socket_sndbuf 8k; }
        location /%P%/early { %P%_pass %TO%; %P%_request_buffering off; }
        location /%P%/abort { %P%_pass %TO%; }
        location /%P%/abort/ignored { %P%_pass %TO%; %P%_ignore_client_abort on; }
        location /%P%/errors { %P%_pass %TO%; %P%_intercept_errors on; error_page 404 = /alive; }
        location /%P%/bare { %P%_pass %TO%; %P%_pass_request_headers off; %P%_pass_request_body off; }
        location /%P%/flow { %P%_pass %TO%; %P%_buffering off; }
        location /%P%/flow/header { %P%_pass %TO%; %P%_ignore_headers X-Accel-Buffering; }
        location /%P%/rate { %P%_pass %TO%; %P%_limit_rate 100k; %P%_buffers 4 4k; %P%_busy_buffers_size 8k; }
        location /%P%/ranges { %P%_pass %TO%; %P%_force_ranges on; }
        location /%P%/fields { %P%_pass %TO%; %P%_pass_header X-Accel-Expires; %P%_hide_header X-Away; }
        location /%P%/fields/ignored { %P%_pass %TO%; %P%_ignore_headers X-Accel-Redirect; }
        location /%P%/file { %P%_pass %TO%; %P%_temp_path %DIR%/temp_%P% 1 2; }
        location /%P%/file/none {
            %P%_pass %TO%; %P%_temp_path %DIR%/temp_%P% 1 2; %P%_max_temp_file_size 0; %P%_socket_rcvbuf 64k;
        }
        location /%P%/file/some {
            %P%_pass %TO%; %P%_temp_path %DIR%/temp_%P% 1 2; %P%_buffers 8 4k; %P%_busy_buffers_size 8k;
            %P%_max_temp_file_size 300k; %P%_temp_file_write_size 16k; %P%_socket_rcvbuf 64k;
        }
        location /%P%/store { %P%_pass %TO%; root %DIR%/stored; %P%_store on; %P%_store_access user:rw group:r; }
        location /%P%/store/named { %P%_pass %TO%; %P%_store %DIR%/stored/$arg_name; }
"""
PROTOCOLS = ("proxy", "fastcgi", "uwsgi", "scgi", "memcached")
WITH_BODIES = PROTOCOLS[:-1]
KEEPALIVE, SO_SNDBUF, SO_RCVBUF = socket.SO_KEEPALIVE, socket.SO_SNDBUF, socket.SO_RCVBUF

pytestmark = pytest.mark.live


@dataclass
class Received:
    """A request in whatever protocol: *fields* as the application sees them, header names as in CGI."""

    uri: str
    fields: dict[str, str]
    body: bytes


def read(protocol: str, sock: socket.socket) -> Received | None:
    if protocol == "memcached":
        line = sock.recv(10_000)
        return Received(line.split()[1].decode(), {}, b"") if line else None
    if protocol == "proxy":
        with sock.makefile("rb") as stream:
            found = read_request(stream)
        if found is None:
            return None
        fields = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in found.headers}
        return Received(found.target, fields, found.body)
    app = {"fastcgi": FastcgiApp, "uwsgi": UwsgiApp, "scgi": ScgiApp}[protocol](lambda request: None)
    got = app.read(sock)
    return None if got is None else Received(got.params["URI"], got.params, got.body)


def answer(protocol: str, body: bytes = b"hello", *lines: str, status: int = 200) -> bytes:
    """A response with these header lines, of the length that it has."""
    if protocol == "memcached":
        return b"VALUE %%%%KEY%%%% 0 %d\r\n%s\r\nEND\r\n" % (len(body), body)
    head = head_of(protocol, *lines, f"Content-Length: {len(body)}", status=status)
    if protocol != "fastcgi":
        return head + body
    return stdout(head) + b"".join(stdout(body[i : i + 60_000]) for i in range(0, len(body), 60_000)) + end()


def head_of(protocol: str, *lines: str, status: int = 200) -> bytes:
    first = f"HTTP/1.1 {status} Said" if protocol == "proxy" else f"Status: {status} Said"
    return "".join(f"{line}\r\n" for line in (first, "Content-Type: text/plain", *lines, "")).encode()


@dataclass
class Application:
    """One for each protocol. `talk` has a connection to itself before anything is read, `say` once the request was."""

    protocol: str
    talk: Callable[[socket.socket], None] | None = None
    say: Callable[[socket.socket, Received], None] | None = None
    received: list[Received] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.backend = Backend(talk=self.serve)

    def serve(self, sock: socket.socket) -> None:
        sock.settimeout(60)
        self.peers.append(sock.getpeername()[0])
        if self.talk is not None:
            self.talk(sock)
            return
        got = read(self.protocol, sock)
        if got is None:
            return
        self.received.append(got)
        if self.say is None:
            sock.sendall(self.answer(got))
        else:
            self.say(sock, got)

    def answer(self, got: Received, body: bytes = b"hello", *lines: str, status: int = 200) -> bytes:
        return answer(self.protocol, body, *lines, status=status).replace(b"%%KEY%%", got.uri.encode())


def full_backlog() -> tuple[socket.socket, list[socket.socket]]:
    """A listening socket that takes no connection any more, and those that fill it."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=0)
    waiting = []
    for _ in range(4):  # as many as Linux lets wait, and more
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(listening.getsockname())
        waiting.append(one)
    return listening, waiting


Both = tuple[Server, dict[str, Application]]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, command: list[str]) -> Iterator[Both]:
    apps = {name: Application(name) for name in PROTOCOLS}
    listening, waiting = full_backlog()
    blocks, locations = "", ""
    for name, app in apps.items():
        scheme = "http://" if name == "proxy" else ""
        places: dict[str, Any] = {
            "P": name,
            "SCHEME": scheme,
            "TO": f"{scheme}127.0.0.1:{app.backend.port}",
            "A": app.backend.port,
        }
        places["BAD"] = "invalid_response" if name == "memcached" else "invalid_header"
        places["STUCK"] = listening.getsockname()[1]
        upstreams, _, params = BLOCKS.partition("    proxy_set_header")
        for key, value in places.items():
            upstreams = upstreams.replace(f"%{key}%", str(value))
        blocks += upstreams
        text = EVERYBODYS + (BUFFERED if name != "memcached" else "")
        for key, value in places.items():
            text = text.replace(f"%{key}%", str(value))
        locations += text
    conf = CONF.replace("%BLOCKS%", blocks + "    proxy_set_header" + params).replace("%LOCATIONS%", locations)
    running = Server(conf, tmp_path_factory.mktemp("directives"), command=command).start()
    yield running, apps
    running.stop()
    for app in apps.values():
        app.backend.stop()
    for sock in (listening, *waiting):
        sock.close()


@pytest.fixture(params=PROTOCOLS)
def each(both: Both, request: pytest.FixtureRequest) -> Iterator[tuple[Server, Application]]:
    yield from fresh(both, request.param)


@pytest.fixture(params=WITH_BODIES)
def full(both: Both, request: pytest.FixtureRequest) -> Iterator[tuple[Server, Application]]:
    yield from fresh(both, request.param)


def fresh(both: Both, protocol: str) -> Iterator[tuple[Server, Application]]:
    s, apps = both
    app = apps[protocol]
    app.talk = app.say = None
    app.received.clear()
    app.peers.clear()
    os.truncate(s.folder / "error.log", 0)
    yield s, app
    app.talk = app.say = None
    assert s.get("/alive").status == 204


def logged(s: Server, *words: str) -> None:
    wait_until(lambda: any(all(word in line for word in words) for line in s.log().splitlines()), f"{words} in the log")


def accessed(s: Server, words: str) -> None:
    wait_until(lambda: words in s.log("access.log"), f"{words} in the access log")


# ---- addresses and sockets


def test_bind(each: tuple[Server, Application]) -> None:
    s, app = each
    for target in ("plain", "bind", "bind/variable?from=127.0.0.3", "bind/variable?from=nobody"):
        assert s.get(f"/{app.protocol}/{target}").text == "hello", target
    assert app.peers == ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"]
    logged(s, "[error]", 'invalid local address "nobody"')


def is_socket(entry: Path) -> bool:
    try:
        return os.readlink(entry).startswith("socket:")
    except FileNotFoundError:
        return False  # closed just now


def option(pid: int, port: int, name: int) -> int:
    """An option of the socket in process *pid* that is connected to *port*: its descriptor is borrowed."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.syscall(434, pid, 0)  # pidfd_open
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if not is_socket(entry):
                continue
            taken = libc.syscall(438, handle, int(entry.name), 0)  # pidfd_getfd
            if taken < 0:
                pytest.skip("sockets of another process are not to be seen here")
            with socket.socket(fileno=taken) as sock:
                try:
                    if sock.family == socket.AF_INET and sock.getpeername()[1] == port:
                        return sock.getsockopt(socket.SOL_SOCKET, name)
                except OSError:
                    pass  # a listening one
    finally:
        os.close(handle)
    raise AssertionError("no such socket")


@pytest.mark.parametrize(
    ("location", "name", "value"),
    [("socket", KEEPALIVE, 1), ("sizes", SO_RCVBUF, 2 * 5120), ("sizes", SO_SNDBUF, 2 * 6144)],
)
def test_socket_options(each: tuple[Server, Application], location: str, name: int, value: int) -> None:
    s, app = each
    if location == "sizes" and app.protocol == "memcached":
        return  # has no such directives
    seen: list[int] = []

    def say(sock: socket.socket, got: Received) -> None:
        seen.append(option(s.workers()[0], app.backend.port, name))
        sock.sendall(app.answer(got))

    wait_until(s.workers, "workers")
    app.say = say
    for target in (location, "plain"):
        assert s.get(f"/{app.protocol}/{target}").text == "hello"
    assert seen[0] == value != seen[1]


def test_connect_timeout(each: tuple[Server, Application]) -> None:
    s, app = each
    assert s.get(f"/{app.protocol}/connect").status == 504
    logged(s, "[error]", "upstream timed out (110: Connection timed out) while connecting to upstream")


def test_send_timeout(full: tuple[Server, Application]) -> None:
    s, app = full
    gone = threading.Event()
    app.talk = lambda sock: gone.wait(60) and None
    try:
        assert s.get(f"/{app.protocol}/send", method="POST", body=bytes(12_000_000)).status == 504
    finally:
        gone.set()
    logged(s, "[error]", "upstream timed out (110: Connection timed out) while sending request to upstream")


def test_read_timeout(each: tuple[Server, Application]) -> None:
    s, app = each
    app.say = lambda sock, got: sock.recv(1) and None
    assert s.get(f"/{app.protocol}/read").status == 504
    logged(s, "[error]", "upstream timed out (110: Connection timed out) while reading response header from upstream")


# ---- the next upstream


def test_tries(each: tuple[Server, Application]) -> None:
    s, app = each
    app.say = lambda sock, got: sock.sendall(b"\0\1\2\3\4\5\6\7\r\n\r\n")
    if app.protocol == "proxy":  # to which that would be HTTP/0.9
        app.say = lambda sock, got: sock.sendall(b"HTTP/1.1 200 OK\r\nA\0b: c\r\n\r\n")
    assert s.get(f"/{app.protocol}/tries").status == 502
    assert len(app.received) == 2
    accessed(s, f"/{app.protocol}/tries 502 502, 502 127.0.0.1:")


def test_no_further_try_after_its_time(each: tuple[Server, Application]) -> None:
    s, app = each
    app.say = lambda sock, got: sock.recv(1) and None
    assert s.get(f"/{app.protocol}/in-time").status == 504
    wait_until(lambda: app.received, "the request, which may be read when nobody waits for an answer any more")
    assert len(app.received) == 1


# ---- the request


def test_request_buffering(full: tuple[Server, Application]) -> None:
    s, app = full
    came = threading.Event()

    def talk(sock: socket.socket) -> None:
        data = b""
        while b"begin" not in data:
            data += sock.recv(65536)
        came.set()
        while b"finish" not in data:
            data += sock.recv(65536)
        sock.sendall(answer(app.protocol))

    app.talk = talk
    for target, early in (("early", True), ("plain", False)):
        came.clear()
        with s.connect() as c:
            c.send(request(f"/{app.protocol}/{target}", "POST", {"Content-Length": "11"}) + b"begin")
            if early:
                assert came.wait(30)
            else:
                connections = app.backend.connections
                assert s.get("/alive").status == 204
                assert app.backend.connections == connections
            assert c.send(b"finish").response().text == "hello"


def test_headers_and_body_that_do_not_pass(full: tuple[Server, Application]) -> None:
    s, app = full
    sent: list[bytes] = []

    def talk(sock: socket.socket) -> None:
        sent.append(sock.recv(65536))
        sock.sendall(answer(app.protocol))
        while more := sock.recv(65536):
            sent[-1] += more

    app.talk = talk
    for target in ("plain", "bare"):
        assert s.get(f"/{app.protocol}/{target}", {"X-Some": "thing"}, method="POST", body=b"the body").text == "hello"
    wait_until(lambda: app.backend.connections == 2 or len(sent) == 2, "both")
    assert [b"thing" in one for one in sent] == [b"the body" in one for one in sent] == [True, False]


def test_client_abort(full: tuple[Server, Application]) -> None:
    s, app = full
    ended: list[bytes] = []

    def say(sock: socket.socket, got: Received) -> None:
        there.set()
        if got.uri.endswith("ignored"):
            gone.wait(30)
            sock.sendall(app.answer(got))
        else:
            ended.append(sock.recv(1))

    app.say = say
    for target, status in (("abort", "499"), ("abort/ignored", "200")):
        there, gone = threading.Event(), threading.Event()
        with s.connect() as c:
            c.send(request(f"/{app.protocol}/{target}"))
            assert there.wait(30)
        gone.set()
        accessed(s, f"/{app.protocol}/{target} {status} ")
    wait_until(lambda: ended == [b""], "the application to see its connection closed")


# ---- the head of the response


def test_intercept_errors(full: tuple[Server, Application]) -> None:
    s, app = full
    app.say = lambda sock, got: sock.sendall(app.answer(got, status=404))
    assert s.get(f"/{app.protocol}/errors").status == 204
    assert s.get(f"/{app.protocol}/plain").status == 404


def test_fields(full: tuple[Server, Application]) -> None:
    s, app = full
    lines = ("X-Accel-Expires: 5", "X-Away: a", "X-Stays: b")
    app.say = lambda sock, got: sock.sendall(app.answer(got, b"hello", *lines))
    plain, changed = s.get(f"/{app.protocol}/plain"), s.get(f"/{app.protocol}/fields")
    assert [plain.get(name) for name in ("X-Accel-Expires", "X-Away", "X-Stays")] == [None, "a", "b"]
    assert [changed.get(name) for name in ("X-Accel-Expires", "X-Away", "X-Stays")] == ["5", None, "b"]
    app.say = lambda sock, got: sock.sendall(app.answer(got, b"hello", "X-Accel-Redirect: /alive"))
    assert s.get(f"/{app.protocol}/fields").status == 204
    assert s.get(f"/{app.protocol}/fields/ignored").text == "hello"


def test_buffer_size(each: tuple[Server, Application]) -> None:
    s, app = each
    if app.protocol == "memcached":
        target = "/memcached/tiny" + "x" * 400  # the key comes back in the head
    else:
        target = f"/{app.protocol}/tiny"
        app.say = lambda sock, got: sock.sendall(app.answer(got, b"hello", "X-Long: " + "x" * 400))
    assert s.get(target).status == 502
    logged(s, "[error]", "upstream sent too big header while reading response header from upstream")


def test_force_ranges(full: tuple[Server, Application]) -> None:
    s, app = full
    lines = ("Last-Modified: Mon, 28 Sep 1970 06:00:00 GMT",)
    app.say = lambda sock, got: sock.sendall(app.answer(got, b"hello", *lines))
    assert s.get(f"/{app.protocol}/plain", {"Range": "bytes=1-2"}).text == "hello"
    part = s.get(f"/{app.protocol}/ranges", {"Range": "bytes=1-2"})
    assert (part.status, part.text, part["Content-Range"]) == (206, "el", "bytes 1-2/5")


# ---- the body of the response


def first_part(protocol: str, *lines: str) -> bytes:
    head = head_of(protocol, "Content-Length: 10", *lines)
    return stdout(head + b"first") if protocol == "fastcgi" else head + b"first"


def second_part(protocol: str) -> bytes:
    return stdout(b"final") + end() if protocol == "fastcgi" else b"final"


@pytest.mark.parametrize(("target", "line"), [("flow", "X-A: b"), ("plain", "X-Accel-Buffering: no")])
def test_what_comes_goes_on_at_once(full: tuple[Server, Application], target: str, line: str) -> None:
    s, app = full
    seen = threading.Event()

    def say(sock: socket.socket, got: Received) -> None:
        sock.sendall(first_part(app.protocol, line))
        assert seen.wait(30)
        sock.sendall(second_part(app.protocol))

    app.say = say
    with s.connect() as c:
        c.send(request(f"/{app.protocol}/{target}"))
        c._until(b"\r\n\r\n")
        assert c.exactly(5) == b"first"
        seen.set()
        assert c.exactly(5) == b"final"


def temporary(s: Server, app: Application) -> list[Path]:
    return [path for path in (s.folder / f"temp_{app.protocol}").rglob("*") if path.is_file()]


def sizes(s: Server, app: Application) -> int:
    """Of the temporary files; they have no name any more once they are open."""
    total = 0
    for entry in Path(f"/proc/{s.workers()[0]}/fd").iterdir():
        try:
            if f"/temp_{app.protocol}/" in os.readlink(entry):
                total += entry.stat().st_size
        except FileNotFoundError:
            pass  # closed just now
    return total


LARGE = 4_000_000  # much more than sockets hold
HUGE = 24_000_000  # than a pipe holds, with 64 KB in each of its pages' places


def fetch_slowly(s: Server, app: Application, target: str, until: Callable[[], Any]) -> bytes:
    """The client reads nothing until *until*, then all."""
    with s.connect("PORT2") as c:
        c.send(request(f"/{app.protocol}/{target}", headers={"Connection": "close"}))
        wait_until(until, "what it waits for")
        return c.response().body


@pytest.mark.parametrize("length", [True, False])
def test_temporary_files(full: tuple[Server, Application], length: bool) -> None:
    s, app = full
    if length and app.protocol != "proxy":
        return  # one way for all of them
    wait_until(s.workers, "workers")
    size = HUGE if length else LARGE
    data = bytes(range(250)) * (size // 250)
    sent = 0

    def say(sock: socket.socket, got: Received) -> None:
        nonlocal sent
        sent = 0
        sock.setsockopt(socket.SOL_SOCKET, SO_SNDBUF, 65536)
        whole = app.answer(got, data)
        if not length:
            whole = whole.replace(b"Content-Length:", b"X-Different-To:", 1)
        while sent < len(whole):
            sent += sock.send(whole[sent : sent + 65536])

    def held_up(least: int, most: int) -> Callable[[], bool]:
        stuck = Stuck(lambda: sent)
        return lambda: stuck() and sent < size and least <= sizes(s, app) <= most

    app.say = say
    assert fetch_slowly(s, app, "file", lambda: sent >= size) == data
    assert fetch_slowly(s, app, "file/none", held_up(0, 0)) == data
    # what goes through a pipe needs no file for so little
    assert fetch_slowly(s, app, "file/some", held_up(0 if length else 4096, 300 * 1024)) == data
    wait_until(lambda: sizes(s, app) == 0 and not temporary(s, app), "nothing left")
    logged(s, "an upstream response is buffered to a temporary file", f"/temp_{app.protocol}")


class Stuck:
    """Whether *measure* has stopped growing: called again and again, true when twenty calls saw the same."""

    def __init__(self, measure: Callable[[], int]) -> None:
        self.measure, self.last, self.calls = measure, 0, 0

    def __call__(self) -> bool:
        now = self.measure()
        self.calls = self.calls + 1 if now == self.last and now else 0
        self.last = now
        return self.calls >= 20


def test_limit_rate(full: tuple[Server, Application]) -> None:
    """Three seconds' worth is not there in the first, whose end may come at any time."""
    s, app = full
    data = bytes(300_000)
    app.say = lambda sock, got: sock.sendall(app.answer(got, data))
    began = monotonic()
    assert s.get(f"/{app.protocol}/rate").body == data
    assert monotonic() - began > 0.9


def test_store(full: tuple[Server, Application]) -> None:
    s, app = full
    assert s.get(f"/{app.protocol}/store").text == "hello"
    path = s.folder / "stored" / app.protocol / "store"
    wait_until(path.exists, "it stored")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("hello", 0o640)
    assert s.get(f"/{app.protocol}/store/named?name={app.protocol}.x").text == "hello"
    path = s.folder / "stored" / f"{app.protocol}.x"
    wait_until(path.exists, "it stored")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("hello", 0o600)
