"""Counts what one request costs a server in instructions and allocations, by valgrind: exact on a busy machine too.

The kernel's part is not in it (system calls are counted by strace.py). The server runs without a master, some fifty times
slower than else, so requests come one at a time.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from . import program, servers

WARM = 150  # requests until everything is as it will be
COUNTED = 200
START_S = 300  # on a busy machine

# Functions that give memory: C's, Python's small objects (a pool of its own), and what its collector looks at.
ALLOCATE = {"malloc", "calloc", "realloc", "PyObject_Malloc", "_PyObject_Malloc", "PyMem_Malloc", "PyObject_Calloc"}
SUMMARY = re.compile(r"^summary: (\d+)", re.MULTILINE)
CALLED = re.compile(r"^cfn=\((\d+)\)(?: (\S+))?|^fn=\((\d+)\)(?: (\S+))?|^calls=(\d+)")

# What is served in every configuration that is counted.
ALONE = "master_process off;\nworker_processes 1;\n"


@dataclass(frozen=True)
class Count:
    """Of one request."""

    instructions: float
    allocations: float


class Counted:
    """One server under valgrind; a context manager. *conf* has no worker_processes of its own."""

    def __init__(self, name: str, command: list[str], folder: Path, conf: str, port: int) -> None:
        self.name, self.command, self.folder, self.port = name, command, folder, port
        folder.mkdir(parents=True)
        user = "user root;\n" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(f"{user}daemon off;\npid nginx.pid;\n{ALONE}{conf}")
        self.vgdb = f"--vgdb-prefix={folder}/vgdb"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Counted:
        valgrind = [
            program.require("valgrind"),
            "--tool=callgrind",
            f"--callgrind-out-file={self.folder}/counted",
            self.vgdb,
        ]
        with (self.folder / "output").open("ab") as output:
            self.process = subprocess.Popen(
                [*valgrind, *self.command, "-p", f"{self.folder}/", "-c", "nginx.conf", "-e", "error.log"],
                env=program.environment() | {"PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
            )  # fmt: skip
        try:
            servers.wait_until(lambda: self._ended() or servers.listens(self.port), f"{self.name} under valgrind", START_S)
        except TimeoutError:
            self.process.kill()
            self.process.wait()
            raise
        if self._ended():
            raise SystemExit(f"{self.name} under valgrind:\n{(self.folder / 'output').read_text()[-2000:]}")
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def count(self, ask: Callable[[], None]) -> Count:
        """What one call of *ask* costs the server."""
        for _ in range(WARM):
            ask()
        self._tell("--zero")
        for _ in range(COUNTED):
            ask()
        before = set(self.folder.glob("counted.*"))
        self._tell("--dump")
        written = set(self.folder.glob("counted.*")) - before
        if not written:
            raise SystemExit(f"{self.name}: valgrind has written no counts")
        text = written.pop().read_text()
        found = SUMMARY.search(text)
        assert found is not None
        return Count(int(found[1]) / COUNTED, allocations(text) / COUNTED)

    def _tell(self, what: str) -> None:
        assert self.process is not None
        command = [program.require("callgrind_control"), self.vgdb, what, str(self.process.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_S, check=False)
        if done.returncode:
            raise SystemExit(f"callgrind_control: {done.stdout}{done.stderr}")


def allocations(text: str) -> int:
    """How often the functions that give memory were called, from one another not counted; of callgrind's output."""
    names: dict[str, str] = {}
    total, inside, callee = 0, "", ""
    for line in text.splitlines():
        if not line.startswith(("fn=", "cfn=", "calls=")):
            continue
        m = CALLED.match(line)
        if m is None:
            continue
        if m[5]:
            if callee in ALLOCATE and inside not in ALLOCATE:
                total += int(m[5])
            continue
        number, name = (m[1], m[2]) if m[1] else (m[3], m[4])
        name = names.setdefault(number, name or "").partition("'")[0].partition("@")[0]
        if m[1]:
            callee = name
        else:
            inside = name
    return total


class Asker:
    """One keepalive connection that asks for *uri*; the answer must have status 200."""

    def __init__(self, port: int, uri: str, headers: dict[str, str], body: bytes | None = None, tls: bool = False) -> None:
        self.uri, self.headers, self.body = uri, headers, body
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.c: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)
        else:
            self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def __call__(self) -> None:
        self.c.request("POST" if self.body else "GET", self.uri, self.body, self.headers)
        answer = self.c.getresponse()
        answer.read()
        if answer.status != 200:
            raise SystemExit(f"{self.uri}: status {answer.status}")

    def close(self) -> None:
        self.c.close()
