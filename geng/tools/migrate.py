"""`geng migrate`: what to know before a configuration of nginx's is run with geng."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from geng.conf import tables, thirdparty
from geng.errors import Invalid, UnknownDirective
from geng.lint.files import Files
from geng.lint.tree import RAW, Place, Tree
from geng.lint.validity import structure
from geng.lint.values import Reading

NOT_YET = 1
COULD_NOT_RUN = 2

RUNS, DIFFERS, UNSUPPORTED, THIRD_PARTY, FAULTY = "runs", "differs", "unsupported", "third-party", "faulty"

NO_EFFECT = {
    **dict.fromkeys(("connection_pool_size", "request_pool_size", "http2_pool_size"), "has no effect: memory is Python's"),
    **dict.fromkeys(
        ("server_names_hash_max_size", "server_names_hash_bucket_size", "types_hash_max_size", "types_hash_bucket_size",
         "variables_hash_max_size", "variables_hash_bucket_size", "map_hash_max_size", "map_hash_bucket_size",
         "proxy_headers_hash_max_size", "proxy_headers_hash_bucket_size", "referer_hash_max_size",
         "referer_hash_bucket_size", "http2_streams_index_size"),
        "has no effect: tables grow by themselves"),
    **dict.fromkeys(
        ("aio", "aio_write", "thread_pool", "worker_aio_requests", "read_ahead", "directio_alignment"),
        "has no effect: the kernel's sendfile, or the worker, reads files"),
    "send_lowat": "has no effect, as with nginx on Linux",
    "pcre_jit": "has no effect: patterns for PCRE are always compiled",
    "timer_resolution": "has no effect: asking the clock is no system call",
    "epoll_events": "has no effect: the loop finds its own measure",
    "lock_file": "has no effect, as with nginx on Linux",
    **dict.fromkeys(
        ("gzip_no_buffer", "ssi_min_file_chunk", "ssi_ignore_recycled_buffers", "client_body_in_single_buffer"),
        "has no effect: there are no such buffers"),
    "open_file_cache_events": "has no effect, as with nginx on Linux",
    "quic_bpf": "has no effect: a QUIC packet finds its worker without (docs/quic.md)",
    "image_filter": "decodes no image of more than 50 million pixels: it answers 415",
    "xslt_stylesheet": "stylesheets may read files, but not the network, and write nothing",
    "dav_methods": "COPY shows the copy when it is complete; DELETE of a link to a folder with a slash deletes nothing",
    "degradation": "looks at the memory that the worker has to itself, not at the end of its heap",
    "server_tokens": "the name is geng's; server_product nginx/1.31.5; at the top of the file gives nginx's",
}  # fmt: skip
"""Directives that are read and checked and do nothing, or something else: docs/command-line.md."""

TO_DO = {
    "grpc": "leave these locations to an nginx behind: proxy_pass http://127.0.0.1:PORT to one that has grpc_pass",
    "mail": "take the mail block out, and run an nginx with that block alone beside geng",
    "http_v3": "take it out: browsers then stay with HTTP/2; Alt-Svc must go as well",
    "quic": "take it out: browsers then stay with HTTP/2; Alt-Svc must go as well",
    "google_perftools": "take it out: py-spy and perf look at a worker from outside",
}
"""What to do about the directives of a module, by a part of its name."""

OTHERWISE = "take it out if the site does without; else leave what needs it to an nginx beside, behind a proxy_pass"


@dataclass(slots=True)
class Use:
    """A directive of the configuration: how often, where first, and what becomes of it."""

    name: str
    status: str
    note: str
    places: list[str] = field(default_factory=list)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="geng migrate", description="Every directive in use, and what geng makes of it.")
    made.add_argument("-c", "--conf", default="conf/nginx.conf", metavar="FILE")
    made.add_argument("-p", "--prefix", default="", help="the folder that included names are relative to")
    made.add_argument("--json", action="store_true")
    made.add_argument("--all", action="store_true", help="also list each directive that runs as in nginx")
    return made


def main(words: Sequence[str]) -> int:
    """Run it: 0 where geng runs all of it, else 1; 2 where the file cannot be read."""
    options = parser().parse_args(list(words))
    try:
        uses = survey(Tree(Files(), os.path.normpath(options.conf), None, options.prefix))
    except OSError as error:
        sys.stderr.write(f'geng migrate: open() "{options.conf}" failed ({error.errno}: {error.strerror})\n')
        return COULD_NOT_RUN
    except RecursionError:
        sys.stderr.write("geng migrate: blocks are nested too deeply\n")
        return COULD_NOT_RUN
    text = _json(uses) if options.json else _text(uses, options.all)
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return NOT_YET if any(use.status in (UNSUPPORTED, THIRD_PARTY, FAULTY) for use in uses) else 0


def survey(tree: Tree) -> list[Use]:
    """Every directive in use, the troublesome ones first."""
    refused = {(id(place.node), place.context): finding for place, finding in structure(tree)}
    reading = Reading(tree, set(refused))
    faults = {(each.file, each.document.line(each.start)): each.message for each in reading.run() if each.check == "value"}
    unable = {id(node): note for node, note in reading.unable}
    found: dict[tuple[str, str, str], Use] = {}
    for place in tree.root.walk():
        if place.context == RAW:
            continue
        status, note = _judge(place, unable, reading.own)
        fault = faults.get((place.node.file, place.node.start_line))
        if status == RUNS and fault is not None and f'"{place.name}"' in fault:
            status, note = FAULTY, fault
        use = found.setdefault((status, place.name, note), Use(place.name, status, note))
        use.places.append(f"{place.node.file}:{place.node.start_line}")
    order = (FAULTY, UNSUPPORTED, THIRD_PARTY, DIFFERS, RUNS)
    return sorted(found.values(), key=lambda use: (order.index(use.status), use.name))


def _judge(place: Place, unable: dict[int, str], own: frozenset[str]) -> tuple[str, str]:
    if place.name in own:
        return RUNS, "of a module that the configuration loads"
    try:
        tables.check(place.node, place.context)
    except UnknownDirective as unknown:
        known = thirdparty.explain(place.name)
        found = thirdparty.origin(place.name)
        if found is not None and found.instead == thirdparty.HAS:
            return RUNS, known
        return (THIRD_PARTY, known) if known else (FAULTY, str(unknown))
    except Invalid as invalid:
        return FAULTY, str(invalid)
    around = next((block for block in place.above() if id(block.node) in unable), None)
    if around is not None:
        return UNSUPPORTED, f"it is inside {around.name}, which geng does not run yet"
    if id(place.node) in unable:
        return UNSUPPORTED, f"{unable[id(place.node)]}: {_to_do(place)}"
    if place.name in NO_EFFECT:
        return DIFFERS, NO_EFFECT[place.name]
    return RUNS, ""


def _to_do(place: Place) -> str:
    modules = [entry.module for entry in tables.entries(place.name) if entry.contexts & place.context]
    if "quic" in place.args:
        modules = ["quic"]
    return next((text for part, text in TO_DO.items() if any(part in module for module in modules)), OTHERWISE)


TITLES = {
    FAULTY: "nginx refuses this too",
    UNSUPPORTED: "geng does not run this yet",
    THIRD_PARTY: "of modules that are not nginx's",
    DIFFERS: "runs with a difference",
    RUNS: "runs as in nginx",
}


def _text(uses: list[Use], everything: bool) -> str:
    lines = []
    for status, title in TITLES.items():
        some = [use for use in uses if use.status == status]
        if not some or (status == RUNS and not everything):
            continue
        lines.append(f"{title}:")
        for use in some:
            more = f" and {len(use.places) - 1} more" if len(use.places) > 1 else ""
            lines.append(f"  {use.name}  {use.places[0]}{more}" + (f"\n      {use.note}" if use.note else ""))
        lines.append("")
    lines += [
        f"{sum(len(use.places) for use in uses if use.status == status):6} {TITLES[status]}" for status in reversed(TITLES)
    ]
    return "\n".join(lines) + "\n"


def _json(uses: list[Use]) -> str:
    summary = {status: sum(len(use.places) for use in uses if use.status == status) for status in TITLES}
    listed = [{"directive": use.name, "status": use.status, "note": use.note, "places": use.places} for use in uses]
    return json.dumps({"summary": summary, "directives": listed}, indent=2) + "\n"
