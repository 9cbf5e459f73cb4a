"""Every module of nginx, and what is different in geng's, as a table in Markdown for docs/modules.md."""

from __future__ import annotations

from collections.abc import Iterable

BEGIN, END = "<!-- differences: written by scripts/readme -->", "<!-- end of differences -->"

FULL = "entries are in buckets of eight: a zone is full for a key whose bucket is"
SESSIONS = "the newest sessions take the place of the oldest, whatever room there is"
GZIP = "with the extra `deflate` other bytes than zlib's, and about as many"

#: What no single directive says.
MODULES = {
    "core": "memory, CPU and processes are Python's: a worker is larger than nginx's (docs/benchmarks.md)",
    "http_core": "with `directio`, a file's pages leave the page cache once they were sent; it is not opened with O_DIRECT",
    "http_geoip": "needs the library libGeoIP",
    "http_gzip_filter": GZIP,
    "http_image_filter": "needs Pillow (`pip install geng[image_filter]`), which does what libgd does for nginx",
    "http_limit_conn": FULL,
    "http_limit_req": FULL,
    "http_perl": "needs perl; it runs in a process of its own beside each worker (see Perl, below)",
    "http_ssl": f"OpenSSL is the library of the interpreter (docs/tls.md), without engines; {SESSIONS}",
    "http_xslt_filter": "needs lxml (`pip install geng[xslt]`)",
    "google_perftools": "does not run: py-spy and perf look at a worker from outside",
    "stream_geoip": "needs the library libGeoIP",
    "stream_limit_conn": FULL,
    "stream_ssl": f"as http_ssl: {SESSIONS}",
}


def rows() -> Iterable[tuple[str, str]]:
    """(nginx's module, what is different), in nginx's order; modules without directives have nothing to be different in."""
    from geng.conf import directives, tables
    from geng.tools.migrate import NO_EFFECT

    names: dict[str, list[str]] = {}
    for entries in tables.ENTRIES.values():
        for entry in entries:
            names.setdefault(entry.module, []).append(entry.name)
    for module in dict.fromkeys(line for line in directives.NGINX.split() if line in names):
        if module in directives.ELSEWHERE:
            continue
        notes: dict[str, list[str]] = {}
        for name in names[module]:
            if name in NO_EFFECT:
                notes.setdefault(NO_EFFECT[name], []).append(f"`{name}`")
        parts = [f"{', '.join(some)}: {note}" for note, some in notes.items()]
        if module in MODULES:
            parts.insert(0, MODULES[module])
        yield module, "; ".join(parts)


def table() -> str:
    """One row for each module in which something is different, and the others in one line."""
    lines = ["| nginx module | what is different |", "|---|---|"]
    same = []
    for module, note in rows():
        if note:
            lines.append(f"| {module} | {note} |")
        else:
            same.append(module)
    lines += ["", f"Nothing is different in what runs of: {', '.join(same)}."]
    return "\n".join(lines)


def inserted(text: str) -> str:
    """*text* with the table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("docs/modules.md has no place for the table")
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"
