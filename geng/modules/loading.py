"""`load_module path/to/file.py;`: modules that a site has written itself.   nginx: nginx.c (ngx_load_module)"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Any

from geng.conf import tables
from geng.errors import Invalid
from geng.modules.events import EventsBlock

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


#: nginx's own modules, which it can be built with as files; what geng has of them it has without
NGINX_MODULES = frozenset(
    f"ngx_{name}_module.so"
    for name in ("http_geoip", "http_image_filter", "http_perl", "http_xslt_filter", "mail", "stream", "stream_geoip")
)

#: modules that others have written for nginx and geng has as well: by the file that nginx loads, where each is
OTHERS = {
    "ngx_http_brotli_filter_module.so": ("brotli", "filter_module"),
    "ngx_http_brotli_static_module.so": ("brotli", "static_module"),
    "ngx_http_zstd_filter_module.so": ("zstd", "filter_module"),
    "ngx_http_zstd_static_module.so": ("zstd", "static_module"),
}


def add_others(cf: Cf) -> None:
    """Have the modules of OTHERS without load_module, as in an nginx that was built with them."""
    for name in OTHERS:
        _add_other(cf, name)


def _add_other(cf: Cf, name: str) -> None:
    file, attribute = OTHERS[name]
    module = getattr(importlib.import_module(f"geng.modules.http.{file}"), attribute)
    if module not in cf.cycle.site_modules:
        cf.cycle.site_modules.append(module)
        _make_known(cf, module)


def load(cf: Cf, name: str) -> None:
    """Run the file *name* and take its `module` (or `modules`) among the HTTP modules of this configuration."""
    if cf.cycle.http is not None or cf[EventsBlock].seen:
        raise Invalid('"load_module" directive is specified too late')
    path = cf.path(name)
    if not os.path.exists(path):
        reason = f"{path}: cannot open shared object file: No such file or directory"
        raise Invalid(f'dlopen() "{path}" failed ({reason})')
    if os.path.basename(name) in NGINX_MODULES:
        return
    if os.path.basename(name) in OTHERS:
        _add_other(cf, os.path.basename(name))
        return
    if not name.endswith(".py"):
        raise Invalid(f'"load_module" takes modules written in Python: "{name}" does not end in ".py"')
    found = _run(path)
    for module in found:
        if any(module.name == other.name for other in cf.cycle.site_modules):
            raise Invalid(f'module "{module.name}" is already loaded')
        cf.cycle.site_modules.append(module)
        _make_known(cf, module)


def _make_known(cf: Cf, module: Any) -> None:
    """Enter the module's directives among those that may be read."""
    for conf in module.confs:
        for entry in conf.commands.values():
            if tables.entries(entry.name):
                raise Invalid(f'module "{module.name}" has a directive "{entry.name}", which is nginx\'s own')
            made = tables.Entry(entry.name, module.name, entry.contexts, entry.args, entry.block)
            cf.own.setdefault(entry.name, []).append(made)


def _run(path: str) -> list[Any]:
    from geng.http.module import Module

    spec = importlib.util.spec_from_file_location(f"geng_site_{abs(hash(path))}", path)
    assert spec is not None and spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = code
    try:
        spec.loader.exec_module(code)
    except FileNotFoundError:
        raise Invalid(f'module "{path}" was not found') from None
    except Exception as error:
        raise Invalid(f'module "{path}" failed: {type(error).__name__}: {error}') from None
    found = getattr(code, "modules", None) or [getattr(code, "module", None)]
    if not all(isinstance(module, Module) for module in found):
        raise Invalid(f'module "{path}" defines neither "module" nor "modules"')
    return list(found)
