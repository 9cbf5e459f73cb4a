"""A geng (or, with --binary, another server with nginx's options) that runs one configuration for one test."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

from scripts.lib.processes import children
from scripts.lib.servers import free_port, wait_until

from . import client
from .logs import Log

ROOT = Path(__file__).resolve().parents[2]
BROKEN = re.compile(r"\[(?:alert|emerg)\].*|Traceback \(most recent call last\):(?:\n.*){0,20}")
PLACE = re.compile(r"%([A-Z][A-Z0-9_]*)%")


def geng_command() -> list[str]:
    return [sys.executable, "-m", "geng"]


class Server:
    """One configuration, running.

    In *conf* `%PORT%`, `%PORT2%` … become free ports, `%DIR%` the prefix, and `%NAME%` what *places* says. What
    every test wants is given with `-g` where the text does not say otherwise: `daemon off`, a pid file, an error
    log at level *log_level*, and root's workers stay root, for pytest's folders are closed to others.
    """

    def __init__(
        self,
        conf: str,
        folder: Path,
        command: list[str] | None = None,
        files: dict[str, bytes | str] | None = None,
        alerts: bool = False,
        log_level: str = "info",
        env: dict[str, str] | None = None,
        probe: bool = True,
        **places: object,
    ) -> None:
        self.folder, self.command, self.alerts, self.env = folder, command or geng_command(), alerts, env or {}
        self.ports: dict[str, int] = {}
        self.places = {"DIR": str(folder)} | {name: str(value) for name, value in places.items()}
        self.process: subprocess.Popen[bytes] | None = None
        self.log_level = log_level
        self.probe = probe  # whether every port is tried first: a session of stream{} that a test does not want
        for name, content in (files or {}).items():
            self.file(name, content)
        (folder / "logs").mkdir(exist_ok=True)
        self.write(conf)

    def __repr__(self) -> str:
        return f"<Server on {', '.join(map(str, self.ports.values()))}, {'up' if self.process else 'down'}>"

    # -- the folder

    def file(self, name: str, content: bytes | str = b"") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write(self, conf: str) -> None:
        """Sets the configuration, before the start or for a reload."""
        self.conf = PLACE.sub(self._place, conf)
        self.file("nginx.conf", self.conf)

    def _place(self, found: re.Match[str]) -> str:
        name = found[1]
        if name.startswith("PORT"):
            if name not in self.ports:
                self.ports[name] = free_port()
            return str(self.ports[name])
        return self.places[name]

    def log(self, name: str = "error.log") -> Log:
        """What stands in a log; it waits for what a test expects there and is not written yet."""
        return Log.of(self.folder / name)

    # -- the process

    @property
    def pid(self) -> int:
        assert self.process is not None, "not started"
        return self.process.pid

    @property
    def pid_file(self) -> Path:
        """Where the configuration puts it; readiness is its being there."""
        said = re.search(r"^\s*pid\s+([^;\s]+)", self.conf, re.MULTILINE)
        return self.folder / (said[1] if said else "nginx.pid")

    def workers(self) -> list[int]:
        """Pids of the worker processes that the master has now."""
        return children(self.pid)

    def arguments(self) -> list[str]:
        given = {match[1] for match in re.finditer(r"^\s*(daemon|pid|user|error_log)\s", self.conf, re.MULTILINE)}
        defaults = {"daemon": "off", "pid": "nginx.pid", "error_log": f"error.log {self.log_level}"}
        if os.geteuid() == 0:
            defaults["user"] = "root"
        told = " ".join(f"{name} {value};" for name, value in defaults.items() if name not in given)
        return ["-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "error.log", "-g", told]

    def run(self, *more: str) -> subprocess.CompletedProcess[str]:
        """The command on this configuration with other options, to its end: `run("-t")`, `run("-s", "reload")`."""
        return subprocess.run(
            [*self.command, *self.arguments(), *more],
            cwd=ROOT,
            env=self._environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=180,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def start(self) -> Server:
        with (self.folder / "output").open("wb") as output:
            self.process = subprocess.Popen(
                [*self.command, *self.arguments()],
                cwd=ROOT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        try:
            wait_until(self._ready, "the pid file and every port", 60)
        except (AssertionError, TimeoutError) as reason:
            said = self.log("output") + self.log()
            self.kill()
            raise AssertionError(f"{reason}\n{said[-4000:]}") from None
        return self

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return os.environ | {"PYTHONPATH": path} | self.env

    def _ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}"
        if not self.pid_file.exists() or not self.pid_file.read_text():  # it is written when every socket is open
            return False
        return not self.probe or all(_listens(port) for port in self.ports.values())

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def reload(self, conf: str | None = None) -> None:
        """HUP, and waits until none of the workers that served before is left."""
        said = re.search(r"^\s*worker_processes\s+(\d+)", self.conf, re.MULTILINE)
        wait_until(lambda: len(self.workers()) >= int(said[1] if said else 1), "workers, which may be on their way")
        old = set(self.workers())
        if conf is not None:
            self.write(conf)
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.workers() and not old & set(self.workers()), "the old workers gone")

    def stop(self) -> None:
        """QUIT; the exit must be clean and the log free of alerts, or the test has failed."""
        if self.process is None:
            return
        process = self.process
        if process.poll() is None:
            process.send_signal(signal.SIGQUIT)
        try:
            code = process.wait(120)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there 120 s after QUIT\n{self.log()[-4000:]}") from None
        self.process = None
        said = self.log("output") + self.log()
        assert code == 0, f"ended with {code}\n{said[-4000:]}"
        found = BROKEN.search(said)
        assert self.alerts or found is None, f"in the log: {found[0] if found else ''}"

    def kill(self) -> None:
        """The end by force, of the workers too."""
        process, self.process = self.process, None
        if process is None or process.poll() is not None:
            return
        for pid in (process.pid, *children(process.pid)):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()

    # -- the client's side

    def address(self, port: str | int = "PORT") -> tuple[str, int]:
        return "127.0.0.1", self.ports[port] if isinstance(port, str) else port

    def connect(self, port: str | int = "PORT") -> client.Connection:
        """A connection to use step by step; the caller closes it (`with server.connect() as c`)."""
        return client.Connection(self.address(port))

    def get(
        self,
        target: str = "/",
        headers: dict[str, str] | None = None,
        method: str = "GET",
        body: bytes | None = None,
        port: str | int = "PORT",
    ) -> client.Response:
        return client.fetch(self.address(port), target, method, headers, body)

    def raw(self, data: bytes, port: str | int = "PORT") -> list[client.Response]:
        """Sends these bytes; every response until the server closes."""
        return client.raw(self.address(port), data)


def _listens(port: int) -> bool:
    """Whether the port takes connections; one that is bound for datagrams alone counts as well."""
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return True
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False
