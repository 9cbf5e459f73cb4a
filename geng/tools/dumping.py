"""`geng dump`."""

from geng.tools.crossplane import dump as main

__all__ = ["main"]
