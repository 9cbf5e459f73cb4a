"""What workers are told to be: how many, whose, where, with which limits and environment."""

from __future__ import annotations

import ast
import os
import pwd
import re
from pathlib import Path

import pytest

from geng.core.log import Log
from geng.errors import ConfigError
from geng.process.cycle import Cycle, Options
from scripts.lib.servers import wait_until
from tests.process.conftest import RETURN, workers

CPUS = os.sysconf("SC_NPROCESSORS_ONLN")
MINE = sorted(os.sched_getaffinity(0))
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def status(pid: int, name: str) -> str:
    """A line of /proc/PID/status."""
    found = re.search(rf"^{name}:\s+(.*)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def limit(pid: int, name: str) -> list[str]:
    """Soft and hard, from /proc/PID/limits."""
    found = re.search(rf"^{name} +(\S+) +(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
    assert found is not None
    return [found[1], found[2]]


def one(server, conf, said):
    """The pid of a worker that has done all it was told."""
    s = server(conf + RETURN)
    return s, int(s.get("/").text)


def test_auto(server):
    s = server("worker_processes auto;" + RETURN)
    assert len(workers(s, CPUS)) == CPUS


@root_only
def test_user(server, said):
    s, worker = one(server, "user nobody nogroup;\n", said)
    nobody = pwd.getpwnam("nobody")
    assert status(worker, "Uid").split() == [str(nobody.pw_uid)] * 4
    assert len(set(status(worker, "Gid").split())) == 1
    assert status(worker, "Gid") != "0\t0\t0\t0"
    assert status(s.pid, "Uid").split() == ["0"] * 4


@root_only
@pytest.mark.parametrize(("word", "kept"), [("", 0), ("transparent", 1 << 13)])
def test_transparent_keeps_one_capability(server, said, word, kept):
    """CAP_NET_RAW, and nothing else, for addresses that are not this machine's."""
    location = f"location / {{ proxy_pass http://127.0.0.1:1; proxy_bind $remote_addr {word}; }}"
    bind = f"server {{ listen unix:%DIR%/a; {location} }}"
    s = server("user nobody nogroup;\n" + RETURN.replace("access_log off;", "access_log off; " + bind))
    worker = int(s.get("/").text)
    assert [int(status(worker, name), 16) for name in ("CapEff", "CapPrm", "CapInh")] == [kept, kept, 0]


@root_only
def test_user_owns_temporary_folders(server, said):
    s, _ = one(server, "user nobody nogroup;\n", said)
    assert (s.folder / "client_body_temp").stat().st_uid == pwd.getpwnam("nobody").pw_uid


@pytest.mark.skipif(os.geteuid() == 0, reason="not for root")
def test_user_without_privileges(configtest):
    said = configtest("user nobody;\nevents { }").stderr
    assert '[warn] the "user" directive makes sense only if the master process runs with super-user privileges' in said


def test_limits(server, said, tmp_path_factory):
    folder = tmp_path_factory.mktemp("core")
    words = f"worker_rlimit_nofile 600; worker_rlimit_core 1m; worker_priority 19; working_directory {folder};"
    s, worker = one(server, words, said)
    assert os.getpriority(os.PRIO_PROCESS, worker) == 19
    assert os.readlink(f"/proc/{worker}/cwd") == str(folder)
    assert os.readlink(f"/proc/{s.pid}/cwd") != str(folder)
    assert limit(worker, "Max open files") == ["600", "600"]
    assert limit(worker, "Max core file size") == ["1048576", "1048576"]


def test_too_many_connections_for_the_limit(configtest):
    conf = "%s events { worker_connections 1000000000; }"
    assert "[warn] 1000000000 worker_connections exceed open file resource limit: " in configtest(conf % "").stderr
    assert "limit: 100\n" in configtest(conf % "worker_rlimit_nofile 100;").stderr
    assert "exceed" not in configtest(conf % "worker_rlimit_nofile 1000000000;").stderr


def test_connections_for_the_sockets(configtest):
    conf = "events { worker_connections 2; } http { server { listen 127.0.0.1:1; listen 127.0.0.1:2; } }"
    said = configtest(conf).stderr
    assert "[emerg] 2 worker_connections are not enough for 2 listening sockets\n" in said
    assert configtest(conf.replace("connections 2", "connections 3")).returncode == 0


def test_working_directory_that_is_not_there(server, said):
    """A worker that cannot start is not started again; the master stays."""
    s = server("working_directory /absent;" + RETURN, alerts=True)
    said(s, r'\[alert\].*chdir\("/absent"\) failed \(2: No such file or directory\)')
    said(s, r"\[alert\].*worker process \d+ exited with fatal code 2 and cannot be respawned")
    assert s.process.poll() is None


@pytest.mark.skipif(len(MINE) < 2 or MINE[:2] != [0, 1], reason="needs the first two processors")
class TestAffinity:
    def test_masks(self, server, said):
        s = server("worker_processes 3; worker_cpu_affinity 01 10;" + RETURN)
        workers(s, 3)
        pids = [int(pid) for pid in re.findall(r"start worker process (\d+)", s.log())]  # in the order of their numbers
        said(s, rf"{pids[0]}#\d+: sched_setaffinity\(\): using cpu #0")
        said(s, rf"{pids[2]}#\d+: sched_setaffinity\(\): using cpu #1")
        wait_until(lambda: [os.sched_getaffinity(pid) for pid in pids] == [{0}, {1}, {1}], "the masks")
        assert 'the number of "worker_processes" is not equal to the number of "worker_cpu_affinity" masks' in s.log(
            "output"
        )

    def test_auto(self, server):
        s = server("worker_processes 2; worker_cpu_affinity auto;" + RETURN)
        wait_until(lambda: [os.sched_getaffinity(pid) for pid in workers(s, 2)] == [{0}, {1}], "the processors")


WORKERS = [("auto 1010", [1, 3, 1]), ("auto 1", [0, 0, 0]), ("01 10", [0, 1, 1]), ("10", [1, 1, 1])]


@pytest.mark.parametrize(("words", "cpus"), WORKERS)
def test_which_processor(tmp_path, words, cpus):
    (tmp_path / "a.conf").write_text(f"worker_cpu_affinity {words}; events {{ }}")
    cycle = Cycle(Options(prefix=str(tmp_path), conf="a.conf"), Log())
    cycle.read()
    assert [cycle.core.cpus_of(worker) for worker in range(3)] == [{cpu} for cpu in cpus]


MODULE = """
import os
from geng.http.module import Module, Variable
module = Module(name="test_env", variables=(Variable("env", lambda r: repr(sorted(os.environ.items())).encode()),))
"""


def test_environment(server):
    """Workers have what `env` names, and TZ; nothing else but what the interpreter needs."""
    conf = 'load_module m.py; env KEPT; env "GIVEN=a b"; env ABSENT;' + RETURN.replace('"$pid"', '"$env"')
    env = {"KEPT": "1", "GIVEN": "2", "DROPPED": "3", "TZ": "UTC"}
    s = server(conf, files={"m.py": MODULE}, env=env)
    found = dict(ast.literal_eval(s.get("/").text))
    kept = {name: value for name, value in found.items() if not name.startswith(("PYTHON", "LD_LIBRARY_PATH"))}
    assert kept == {"KEPT": "1", "GIVEN": "a b", "TZ": "UTC"}


BROKEN = """
import time
from geng.http.module import Module
def start(worker):
    def fail():
        raise RuntimeError("on purpose")
    worker.hub.after(300, fail)
module = Module(name="test_broken", init_worker=start)
"""


def test_a_module_that_cannot_start(server, said):
    """The worker is not started again and again."""
    module = BROKEN.replace("worker.hub.after(300, fail)", "fail()")
    s = server("load_module m.py;" + RETURN, files={"m.py": module}, alerts=True)
    said(s, r"\[alert\].*worker process could not start: RuntimeError: on purpose")
    said(s, r"\[alert\].*worker process \d+ exited with fatal code 2 and cannot be respawned")
    assert s.process.poll() is None


@pytest.mark.parametrize(("word", "pattern"), [("stop", ""), ("abort", r"worker process \d+ exited on signal 6")])
def test_debug_points(server, said, word, pattern):
    """Where something is wrong inside, a worker stops or dumps core if it is told to."""
    s = server(f"load_module m.py; debug_points {word};" + RETURN, files={"m.py": BROKEN}, alerts=True)
    (worker,) = workers(s)
    said(s, r"\[alert\].*RuntimeError: on purpose")
    if pattern:
        said(s, pattern)
        return
    wait_until(lambda: status(worker, "State").startswith("T"), "the stop")
    os.kill(worker, 18)


def test_accepted(server, said):
    """What has no effect here is read, and does no harm."""
    words = "timer_resolution 100ms; pcre_jit on; lock_file a.lock; thread_pool a threads=2;"
    s, _ = one(server, words, said)
    assert not (s.folder / "a.lock").exists()


FAULTS = [
    ("worker_processes many;", '"worker_processes" directive invalid value'),
    ("worker_cpu_affinity 012;", 'invalid character "2" in "worker_cpu_affinity"'),
    ("worker_cpu_affinity auto 01 10;", 'invalid number of arguments in "worker_cpu_affinity" directive'),
    ("worker_priority high;", '"worker_priority" directive invalid number'),
    ("worker_rlimit_nofile x;", '"worker_rlimit_nofile" directive invalid number'),
    ("worker_rlimit_core x;", '"worker_rlimit_core" directive invalid value'),
    ("debug_points x;", 'invalid value "x"'),
    ("debug_points stop; debug_points stop;", '"debug_points" directive is duplicate'),
    ("worker_shutdown_timeout x;", '"worker_shutdown_timeout" directive invalid value'),
    ("daemon maybe;", 'invalid value "maybe" in "daemon" directive, it must be "on" or "off"'),
    ("events { use kqueue; }", 'invalid event type "kqueue"'),
    ("events { worker_connections x; }", 'invalid number "x"'),
    ("pid a.pid;", 'no "events" section in configuration'),
]


@pytest.mark.parametrize(("conf", "message"), FAULTS)
def test_faults(tmp_path, conf, message):
    (tmp_path / "a.conf").write_text(conf if "events" in conf or conf == "pid a.pid;" else conf + " events { }")
    with pytest.raises(ConfigError) as refused:
        Cycle(Options(prefix=str(tmp_path), conf="a.conf"), Log()).read()
    assert str(refused.value).startswith(message)
