"""Builds geng: the hot modules are compiled where a C compiler is, and run as plain Python where none is.

GENG_PURE_PYTHON=1 compiles nothing; GENG_REQUIRE_COMPILED=1 makes a module that cannot be compiled an error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

# Each module that is compiled; True where it calls back into code that may switch greenlets.
HOT = {
    "hot.uri": False,
    "hot.dates": False,
    "hot.decimal": False,
    "hot.http1": False,
    "hot.hpack": False,
    "hot.counters": False,
    "hot.tls": False,
    "hot.greenlets": True,
    "hot.connection": True,
    "core.clock": False,
    "hot.escape": False,
    "hot.pieces": False,
    "net.hub": True,
    "net.tls": True,
    "http.response": False,
    "http.linked": False,
    "http.request": True,
    "http.filters": True,
    "http.body": True,
    "http.output": True,
    "http.location": True,
    "http.phases": True,
    "http.connection": True,
    "http.variables": True,
    "http.logline": True,
    "http.script": True,
    "http.types": False,
    "modules.http.compressing": True,
    "modules.http.headers": True,
    "modules.http.map": True,
    "modules.http.not_modified": True,
    "modules.http.proxy_request": False,
    "modules.http.range": True,
    "modules.http.rewrite": True,
    "upstream.state": False,
    "upstream.framing": False,
    "upstream.headers": False,
    "upstream.rotation": False,
    "upstream.peers": True,
    "upstream.round_robin": True,
    "upstream.keepalive": True,
    "upstream.engine": True,
    "upstream.http1": True,
}

DIRECTIVES = {
    "language_level": 3,
    "annotation_typing": False,  # types are in the .pxd beside each module; the annotations are for mypy
    "boundscheck": True,  # of tuples and bytes; the loops run over C pointers, which have none
    "wraparound": False,
    "cdivision": True,
    "initializedcheck": False,
    "embedsignature": False,
}

PURE = os.environ.get("GENG_PURE_PYTHON") == "1"
REQUIRE = os.environ.get("GENG_REQUIRE_COMPILED") == "1"


class BuildHot(build_ext):
    """Says in one line what was not compiled and why; each module also runs as it is."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count()

    def build_extension(self, ext: Extension) -> None:
        try:
            # not setuptools' own way out for optional extensions, which hides the reason
            ext.optional = False
            super().build_extension(ext)
        except Exception as reason:  # each compiler and platform has errors of its own
            if REQUIRE:
                raise
            print(f"warning: {ext.name} stays plain Python: {reason}", file=sys.stderr)
            self.missing.append(ext.name)
        finally:
            ext.optional = not REQUIRE

    def run(self) -> None:
        self.missing: list[str] = []
        super().run()
        if self.missing:
            print(
                "warning: no working C compiler was found (install gcc and the Python headers for full speed): "
                f"{len(self.missing)} of {len(self.extensions)} modules run as plain Python",
                file=sys.stderr,
            )

    def copy_extensions_to_source(self) -> None:
        built = self.extensions
        self.extensions = [ext for ext in built if ext.name not in self.missing]
        try:
            super().copy_extensions_to_source()
        finally:
            self.extensions = built


def directives_of(name: str) -> dict[str, Any]:
    """Only loops over C pointers, which geng.hot has, do without negative indices."""
    return DIRECTIVES if name.startswith("geng.hot.") else {**DIRECTIVES, "wraparound": True, "cdivision": False}


def extensions() -> list[Any]:
    if PURE:
        return []
    try:
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError
    except ImportError:
        if REQUIRE:
            raise
        print("warning: Cython was not found: geng runs as plain Python", file=sys.stderr)
        return []
    found = []
    for name, switches in HOT.items():
        # Greenlets that switch inside a compiled `except` keep their exception state only without the fast path.
        macros = [("CYTHON_FAST_THREAD_STATE", "0")] if switches else []
        path = f"geng/{name.replace('.', '/')}.py"
        found.append(Extension(f"geng.{name}", [path], optional=not REQUIRE, define_macros=macros))
    try:
        return [ext for ext in found for ext in cythonize([ext], compiler_directives=directives_of(ext.name))]
    except CompileError as reason:
        if REQUIRE:
            raise
        print(f"warning: Cython refused {reason}: geng runs as plain Python", file=sys.stderr)
        return []


def readme() -> str:
    path = Path(__file__).parent / "README.md"
    return path.read_text(encoding="utf-8") if path.exists() else ""


setup(
    # the language lies beside the package in the source tree, and inside it where it is installed
    packages=[*find_packages(include=["geng", "geng.*"]), "geng.grammar"],
    package_dir={"geng.grammar": "grammar"},
    package_data={"geng": ["py.typed", "**/*.pxd", "perl/*"], "geng.grammar": ["*"]},
    long_description=readme(),
    long_description_content_type="text/markdown",
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildHot},
)
