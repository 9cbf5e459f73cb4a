"""Which server a host name leads to.   nginx: ngx_http_find_virtual_server, ngx_hash_find_combined"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from geng.errors import ConfigError
from geng.http.listen import Listen
from geng.http.ports import Address


def address(names: dict[str, str], warnings: list[str] | None = None) -> Address:
    made = Address(("127.0.0.1", 80), Listen([]), SimpleNamespace(name="default"))  # type: ignore[arg-type]
    cf: Any = SimpleNamespace(log=lambda level, message: (warnings if warnings is not None else []).append(message))
    for name, server in names.items():
        made.add_name(cf, name.encode(), SimpleNamespace(name=server))  # type: ignore[arg-type]
    return made


CASES = [
    ("a.com", "exact"),
    ("b.a.com", "head"),
    ("c.b.a.com", "head"),
    ("x.org", "dotted"),
    ("y.x.org", "dotted"),
    ("www.anything", "tail"),
    ("www.any.thing", "tail"),
    ("www.b.a.com", "head"),
    ("www", None),
    ("com", None),
    ("xa.com", None),
]


@pytest.mark.parametrize(("host", "server"), CASES)
def test_find(host: str, server: str | None) -> None:
    made = address({"a.com": "exact", "*.a.com": "head", ".x.org": "dotted", "www.*": "tail"})
    found = made.find(host.encode(), None)
    assert (found.name if found else None) == server  # type: ignore[attr-defined]


def test_the_longer_wildcard_wins() -> None:
    made = address({"*.com": "short", "*.a.com": "long"})
    assert made.find(b"b.a.com", None).name == "long"  # type: ignore[union-attr]


def test_a_name_given_twice_is_told() -> None:
    warnings: list[str] = []
    made = address({"a.com": "first", ".a.com": "second"}, warnings)
    assert warnings == ['conflicting server name ".a.com" on 127.0.0.1:80, ignored']
    assert made.find(b"a.com", None).name == "first"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["a.*.com", "*a.com*", "www.*.*"])
def test_bad_wildcards(name: str) -> None:
    with pytest.raises(ConfigError, match="invalid server name or wildcard"):
        address({name: "bad"})
