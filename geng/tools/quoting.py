"""A word as it must be written so that it is read as itself."""

from __future__ import annotations

import re

_ESCAPED = re.compile(r"\\(?=[\"'\\trn]|\Z)")
_PLAIN = re.compile(r"(?![\"'#}])(?:[^\s;{}\"'\\$]|\\[^\s]|\$(?!\{)|\$\{[^\s;{}\"'\\]*\}|(?<=.)[\"'}#])+\Z", re.S)


def quoted(word: str) -> str:
    """*word*, in double quotes where it needs some."""
    text = _ESCAPED.sub(r"\\\\", word)
    if _PLAIN.match(text):
        return text
    return '"' + text.replace('"', '\\"') + '"'
