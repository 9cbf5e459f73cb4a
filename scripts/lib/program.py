"""Where geng and its peers are: the command that runs this work tree, and the folder of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS = "gevent, lark, pcre2"


def python() -> str:
    """The interpreter that can run geng: the one that runs this script, or the one that scripts/run set up."""
    candidates = [sys.executable, str(ROOT / ".venv" / "bin" / "python")]
    for candidate in candidates:
        if Path(candidate).exists() and _imports(candidate):
            return candidate
    raise SystemExit(f"no Python with {NEEDS} among {', '.join(candidates)}: run scripts/run once, or pass --binary")


def _imports(interpreter: str) -> bool:
    return subprocess.run([interpreter, "-c", f"import {NEEDS}"], capture_output=True, check=False).returncode == 0


def wrapper(folder: Path) -> Path:
    """One executable file that is geng from this work tree; made in *folder*, readable by every user."""
    path = folder / "geng"
    path.write_text(
        "#!/bin/sh\n"
        f"export PYTHONPATH='{ROOT}' PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1\n"
        f"exec '{python()}' -m geng \"$@\"\n"
    )
    path.chmod(0o755)
    return path


def require(name: str) -> str:
    """The path of a program from outside, also where Debian keeps those of the administrator."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed (scripts/install-peers installs it)")
    return found
