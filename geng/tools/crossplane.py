"""`geng dump` and `geng build`: a configuration as JSON and back, in the layout of crossplane (nginxinc/crossplane)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from geng.conf.concrete import Comment, Document, Item, Statement
from geng.conf.lexer import decode
from geng.lint.files import Files, Loaded
from geng.lint.tree import MAIN, Tree
from geng.lint.validity import UNKNOWN, structure
from geng.tools.quoting import quoted

FAULTY = 1
COULD_NOT_RUN = 2


def dump_parser() -> argparse.ArgumentParser:
    """The command line of `geng dump`."""
    made = argparse.ArgumentParser(prog="geng dump", description="Print the syntax tree of a configuration as JSON.")
    made.add_argument("file", nargs="?", default="conf/nginx.conf")
    made.add_argument("--json", action="store_true", help="the one format there is; the default")
    made.add_argument("--indent", type=int, default=None, metavar="N", help="spaces a level; default: one line")
    made.add_argument("--include-comments", action="store_true", help="comments too, as directives named #")
    made.add_argument("--columns", action="store_true", help="where in its line each directive begins; crossplane has not")
    made.add_argument("--single-file", action="store_true", help="do not open included files")
    made.add_argument("--strict", action="store_true", help="a directive that nginx does not have is an error")
    return made


def dump(words: Sequence[str]) -> int:
    """`geng dump`; the exit code is 1 where a file has faults."""
    options = dump_parser().parse_args(list(words))
    try:
        kinds = (options.include_comments, options.columns, options.single_file, options.strict)
        payload = Dump(options.file, *kinds).payload()
    except OSError as error:
        return _failed("dump", f'open() "{options.file}" failed ({error.errno}: {error.strerror})')
    except RecursionError:
        return _failed("dump", "blocks are nested too deeply")
    text = json.dumps(payload, indent=options.indent, ensure_ascii=True)
    sys.stdout.write(text + "\n")
    return FAULTY if payload["errors"] else 0


class Dump:
    """The dump of one configuration: files in the order in which they are first included."""

    def __init__(
        self, name: str, comments: bool = False, columns: bool = False, single: bool = False, strict: bool = False
    ) -> None:
        self.tree = Tree(Files(), name, MAIN)
        self.strict = strict
        self.folder = os.path.dirname(name)
        self.comments = comments
        self.columns = columns
        self.single = single
        self.order: list[str] = [name]
        self.errors: dict[str, list[dict[str, Any]]] = {}

    def payload(self) -> dict[str, Any]:
        """`{"status", "errors", "config": [{"file", "status", "errors", "parsed"}]}`."""
        self._collect()
        config: list[dict[str, Any]] = []
        position = 0
        while position < len(self.order):  # included files are added while the ones before them are read
            name = self.order[position]
            position += 1
            loaded = self.tree.files.loaded.get(name)
            if loaded is None:
                continue
            parsed = list(self._items(loaded, loaded.document.items))
            errors = self.errors.get(name, [])
            status = "failed" if errors else "ok"
            config.append({"file": self._shown(name), "status": status, "errors": errors, "parsed": parsed})
        errors = [{"file": each["file"], **error} for each in config for error in each["errors"]]
        return {"status": "failed" if errors else "ok", "errors": errors, "config": config}

    def _collect(self) -> None:
        """What is wrong, by file, in nginx's words."""
        for name, loaded in self.tree.files.loaded.items():
            for broken in loaded.document.broken:
                self._error(name, broken.message, broken.line)
        for place, finding in structure(self.tree):
            if finding.check == UNKNOWN and not self.strict:
                continue
            self._error(place.node.file, finding.message, place.node.line)
        for place, name, error in () if self.single else self.tree.missing:
            self._error(place.node.file, f'open() "{name}" failed ({error.errno}: {error.strerror})', place.node.line)

    def _shown(self, name: str) -> str:
        """A file's name, relative where the main file's is."""
        folder = os.path.join(os.path.abspath(self.folder), "")
        if os.path.isabs(self.order[0]) or not name.startswith(folder):
            return name
        return os.path.join(self.folder, name.removeprefix(folder))

    def _error(self, name: str, message: str, line: int) -> None:
        entry = {"error": f"{message} in {self._shown(name)}:{line}", "line": line}
        known = self.errors.setdefault(name, [])
        if entry not in known:
            known.append(entry)

    def _items(self, loaded: Loaded, items: list[Item]) -> Iterator[dict[str, Any]]:
        document = loaded.document
        for item in items:
            if isinstance(item, Comment):
                if self.comments:
                    yield self._comment(document, item)
                continue
            yield self._directive(loaded, document, item)
            if self.comments:
                for comment in item.inner:
                    yield self._comment(document, comment)

    def _comment(self, document: Document, comment: Comment) -> dict[str, Any]:
        text = decode(document.text[comment.start + 1 : comment.end])
        return {"directive": "#", "line": document.line(comment.start), "args": [], "comment": text}

    def _directive(self, loaded: Loaded, document: Document, item: Statement) -> dict[str, Any]:
        line, column = document.place(item.start)
        made: dict[str, Any] = {"directive": item.name, "line": line, "args": [word.text for word in item.words[1:]]}
        if self.columns:
            made["column"] = column
        if item.name == "if":
            made["args"] = _bare(made["args"])
        if item.raw is not None:
            made["args"].append(decode(document.text[slice(*item.raw)]))
        if item.body is not None:
            made["block"] = list(self._items(loaded, item.body))
        elif item.name == "include" and len(item.words) == 2 and not self.single:
            made["includes"] = [self._index(name) for name in self.tree.included(document.node(item)) if self._known(name)]
        return made

    def _known(self, name: str) -> bool:
        return name in self.tree.files.loaded

    def _index(self, name: str) -> int:
        if name not in self.order:
            self.order.append(name)
        return self.order.index(name)


