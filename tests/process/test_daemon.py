"""daemon, master_process, pid, and what the processes are called."""

from __future__ import annotations

import os
import re
import signal

from scripts.lib.processes import children, parents
from scripts.lib.servers import wait_until
from tests.harness.client import PATIENCE
from tests.process.conftest import RETURN, alive, title, titles, workers

ALONE = "master_process off;" + RETURN


def test_background(background, said):
    s = background(RETURN)
    master = s.pid
    assert parents()[master] != os.getpid()
    assert os.getsid(master) == master
    for fd in (0, 1):
        assert os.readlink(f"/proc/{master}/fd/{fd}") == "/dev/null"
    wait_until(lambda: os.readlink(f"/proc/{master}/fd/2").endswith("/error.log"), "its standard error")
    assert s.get("/").text == str(workers(s)[0])
    s.signal(signal.SIGTERM)
    wait_until(lambda: not alive(master), "the end")
    assert not s.pid_file.exists()


def test_foreground(server):
    s = server(RETURN)
    assert int(s.pid_file.read_text()) == s.pid
    assert os.getsid(s.pid) == os.getsid(0)


def test_titles(server, said):
    s = server("worker_processes 2;" + RETURN)
    pids = workers(s, 2)
    name = title(s.pid).partition(":")[0]
    assert title(s.pid) == f"{name}: master process {name} {' '.join(s.arguments())}"
    assert [title(pid) for pid in pids] == [f"{name}: worker process"] * 2


def test_title_of_a_worker_that_leaves(server, said):
    s = server(RETURN)
    (worker,) = workers(s)
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\n")
        wait_until(lambda: "worker process" in title(worker), "the title")
        s.signal(signal.SIGHUP)
        said(s, rf"{worker}#\d+: gracefully shutting down")
        assert title(worker).endswith(": worker process is shutting down")


def test_titles_of_the_caches_processes(server):
    s = server(RETURN.replace("access_log", "proxy_cache_path cache keys_zone=a:1m; access_log"))
    expected = ["cache loader process", "cache manager process", "worker process"]
    wait_until(lambda: [name.partition(": ")[2] for name in titles(s.pid)] == expected, "all titles")


def test_one_process(server, said):
    s = server(ALONE)
    assert s.get("/").text == str(s.pid)
    assert children(s.pid) == []
    s.signal(signal.SIGTERM)
    assert s.process.wait(PATIENCE) == 0
    said(s, rf"signal 15 \(SIGTERM\) received from {os.getpid()}, exiting\n")
    assert not s.pid_file.exists()


def test_one_process_quits_at_once(server, said):
    s = server(ALONE)
    with s.connect() as c:
        c.ask()
        s.signal(signal.SIGQUIT)
        assert s.process.wait(PATIENCE) == 0
    said(s, rf"signal 3 \(SIGQUIT\) received from {os.getpid()}, shutting down\n")


def test_one_process_reloads(server, said):
    s = server(ALONE)
    two = ALONE.replace("server {", "server { listen 127.0.0.1:%PORT2%;").replace('"$pid"', '"two"')
    with s.connect() as c:
        c.send(b"GET / HTTP/1.1\r\n")  # under way, and served by the configuration that it began with
        wait_until(lambda: s.get("/").text == str(s.pid), "an answer")
        s.write(two)
        s.signal(signal.SIGHUP)
        wait_until(lambda: s.get("/").text == "two", "the new configuration")
        assert s.get("/", port="PORT2").text == "two"
        c.send(b"Host: a\r\n\r\n")
        assert c.response().text == str(s.pid)
    s.write("nonsense;")
    s.signal(signal.SIGHUP)
    said(s, r"\[emerg\].*unknown directive \"nonsense\"")
    assert s.get("/").text == "two"
    s.alerts = True


def test_one_process_reopens(server, said):
    s = server(ALONE)
    os.rename(s.folder / "error.log", s.folder / "old.log")
    s.signal(signal.SIGUSR1)
    said(s, "reopening logs", "old.log")
    s.get("/")
    wait_until(lambda: (s.folder / "error.log").exists(), "the new log")


def test_logs_are_reopened(server, said):
    """USR1: every process writes to new files."""
    s = server(RETURN.replace("access_log off", "access_log a.log"))
    worker = s.get("/").text
    for name in ("error.log", "a.log"):
        os.rename(s.folder / name, s.folder / f"old-{name}")
    s.signal(signal.SIGUSR1)
    said(s, rf"\[notice\] {s.pid}#\d+: reopening logs", "old-error.log")
    wait_until(lambda: re.search(rf"\] {worker}#\d+: reopening logs", s.log("old-error.log") + s.log()) is not None, "it")
    s.get("/after")
    assert "GET / " in s.log("old-a.log")
    said(s, "GET /after", "a.log")


def test_pid_file_that_cannot_be(configtest):
    done = configtest("pid absent/a.pid; events { }")
    assert done.returncode == 1
    assert re.search(r'\[emerg\] open\(\) ".*absent/a.pid" failed \(2: No such file or directory\)', done.stderr)
