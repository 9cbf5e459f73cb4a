"""Every fault of a configuration, in nginx's words: syntax, unknown and misplaced directives, wrong numbers of arguments.

What the values of directives are is geng.lint.values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator

from geng.conf import tables, thirdparty
from geng.conf.concrete import QUANTIFIER, REST_OF_PATTERN, Broken, Document
from geng.errors import Invalid, UnknownDirective
from geng.lint.model import Edit, Finding, Severity
from geng.lint.tree import CONTEXT_NAMES, RAW, Place, Tree

SYNTAX = "syntax"
UNKNOWN = "unknown_directive"
MISPLACED = "misplaced_directive"
ARGUMENTS = "arguments"
MISSING = "missing_include"

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def syntax(tree: Tree) -> Iterator[Finding]:
    """What cannot be read, of every file."""
    for loaded in tree.files.loaded.values():
        for broken in loaded.document.broken:
            yield _broken(loaded.document, broken)


def _broken(document: Document, broken: Broken) -> Finding:
    start, end, hint = broken.start, broken.start + 1, ""
    edits: tuple[Edit, ...] = ()
    if broken.message == 'unexpected "}"':
        before = document.text[:start].rstrip()
        if before and before[-1] not in ";{}":
            hint = 'is a ";" missing before it?'
        elif before:
            hint = "there is no block that it could end"
    elif broken.message.startswith("unexpected end of file"):
        line_end = document.text.find("\n", start)
        end = len(document.text) if line_end < 0 else line_end
        hint = "what begins here has no end"
    elif broken.message == 'unexpected "{"' and QUANTIFIER.match(document.text, start):
        hint, edits = _unquoted(document, start)
    elif broken.message == 'unexpected ";"':
        hint = 'a second ";", or one behind "}"'
    return Finding(SYNTAX, Severity.ERROR, broken.message, document, start, end, hint, edits)


def _unquoted(document: Document, at: int) -> tuple[str, tuple[Edit, ...]]:
    """What to say of a pattern with braces that has no quotes, and the quotes."""
    begin = at
    while begin and document.text[begin - 1] not in " \t\r\n;{}":
        begin -= 1
    rest = REST_OF_PATTERN.match(document.text, at)
    assert rest is not None
    hint = "a pattern with braces must be in quotes: here begins a block"
    if '"' in document.text[begin : rest.end()]:
        return hint, ()
    return hint, (Edit(begin, begin, '"'), Edit(rest.end(), rest.end(), '"'))


def structure(tree: Tree) -> Iterator[tuple[Place, Finding]]:
    """What stands at a wrong place or has no proper shape, with the place."""
    foreign = any(place.args and place.args[0].endswith(".so") for place in tree.named("load_module"))
    for place in tree.root.walk():
        if place.context == RAW or _inside_foreign(place):
            continue
        try:
            tables.check(place.node, place.context)
        except UnknownDirective as unknown:
            severity = Severity.WARNING if foreign and thirdparty.explain(place.name) else Severity.ERROR
            yield place, finding(place, UNKNOWN, severity, str(unknown), 0, _about_unknown(place))
        except Invalid as invalid:
            message = str(invalid)
            kind = MISPLACED if message.endswith("is not allowed here") else ARGUMENTS
            hint, edits = _about_shape(place, kind)
            yield place, finding(place, kind, Severity.ERROR, message, 0, hint, edits)


def missing(tree: Tree) -> Iterator[tuple[Place, Finding]]:
    """Files that an include names and that are not there."""
    for place, name, error in tree.missing:
        severity = Severity.NOTE if tree.fragment else Severity.ERROR
        message = f'open() "{name}" failed ({error.errno}: {error.strerror})'
        yield place, finding(place, MISSING, severity, message, 1)


def finding(place: Place, check: str, severity: Severity, message: str, word: int | None = None, hint: str = "",
            edits: tuple[Edit, ...] = ()) -> Finding:  # fmt: skip
    """A Finding at *place*: at one of its words, or at all of them."""
    start, end = span(place, word)
    return Finding(check, severity, message, place.document, start, end, hint, edits)


def span(place: Place, word: int | None = None) -> tuple[int, int]:
    """Where *place* stands in its file, up to its `;` or `{`."""
    words = place.statement.words
    if not words:
        return 0, 0
    if word is not None and word < len(words):
        return words[word].start, words[word].end
    last = words[-1].end
    line_end = place.document.text.find("\n", words[0].start)
    return words[0].start, last if line_end < 0 else min(last, line_end)


def _inside_foreign(place: Place) -> bool:
    """Whether it is inside a block that nobody knows: what may stand there is unknown too."""
    parent = place.parent
    return parent is not None and parent.parent is not None and parent.inside == RAW


def _about_unknown(place: Place) -> str:
    name = place.name
    origin = thirdparty.explain(name)
    if origin:
        return origin
    here = [known for known, entries in tables.ENTRIES.items() if any(each.contexts & place.context for each in entries)]
    near = difflib.get_close_matches(name.lower(), here, 3, 0.75) or difflib.get_close_matches(
        name.lower(), tables.ENTRIES, 1, 0.8
    )
    if near:
        return "did you mean " + " or ".join(f'"{each}"' for each in near) + "?"
    if not _NAME.match(name):
        return 'is a ";" or a quote missing above?'
    return ""


def _about_shape(place: Place, kind: str) -> tuple[str, tuple[Edit, ...]]:
    known = tables.entries(place.name)
    if kind == MISPLACED:
        return f"it may stand in {contexts(place.name)}", ()
    hint, edits = unfinished(place)
    if hint:
        return hint, edits
    if place.node.block is None and _is_block(place) and _next_directive(place) is not None:
        return f'is a "{{" missing behind "{place.node.words[0]}"?', ()
    here = next((entry for entry in known if entry.contexts & place.context), known[0])
    return f"it takes {arity(here)}", ()


def unfinished(place: Place) -> tuple[str, tuple[Edit, ...]]:
    """What to say where *place* has swallowed the next directive for want of a `;`, and how to repair it."""
    glued = _next_directive(place) if place.statement.words else None
    if glued is None or _is_block(place):
        return "", ()
    words = place.statement.words
    return f'is a ";" missing before "{words[glued].text}"?', (Edit(words[glued - 1].end, words[glued - 1].end, ";"),)


def _is_block(place: Place) -> bool:
    """Whether the directive has a block at this level."""
    here = [entry for entry in tables.entries(place.name) if entry.contexts & place.context]
    return bool(here) and all(entry.block for entry in here)


def _next_directive(place: Place) -> int | None:
    """The index of a word that looks like the name of the next directive: known, and the first of its line."""
    text = place.document.text
    for index, word in enumerate(place.statement.words[1:], 1):
        line = text.rfind("\n", 0, word.start) + 1
        if text[line : word.start].isspace() or line == word.start:
            if not word.quoted and tables.entries(word.text):
                return index
    return None


def contexts(name: str) -> str:
    """Where the directive *name* may stand, in words."""
    bits = 0
    for entry in tables.entries(name):
        bits |= entry.contexts
    return ", ".join(text for bit, text in CONTEXT_NAMES.items() if bits & bit)


def arity(entry: tables.Entry) -> str:
    """How many arguments a directive takes, in words."""
    if entry.arity == "flag":
        return '"on" or "off"'
    if entry.arity.endswith("+"):
        text = f"{entry.arity[:-1]} or more arguments"
    elif entry.arity == "0":
        text = "no arguments"
    else:
        text = " or ".join(entry.arity) + (" argument" if entry.arity == "1" else " arguments")
    return text + (" and a block" if entry.block else "")
