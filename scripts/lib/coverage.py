"""Which of nginx's directives geng does, module by module, as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable

BEGIN, END = "<!-- what works: written by scripts/readme -->", "<!-- end -->"
SHOWN = 6  # directives that are missing, named in a row


def supported() -> set[tuple[str, int]]:
    """(directive, context bits) of everything that some module of geng has a setter for."""
    from geng.conf.directive import Conf
    from geng.modules import mail, main_confs
    from geng.modules.http import HTTP_MODULES
    from geng.modules.stream import STREAM_MODULES, registry

    confs: list[type[Conf]] = [*main_confs(), *(conf for module in HTTP_MODULES for conf in module.confs)]
    found = {(command.name, command.contexts) for conf in confs if not conf.foreign for command in conf.commands.values()}
    commands = (row for known in (registry(STREAM_MODULES), mail.registry()) for rows in known.values() for row in rows)
    found |= {(command.name, command.contexts) for conf, command in commands if not conf.foreign}
    return found | {("include", -1)}


def rows() -> Iterable[tuple[str, list[str], list[str]]]:
    """(nginx's module, its directives that work, those that do not), in nginx's order."""
    from geng.conf import directives, tables

    known = supported()
    modules: dict[str, tuple[list[str], list[str]]] = {}
    for entries in tables.ENTRIES.values():
        for entry in entries:
            if entry.module in directives.ELSEWHERE or entry.module == "geng":
                continue
            works = any(name == entry.name and contexts & entry.contexts for name, contexts in known)
            modules.setdefault(entry.module, ([], []))[0 if works else 1].append(entry.name)
    order = {module: i for i, module in enumerate(line for line in directives.NGINX.split() if line in modules)}
    for module in sorted(modules, key=lambda module: order[module]):
        done, missing = modules[module]
        yield module, done, missing


def table() -> str:
    """The modules of which anything works, and in one line those of which nothing does."""
    lines = ["| nginx module | directives | not yet |", "|---|---|---|"]
    nothing = []
    total = works = 0
    for module, done, missing in rows():
        total += len(done) + len(missing)
        works += len(done)
        if not done:
            nothing.append(module)
            continue
        rest = ", ".join(f"`{name}`" for name in missing[:SHOWN])
        if len(missing) > SHOWN:
            rest += f" and {len(missing) - SHOWN} more"
        lines.append(f"| {module} | {len(done)} of {len(done) + len(missing)} | {rest} |")
    lines.append("")
    lines.append(f"{works} of nginx's {total} entries work. Nothing yet of: {', '.join(nothing)}.")
    lines.append("What does not work is refused when the configuration is read, with the file and the line.")
    return "\n".join(lines)


def inserted(text: str) -> str:
    """*text* with the table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("README.md has no place for the table")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
