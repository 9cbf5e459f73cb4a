"""Finds in nginx's sources the messages about configurations, and compares texts with their formats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

NOT_HERE = re.compile(r"event/(modules|quic)/|os/|misc/|acceptex|connectex")
"""Sources of what geng has not: nginx's own loops, systems, profilers."""

AT_START = re.compile(
    r"_(init_\w*conf|merge_\w*conf|init_zone|init_vars|init_round_robin|server|server_names|set_ssl|set_log|module_init"
    r"|join_exact_locations|upstream_add|init_upstream\w*|file_cache_init|xslt_\w+|run_requires)$"
    r"|^ngx_(init_cycle|init_zone_pool|shared_memory_add|create_paths|add_path|hash_init|open_listening_sockets|conf_\w+"
    r"|ssl_(?!\w*(callback|handle|get_|send|recv|connection|new_session|rotate))\w+|http_ssl_\w+|stream_ssl_\w+|mail_ssl_\w+"
    r"|regex_\w+|syslog_parse_args|thread_pool_init_conf|load_module|set_\w+)$"
)
"""The functions whose ngx_log_error() is about the configuration."""

CALL = re.compile(r"\b(ngx_conf_log_error|ngx_log_error|ngx_ssl_error)\s*\(")
RETURN = re.compile(r"return\s+((?:\"(?:\\.|[^\"\\])*\"\s*)+);")
REASON = re.compile(r"(?:\berr|->err|errstr)\s*=\s*((?:\"(?:\\.|[^\"\\])*\"\s*)+);")
STRING = re.compile(r'"((?:\\.|[^"\\])*)"')
FUNCTION = re.compile(r"^(\w+)\([^;]*?\)\n\{", re.MULTILINE)
FORMAT = re.compile(r"%%|%[*.0-9]*(?:uz|ui|ud|uD|[sVvizcdupO])")
NAMES = re.compile(r'^#define\s+(ngx_\w+_n)\s+"([^"]*)"', re.MULTILINE)


def pattern(message: str) -> re.Pattern[str]:
    """What finds *message*, a format, in a text."""
    parts = FORMAT.split(message.replace("%%", "\0"))
    return re.compile(".*".join(re.escape(part.replace("\0", "%")) for part in parts), re.DOTALL)


def messages(source: Path) -> dict[str, str]:
    """Each format with the files that have it."""
    system = (source / "os/unix/ngx_files.h").read_text() + (source / "os/unix/ngx_socket.h").read_text()
    system += (source / "os/unix/ngx_dlopen.h").read_text()
    names = dict(NAMES.findall(system))
    found: dict[str, list[str]] = {}
    for path in sorted(source.rglob("*.c")):
        file = str(path.relative_to(source))
        if not NOT_HERE.search(file):
            for message in _of_file(path.read_text(errors="replace"), file, names):
                files = found.setdefault(message, [])
                if path.name not in files:
                    files.append(path.name)
    return {message: ", ".join(files) for message, files in sorted(found.items()) if re.search("[a-z]{3}", message)}


def _of_file(text: str, file: str, names: dict[str, str]) -> Iterator[str]:
    text = re.sub(r"/\*.*?\*/", lambda found: re.sub(r"[^\n]", " ", found[0]), text, flags=re.DOTALL)
    functions = [(found.start(), found[1]) for found in FUNCTION.finditer(text)]
    for found in CALL.finditer(text):
        arguments = _arguments(text, found.end())
        if len(arguments) < 4 or '"' not in arguments[3]:
            continue
        if found[1] != "ngx_conf_log_error":
            function = next((name for start, name in reversed(functions) if start < found.start()), "")
            if not re.search("EMERG|WARN", arguments[0]) or not AT_START.search(function):
                continue
        yield _text(arguments[3], names)
    if file == "core/ngx_resolver.c":  # its other texts are about responses
        return
    for found in (*RETURN.finditer(text), *REASON.finditer(text)):
        yield _text(found[1], names)


def _arguments(text: str, at: int) -> list[str]:
    """The arguments of the call whose first one begins at *at*."""
    found: list[str] = []
    depth, start = 0, at
    for part in re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[()\[\]{},]').finditer(text, at):
        mark = part[0]
        if mark in "([{":
            depth += 1
        elif mark in ")]}":
            if not depth:
                return [*found, text[start : part.start()]]
            depth -= 1
        elif mark == "," and not depth:
            found.append(text[start : part.start()])
            start = part.end()
    return found


def _text(code: str, names: dict[str, str]) -> str:
    """The string that *code* is, `"a" NAME "b"`; names that are not known as they are."""
    parts = re.findall(r'"(?:\\.|[^"\\])*"|[A-Za-z_]\w*', code)
    return "".join(
        part[1:-1].replace('\\"', '"').replace("\\\\", "\\") if part[0] == '"' else names.get(part, part) for part in parts
    )
