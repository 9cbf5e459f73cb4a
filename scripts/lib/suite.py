"""Runs files of nginx's public test suite, unmodified, and compares them with what nginx 1.31.5 itself passes.

The suite starts the binary as `BINARY -p DIR/ -c nginx.conf -e error.log`, waits for its pid file, stops it with
QUIT. A file that begins with `try_run` turns a failed start into a skip, so a skip that nginx does not have
counts as failed. The two closing checks of each file (no alerts, no sanitizer errors) are in no baseline: they
pass even where the server never started.
"""

from __future__ import annotations

import csv
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from . import program, tap

BASELINE = program.ROOT / "tests" / "data" / "nginx_suite.tsv"

# Files that need 240.0.0.1 to answer nothing. Routed to the loopback of a namespace of its own, it does not;
# behind some gateways it is refused at once, or even accepted.
SILENT_240 = frozenset({"tunnel_next_upstream.t"})

# What in an error log tells why a start failed.
TELLING = re.compile(r"\[(emerg|alert|crit)\]|Traceback|^[A-Za-z.]*(Error|Exception)\b")


@dataclass(frozen=True)
class Expected:
    """One file of the baseline: the numbers of the subtests that nginx passes."""

    file: str
    area: str
    first: bool
    seconds: float
    numbers: frozenset[int]


@dataclass
class Outcome:
    """What one file gave. `note` says what went wrong with the file as a whole."""

    expected: Expected
    report: tap.Report
    seconds: float
    note: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def passed(self) -> frozenset[int]:
        return self.expected.numbers & self.report.passed()

    @property
    def failed(self) -> list[int]:
        return sorted(self.expected.numbers - self.passed)


def baseline() -> list[Expected]:
    with BASELINE.open(encoding="ascii") as lines:
        return [
            Expected(row["file"], row["area"], row["first"] == "1", float(row["seconds"]), numbers(row["pass"]))
            for row in csv.DictReader(lines, delimiter="\t")
        ]


def numbers(text: str) -> frozenset[int]:
    """`1-3,7` as a set."""
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return frozenset(found)


@dataclass
class Runner:
    """Runs single files in *suite* with *binary*, as *user* when it is not the one that runs this script."""

    suite: Path
    binary: Path | None  # None: geng from this work tree
    globals: str
    limit: float
    work: Path
    user: str | None = None
    uid: int | None = field(init=False, default=None)
    gid: int | None = field(init=False, default=None)
    program: Path = field(init=False)
    isolate: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        if self.user is not None:
            entry = pwd.getpwnam(self.user)
            self.uid, self.gid = entry.pw_uid, entry.pw_gid
        self._give(self.work)
        self.program = self.binary or program.wrapper(self.work, program.python(self.uid, self.gid))
        self.isolate = self._can_isolate()

    def _give(self, folder: Path) -> None:
        """To the unprivileged user; nothing to do when that is us."""
        if self.uid is not None and self.gid is not None:
            os.chown(folder, self.uid, self.gid)

    def check(self) -> str:
        """What `-V` says, as that user; ends the script when the user cannot run the suite or the binary."""
        for what, command in (
            ("read the suite", ["cat", str(self.suite / "lib" / "Test" / "Nginx.pm")]),
            ("run the binary", [str(self.program), "-V"]),
        ):
            done = self._call(command)
            if done.returncode != 0:
                who = self.user or "this user"
                raise SystemExit(f"{who} cannot {what}: {' '.join(command)}\n{done.stdout.strip()}")
        return done.stdout

    def knows(self, directive: str) -> bool:
        """Whether the binary takes this line at the top of a configuration (geng's own directives)."""
        with tempfile.TemporaryDirectory(dir=self.work) as folder:
            path = Path(folder)
            path.chmod(0o777)
            (path / "nginx.conf").write_text(f"{directive}\nevents {{ }}\n")
            return (
                self._call([str(self.program), "-t", "-p", f"{folder}/", "-c", "nginx.conf", "-e", "error.log"]).returncode
                == 0
            )

    def run(self, expected: Expected) -> Outcome:
        """One file, start to end; nothing that it started is left when this returns."""
        folder = Path(tempfile.mkdtemp(dir=self.work))
        self._give(folder)
        try:
            return self._run_in(folder, expected)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_in(self, folder: Path, expected: Expected) -> Outcome:
        if not (self.suite / expected.file).exists():
            return Outcome(expected, tap.Report(), 0.0, "not in this clone of the suite")
        started = time.monotonic()
        command = ["perl", "-Ilib", expected.file]
        note = ""
        if expected.file in SILENT_240:
            if self.isolate:
                command = [*self._namespace(), *command]
            else:
                note = "no network namespace: 240.0.0.1 may answer"
        with tempfile.TemporaryFile(dir=self.work) as output:
            process = subprocess.Popen(
                command,
                cwd=self.suite,
                env=self._environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
            try:
                status = process.wait(self.limit)
            except subprocess.TimeoutExpired:
                note, status = f"ended after {self.limit:.0f} s", None
            finally:
                _end_group(process)
            output.seek(0)
            report = tap.parse(output.read().decode("utf-8", "replace").splitlines())
        if report.skip_all is not None:
            note = f"skipped: {report.skip_all}"
        elif not note and status and len(report.subtests) != report.planned:
            note = f"perl ended with {status} after {len(report.subtests)} of {report.planned or 'its'} subtests"
        return Outcome(expected, report, time.monotonic() - started, note, _telling_lines(folder))

    def _environment(self, folder: Path) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_NGINX_", "PERL"))}
        made = {
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "TEST_NGINX_BINARY": str(self.program),
            "TEST_NGINX_LEAVE": "1",  # the error log is read once the file has ended; the folder is ours to remove
        }
        if self.globals:
            made["TEST_NGINX_GLOBALS"] = self.globals
        return kept | made

    def _namespace(self) -> list[str]:
        """A network of its own, without needing root: a user namespace inside of which we are ourselves again."""
        uid = os.getuid() if self.uid is None else self.uid
        gid = os.getgid() if self.gid is None else self.gid
        ip = program.require("ip")
        script = (
            f"{ip} link set lo up && {ip} route add 240.0.0.0/4 dev lo && exec unshare --user "
            f'--map-user={uid} --map-group={gid} "$@"'
        )
        return ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", script, "sh"]

    def _can_isolate(self) -> bool:
        if shutil.which("unshare") is None or shutil.which("ip", path="/usr/sbin:/sbin:/usr/bin:/bin") is None:
            return False
        return self._call([*self._namespace(), "true"]).returncode == 0

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            timeout=60,
            check=False,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the session that the file ran in: a test that died leaves its server and its daemons behind."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    process.wait()


def _telling_lines(folder: Path, most: int = 20) -> list[str]:
    """The lines of the server's error log that say why it did not start or what broke, each once."""
    found: dict[str, None] = {}
    for log in sorted(folder.glob("nginx-test-*/error.log")):
        with log.open(errors="replace") as lines:
            _collect(lines, found, most)
    return list(found)


def _collect(lines: Iterable[str], found: dict[str, None], most: int) -> None:
    for line in lines:
        if len(found) >= most:
            return
        if TELLING.search(line):
            found[line.rstrip()] = None
