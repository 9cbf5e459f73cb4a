"""The net floor over geng/hot/connection.py as plain Python, where the other tests had the compiled one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import geng.hot.connection

ROOT = Path(__file__).parents[2]
FILES = ("test_timers.py", "test_hub.py", "test_connection.py", "test_listen.py", "test_pipes.py")

RUN = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("geng.hot.connection", "geng/hot/connection.py")
module = sys.modules["geng.hot.connection"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
assert module.PLAIN
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""


def test_plain_twin() -> None:
    if geng.hot.connection.__file__.endswith(".py"):
        pytest.skip("geng.hot.connection is not compiled: the other tests had the plain one")
    files = [str(ROOT / "tests" / "net" / name) for name in FILES]
    done = subprocess.run([sys.executable, "-c", RUN, *files], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]
