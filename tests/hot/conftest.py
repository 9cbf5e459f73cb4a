"""The twins: each hot module as plain Python, loaded by path, and compiled, where it has been built."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

HOT = Path(__file__).parents[2] / "geng" / "hot"
TWINS = ("plain", "compiled")


def twin(name: str, kind: str) -> ModuleType:
    """geng.hot.NAME as plain Python or compiled; skips the test when it has not been compiled."""
    if kind == "compiled":
        module = importlib.import_module(f"geng.hot.{name}")
        if not str(module.__file__).endswith(".py"):
            return module
        if os.environ.get("GENG_REQUIRE_COMPILED") == "1":
            pytest.fail(f"geng.hot.{name} is not compiled")
        pytest.skip(f"geng.hot.{name} is not compiled")
    key = f"plain_{name}"
    if key not in sys.modules:
        spec = importlib.util.spec_from_file_location(key, HOT / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[key] = module
        spec.loader.exec_module(module)
        if name == "http1":
            module.uris = twin("uri", "plain")  # type: ignore[attr-defined]
    return sys.modules[key]


@pytest.fixture(params=TWINS)
def http1(request: pytest.FixtureRequest) -> ModuleType:
    return twin("http1", request.param)


@pytest.fixture(params=TWINS)
def uri(request: pytest.FixtureRequest) -> ModuleType:
    return twin("uri", request.param)


@pytest.fixture(params=TWINS)
def dates(request: pytest.FixtureRequest) -> ModuleType:
    return twin("dates", request.param)


@pytest.fixture(params=["plain", "compiled"])
def hpack(request: pytest.FixtureRequest) -> ModuleType:
    return twin("hpack", request.param)
