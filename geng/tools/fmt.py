"""`geng fmt`: configurations in the usual layout, checked to mean the same."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from geng.conf.lexer import text_of
from geng.lint import fixing
from geng.tools.layout import Changed, Style, Unreadable, laid_out

WOULD_CHANGE = 1
COULD_NOT_RUN = 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="geng fmt", description="Lay configurations out; what they mean stays the same.")
    made.add_argument("files", nargs="+", metavar="FILE", help="files to rewrite; - reads the standard input")
    made.add_argument("--check", action="store_true", help="change nothing; exit with 1 where something would change")
    made.add_argument("--diff", action="store_true", help="change nothing; show what would change")
    made.add_argument("--indent", default="4", metavar="N", help="spaces a level, or tab; default 4")
    return made


def main(words: Sequence[str]) -> int:
    """Run it; the exit code."""
    options = parser().parse_args(list(words))
    if options.indent != "tab" and not (options.indent.isdigit() and 0 < int(options.indent) <= 16):
        return _failed(f"--indent is 1 to 16 or tab, not {options.indent}")
    style = Style("\t" if options.indent == "tab" else " " * int(options.indent))
    worst = 0
    for name in options.files:
        worst = max(worst, _one(name, style, options.check, options.diff))
    return worst


def _one(name: str, style: Style, check: bool, diff: bool) -> int:
    try:
        data = sys.stdin.buffer.read() if name == "-" else _read(name)
        made = laid_out(data, "the standard input" if name == "-" else name, style)
    except OSError as error:
        return _failed(f'open() "{name}" failed ({error.errno}: {error.strerror})')
    except Unreadable as fault:
        return _failed(str(fault))
    except Changed:
        return _failed(f"{name} cannot be laid out without a change of its meaning; it stays as it is")
    except RecursionError:
        return _failed(f"{name}: blocks are nested too deeply")
    if check or diff:
        if diff:
            _write(fixing.diff(name, text_of(data), text_of(made)).encode("utf-8", "surrogateescape"))
        elif made != data:
            _write(f"{name}\n".encode("utf-8", "surrogateescape"))
        return WOULD_CHANGE if made != data else 0
    if name == "-":
        _write(made)
    elif made != data:
        try:
            fixing.write(name, text_of(made))
        except OSError as error:
            return _failed(f'open() "{name}" failed ({error.errno}: {error.strerror})')
    return 0


def _read(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _failed(message: str) -> int:
    sys.stderr.write(f"geng fmt: {message}\n".encode("utf-8", "replace").decode())
    return COULD_NOT_RUN
