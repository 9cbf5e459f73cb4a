"""`geng build`."""

from geng.tools.crossplane import build as main

__all__ = ["main"]
