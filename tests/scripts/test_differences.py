"""docs/modules.md names every module of nginx, and nothing that is none."""

from __future__ import annotations

from geng.conf import directives
from geng.tools.migrate import NO_EFFECT
from scripts.lib import differences
from scripts.lib.program import ROOT


def test_every_module_has_its_place() -> None:
    modules = {line for line in directives.NGINX.splitlines() if line and not line.startswith(" ")} - directives.ELSEWHERE
    listed = dict(differences.rows())
    assert set(differences.MODULES) <= set(listed) <= modules
    text = (ROOT / "docs/modules.md").read_text(encoding="utf-8")
    shown = text.partition(differences.BEGIN)[2].partition(differences.END)[0]
    assert [module for module in listed if module not in shown] == []


def test_every_directive_that_differs_is_in_its_modules_row() -> None:
    text = " ".join(note for _, note in differences.rows())
    assert [name for name in NO_EFFECT if f"`{name}`" not in text] == []
