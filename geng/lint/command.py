"""`geng lint`: what of a configuration is wrong, dangerous or out of date."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from geng.lint import faults, fixing, linting, output
from geng.lint.checks import CHECKS
from geng.lint.files import Files
from geng.lint.linting import FAULTS, NAMES, Result, Settings
from geng.lint.model import Severity
from geng.lint.tree import PATHS

FOUND = 1
COULD_NOT_RUN = 2
ROUNDS = 10


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="geng lint", description="Every fault of a configuration, and what is unwise in it.")
    made.add_argument("files", nargs="*", metavar="FILE", help="configurations or fragments; default conf/nginx.conf")
    made.add_argument("-p", "--prefix", default="", help="the folder that included names are relative to")
    made.add_argument("-f", "--format", choices=output.FORMATS, default="text")
    made.add_argument("--fail-on", choices=("error", "warning", "note", "never"), default="warning")
    made.add_argument("--context", help="the level at which a fragment stands, such as http,server")
    made.add_argument("--only", action="append", default=[], metavar="NAME", help="only these checks")
    made.add_argument("--skip", action="append", default=[], metavar="NAME", help="all checks but these")
    made.add_argument("--environment", action="store_true", help="also what depends on this machine: files, users")
    made.add_argument("--nginx-version", default="", metavar="X.Y.Z", help="name the known vulnerabilities of that nginx")
    made.add_argument("--colour", "--color", choices=("auto", "always", "never"), default="auto")
    made.add_argument("--fix", action="store_true", help="repair what can be repaired without a doubt")
    made.add_argument("--diff", action="store_true", help="show what --fix would change, and change nothing")
    made.add_argument("--explain", metavar="NAME", help="the documentation of a check")
    made.add_argument("--list", action="store_true", help="the names of all checks")
    return made


def main(words: Sequence[str]) -> int:
    """Run it; the exit code: 0, 1 where something was found, 2 where it could not run."""
    options = parser().parse_args(list(words))
    if options.list:
        return catalogue()
    if options.explain:
        return explain(options.explain)
    try:
        settings = _settings(options)
    except ValueError as error:
        return _failed(str(error))
    names = [os.path.normpath(name) for name in options.files or ["conf/nginx.conf"]]
    try:
        results = _lint(names, settings)
        if options.diff:
            return _show_repairs(results)
        if options.fix:
            results = _repair(results, names, settings)
    except OSError as error:
        return _failed(f'open() "{error.filename}" failed ({error.errno}: {error.strerror})')
    except RecursionError:
        return _failed("blocks are nested too deeply")
    _write(output.show(options.format)(results, _coloured(options.colour)))
    return _code(results, options.fail_on)


def _lint(names: Sequence[str], settings: Settings) -> list[Result]:
    files = Files()
    return [linting.lint(name, settings, files) for name in names]


def _show_repairs(results: Sequence[Result]) -> int:
    """The diff; 1 where there is one."""
    made = fixing.repaired(results)
    for name, (document, text) in made.items():
        _write(fixing.diff(name, document.text, text))
    return FOUND if made else 0


def _repair(results: list[Result], names: Sequence[str], settings: Settings) -> list[Result]:
    """What is left to report after the repairs: one may make room for another, so until there is none."""
    for _ in range(ROUNDS):
        made = fixing.repaired(results)
        if not made:
            break
        for name, (document, text) in made.items():
            fixing.write(name, text)
            sys.stderr.write(fixing.diff(name, document.text, text))
        results = _lint(names, settings)
    return results


def _coloured(when: str) -> bool:
    return when == "always" or (when == "auto" and sys.stdout.isatty() and "NO_COLOR" not in os.environ)


def _settings(options: argparse.Namespace) -> Settings:
    only = frozenset(name for each in options.only for name in each.split(","))
    skip = frozenset(name for each in options.skip for name in each.split(","))
    unknown = sorted((only | skip) - NAMES)
    if unknown:
        raise ValueError(f'there is no check "{unknown[0]}"')
    context = None
    if options.context is not None:
        if options.context not in PATHS:
            raise ValueError(f'there is no context "{options.context}": it is one of {" ".join(PATHS)}')
        context = PATHS[options.context]
    return Settings(only, skip, options.environment, True, options.prefix, context, options.nginx_version)


def _code(results: Sequence[Result], fail_on: str) -> int:
    if fail_on == "never":
        return 0
    limit = Severity[fail_on.upper()]
    return FOUND if any(result.worst is not None and result.worst >= limit for result in results) else 0


def catalogue() -> int:
    """Every check in a line."""
    lines = [f"{name:32} {'':8} {text}" for name, text in FAULTS.items()]
    lines += [f"{check.name:32} {check.severity.label:8} {check.summary}" for check in CHECKS]
    _write("\n".join(lines) + "\n")
    return 0


def explain(name: str) -> int:
    """The page of the check *name*."""
    pages = {check.name: check.page for check in CHECKS} | {fault.name: fault.page for fault in faults.ALL}
    if name in pages:
        _write(pages[name]())
        return 0
    return _failed(f'there is no check "{name}"; geng lint --list names them')


def _write(text: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def _failed(message: str) -> int:
    sys.stderr.write(f"geng lint: {message}\n".encode("utf-8", "replace").decode())
    return COULD_NOT_RUN
