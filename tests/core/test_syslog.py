"""Messages to a syslog server: the parameters, the datagrams, and what happens when nobody takes them."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geng.core import clock, syslog
from geng.errors import Invalid


@dataclass
class Address:
    sockaddr: Any
    name: bytes


def lookup(text: str, port: int) -> Address:
    """Addresses only; names are not found."""
    if text.startswith("unix:"):
        return Address(text[5:], text.encode())
    host, _, given = text.rpartition(":")
    if host == "nowhere" or text == "nowhere":
        raise Invalid("host not found")
    return Address((host or given, int(given) if host else port), text.encode())


ONLY_ALPHANUMERIC = 'syslog "tag" only allows alphanumeric characters and underscore'

REFUSED = [
    ("", 'unknown syslog parameter ""'),
    ("facility=user", "no syslog server specified"),
    ("server=nowhere", 'host not found in syslog server "nowhere"'),
    ("server=nowhere:1,bad", 'host not found in syslog server "nowhere:1"'),
    ("server=127.0.0.1,server=127.0.0.2", 'duplicate syslog "server"'),
    ("server=127.0.0.1,facility=user,facility=user", 'duplicate syslog "facility"'),
    ("server=127.0.0.1,severity=info,severity=warn", 'duplicate syslog "severity"'),
    ("server=127.0.0.1,tag=a,tag=b", 'duplicate syslog "tag"'),
    ("server=127.0.0.1,facility=local8", 'unknown syslog facility "local8"'),
    ("server=127.0.0.1,facility=", 'unknown syslog facility ""'),
    ("server=127.0.0.1,severity=warning", 'unknown syslog severity "warning"'),
    ("server=127.0.0.1,tag=" + "a" * 33, "syslog tag length exceeds 32"),
    ("server=127.0.0.1,tag=a-b", ONLY_ALPHANUMERIC),
    ("server=127.0.0.1,tag=\u00e9", ONLY_ALPHANUMERIC),
    ("server=127.0.0.1,nohost", 'unknown syslog parameter "nohost"'),
    ("server=127.0.0.1,nohostname=1", 'unknown syslog parameter "nohostname=1"'),
    ("server=127.0.0.1,", 'unknown syslog parameter ""'),
    ("server", 'unknown syslog parameter "server"'),
]


@pytest.mark.parametrize(("parameters", "message"), REFUSED)
def test_refused(parameters: str, message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        syslog.parse("syslog:" + parameters, lookup)
    assert str(refusal.value) == message


ACCEPTED = [
    ("server=127.0.0.1", "<Syslog 127.0.0.1 local7.info nginx>", b"<190>Nov 20 22:00:00 host nginx: "),
    ("server=127.0.0.1,nohostname", "<Syslog 127.0.0.1 local7.info nginx>", b"<190>Nov 20 22:00:00 nginx: "),
    ("tag=My_1,facility=kern,severity=emerg,server=[::1]:5140", "<Syslog [::1]:5140 kern.emerg My_1>",
     b"<0>Nov 20 22:00:00 host My_1: "),
    ("server=unix:/dev/log,severity=debug,facility=local0,tag=" + "a" * 32,
     "<Syslog unix:/dev/log local0.debug " + "a" * 32 + ">", b"<135>Nov 20 22:00:00 host " + b"a" * 32 + b": "),
]  # fmt: skip


@pytest.mark.parametrize(("parameters", "shown", "header"), ACCEPTED)
def test_accepted(monkeypatch: pytest.MonkeyPatch, parameters: str, shown: str, header: bytes) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "HOST")
    monkeypatch.setattr(clock, "syslog_time", lambda: b"Nov 20 22:00:00")
    server = syslog.parse("syslog:" + parameters, lookup)
    assert repr(server) == shown
    assert server.header(server.severity) == header


def test_default_port() -> None:
    assert syslog.parse("syslog:server=127.0.0.1", lookup).server.sockaddr == ("127.0.0.1", 514)


class Complaints:
    """A log that remembers, and that logs to the very server it complains about."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.server: syslog.Syslog | None = None

    def alert(self, message: str, *, err: int | None = None, ctx: Any = None) -> None:
        self.lines.append(f"{message} ({err}){ctx.log_context()}")
        if self.server is not None:
            assert self.server.send(b"its own failure") is False


def receiver(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind(address)
    sock.settimeout(30)
    return sock


@pytest.mark.parametrize("family", ["udp", "unix"])
def test_datagrams(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, family: str) -> None:
    monkeypatch.setattr(clock, "syslog_time", lambda: b"Nov 20 22:00:00")
    unix = family == "unix"
    path = str(tmp_path / "log")
    with receiver(socket.AF_UNIX if unix else socket.AF_INET, path if unix else ("127.0.0.1", 0)) as sock:
        address = f"unix:{path}" if unix else f"127.0.0.1:{sock.getsockname()[1]}"
        server = syslog.parse(f"syslog:server={address},nohostname,tag=t", lookup)
        assert server.send(b"one")
        assert server.send(b"two", 3)
        assert sock.recv(100) == b"<190>Nov 20 22:00:00 t: one"
        assert sock.recv(100) == b"<187>Nov 20 22:00:00 t: two"
        server.close()
        assert server.send(b"three")
        assert sock.recv(100) == b"<190>Nov 20 22:00:00 t: three"
        server.close()


def test_a_full_buffer_does_not_wait(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    complaints = Complaints()
    with receiver(socket.AF_UNIX, path):
        server = syslog.parse(f"syslog:server=unix:{path}", lookup)
        server.log = complaints
        sent = [server.send(b"x" * 1000) for _ in range(2000)]
        server.close()
    assert sent[0] is True
    assert sent[-1] is False
    assert complaints.lines == []


def test_a_failure_is_told_once_a_minute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    time = SimpleNamespace(msec=0)
    monkeypatch.setattr(clock, "msec", lambda: time.msec)
    path = str(tmp_path / "log")
    server = syslog.parse(f"syslog:server=unix:{path}", lookup)
    complaints = Complaints()
    server.log, complaints.server = complaints, server
    line = f"connect() failed (2) while logging to syslog, server: unix:{path}"
    for time.msec, told in [(0, 1), (1, 1), (59_999, 1), (60_000, 2), (60_001, 2)]:
        assert server.send(b"x") is False
        assert complaints.lines == [line] * told
    with receiver(socket.AF_UNIX, path) as sock:
        assert server.send(b"again")
        assert sock.recv(100).endswith(b" nginx: again")
    server.close()


def test_a_server_that_comes_back(tmp_path: Path) -> None:
    """A restarted server has another socket under the same name: the first message is lost, the next one arrives."""
    path = tmp_path / "log"
    server = syslog.parse(f"syslog:server=unix:{path}", lookup)
    with receiver(socket.AF_UNIX, str(path)):
        assert server.send(b"one")
    path.unlink()
    with receiver(socket.AF_UNIX, str(path)) as sock:
        assert server.send(b"two") is False
        assert server.send(b"three")
        assert sock.recv(100).endswith(b": three")
    server.close()
