"""What the directives of several protocols take."""

from __future__ import annotations

from typing import Any

from geng.conf.convert import bitmask
from geng.mail.protocol import METHODS


def words(*given: str) -> tuple[str, ...]:
    """Any words at all."""
    return given


def methods(*names: str) -> Any:
    """Some of the ways to log in."""
    return bitmask({name: METHODS[name] for name in names})
