"""What checks ask of a tree that is no check itself: who speaks TLS, who listens where, what is out of sight."""

from __future__ import annotations

import ipaddress

from geng.lint.tree import Place, Tree

DEFAULT_LISTEN = "80"


def incomplete(tree: Tree, block: Place) -> bool:
    """Whether a file is missing that might set something for *block*: then nothing is said of what is not there."""
    around = {id(block), *(id(each) for each in block.above())}
    return any(id(place.parent) in around for place, _, _ in tree.missing)


def is_tls(listen: Place) -> bool:
    return "ssl" in listen.args[1:] or "quic" in listen.args[1:]


def tls_servers(tree: Tree) -> list[Place]:
    """The servers of http that have a listening socket with TLS."""
    return [server for server in tree.servers() if any(is_tls(listen) for listen in server.all("listen"))]


def address(listen: str) -> str:
    """The address of a `listen` in one spelling: `*:80`, `[::]:443`, `unix:…`."""
    if listen.startswith("unix:"):
        return listen
    if listen.isdigit():
        return f"*:{listen}"
    host, colon, port = listen.rpartition(":")
    if not colon or listen.endswith("]"):
        host, port = listen, "80"
    if host in ("0.0.0.0", "*", ""):
        host = "*"
    return f"{host}:{port}"


def addresses(server: Place) -> dict[str, Place]:
    """Where *server* listens, with the directive that says so (the server itself without one)."""
    found = {address(listen.args[0]): listen for listen in server.all("listen") if listen.args}
    return found or {address(DEFAULT_LISTEN): server}


def is_address(host: str) -> bool:
    """Whether *host* is an IP address, with or without brackets."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Whether the IP address *host* is of this machine or of a private network."""
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return found.is_private or found.is_loopback or found.is_link_local


def regex_of(server_name: str) -> str | None:
    return server_name[1:] if server_name.startswith("~") else None
