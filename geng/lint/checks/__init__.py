"""Every check, in the order of the documentation: one file a subject."""

from __future__ import annotations

from geng.lint.model import Check

CHECKS: tuple[Check, ...] = ()
