"""The error log: lines, levels, targets, files."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from geng.core import clock
from geng.core import log as logs
from geng.core.log import (
    DEBUG,
    DEBUG_ALL,
    DEBUG_HTTP,
    ERROR,
    INFO,
    LEVELS,
    NOTICE,
    WARN,
    Log,
    OpenFile,
    OpenFiles,
    Target,
)
from geng.errors import ConfigError, Invalid

NOON = b"2026/11/20 12:00:00"


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "err_log_time", lambda: NOON)
    monkeypatch.setattr(os, "getpid", lambda: 123)


@pytest.fixture
def files() -> Iterator[OpenFiles]:
    made = OpenFiles()
    yield made
    made.close()


class Client:
    """Whose line it is."""

    def __init__(self, number: int = 5, context: str = ", client: 127.0.0.1, server: x") -> None:
        self.number = number
        self.context = context

    def log_context(self) -> str:
        return self.context


def opened(files: OpenFiles, path: Path) -> OpenFile:
    file = files.get(str(path))
    files.open()
    return file


def written(files: OpenFiles, path: Path, level: int = DEBUG) -> Log:
    """A log to *path*."""
    return Log([Target(opened(files, path), level, DEBUG_ALL if level == DEBUG else 0)])


# -- lines -------------------------------------------------------------------------------------------------------------

REFUSED = f" ({errno.ECONNREFUSED}: Connection refused)".encode()

LINES: list[tuple[str, str | bytes, dict[str, Any], bytes]] = [
    ("error", "message", {}, b"[error] 123#0: message"),
    ("emerg", "message", {}, b"[emerg] 123#0: message"),
    ("alert", "message", {}, b"[alert] 123#0: message"),
    ("crit", "message", {}, b"[crit] 123#0: message"),
    ("warn", "message", {}, b"[warn] 123#0: message"),
    ("notice", "message", {}, b"[notice] 123#0: message"),
    ("info", "message", {}, b"[info] 123#0: message"),
    ("debug", "message", {}, b"[debug] 123#0: message"),
    ("error", b"caf\xe9", {}, b"[error] 123#0: caf\xe9"),
    ("error", "\u00e9\udcff", {}, b"[error] 123#0: \xc3\xa9\xff"),
    ("error", "connect() failed", {"err": errno.ECONNREFUSED}, b"[error] 123#0: connect() failed" + REFUSED),
    ("error", "message", {"err": 0}, b"[error] 123#0: message"),
    ("error", "m", {"ctx": Client()}, b"[error] 123#0: *5 m, client: 127.0.0.1, server: x"),
    ("error", "m", {"ctx": Client(0)}, b"[error] 123#0: m, client: 127.0.0.1, server: x"),
    ("error", "m", {"ctx": Client(), "err": errno.ECONNREFUSED},
     b"[error] 123#0: *5 m" + REFUSED + b", client: 127.0.0.1, server: x"),
    ("debug", "m", {"ctx": Client()}, b"[debug] 123#0: *5 m"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "message", "more", "line"), LINES)
def test_lines(
    files: OpenFiles, tmp_path: Path, method: str, message: str | bytes, more: dict[str, Any], line: bytes
) -> None:
    path = tmp_path / "error.log"
    log = written(files, path)
    getattr(log, method)(message, **more)
    log.log(method, message, **more)
    log.log(logs.LEVEL_OF[method], message, **more)
    assert path.read_bytes() == (NOON + b" " + line + b"\n") * 3


HEAD = len(NOON + b" [error] 123#0: ")

LONG = [
    (2047 - HEAD, None, "", b"x" * (2047 - HEAD)),
    (2048 - HEAD, None, "", b"x" * (2047 - HEAD)),
    (9999, None, "", b"x" * (2047 - HEAD)),
    (9999, None, ", client: a", b"x" * (2047 - HEAD)),
    (2040 - HEAD, None, ", client: a", b"x" * (2040 - HEAD) + b", clien"),
    (1998 - HEAD, errno.ECONNREFUSED, "", b"x" * (1998 - HEAD) + REFUSED),
    (1999 - HEAD, errno.ECONNREFUSED, "", b"x" * (1998 - HEAD) + b"..." + REFUSED),
    (9999, errno.ECONNREFUSED, ", client: abcdefgh",
     (b"x" * (1998 - HEAD) + b"..." + REFUSED + b", client: abcdefgh")[: 2047 - HEAD]),
]  # fmt: skip


@pytest.mark.parametrize(("length", "err", "context", "text"), LONG)
def test_long_lines_are_cut(
    files: OpenFiles, tmp_path: Path, length: int, err: int | None, context: str, text: bytes
) -> None:
    path = tmp_path / "error.log"
    written(files, path).error("x" * length, err=err, ctx=Client(0, context))
    line = path.read_bytes()
    assert line[HEAD:] == text + b"\n"
    assert len(line) <= 2048


# -- levels ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", range(1, 9))
def test_levels(files: OpenFiles, tmp_path: Path, level: int) -> None:
    path = tmp_path / "error.log"
    log = written(files, path, level)
    for name in LEVELS:
        getattr(log, name)(name)
    assert [line.split()[-1].decode() for line in path.read_bytes().splitlines()] == list(LEVELS[:level])
    assert [log.enabled(n) for n in range(1, 9)] == [n <= level for n in range(1, 9)]


def test_each_target_has_its_level(files: OpenFiles, tmp_path: Path) -> None:
    paths = {level: tmp_path / LEVELS[level - 1] for level in (ERROR, INFO, WARN)}
    log = Log([Target(opened(files, path), level) for level, path in paths.items()])
    log.error("e")
    log.warn("w")
    log.notice("n")
    log.debug("d")
    assert {level: path.read_bytes().count(b"\n") for level, path in paths.items()} == {ERROR: 1, WARN: 2, INFO: 3}
    assert [t.level for t in log.targets] == [INFO, WARN, ERROR]
    assert log.level == INFO


def test_kinds_of_debug_messages(files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = Log([Target(opened(files, path), *logs.parse_levels(["debug_http"]))])
    log.debug("http", kind=DEBUG_HTTP)
    log.debug("event", kind=logs.DEBUG_EVENT)
    log.debug("any")
    log.info("info")
    assert [line.split()[-1] for line in path.read_bytes().splitlines()] == [b"http", b"any", b"info"]


def test_verbose(files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = written(files, path, ERROR)
    log.verbose().debug("d")
    log.debug("not this")
    assert path.read_bytes() == NOON + b" [debug] 123#0: d\n"


LEVEL_WORDS: list[tuple[list[str], Any]] = [
    ([], (ERROR, 0)),
    (["info"], (INFO, 0)),
    (["debug"], (DEBUG, DEBUG_ALL)),
    (["debug_http"], (DEBUG, DEBUG_HTTP)),
    (["debug_http", "debug_event"], (DEBUG, DEBUG_HTTP | logs.DEBUG_EVENT)),
    (["info", "warn"], 'duplicate log level "warn"'),
    (["debug_http", "debug"], 'duplicate log level "debug"'),
    (["debug", "debug_http"], 'invalid log level "debug_http"'),
    (["info", "debug_http"], 'invalid log level "debug_http"'),
    (["Info"], 'invalid log level "Info"'),
    (["warning"], 'invalid log level "warning"'),
]


@pytest.mark.parametrize(("words", "expected"), LEVEL_WORDS)
def test_level_words(words: list[str], expected: Any) -> None:
    try:
        made: Any = logs.parse_levels(words)
    except Invalid as invalid:
        made = str(invalid)
    assert made == expected


# -- targets -----------------------------------------------------------------------------------------------------------


def lookup(text: str, port: int) -> Any:
    if not text:
        raise Invalid("no host")
    host, _, given = text.partition(":")
    return SimpleNamespace(sockaddr=(host, int(given or port)), name=text.encode())


def target(files: OpenFiles, *words: str, log: Log | None = None) -> Target:
    return logs.parse_target(words, files, lambda name: os.path.join("/prefix", name), lookup, log)


def test_targets(files: OpenFiles) -> None:
    assert repr(target(files, "logs/e.log")) == "<Target <OpenFile /prefix/logs/e.log fd -1> error>"
    assert repr(target(files, "/e.log", "warn")) == "<Target <OpenFile /e.log fd -1> warn>"
    assert repr(target(files, "stderr", "info")) == "<Target <OpenFile stderr fd 2> info>"
    assert target(files, "/e.log").file is target(files, "/e.log", "crit").file
    log = Log()
    made = target(files, "syslog:server=127.0.0.1", log=log)
    assert repr(made) == "<Target <Syslog 127.0.0.1 local7.info nginx> error>"
    assert made.syslog is not None and made.syslog.log is log


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["memory:1", "debug"], 'invalid buffer size "1"'),
        (["syslog:server="], 'no host in syslog server ""'),
        (["/e.log", "loud"], 'invalid log level "loud"'),
    ],
)
def test_refused_targets(files: OpenFiles, words: list[str], message: str) -> None:
    with pytest.raises(Invalid) as refusal:
        target(files, *words)
    assert str(refusal.value) == message


def test_syslog_gets_the_whole_line_and_its_severity(monkeypatch: pytest.MonkeyPatch, files: OpenFiles) -> None:
    monkeypatch.setattr(clock, "syslog_time", lambda: b"Nov 20 12:00:00")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(30)
        log = Log([target(files, f"syslog:server=127.0.0.1:{sock.getsockname()[1]},nohostname", "info")])
        log.crit("message", ctx=Client())
        log.debug("not this")
        log.info("more")
        expected = b"<186>Nov 20 12:00:00 nginx: " + NOON + b" [crit] 123#0: *5 message, client: 127.0.0.1, server: x"
        assert sock.recv(1000) == expected
        assert sock.recv(1000) == b"<190>Nov 20 12:00:00 nginx: " + NOON + b" [info] 123#0: more"
        made = log.targets[0].syslog
        assert made is not None
        made.close()


def test_the_default_is_there_unless_a_file_is(files: OpenFiles, tmp_path: Path) -> None:
    default = files.get(str(tmp_path / "default"))
    to_syslog = Log([target(files, "syslog:server=127.0.0.1", "info")])
    to_file = Log([target(files, "/e.log", "crit")])
    to_stderr = Log([target(files, "stderr")])
    nothing = Log()
    for log in (to_syslog, to_file, to_stderr, nothing):
        log.add_default(default)
    assert [(t.level, t.file is default) for t in to_syslog.targets] == [(INFO, False), (ERROR, True)]
    assert [(t.level, t.file is default) for t in nothing.targets] == [(ERROR, True)]
    assert len(to_file.targets) == len(to_stderr.targets) == 1


def test_become(files: OpenFiles, tmp_path: Path) -> None:
    old, new = written(files, tmp_path / "old", ERROR), written(files, tmp_path / "new", INFO)
    held = old
    old.become(new)
    held.info("here")
    assert (tmp_path / "new").read_bytes().endswith(b" here\n")
    assert (tmp_path / "old").read_bytes() == b""


def test_a_full_disk_is_left_alone_for_a_second(monkeypatch: pytest.MonkeyPatch, files: OpenFiles) -> None:
    state = SimpleNamespace(now=0, errno=0)
    attempts: list[int] = []

    def write(fd: int, data: bytes) -> int:
        attempts.append(state.now)
        raise OSError(state.errno, "no")

    log = Log([Target(OpenFile("/full", 99))])
    monkeypatch.setattr(clock, "seconds", lambda: state.now)
    monkeypatch.setattr(os, "write", write)
    for state.errno, state.now in ((errno.EIO, 99), (errno.EIO, 99), *[(errno.ENOSPC, 100)] * 2, (errno.ENOSPC, 101)):
        log.error("x")
    assert attempts == [99, 99, 100, 101]


# -- files -------------------------------------------------------------------------------------------------------------


def test_files_are_opened_once_and_appended_to(files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"old\n")
    file = opened(files, path)
    assert files.get(str(path)) is file
    fd = file.fd
    files.open()
    assert file.fd == fd
    file.write(b"new\n")
    assert path.read_bytes() == b"old\nnew\n"
    assert not os.get_inheritable(fd)
    other = opened(files, tmp_path / "made.log")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(os.fstat(other.fd).st_mode) == 0o644 & ~umask


def test_a_file_that_cannot_be_opened(files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "none" / "error.log"
    files.get(str(path))
    with pytest.raises(ConfigError) as refusal:
        files.open()
    assert str(refusal.value) == f'open() "{path}" failed (2: No such file or directory)'


def test_reopen(files: OpenFiles, tmp_path: Path) -> None:
    path, kept, gone = tmp_path / "access.log", tmp_path / "kept.log", tmp_path / "gone" / "x.log"
    gone.parent.mkdir()
    errors = tmp_path / "error.log"
    log = written(files, errors)
    file, same, lost = (opened(files, p) for p in (path, kept, gone))
    file.flush = lambda: None if file.write(b"kept in memory\n") else None
    same.write(b"one\n")
    path.rename(tmp_path / "access.log.1")
    (gone.parent / "x.log").unlink()
    gone.parent.rmdir()
    files.reopen(log, os.getuid())
    file.write(b"new\n")
    same.write(b"two\n")
    lost.write(b"nobody reads this\n")
    assert (tmp_path / "access.log.1").read_bytes() == b"kept in memory\n"
    assert path.read_bytes() == b"new\n"
    assert kept.read_bytes() == b"one\ntwo\n"
    line = f' [emerg] 123#0: open() "{gone}" failed (2: No such file or directory)\n'
    assert errors.read_bytes() == NOON + line.encode()


def test_reopen_leaks_no_descriptor(files: OpenFiles, tmp_path: Path) -> None:
    log = written(files, tmp_path / "error.log")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        files.reopen(log)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give files away")
def test_reopen_gives_files_to_the_workers_user(files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = written(files, path)
    path.chmod(0o444)
    files.reopen(log, 65534)
    state = path.stat()
    assert (state.st_uid, stat.S_IMODE(state.st_mode)) == (65534, 0o644)


def test_a_closed_file_takes_nothing(files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = written(files, path)
    flushed: list[bool] = []
    files.get(str(path)).flush = lambda: flushed.append(True)
    files.close()
    log.error("lost")
    assert path.read_bytes() == b""
    assert flushed == [True]


# -- the standard error ------------------------------------------------------------------------------------------------


def test_warnings_are_seen_while_starting(capfd: pytest.CaptureFixture[str], files: OpenFiles, tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = written(files, path, NOTICE)
    log.to_stderr = True
    log.emerg('unknown directive "x" in /etc/nginx.conf:3')
    log.warn("bind() failed", err=errno.ECONNREFUSED)
    log.notice("using the epoll event method")
    assert capfd.readouterr().err.splitlines() == [
        'nginx: [emerg] unknown directive "x" in /etc/nginx.conf:3',
        f"nginx: [warn] bind() failed{REFUSED.decode()}",
    ]
    assert len(path.read_bytes().splitlines()) == 3
    log.to_stderr = False
    log.emerg("x")
    assert capfd.readouterr().err == ""


def test_what_goes_to_the_terminal_goes_there_once(capfd: pytest.CaptureFixture[str], files: OpenFiles) -> None:
    log = Log([Target(files.get(""))])
    log.to_stderr = True
    log.emerg("message")
    log.warn("not in this target")
    assert capfd.readouterr().err == f"{NOON.decode()} [emerg] 123#0: message\n"


def test_first_log(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    log = logs.first_log(str(path))
    log.notice("n")
    log.info("i")
    log.emerg("e")
    assert path.read_bytes() == NOON + b" [notice] 123#0: n\n" + NOON + b" [emerg] 123#0: e\n"
    assert capfd.readouterr().err == "nginx: [emerg] e\n"
    assert log.file is not None
    os.close(log.file.fd)


def test_first_log_without_a_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "none" / "error.log"
    logs.first_log(str(path)).emerg("e")
    logs.first_log("").emerg("e")
    line = f"{NOON.decode()} [emerg] 123#0: e\n"
    assert capfd.readouterr().err == (
        f'nginx: [alert] could not open error log file: open() "{path}" failed (2: No such file or directory)\n' + line * 2
    )


def test_say(capfd: pytest.CaptureFixture[str]) -> None:
    logs.say('invalid option: "-x"')
    logs.say("[error] open() failed", errno.ENOENT)
    assert capfd.readouterr().err == (
        'nginx: invalid option: "-x"\nnginx: [error] open() failed (2: No such file or directory)\n'
    )


REDIRECT = """
import os, sys
from geng.core.log import Log, OpenFiles, Target
files = OpenFiles()
targets = [Target(files.get(name)) for name in sys.argv[1:]]
files.open()
Log(targets).redirect_stderr()
os.write(2, b"written by anybody")
"""


@pytest.mark.parametrize(("stderr", "there"), [([], b"written by anybody"), ([""], b"")])
def test_redirected_stderr(tmp_path: Path, stderr: list[str], there: bytes) -> None:
    path = tmp_path / "error.log"
    done = subprocess.run([sys.executable, "-c", REDIRECT, str(path), *stderr], capture_output=True, check=True)
    assert path.read_bytes() == there
    assert done.stderr == (b"" if there else b"written by anybody")
