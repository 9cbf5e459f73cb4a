"""USR2, WINCH, QUIT: another binary takes over the listening sockets, and no connection is lost."""

from __future__ import annotations

import os
import signal

from scripts.lib.servers import wait_until
from tests.process.conftest import RETURN, alive, title, titles
from tests.process.test_reload import Load

UNIX = RETURN.replace("server {", "server { listen unix:%DIR%/a.sock;")


def upgrade(s):
    """USR2: (the old master, the new one)."""
    old = s.pid
    s.signal(signal.SIGUSR2)
    wait_until(lambda: s.written("nginx.pid.oldbin") == old and s.written() not in (0, old), "two masters")
    new = s.written()
    wait_until(lambda: any(name.endswith("worker process") for name in titles(new)), "the new master's worker")
    return old, new


def test_without_a_lost_request(background, said):
    s = background(RETURN)
    with Load(s) as load:
        old, new = upgrade(s)
        os.kill(old, signal.SIGWINCH)
        wait_until(lambda: titles(old) == [title(new)], "the old workers gone")
        before = load.answers
        wait_until(lambda: load.answers > before + 20, "requests")
        os.kill(old, signal.SIGQUIT)
        wait_until(lambda: not alive(old), "the old master gone")
        before = load.answers
        wait_until(lambda: load.answers > before + 20, "requests")
    assert load.failures == []
    assert s.pid == new
    assert not (s.folder / "nginx.pid.oldbin").exists()
    said(s, rf"signal 12 \(SIGUSR2\) received from {os.getpid()}, changing binary\n")
    said(s, rf"start new binary process {new}\n")
    said(s, r'using inherited sockets from "\d+;"')
    said(s, rf"signal 28 \(SIGWINCH\) received from {os.getpid()}, stop accepting connections\n")


def test_back_to_the_old_one(background, said):
    """HUP brings the old master's workers back, QUIT ends the new one."""
    s = background(RETURN)
    old, new = upgrade(s)
    os.kill(old, signal.SIGWINCH)
    wait_until(lambda: titles(old) == [title(new)], "the old workers gone")
    os.kill(old, signal.SIGHUP)
    wait_until(lambda: any(name.endswith("worker process") for name in titles(old)), "the old master's workers")
    os.kill(new, signal.SIGQUIT)
    wait_until(lambda: not alive(new) and s.written() == old, "the old pid file")
    assert s.get("/").status == 200
    said(s, rf"new binary process {new} exited with code 0")


def test_a_new_binary_that_dies(background, said):
    """Workers that were sent away come back."""
    s = background(RETURN)
    old, new = upgrade(s)
    os.kill(old, signal.SIGWINCH)
    wait_until(lambda: titles(old) == [title(new)], "the old workers gone")
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: s.written() == old, "the old pid file")
    wait_until(lambda: any(name.endswith("worker process") for name in titles(old)), "the old master's workers")
    assert s.get("/").status == 200


def test_one_at_a_time(background, said):
    s = background(RETURN)
    for pid in upgrade(s):
        os.kill(pid, signal.SIGUSR2)
        said(s, rf"\[notice\] {pid}#\d+: signal 12 \(SIGUSR2\) received from \d+, ignoring")
        said(s, rf"\[crit\] {pid}#\d+: the changing binary signal is ignored")
    assert s.get("/").status == 200


def test_a_broken_configuration(background, said):
    """The new binary ends, the old one goes on."""
    s = background(RETURN)
    old = s.pid
    s.write("nonsense; " + s.conf)
    s.signal(signal.SIGUSR2)
    said(s, r"\[emerg\].*unknown directive \"nonsense\"")
    said(s, r"new binary process \d+ exited with code 1")
    wait_until(lambda: s.written() == old, "the pid file")
    assert s.get("/").status == 200


def test_unix_sockets_stay(background):
    s = background(UNIX)
    socket = s.folder / "a.sock"
    old, new = upgrade(s)
    os.kill(old, signal.SIGQUIT)
    wait_until(lambda: not alive(old), "the old master gone")
    assert socket.is_socket()
    old, new = upgrade(s)
    os.kill(new, signal.SIGTERM)
    wait_until(lambda: not alive(new) and s.written() == old, "the new master gone")
    assert socket.is_socket()
    os.kill(old, signal.SIGTERM)
    wait_until(lambda: not alive(old), "the last master gone")
    assert not socket.exists()


def test_sockets_that_nobody_wants_are_closed(background, said):
    s = background(UNIX)
    s.write(s.conf.replace(f"listen unix:{s.folder}/a.sock;", ""))
    upgrade(s)
    said(s, r"\[warn\].*deleting socket .*/a.sock")
    assert s.get("/").status == 200
