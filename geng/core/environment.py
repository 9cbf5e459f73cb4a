"""The environment that workers and new binaries get: the variables that `env` names.   nginx: ngx_set_environment"""

from __future__ import annotations

import os
from collections.abc import Sequence

KEPT = ("PYTHON", "LD_LIBRARY_PATH")
"""Beyond nginx: what the interpreter itself is found and started by."""


def chosen(wanted: Sequence[str]) -> dict[str, str]:
    """What is left of this process's environment: the names and `name=value`s of `env`, and TZ."""
    words = list(wanted)
    if not any(word.partition("=")[0] == "TZ" for word in words):
        words.append("TZ")
    found = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    for word in words:
        name, given, value = word.partition("=")
        if given:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def apply(wanted: Sequence[str]) -> None:
    """Make it so in this process."""
    kept = chosen(wanted)
    for name in [name for name in os.environ if name not in kept]:
        del os.environ[name]
    os.environ.update(kept)
