"""HUP: new workers on the new configuration, the old ones finish; what is broken changes nothing."""

from __future__ import annotations

import os
import signal
import threading

from scripts.lib.servers import wait_until
from tests.process.conftest import RETURN, workers


class Load:
    """Threads that ask without a pause; what came back that was no answer."""

    def __init__(self, server, threads=4):
        self.server, self.failures, self.answers = server, [], 0
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.ask) for _ in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def ask(self):
        while not self.over.is_set():
            try:
                assert self.server.get("/").status == 200
                self.answers += 1
            except Exception as failure:
                self.failures.append(repr(failure))


def test_under_load_no_request_fails(server):
    s = server("worker_processes 2;" + RETURN)
    with Load(s) as load:
        for _ in range(3):
            before = load.answers
            s.reload()
            wait_until(lambda before=before: load.answers > before + 20, "requests after the reload")
    assert load.failures == []


def test_a_request_under_way_is_finished_by_the_old_worker(server, backend, said):
    go = threading.Event()
    up = backend(lambda request: str(go.wait(20)))
    conf = """
        events { }
        http { server { listen 127.0.0.1:%PORT%;
            location /slow { proxy_pass http://127.0.0.1:%UP%; add_header X-Version VERSION; }
            location / { return 200 VERSION; } } }
    """
    s = server(conf.replace("VERSION", "one"), UP=up.port)
    (old,) = workers(s)
    with s.connect() as c:
        c.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_until(lambda: up.requests, "the request")
        s.write(conf.replace("VERSION", "two"))
        s.signal(signal.SIGHUP)
        wait_until(lambda: s.get("/").text == "two", "the new configuration")
        said(s, rf"{old}#\d+: gracefully shutting down")
        go.set()
        answer = c.response()
        assert (answer.text, answer["X-Version"]) == ("True", "one")
        assert answer["Connection"] == "close"
        assert c.closed()
    wait_until(lambda: old not in s.workers(), "the old worker gone")


def test_idle_connections_are_closed(server):
    s = server(RETURN)
    with s.connect() as c:
        c.ask()
        s.signal(signal.SIGHUP)
        assert c.closed()


def test_broken_changes_nothing(server, said):
    s = server(RETURN, alerts=True)
    before = workers(s)
    s.write(s.conf.replace("location / {", "location / { nonsense;"))
    s.signal(signal.SIGHUP)
    assert "nginx.conf:3" in said(s, r"\[emerg\].*unknown directive \"nonsense\".*")
    assert s.get("/").status == 200
    assert s.workers() == before


def test_broken_at_opening_changes_nothing(server, said):
    s = server(RETURN, alerts=True)
    before = workers(s)
    s.write(s.conf.replace("access_log off;", "access_log absent/a.log;"))
    s.signal(signal.SIGHUP)
    said(s, r"\[emerg\].*open\(\) \".*/absent/a.log\" failed \(2: No such file or directory\)")
    assert s.get("/").status == 200
    assert s.workers() == before


def test_ports_come_and_go(server, said):
    s = server(RETURN)
    two = s.conf.replace("server {", "server { listen 127.0.0.1:%PORT2%;")
    s.reload(two)
    assert s.get("/", port="PORT2").status == 200
    s.reload(RETURN)
    assert s.get("/").status == 200
    try:
        s.get("/", port="PORT2")
    except ConnectionRefusedError:
        return
    raise AssertionError("the port is still open")


def test_unix_sockets_are_removed(server, said):
    s = server(RETURN.replace("server {", "server { listen unix:%DIR%/a.sock;"))
    assert (s.folder / "a.sock").is_socket()
    s.reload(RETURN)
    said(s, r"\[warn\].*deleting socket .*/a.sock")
    assert not (s.folder / "a.sock").exists()


def test_another_pid_file(server):
    s = server("pid one.pid;" + RETURN)
    s.write(s.conf.replace("one.pid", "two.pid"))
    s.signal(signal.SIGHUP)
    wait_until(lambda: (s.folder / "two.pid").exists() and not (s.folder / "one.pid").exists(), "the other pid file")
    assert int((s.folder / "two.pid").read_text()) == s.pid


def test_lock_file_stays(server, said):
    s = server("lock_file one.lock;" + RETURN, alerts=True)
    s.reload(s.conf.replace("one.lock", "two.lock"))
    said(s, r'\[emerg\].*"lock_file" could not be changed, ignored')


def test_the_words_in_the_log(server, said):
    s = server(RETURN)
    before = workers(s)
    s.reload()
    me = os.getpid()
    expected = [
        rf"signal 1 \(SIGHUP\) received from {me}, reconfiguring", "reconfiguring", 'using the "epoll" event method',
        "start worker processes", r"start worker process \d+", "gracefully shutting down", "exiting", "exit",
        rf"signal 17 \(SIGCHLD\) received from {before[0]}", r"worker process \d+ exited with code 0",
    ]  # fmt: skip
    said(s, "(?s)" + ".*".join(rf"\[notice\] \d+#\d+: {line}\n" for line in expected))


def test_nothing_is_left_behind(server):
    """After some reloads the master has as many files open as after the first."""
    conf = RETURN.replace("access_log off", "access_log a.log; limit_req_zone $uri zone=a:64k rate=1r/s")
    s = server("worker_processes 2;" + conf.replace("events { }", "events { accept_mutex on; }"))
    s.reload()
    before = len(os.listdir(f"/proc/{s.pid}/fd"))
    for _ in range(3):
        s.reload()
    wait_until(lambda: len(os.listdir(f"/proc/{s.pid}/fd")) == before, "as many files open as before")
