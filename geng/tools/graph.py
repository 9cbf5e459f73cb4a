"""`geng graph`: the sockets, servers, locations and upstreams of a configuration as a picture."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from geng.conf.tables import HTTP, LOC, SRV, UPS
from geng.lint.checks.scope import addresses
from geng.lint.files import Files
from geng.lint.tree import Place, Tree

COULD_NOT_RUN = 2
PASSING = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass", "memcached_pass", "return", "try_files",
           "alias", "root")  # fmt: skip
SCHEMES = ("https://", "http://", "grpcs://", "grpc://")
COLUMNS = ("listen", "server", "location", "target", "peer")
ROW, GAP, BETWEEN, LETTER, LONGEST = 30, 16, 60, 6.7, 52  # px; characters of a text in a box


@dataclass
class Node:
    """A box; *column* is one of COLUMNS, *to* are the keys of the boxes that its lines lead to."""

    key: str
    column: int
    text: str
    to: list[str] = field(default_factory=list)


Box = Callable[[str, int, str], Node]
"""Makes a box or finds it: key, column, text."""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="geng graph", description="A configuration as a picture.")
    made.add_argument("-c", "--conf", default="conf/nginx.conf", metavar="FILE")
    made.add_argument("-p", "--prefix", default="")
    made.add_argument("--format", choices=("svg", "mermaid", "dot"), default="svg")
    return made


def main(words: Sequence[str]) -> int:
    """Print it."""
    options = parser().parse_args(list(words))
    try:
        nodes = graph(Tree(Files(), os.path.normpath(options.conf), None, options.prefix))
    except OSError as error:
        sys.stderr.write(f'geng graph: open() "{options.conf}" failed ({error.errno}: {error.strerror})\n')
        return COULD_NOT_RUN
    text = {"svg": svg, "mermaid": mermaid, "dot": dot}[options.format](nodes)
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
    return 0


def graph(tree: Tree) -> list[Node]:
    """The boxes, in the order of the file."""
    nodes: dict[str, Node] = {}

    def box(key: str, column: int, text: str) -> Node:
        return nodes.setdefault(key, Node(key, column, text))

    upstreams = {each.args[0]: each for each in tree.named("upstream") if each.args and each.inside == UPS}
    for number, server in enumerate(each for each in tree.servers() if each.context == HTTP):
        own = box(f"s{number}", 1, _server(server))
        for address, listen in addresses(server).items():
            words = " ".join(listen.args[1:]) if listen is not server else ""
            _join(box(f"a{address}", 0, f"{address} {words}".strip()), own)
        for place in [server, *(each for each in server.walk() if each.inside in (SRV, LOC) and each.name == "location")]:
            passing = next((each for name in PASSING for each in place.all(name)), None)
            if place is server:
                here = own
            else:
                here = box(f"l{id(place)}", 2, f"location {' '.join(place.args)}")
                _join(own, here)
            if passing is not None and (place is not server or passing.name == "return"):
                _target(box, here, passing, upstreams)
    return list(nodes.values())


def _server(server: Place) -> str:
    names = [name for place in server.all("server_name") for name in place.args]
    return "server " + (" ".join(names) or "(no name)")


def _target(box: Box, here: Node, passing: Place, upstreams: dict[str, Place]) -> None:
    text = passing.args[0] if passing.args else ""
    scheme = next((each for each in SCHEMES if text.startswith(each)), "")
    name = text[len(scheme) :].partition("/")[0]
    if passing.name.endswith("_pass") and name in upstreams:
        target = box(f"u{name}", 3, f"upstream {name}")
        for peer in upstreams[name].all("server"):
            _join(target, box(f"p{name} {' '.join(peer.args)}", 4, " ".join(peer.args)))
    else:
        own = "" if passing.name.endswith("_pass") else here.key  # an answer from here stands beside its location
        target = box(f"t{own} {passing.name} {' '.join(passing.args)}", 3, f"{passing.name} {' '.join(passing.args)}")
    _join(here, target)


def _join(one: Node, two: Node) -> None:
    if two.key not in one.to:
        one.to.append(two.key)


def mermaid(nodes: Sequence[Node]) -> str:
    """For Markdown pages that draw Mermaid."""
    names = {node.key: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    lines += [f'    {names[node.key]}["{_mermaid(node.text)}"]' for node in nodes]
    lines += [f"    {names[node.key]} --> {names[key]}" for node in nodes for key in node.to]
    return "\n".join(lines) + "\n"


def _mermaid(text: str) -> str:
    return "".join(each if each.isalnum() or each in " ./:-_" else f"#{ord(each)};" for each in text)


def dot(nodes: Sequence[Node]) -> str:
    """For Graphviz."""
    names = {node.key: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["digraph nginx {", "    rankdir=LR;", "    node [shape=box, fontname=monospace];"]
    lines += [f'    {names[node.key]} [label="{_dot(node.text)}"];' for node in nodes]
    lines += [f"    {names[node.key]} -> {names[key]};" for node in nodes for key in node.to]
    return "\n".join([*lines, "}"]) + "\n"


def _dot(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


LINES = ("#888", "#2563eb", "#16a34a", "#d97706", "#db2777", "#7c3aed", "#0891b2")
COLOURS = ("#dbeafe", "#dcfce7", "#fef9c3", "#fde7d8", "#ede9fe")


def svg(nodes: Sequence[Node]) -> str:
    """A picture: a column for each kind, lines from left to right."""
    boxes, starts = _widths(nodes)
    places = {key: (starts[column], y) for key, (column, y) in _placed(nodes).items()}
    width = max((starts[node.column] + boxes[node.column] for node in nodes), default=0) + GAP
    height = max((y for _, y in places.values()), default=0) + ROW + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="monospace" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    shared = [node.key for node in nodes if sum(node.key in each.to for each in nodes) > 1]
    number = {key: position for position, key in enumerate(shared, 1)}
    for node in nodes:
        x, y = places[node.key]
        for key in node.to:
            stroke = LINES[number.get(key, 0) % len(LINES)]  # lines that end at one box have one colour
            to_x, to_y = places[key]
            start, turn, half = (x + boxes[node.column], y + ROW // 2), starts[node.column + 1], BETWEEN // 2
            end = to_y + ROW // 2
            path = f"M{start[0]} {start[1]} C{start[0] + half} {start[1]} {turn - half} {end} {turn} {end}"
            path += f" H{to_x}" if to_x != turn else ""  # past a column that has nothing there
            lines.append(f'<path d="{path}" fill="none" stroke="{stroke}"/>')
    for node in nodes:
        x, y = places[node.key]
        shown = node.text if len(node.text) <= LONGEST else node.text[: LONGEST - 1] + "…"
        size = f'width="{boxes[node.column]}" height="{ROW}" rx="4"'
        lines.append(f'<g><title>{escape(node.text)}</title><rect x="{x}" y="{y}" {size} '
                     f'fill="{COLOURS[node.column]}" stroke="#444"/>')  # fmt: skip
        lines.append(f'<text x="{x + 6}" y="{y + 19}">{escape(shown)}</text></g>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _widths(nodes: Sequence[Node]) -> tuple[list[int], list[int]]:
    """How wide the boxes of each column are, and where it begins."""
    longest = [
        max((min(len(node.text), LONGEST) for node in nodes if node.column == n), default=0) for n in range(len(COLUMNS))
    ]
    boxes = [int(letters * LETTER) + GAP if letters else 0 for letters in longest]
    starts = [GAP]
    for box in boxes[:-1]:
        starts.append(starts[-1] + box + BETWEEN)
    return boxes, starts


def _placed(nodes: Sequence[Node]) -> dict[str, tuple[int, int]]:
    """The column of each box and how far down it stands: beside the middle of what leads to it, below what is there already.

    A server that answers by itself has a row of its own among the locations, for the line that goes past them.
    """
    places: dict[str, tuple[int, int]] = {}
    free = [GAP] * len(COLUMNS)
    wanted: dict[str, list[int]] = {}
    for column in (2, 1, 0, 3, 4):
        there = [each for each in nodes if each.column == column]
        if column > 2:
            there.sort(key=lambda node: _middle(wanted.get(node.key, [])))
        if column == 2:
            there = [each for each in nodes if each.column == 2 or each.column == 1 and _answers(each, nodes)]
        for node in there:
            if node.column < column:
                y, free[column] = free[column], free[column] + ROW + GAP // 2
                for key in (node.key, *(each for each in node.to if each[:1] == "t")):
                    wanted.setdefault(key, []).append(y)
                continue
            near = [places[key][1] for key in node.to if key in places] + wanted.get(node.key, [])
            y = max(free[column], _middle(near))
            places[node.key] = (column, y)
            free[column] = y + ROW + GAP // 2
            for key in node.to:
                wanted.setdefault(key, []).append(y)
    return places


def _answers(server: Node, nodes: Sequence[Node]) -> bool:
    """Whether a line goes from *server* past the locations."""
    columns = {node.key: node.column for node in nodes}
    return any(columns[key] > 2 for key in server.to)


def _middle(numbers: Sequence[int]) -> int:
    return sum(numbers) // len(numbers) if numbers else 0
