"""The command line: options, what they print and their exit codes, as nginx has them."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from geng.cli.main import SIGNALS, main
from geng.cli.version import NGINX_VERSION
from scripts.lib.servers import wait_until
from tests.harness.server import ROOT, Server
from tests.process.conftest import RETURN, alive


@pytest.fixture
def call(tmp_path, command):
    """`call("-t", …)` in a folder with a good and a bad configuration."""
    files = {"good.conf": RETURN.replace("%PORT%", "1"), "bad.conf": "events { } nonsense;", "inc.conf": "events { }"}
    place = Server("", tmp_path, command=command, files=files)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        place.arguments = lambda: ["-p", f"{tmp_path}/", "-e", "logs/e.log"]  # type: ignore[method-assign]
        return place.run(*words)

    run.folder = tmp_path  # type: ignore[attr-defined]
    return run


REFUSED = [
    (["-x"], 'invalid option: "x"'),
    (["word"], 'invalid option: "word"'),
    (["-tx"], 'invalid option: "x"'),
    (["-c"], 'option "-c" requires file name'),
    (["-e"], 'option "-e" requires file name'),
    (["-p"], 'option "-p" requires directory name'),
    (["-g"], 'option "-g" requires parameter'),
    (["-s"], 'option "-s" requires parameter'),
    (["-s", "restart"], 'invalid option: "-s restart"'),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_refused(capfd, words, message):
    assert main(words) == 1
    assert capfd.readouterr().err == f"nginx: {message}\n"


@pytest.mark.parametrize("words", [["-t", "-c", "good.conf"], ["-cgood.conf", "-t"]])
def test_good(call, words):
    done = call(*words)
    name = f"{call.folder}/good.conf"
    lines = f"nginx: the configuration file {name} syntax is ok\nnginx: configuration file {name} test is successful\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, "", lines)


def test_bad(call):
    done = call("-t", "-c", "bad.conf")
    message = f'nginx: [emerg] unknown directive "nonsense" in {call.folder}/bad.conf:1\n'
    assert done.returncode == 1
    assert done.stderr == f"{message}nginx: configuration file {call.folder}/bad.conf test failed\n"


def test_bad_behind_the_syntax(call):
    """The syntax is said to be well before files are opened."""
    (call.folder / "late.conf").write_text("error_log absent/e.log; events { }")
    said = call("-t", "-c", "late.conf").stderr
    assert re.match(r"nginx: .* syntax is ok\nnginx: \[emerg\] open\(\) .* failed \(2: .*\)\nnginx: .* test failed\n", said)


def test_quiet(call):
    assert call("-tq", "-c", "good.conf").stderr == ""
    assert "unknown directive" in call("-tq", "-c", "bad.conf").stderr


def test_no_file(call):
    done = call("-t", "-c", "absent.conf")
    assert done.returncode == 1
    assert f'[emerg] open() "{call.folder}/absent.conf" failed (2: No such file or directory)' in done.stderr


def test_default_file(call):
    assert f'open() "{call.folder}/conf/nginx.conf" failed' in call("-t").stderr


def test_dump(call):
    (call.folder / "main.conf").write_text("include inc.conf;\n")
    done = call("-T", "-q", "-c", "main.conf")
    folder = call.folder
    assert done.stdout == (
        f"# configuration file {folder}/main.conf:\ninclude inc.conf;\n\n"
        f"# configuration file {folder}/inc.conf:\nevents {{ }}\n"
    )


def test_directives_of_the_command_line(call):
    done = call("-t", "-c", "good.conf", "-g", "nonsense;")
    assert '[emerg] unknown directive "nonsense" in command line\n' in done.stderr
    done = call("-t", "-c", "good.conf", "-g", "daemon off")
    assert '[emerg] unexpected end of parameter, expecting ";" in command line\n' in done.stderr
    assert call("-t", "-c", "good.conf", "-g", "daemon off; pid other.pid;").returncode == 0
    assert (call.folder / "other.pid").exists()


def test_version(capfd):
    assert main(["-v"]) == 0
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"nginx version: nginx/{NGINX_VERSION}\ngeng version: geng/")


def test_version_and_arguments(capfd):
    assert main(["-V"]) == 0
    assert re.search(r"^configure arguments: .*--with-debug", capfd.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("option", ["-h", "-?"])
def test_help(capfd, option):
    assert main([option]) == 0
    said = capfd.readouterr().err
    for letter in "vVtTqspecg":
        assert f"\n  -{letter}" in said


def test_version_with_a_test(call):
    done = call("-v", "-t", "-c", "good.conf")
    assert "nginx version" in done.stderr
    assert "test is successful" in done.stderr


def test_error_log_before_the_configuration(call):
    call("-t", "-c", "bad.conf")
    assert re.search(r"\[emerg\] \d+#\d+: unknown directive", (call.folder / "logs/e.log").read_text())
    done = call("-t", "-c", "bad.conf", "-e", "stderr")
    assert re.match(r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[emerg\] \d+#\d+: unknown directive", done.stderr)
    done = call("-t", "-c", "good.conf", "-e", "absent/e.log")
    where = f'open() "{call.folder}/absent/e.log" failed (2: No such file or directory)'
    assert done.stderr.startswith(f"nginx: [alert] could not open error log file: {where}")


def test_prefix(call, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "logs").mkdir()
    (other / "x.conf").write_text("events { }")
    assert f"{other}/x.conf syntax is ok" in call("-t", "-p", str(other), "-c", "x.conf").stderr


PIDS = [
    ("", 'invalid PID number "" in'),
    ("word\n", 'invalid PID number "word" in'),
    ("12 \n", 'invalid PID number "12 " in'),
    ("1" * 30, f'invalid PID number "{"1" * 22}" in'),
    ("4000000\n", r"[alert] kill(4000000, 1) failed (3: No such process)"),
]


@pytest.fixture
def send(tmp_path):
    """`send(word, conf)`: -s, from this very process."""
    (tmp_path / "logs").mkdir()

    def call(word: str, conf: str = "pid a.pid; events { }") -> int:
        (tmp_path / "a.conf").write_text(conf)
        return main(["-s", word, "-p", f"{tmp_path}/", "-c", "a.conf", "-e", "logs/e.log"])

    return call


@pytest.mark.parametrize(("content", "message"), PIDS)
def test_signal_to_nobody(send, tmp_path, capfd, content, message):
    (tmp_path / "a.pid").write_text(content)
    assert send("reload") == 1
    assert message in capfd.readouterr().err


def test_signal_without_pid_file(send, tmp_path, capfd):
    assert send("stop") == 1
    assert f'[error] open() "{tmp_path}/a.pid" failed (2: No such file or directory)' in capfd.readouterr().err


def test_signal_with_a_bad_configuration(send, capfd):
    assert send("stop", "nonsense;") == 1
    assert "unknown directive" in capfd.readouterr().err


def test_signals(server, said):
    s = server(RETURN)
    for word, number in (("reopen", signal.SIGUSR1), ("reload", signal.SIGHUP), ("quit", signal.SIGQUIT)):
        done = s.run("-s", word)
        assert (done.returncode, done.stderr) == (0, "")
        said(s, rf"\[notice\] {s.pid}#\d+: signal {number} \({number.name}\) received from \d+")
    assert "signal process started" in s.log()
    wait_until(lambda: not alive(s.pid), "the end")
    assert SIGNALS["stop"] == signal.SIGTERM


def test_closed_streams_do_no_harm(tmp_path: Path) -> None:
    """Whoever starts a server may have closed its streams; their descriptors are not for sockets and logs."""
    server = Server("events {} http { server { listen 127.0.0.1:%PORT%; return 200 x; } }", tmp_path)
    command = shlex.join([*server.command, *server.arguments()])
    closed = ["sh", "-c", f"exec {command} <&- >&- 2>&-"]
    server.process = subprocess.Popen(closed, cwd=ROOT, env=server._environment())
    try:
        wait_until(server._ready, "the server", 20)
        for descriptor in range(3):
            assert os.readlink(f"/proc/{server.pid}/fd/{descriptor}") in ("/dev/null", str(tmp_path / "error.log"))
        server.reload()
        assert server.get("/").text == "x"
    finally:
        server.stop()
    assert server.log().times(2, "exited with code 0")
