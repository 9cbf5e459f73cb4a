"""Every check, in the order of the documentation: one file a subject."""

from __future__ import annotations

from geng.lint.checks import (
    access,
    capacity,
    conditions,
    encryption,
    headers,
    injection,
    origins,
    paths,
    proxying,
    regexes,
    rewriting,
    routing,
    servers,
    spelling,
    vulnerabilities,
)
from geng.lint.model import Check

CHECKS: tuple[Check, ...] = (
    *injection.CHECKS,
    *paths.CHECKS,
    *access.CHECKS,
    *origins.CHECKS,
    *headers.CHECKS,
    *proxying.CHECKS,
    *routing.CHECKS,
    *servers.CHECKS,
    *regexes.CHECKS,
    *conditions.CHECKS,
    *encryption.CHECKS,
    *capacity.CHECKS,
    *spelling.CHECKS,
    *rewriting.CHECKS,
    *vulnerabilities.CHECKS,
)
