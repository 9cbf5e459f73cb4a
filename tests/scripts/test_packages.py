"""What is installed is what is here: a folder that is no package would be left out."""

from __future__ import annotations

from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).parents[2]


def test_every_module_is_in_a_package() -> None:
    packages = {name.replace(".", "/") for name in find_packages(str(ROOT), include=["geng", "geng.*"])}
    folders = {str(path.parent.relative_to(ROOT)) for path in (ROOT / "geng").rglob("*.py")}
    assert folders == packages
