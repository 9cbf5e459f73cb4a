"""Limits and logs of the whole server."""

from __future__ import annotations

from collections.abc import Iterator

from geng.lint.checks import examples
from geng.lint.checks.scope import incomplete
from geng.lint.model import Check, Found, Severity
from geng.lint.tree import Place, Tree

USUAL_REQUESTS = 1000
USUAL_FILES = 1024  # what a process may have open unless somebody says otherwise


def low_keepalive_requests(place: Place) -> Iterator[Found]:
    if place.args and place.args[0].isdigit() and 0 < int(place.args[0]) < USUAL_REQUESTS:
        message = f"a connection is closed after {place.args[0]} requests; one page with HTTP/2 may need as many"
        yield Found(place, message, 1, f"the default is {USUAL_REQUESTS}")


def worker_rlimit_nofile_vs_connections(tree: Tree) -> Iterator[Found]:
    if tree.fragment:
        return
    limit = tree.root.value("worker_rlimit_nofile")
    for place in tree.named("worker_connections"):
        if not place.args or not place.args[0].isdigit():
            continue
        needed = 2 * int(place.args[0])
        if limit.isdigit() and int(limit) < needed:
            message = f"{place.args[0]} connections, and a file for each, are more than {limit} open files"
            severity = None if int(limit) < int(place.args[0]) else Severity.NOTE  # enough, until files are open too
            yield Found(place, message, 1, f"worker_rlimit_nofile {needed};", severity=severity)
        elif not limit and needed > USUAL_FILES and not incomplete(tree, tree.root):
            message = f"{place.args[0]} connections, and a file for each, need a limit of {needed} open files"
            yield Found(place, message, 1, f"worker_rlimit_nofile {needed};", severity=Severity.NOTE)


def missing_worker_processes(tree: Tree) -> Iterator[Found]:
    if tree.fragment or tree.root.first("worker_processes") or incomplete(tree, tree.root):
        return
    first = tree.root.first("events", "http")
    if first is not None and tree.root.first("http", "stream", "mail"):
        yield Found(
            first,
            "without worker_processes there is one worker, whatever the number of processors",
            0,
            "worker_processes auto;",
        )


def error_log_off(place: Place) -> Iterator[Found]:
    if place.args[:1] == ("off",):
        yield Found(place, 'this writes the errors to a file whose name is "off"', 1, "error_log /dev/null crit;")


CHECKS = (
    Check(
        "low_keepalive_requests",
        Severity.NOTE,
        "connections that are closed early",
        """
The default was 100 once; it is 1000, because over HTTP/2 one page can bring hundreds of requests, and a connection that
is closed in between costs a handshake and sometimes a request.
""",
        examples.http("keepalive_requests 100;"),
        examples.http("keepalive_requests 2000;"),
        on=("keepalive_requests",),
        look=low_keepalive_requests,
    ),
    Check(
        "worker_rlimit_nofile_vs_connections",
        Severity.WARNING,
        "more connections than open files",
        """
Each connection is an open file (worker_connections counts those to upstreams, too), and what it sends or buffers may be
another. When the limit is reached accept() fails, with "Too many open files" in the error log. Without
worker_rlimit_nofile the limit is whatever the system gives, often 1024: that is a note.
""",
        "worker_rlimit_nofile 1024;\nevents {\n    worker_connections 4096;\n}\n",
        "worker_rlimit_nofile 8192;\nevents {\n    worker_connections 4096;\n}\n",
        run=worker_rlimit_nofile_vs_connections,
    ),
    Check(
        "missing_worker_processes",
        Severity.NOTE,
        "one worker only",
        """
The default of `worker_processes` is 1: the other processors stay idle. `auto` takes as many as there are.
""",
        "events {}\nhttp {\n    server_tokens off;\n}\n",
        "worker_processes auto;\nevents {}\nhttp {\n    server_tokens off;\n}\n",
        run=missing_worker_processes,
    ),
    Check(
        "error_log_off",
        Severity.WARNING,
        "error_log off",
        """
`access_log off` exists, `error_log off` does not: it is the name of a file, below the prefix.
""",
        examples.http("error_log off;"),
        examples.http("error_log /dev/null crit;"),
        on=("error_log",),
        look=error_log_off,
    ),
)
