"""Handshakes as load: several `openssl s_time` side by side, each opening one connection after the other."""

from __future__ import annotations

import re
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from . import program
from .wrk import Load

CLIENTS = 4  # enough that one waits while another computes
TOTAL = re.compile(r"^(?P<made>\d+) connections in \d+ real seconds, (?P<bytes>\d+) bytes read per connection", re.M)
MARKS = re.compile(r"^[*rt]{2,}$|^[*rt]+(?=\n\n)", re.M)  # one for each connection: r resumed, the others not

CERTIFICATE = """
[req]
distinguished_name = name
prompt = no
[name]
CN = localhost
"""


def make_certificate(folder: Path) -> None:
    """`localhost.crt`, signed by itself, and `localhost.key`: ECDSA on P-256."""
    (folder / "certificate.conf").write_text(CERTIFICATE)
    subprocess.run(
        [
            program.require("openssl"), "req", "-x509", "-nodes", "-newkey", "ec",
            "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-config", str(folder / "certificate.conf"), "-days", "30",
            "-keyout", str(folder / "localhost.key"), "-out", str(folder / "localhost.crt"),
        ],
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def load(port: int, seconds: int, options: Sequence[str], least_bytes: int, cores: set[int] | None) -> Load:
    """Makes connections for some time; *options* `-new` or `-reuse`, the protocol, `-www` a page that is asked for."""
    command = [program.require("openssl"), "s_time", "-connect", f"127.0.0.1:{port}", "-time", str(seconds), *options]
    if cores:
        command = [program.require("taskset"), "-c", ",".join(map(str, sorted(cores))), *command]
    started = time.monotonic()
    clients = [
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(CLIENTS)
    ]
    said = [client.communicate(timeout=seconds + 30)[0] for client in clients]
    us = int((time.monotonic() - started) * 1e6)
    made, received, wrong = 0, 0, ""
    for text in said:
        total = TOTAL.search(text)
        if total is None:
            wrong = f"openssl s_time: {text[:200]!r}"
            continue
        made += int(total["made"])
        received += int(total["made"]) * int(total["bytes"])
        wrong = wrong or _resumption(text, "-reuse" in options)
    if not made:
        wrong = wrong or "no connection at all"
    elif received < made * least_bytes:
        wrong = wrong or f"{received / made:.0f} bytes an answer where {least_bytes} are due"
    return Load(made, us, received, 0, 0, wrong)


def _resumption(text: str, wanted: bool) -> str:
    marks = "".join(MARKS.findall(text))
    resumed = marks.count("r")
    if wanted != (resumed * 2 > len(marks)):
        return f"{resumed} of {len(marks)} connections resumed a session"
    return ""
