"""Programs from outside that tests compare with or talk to; a missing one skips, or fails where they are required."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("GENG_REQUIRE_PEERS") == "1"


def peer(name: str, *other_names: str) -> str:
    """The path of a program, `peer("nginx")`. scripts/install-peers installs all of them."""
    for one in (name, *other_names):
        found = shutil.which(one, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin")
        if found is not None:
            return found
    missing(name)


def missing(name: str) -> NoReturn:
    """What a test does without its peer."""
    if REQUIRED:
        pytest.fail(f"{name} is not installed, and GENG_REQUIRE_PEERS=1")
    pytest.skip(f"{name} is not installed")
