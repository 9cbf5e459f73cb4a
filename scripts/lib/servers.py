"""Starts nginx or geng with a configuration of ours on loopback, in a folder of its own, and stops it again."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from . import processes, program

LOOK_AGAIN = 0.02  # seconds
NAMED = 20_000  # below it are those that tests and examples name themselves
RESERVED: deque[socket.socket] = deque(maxlen=200)
"""A name in the kernel for each port given out, so that no other process gives it out: for long enough to be used."""


def free_port() -> int:
    """A port that nobody listens on now, and that nobody is going to: no other test, nor the kernel by itself."""
    first = _ephemeral()
    while True:
        port = random.SystemRandom().randrange(NAMED, first) if first > NAMED + 5000 else 0
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                tcp.bind(("", port))
                port = int(tcp.getsockname()[1])
                udp.bind(("", port))
            except OSError:
                continue
        if _reserve(port):
            return port


def _ephemeral() -> int:
    """The first of the ports that the kernel chooses from: a client's, say, or those of whoever binds to port 0."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 0


def _reserve(port: int) -> bool:
    if not sys.platform.startswith("linux"):
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0geng test port {port}")
    except OSError:
        name.close()
        return False
    if len(RESERVED) == RESERVED.maxlen:
        RESERVED.popleft().close()
    RESERVED.append(name)
    return True


def wait_until(check: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Look again and again; on a machine that is busy, or stands still for a while, for longer than so many *seconds*."""
    for _ in range(int(seconds / LOOK_AGAIN)):
        if check():
            return
        time.sleep(LOOK_AGAIN)
    if not check():
        raise TimeoutError(f"{what}: not after {seconds:.0f} s")


def listens(port: int) -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """One server process with its workers. *command* takes nginx's options `-p`, `-c`, `-e`."""

    def __init__(
        self, name: str, command: Sequence[str], folder: Path, conf: str, port: int, cores: set[int] | None = None
    ) -> None:
        self.name, self.command, self.folder, self.port, self.cores = name, list(command), folder, port, cores
        self.folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None
        self.write(conf)

    def __repr__(self) -> str:
        return f"<Server {self.name} on {self.port}, {'up' if self.process else 'down'}>"

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def error_log(self) -> str:
        path = self.folder / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def write(self, conf: str) -> None:
        """The configuration; what every one of ours needs stands before it."""
        user = "user root;\n" if os.geteuid() == 0 else ""
        self.conf = f"{user}daemon off;\npid nginx.pid;\n{conf}"
        (self.folder / "nginx.conf").write_text(self.conf)

    def start(self) -> None:
        (self.folder / "nginx.pid").unlink(missing_ok=True)
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*self.command, "-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "error.log"],
                env=program.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
            )
        if self.cores:
            os.sched_setaffinity(self.process.pid, self.cores)  # before it has forked a worker
        try:
            wait_until(self._ready, f"{self.name} on port {self.port}", 60)
        except TimeoutError:
            self.stop()
            raise SystemExit(f"{self.name} did not start:\n{self._said()}") from None

    @property
    def _wanted(self) -> int:
        """How many workers there will be."""
        found = re.search(r"^\s*worker_processes (\d+);", (self.folder / "nginx.conf").read_text(), re.M)
        return int(found[1]) if found else 1

    def _ready(self) -> bool:
        if self.pid_exited():
            raise SystemExit(f"{self.name} did not start:\n{self._said()}")
        if not (self.folder / "nginx.pid").exists() or len(self.workers()) < self._wanted:
            return False
        return listens(self.port)

    def _said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-2000:] + self.error_log[-2000:]

    def pid_exited(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def pids(self) -> list[int]:
        return processes.family(self.pid)

    def workers(self) -> list[int]:
        return processes.children(self.pid)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None, "not started"
        self.process.send_signal(number)

    def stop(self, graceful: bool = False, seconds: float = 30) -> int | None:
        """Ends it, by force if it takes longer; its exit code, or None when force was needed."""
        process, self.process = self.process, None
        if process is None:
            return None
        own = processes.family(process.pid) if process.poll() is None else []
        process.send_signal(signal.SIGQUIT if graceful else signal.SIGTERM)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            for pid in own:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            process.wait()
            return None


def nginx_command() -> list[str]:
    return [program.require("nginx")]


def geng_command() -> list[str]:
    return [program.python(), "-m", "geng"]


def version(command: Sequence[str]) -> str:
    """The first line of `-v`, which both write to standard error."""
    done = subprocess.run(
        [*command, "-v"], capture_output=True, text=True, timeout=30, env=program.environment(), check=False
    )
    return (done.stderr + done.stdout).strip().splitlines()[0] if done.returncode == 0 else "unknown"
