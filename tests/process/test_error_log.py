"""error_log: levels, places, formats, syslog, memory; debug lines and debug_connection."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from scripts.lib.servers import wait_until
from tests.process.conftest import RETURN, workers

CONF = """
error_log main.log notice;
events { }
http {
    server { listen 127.0.0.1:%PORT%;
        location / { error_log a.log LEVELS; deny all; root %DIR%; }
    }
}
"""
LINE = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ access forbidden by rule, client: 127\.0\.0\.1, "


def test_levels(server):
    """Each of several logs has what its level admits."""
    there = {"debug": 1, "info": 1, "notice": 1, "warn": 1, "error": 1, "": 1, "crit": 0, "alert": 0, "emerg": 0}
    logs = " ".join(f"error_log a-{level}.log {level};" for level in there)
    s = server(CONF.replace("error_log a.log LEVELS;", logs))
    assert s.get("/").status == 403
    tail = r'server: , request: "GET / HTTP/1.1", host: "localhost"\n'
    assert "http close request" in s.log("a-debug.log")  # the last of all
    assert {level: len(re.findall(LINE + tail, s.log(f"a-{level}.log"))) for level in there} == there
    assert [level for level in there if not s.log(f"a-{level}.log").lacks("[debug]")] == ["debug"]
    assert s.log("main.log").lacks("forbidden")


def test_stderr(server, said):
    """`error_log stderr` keeps the standard error where it is."""
    s = server(CONF.replace("error_log a.log LEVELS", "error_log stderr"))
    s.get("/")
    said(s, LINE, "output")
    assert s.log("output").lacks("[notice]")


def test_the_standard_error_goes_to_the_log(server):
    s = server(RETURN)
    wait_until(lambda: os.readlink(f"/proc/{s.pid}/fd/2") == str(s.folder / "error.log"), "the redirection")


def test_syslog(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(30)
        target = f"syslog:server=127.0.0.1:{receiver.getsockname()[1]},facility=local3,tag=mine"
        s = server(CONF.replace("a.log LEVELS", f"{target} error"))
        s.get("/")
        found = receiver.recv(4096).decode()
        host = re.escape(socket.gethostname().lower())
        assert re.fullmatch(r"<155>\w{3} [ \d]\d \d\d:\d\d:\d\d " + host + " mine: " + LINE + ".*", found)


def test_memory(server):
    s = server(CONF.replace("a.log LEVELS", "memory:64k debug"))
    s.get("/")
    (worker,) = workers(s)
    head = f"MEMLOG 65536 {s.folder}/nginx.conf:".encode()
    rings = [page for page in pages(worker) if page.startswith(head)]
    assert len(rings) == 1
    assert b"access forbidden by rule" in rings[0]
    assert b"[debug]" in rings[0]


def pages(pid):
    """The private memory of a process that belongs to no file, 64 KB from each of its pages on.

    The kernel joins neighbours, so a mapping may begin in the middle of one.
    """
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, mode, *_, inode = line.split()[:5]
            if mode.startswith("rw") and inode == "0" and "[" not in line:
                start, end = (int(word, 16) for word in place.split("-"))
                memory.seek(start)
                try:
                    data = memory.read(end - start)
                except OSError:
                    continue  # it has gone meanwhile, which what is looked for does not
                yield from (data[at : at + 65536] for at in range(0, len(data), 4096) if data.startswith(b"MEMLOG", at))


FAULTS = [
    ("a.log info debug_http", 'invalid log level "debug_http"'),
    ("memory:1k", 'invalid buffer size "1k"'),
    ("syslog:tag=a", "no syslog server specified"),
]


@pytest.mark.parametrize(("words", "message"), FAULTS)
def test_faults(configtest, words, message):
    assert f"[emerg] {message} in " in configtest(f"error_log {words}; events {{ }}").stderr


PROXY = """
error_log debug.log DEBUG;
events { }
http {
    server { listen 127.0.0.1:%PORT%; access_log off;
        location / { proxy_pass http://127.0.0.1:%UP%; }
        location /r { return 204; }
        location /old { rewrite ^ /r last; }
    }
}
"""


def test_debug_lines(server, backend, said):
    up = backend(lambda request: "hello")
    s = server(PROXY.replace("DEBUG", "debug"), UP=up.port)
    assert s.get("/a?b=c", headers={"X-Mark": "7"}).text == "hello"
    said(s, "http close request", "debug.log")
    expected = [
        r"accept: 127\.0\.0\.1:\d+ fd:\d+", 'http request line: "GET /a\\?b=c HTTP/1.1"', 'http uri: "/a"',
        'http args: "b=c"', 'http header: "X-Mark: 7"', "http header done", 'using configuration "/"',
        'content phase, "/a\\?b=c"', "http init upstream", r'http upstream request:\n"GET /a\?b=c HTTP/1.[01]\n',
        rf"connect to 127.0.0.1:{up.port}", "http upstream connect: 0",
        rf'http upstream status 200, "127.0.0.1:{up.port}"', 'http upstream header: "Content-Length: 5"',
        "HTTP/1.1 200 OK\nContent-Length: 5", "finalize http upstream request",
        'http finalize request: 200, "/a\\?b=c"', "http close request",
    ]  # fmt: skip
    log = s.log("debug.log")
    at = 0
    for pattern in expected:
        found = re.compile(pattern).search(log, at)
        assert found is not None, pattern + "\n" + log[at:]
        at = found.end()


def test_rewritten(server, said):
    s = server(PROXY.replace("DEBUG", "debug"), UP=1)
    assert s.get("/old").status == 204
    said(s, "http close request", "debug.log")
    assert re.findall(r'using configuration "(.*)"', s.log("debug.log")) == ["/old", "/r"]


def test_kinds(server, said):
    s = server(PROXY.replace("DEBUG", "debug_event"), UP=1)
    s.get("/r")
    said(s, "accept: ", "debug.log")
    assert s.log("debug.log").lacks("http request line")


def test_without_debug_nothing_is_linked(server):
    s = server(PROXY.replace("DEBUG", "info"), UP=1)
    s.get("/r")
    assert s.log("debug.log").lacks("[debug]")


@pytest.mark.parametrize(("network", "there"), [("localhost", True), ("10.0.0.0/8; debug_connection ::1", False)])
def test_debug_connection(server, said, network, there):
    conf = PROXY.replace("DEBUG", "crit").replace("events { }", f"events {{ debug_connection {network}; }}")
    s = server(conf, UP=1)
    s.get("/r")
    if there:
        said(s, "http close request", "debug.log")
    assert s.log("debug.log").lacks("[debug]") != there


NETWORKS = [
    ("127.0.0.1/8", "[warn] low address bits of 127.0.0.1/8 are meaningless"),
    ("1.2.3.4/99", '[emerg] host not found in debug_connection "1.2.3.4/99"'),
]


@pytest.mark.parametrize(("network", "message"), NETWORKS)
def test_debug_connection_faults(configtest, network, message):
    assert message in configtest(f"events {{ debug_connection {network}; }}").stderr


def test_long_lines_are_cut(server, said):
    s = server(CONF.replace("LEVELS", "error"))
    s.get("/" + "x" * 4000)
    wait_until(lambda: s.log("a.log").endswith("\n"), "a line")
    assert len(s.log("a.log")) == 2048


STREAM = """
events { EVENTS }
stream {
    server { listen 127.0.0.1:%PORT%; error_log debug.log LEVEL; return hello; }
}
"""


@pytest.mark.parametrize(
    ("events", "level", "there"), [("", "debug", True), ("debug_connection 127.0.0.1;", "crit", True), ("", "crit", False)]
)
def test_debug_lines_of_sessions(server, said, events, level, there):
    s = server(STREAM.replace("EVENTS", events).replace("LEVEL", level))
    with s.connect() as c:
        assert c.rest() == b"hello"
    if there:
        said(s, r"(?s)accept: 127\.0\.0\.1:\d+ fd:\d+\n.*content phase\n.*finalize stream session: 200\n", "debug.log")
    assert s.log("debug.log").lacks("[debug]") != there
