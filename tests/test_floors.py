"""The floors of docs/design.md, section 2: imports point down only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

HOUSE = Path(__file__).parents[1] / "geng"

FLOORS = (
    ("errors", "hot"),
    ("core",),
    ("conf", "wire"),
    ("net", "tls"),
    ("quic",),
    ("http",),
    ("upstream",),
    ("modules", "stream", "mail"),
    ("process", "lint"),
    ("tools", "cli", "__main__"),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

#: where a floor calls what has been put on top of it, in the act: `http {}` asks for the modules of http
EXCEPT = {("http/block.py", "geng.modules"), ("http/block.py", "geng.modules.http")}


def imports(node: ast.AST) -> Iterator[str]:
    """What runs, not what only types name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for other in child.orelse:
                yield from imports(other)
        elif isinstance(child, ast.ImportFrom) and child.module == "geng":
            yield from (f"geng.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield child.module
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        else:
            yield from imports(child)


def test_imports_point_down() -> None:
    upwards = set()
    for path in HOUSE.rglob("*.py"):
        name = str(path.relative_to(HOUSE))
        own = FLOOR.get(name.split("/")[0].removesuffix(".py"), len(FLOORS))
        for module in imports(ast.parse(path.read_text(encoding="utf-8"))):
            parts = [*module.split("."), ""]
            if parts[0] == "geng" and FLOOR.get(parts[1], 0) > own:
                upwards.add((name, module))
    assert upwards == EXCEPT


def test_every_room_has_its_floor() -> None:
    rooms = {path.stem for path in HOUSE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert rooms - {"__init__"} == set(FLOOR)
