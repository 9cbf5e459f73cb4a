"""The load generator: runs wrk once and reads what it measured."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import program

# wrk tells numbers to a script at the end; its printed summary rounds them.
SCRIPT = """
done = function(summary, latency, requests)
  local e = summary.errors
  print(string.format('RESULT {"requests": %d, "us": %d, "bytes": %d, "p50": %d, "p99": %d, ' ..
    '"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.status, e.timeout))
end
"""


BODY = """
wrk.method = "POST"
local file = io.open("{path}", "rb")
wrk.body = file:read("*a")
file:close()
"""


@dataclass(frozen=True)
class Load:
    """One run: times in µs. `errors` is empty when every answer was right as far as wrk can see."""

    requests: int
    us: int
    bytes: int
    p50: int
    p99: int
    errors: str

    @property
    def per_second(self) -> float:
        return self.requests * 1e6 / self.us


def load(
    url: str,
    seconds: int,
    connections: int,
    folder: Path,
    least_bytes: int,
    cores: set[int] | None = None,
    headers: tuple[str, ...] = (),
    send: int = 0,
) -> Load:
    """Requests *url* for some time. An answer has at least *least_bytes*: fewer on average is an error.

    Each request is a POST of *send* bytes where there are any.
    """
    script = folder / "wrk.lua"
    text = SCRIPT
    if send:
        body = folder / "body"
        body.write_bytes(b"geng " * (send // 5) + b"." * (send % 5))
        text += BODY.format(path=body)
    script.write_text(text)
    command = [
        program.require("wrk"),
        "-t1",
        f"-c{connections}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(script),
        *(word for header in headers for word in ("-H", header)),
        url,
    ]
    if cores:
        command = [program.require("taskset"), "-c", ",".join(map(str, sorted(cores))), *command]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 30, stdin=subprocess.DEVNULL, check=False
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise SystemExit(f"wrk failed on {url}:\n{done.stdout}{done.stderr}")
    told = json.loads(line.removeprefix("RESULT "))
    wrong = [
        f"{told[name]} {what}"
        for name, what in (
            ("connect", "failed connections"),
            ("read", "failed reads"),
            ("write", "failed writes"),
            ("status", "answers that are errors"),
            ("timeout", "timeouts"),
        )
        if told[name]
    ]
    if told["requests"] == 0:
        wrong.append("no answer at all")
    elif told["bytes"] < told["requests"] * least_bytes:
        wrong.append(f"{told['bytes'] / told['requests']:.0f} bytes an answer where {least_bytes} are due")
    return Load(told["requests"], told["us"], told["bytes"], told["p50"], told["p99"], ", ".join(wrong))
