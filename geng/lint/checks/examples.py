"""Examples for the documentation, without their frame written out each time."""

from __future__ import annotations


def main(text: str) -> str:
    """*text* at the main level, with events behind it."""
    return text.strip("\n") + "\nevents {}\n"


def http(text: str) -> str:
    """*text* inside http."""
    return f"events {{}}\nhttp {{\n{_indent(text)}}}\n"


def server(text: str) -> str:
    """*text* inside a server."""
    return http(f"server {{\n{_indent(text)}}}")


def location(text: str, name: str = "/") -> str:
    """*text* inside a location."""
    return server(f"location {name} {{\n{_indent(text)}}}")


def _indent(text: str) -> str:
    return "".join(f"    {line}\n" if line else "\n" for line in text.strip("\n").split("\n"))
