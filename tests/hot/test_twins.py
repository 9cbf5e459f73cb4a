"""Plain and compiled are one program: what a .pxd declares, its .py defines."""

from __future__ import annotations

import re

import pytest

from tests.hot.conftest import HOT, twin

NAMES = sorted(path.stem for path in HOT.glob("*.pxd"))
assert NAMES


def declared(source: str) -> set[str]:
    """The variables that a .pxd makes C variables of the module: unset in the .py, they would silently be 0."""
    found: set[str] = set()
    for line in re.findall(r"^cdef (?!class)(?:const )?(?:unsigned |long )*\w+ ([\w, ]+)$", source, re.M):
        found.update(name.strip() for name in line.split(","))
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_declared_variable_is_set(name: str) -> None:
    names = declared((HOT / f"{name}.pxd").read_text())
    plain = twin(name, "plain")
    assert sorted(n for n in names if not hasattr(plain, n)) == []


@pytest.mark.parametrize("name", NAMES)
def test_what_is_public_is_public_in_both(name: str) -> None:
    plain, compiled = twin(name, "plain"), twin(name, "compiled")
    private = declared((HOT / f"{name}.pxd").read_text())
    here = {n for n, value in vars(plain).items() if getattr(value, "__module__", plain.__name__) == plain.__name__}
    public = {n for n in here if not n.startswith("_") and n not in private} - {"annotations"}
    assert sorted(public - set(vars(compiled))) == []
