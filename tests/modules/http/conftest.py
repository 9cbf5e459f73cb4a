"""Servers with a fake application behind them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.harness.applications import FastcgiApp, Pair, ScgiApp, UwsgiApp


@pytest.fixture
def fastcgi(server: Any, backend: Any) -> Pair:
    return Pair(FastcgiApp, server, backend)


@pytest.fixture
def scgi(server: Any, backend: Any) -> Pair:
    return Pair(ScgiApp, server, backend)


@pytest.fixture
def uwsgi(server: Any, backend: Any) -> Pair:
    return Pair(UwsgiApp, server, backend)
