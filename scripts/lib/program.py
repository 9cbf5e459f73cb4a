"""Where geng and its peers are: the command that runs this work tree, and the folder of the project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NEEDS = "gevent, lark, dns, pcre2"


def python(uid: int | None = None, gid: int | None = None) -> str:
    """The interpreter that can run geng: the one that runs this script, or the one that scripts/run set up.

    With *uid* it must also be one that this user can run: an interpreter below root's home is not.
    """
    candidates = [sys.executable, str(ROOT / ".venv" / "bin" / "python")]
    for candidate in candidates:
        if Path(candidate).exists() and _imports(candidate, uid, gid):
            return candidate
    whom = "" if uid is None else f" that user {uid} can run"
    raise SystemExit(
        f"no Python with {NEEDS}{whom} among {', '.join(candidates)}: run scripts/run once, or this script"
        " with another Python (PYTHON=/usr/bin/python3 scripts/run makes .venv from Debian's)"
    )


def _imports(interpreter: str, uid: int | None, gid: int | None) -> bool:
    # through a shell: exec itself would still have root's rights
    command = ["sh", "-c", 'exec "$0" -c "$1"', interpreter, f"import {NEEDS}"]
    groups = None if uid is None else list[int]()
    done = subprocess.run(command, capture_output=True, user=uid, group=gid, extra_groups=groups, cwd="/", check=False)
    return done.returncode == 0


def hot_modules() -> dict[str, bool]:
    """Each module that has its types beside it, and whether it runs compiled."""
    paths = sorted((ROOT / "geng").glob("**/*.pxd"))
    names = [".".join(path.relative_to(ROOT / "geng").with_suffix("").parts) for path in paths]
    ask = (
        "import importlib.util as u, sys\n"
        "for n in sys.argv[1:]: print(n, not u.find_spec('geng.' + n).origin.endswith('.py'))"
    )
    done = subprocess.run(
        [python(), "-c", ask, *names], capture_output=True, text=True, cwd=ROOT, env=environment(), check=True
    )
    return {name: answer == "True" for name, answer in (line.split() for line in done.stdout.splitlines())}


def hot_summary() -> str:
    compiled = hot_modules()
    return f"{sum(compiled.values())} of {len(compiled)} hot modules compiled"


def python_version() -> str:
    ask = "import platform; print(platform.python_implementation(), platform.python_version())"
    return subprocess.run([python(), "-c", ask], capture_output=True, text=True, check=True).stdout.strip()


def environment() -> dict[str, str]:
    """The environment in which `python -m geng` is this work tree, wherever it is started."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as users start it
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}


def wrapper(folder: Path, interpreter: str) -> Path:
    """One executable file that is geng from this work tree; made in *folder*, readable by every user."""
    path = folder / "geng"
    path.write_text(
        "#!/bin/sh\n"
        f"export PYTHONPATH='{ROOT}' PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1\n"
        f"exec '{interpreter}' -m geng \"$@\"\n"
    )
    path.chmod(0o755)
    return path


def require(name: str) -> str:
    """The path of a program from outside, also where Debian keeps those of the administrator."""
    found = shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
    if found is None:
        raise SystemExit(f"{name} is not installed (scripts/install-peers installs it)")
    return found
