"""What geng knows of the modules that it does not run yet: their directives, checked as nginx checks them.

A configuration that uses one is read to its end, so that nginx's own error comes first; if there is none, the first such
directive is named as not supported. When geng runs a module, the module of that name in geng.modules takes its place.
"""

from __future__ import annotations

from geng.http.module import Module
from geng.modules.foreign.main import MAIN_CONFS as MAIN_CONFS

HTTP_MODULES: tuple[Module, ...] = ()


def http_modules(own: tuple[Module, ...]) -> tuple[Module, ...]:
    """The modules that *own*, those that geng runs, have not."""
    names = {module.name for module in own}
    return tuple(module for module in HTTP_MODULES if module.name not in names)
