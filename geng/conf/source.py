"""Which files a configuration is made of: where names lead, what `include` brings, what `-T` prints.

nginx: ngx_conf_file.c (ngx_conf_include, ngx_conf_full_name, ngx_conf_param).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from errno import EISDIR, EMFILE

from geng.conf import syntax
from geng.conf.syntax import Node, Row
from geng.errors import ConfigError

COMMAND_LINE = "command line"
"""The file that `-g` counts as: errors then end with `in command line`, without a line."""

DEEPEST = 64
"""How far files may include each other: nginx ends a circle when it has no descriptor left for another file."""


class Sources:
    """The files of one configuration. *read* and *glob* do the I/O, so that nothing here does.

    *read(name)* returns a file's content or raises OSError; *glob(pattern)* returns the names that match, as
    glob(3) finds them, in any order. *prefix* and *conf_prefix* are folders; without the latter it is the folder of
    the main file. *files* holds the content of what was read, in nginx's order, for `-T`.
    """

    def __init__(
        self,
        read: Callable[[str], bytes],
        glob: Callable[[str], list[str]],
        prefix: str,
        conf_prefix: str = "",
    ) -> None:
        self.files: dict[str, bytes] = {}
        self.prefix = _folder(prefix)
        self.conf_prefix = _folder(conf_prefix) if conf_prefix else ""
        self._read = read
        self._glob = glob
        self._trees: dict[str, list[Row]] = {}
        self._depth = 0

    def __repr__(self) -> str:
        return f"<Sources {len(self.files)} files, prefix {self.prefix}>"

    def main(self, filename: str) -> list[Row]:
        """The tree of the main file; raises ConfigError without a place when it cannot be read."""
        if not self.conf_prefix:
            self.conf_prefix = _folder(os.path.dirname(filename) or self.prefix)
        return self._tree(filename, "", 0)

    def parameter(self, directives: str) -> list[Row]:
        """The tree of what `-g` gave."""
        return syntax.parse(directives.encode("utf-8", "surrogateescape"), COMMAND_LINE, parameter=True)

    def include(self, node: Node) -> Iterator[list[Row]]:
        """The tree of each file that the `include` *node* names, one after the other; each is read when asked for."""
        name = _until_nul(self.full_name(node.args[0], True))
        found = sorted(self._glob(name), key=os.fsencode) if any(c in name for c in "*?[") else [name]
        self._depth += 1
        try:
            for each in found:
                yield self._tree(each, node.file, node.line)
        finally:
            self._depth -= 1

    def full_name(self, name: str, conf_prefix: bool = False) -> str:
        """*name* as it is when absolute, else in the prefix, or in the configuration's folder."""
        name = name.partition("\0")[0]  # where C ends it
        if name.startswith("/"):
            return name
        return (self.conf_prefix if conf_prefix else self.prefix) + name

    def _tree(self, name: str, file: str, line: int) -> list[Row]:
        if self._depth > DEEPEST:
            raise _failed("open()", name, EMFILE, file, line)
        if name not in self._trees:
            try:
                content = self._read(name)
            except IsADirectoryError:  # which nginx can open, but not read
                raise ConfigError(f'pread() "{name}" failed ({_reason(EISDIR)})', level="crit") from None
            except OSError as error:
                raise _failed("open()", name, error.errno or 0, file, line) from None
            self.files[name] = content
            self._trees[name] = syntax.parse(content, name)
        return self._trees[name]


def _folder(path: str) -> str:
    return path if path.endswith("/") else path + "/"


def _until_nul(name: str) -> str:
    return name.partition("\0")[0]


def _reason(errno: int) -> str:
    return f"{errno}: {os.strerror(errno)}"


def _failed(call: str, name: str, errno: int, file: str, line: int) -> ConfigError:
    return ConfigError(f'{call} "{name}" failed ({_reason(errno)})', file, line)