def build_parser() -> argparse.ArgumentParser:
    """The command line of `geng build`."""
    made = argparse.ArgumentParser(prog="geng build", description="Write the files of a configuration from its JSON.")
    made.add_argument("file", help="what geng dump printed; - reads the standard input")
    made.add_argument("-d", "--dir", default=".", help="the folder in which files with relative names are made")
    made.add_argument("-f", "--force", action="store_true", help="write over files that are there")
    made.add_argument("--stdout", action="store_true", help="print the files instead")
    made.add_argument("--indent", type=int, default=4, metavar="N")
    return made


def build(words: Sequence[str]) -> int:
    """`geng build`."""
    options = build_parser().parse_args(list(words))
    try:
        if options.file == "-":
            payload = json.load(sys.stdin)
        else:
            with open(options.file, encoding="utf-8") as source:
                payload = json.load(source)
        files = {each["file"]: written(each["parsed"], options.indent) for each in payload["config"]}
    except OSError as error:
        return _failed("build", f'open() "{options.file}" failed ({error.errno}: {error.strerror})')
    except (ValueError, KeyError, TypeError) as error:
        return _failed("build", f"{options.file} is not what geng dump prints: {error!r}")
    if options.stdout:
        for name, text in files.items():
            sys.stdout.buffer.write(f"# {name}\n{text}".encode("utf-8", "surrogateescape"))
        return 0
    return _write(files, options.dir, options.force)


def _write(files: dict[str, str], folder: str, force: bool) -> int:
    paths = {os.path.join(folder, name): text for name, text in files.items()}
    there = [path for path in paths if os.path.exists(path)]
    if there and not force:
        return _failed("build", f"{there[0]} is there; --force writes over it")
    for path, text in paths.items():
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            with open(path, "wb") as file:
                file.write(text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            return _failed("build", f'open() "{path}" failed ({error.errno}: {error.strerror})')
    return 0


def written(parsed: list[dict[str, Any]], indent: int = 4) -> str:
    """The directives *parsed* as a configuration."""
    lines: list[str] = []
    _lines(parsed, "", " " * indent, lines)
    return "".join(f"{line}\n" for line in lines)


def _lines(parsed: list[dict[str, Any]], margin: str, indent: str, lines: list[str]) -> None:
    before = 0
    for each in parsed:
        name, args, line = each["directive"], [str(word) for word in each["args"]], each.get("line", 0)
        if name == "#":
            comment = f"#{each['comment']}"
            if lines and line and line == before:
                lines[-1] += f" {comment}"
            else:
                lines.append(margin + comment)
            continue
        before = line
        if name.endswith("_by_lua_block"):
            head = " ".join([name, *map(quoted, args[:-1])])
            lines.append(f"{margin}{head} {{{args[-1]}}}")
            continue
        words = " ".join(quoted(word) for word in args)
        if name == "if" and "block" in each:
            words = f"({words})"
        head = f"{quoted(name)} {words}".rstrip(" ")
        if "block" not in each:
            lines.append(f"{margin}{head};")
        elif not each["block"]:
            lines.append(f"{margin}{head} {{}}")
        else:
            lines.append(f"{margin}{head} {{")
            _lines(each["block"], margin + indent, indent, lines)
            lines.append(f"{margin}}}")


def _bare(args: list[str]) -> list[str]:
    """The words of an `if` without its parentheses, as crossplane has them."""
    if args and args[0].startswith("(") and args[-1].endswith(")"):
        args = [args[0][1:], *args[1:]]
        args[-1] = args[-1][:-1]
        return [word for index, word in enumerate(args) if word or 0 < index < len(args) - 1]
    return args


def _failed(command: str, message: str) -> int:
    sys.stderr.write(f"geng {command}: {message}\n".encode("utf-8", "replace").decode())
    return COULD_NOT_RUN
