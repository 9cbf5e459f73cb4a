"""Names of hosts with wildcards at either end, as `server_name`, `map … hostnames` and `valid_referers` take them.

nginx: ngx_hash.c (ngx_hash_add_key, ngx_hash_find_combined)
"""

from __future__ import annotations

from typing import Generic, TypeVar

V = TypeVar("V")


class BadName(ValueError):
    """A wildcard that is none: only a whole first or last label may be one."""


class Conflict(ValueError):
    """The name is there already."""


class HostTable(Generic[V]):
    """Values by name: `example.com`, `*.example.com`, `.example.com` (both), `www.example.*`. Names are lower case."""

    __slots__ = ("exact", "heads", "tails")

    def __init__(self) -> None:
        self.exact: dict[bytes, V] = {}
        self.heads: dict[bytes, V] = {}  # ".example.com" of *.example.com
        self.tails: dict[bytes, V] = {}  # "www.example." of www.example.*

    def __repr__(self) -> str:
        return f"<HostTable {len(self.exact)} names, {len(self.heads) + len(self.tails)} wildcards>"

    def __len__(self) -> int:
        return len(self.exact) + len(self.heads) + len(self.tails)

    def add(self, name: bytes, value: V, wildcards: bool = True) -> None:
        """Put *value* under *name*; raises BadName or Conflict, and then nothing has changed."""
        if not wildcards:
            if name in self.exact:
                raise Conflict(name)
            self.exact[name] = value
            return
        entries = _entries(self, name)
        for table, key in entries:
            if key in table:
                raise Conflict(name)
        for table, key in entries:
            table[key] = value

    def find(self, host: bytes) -> V | None:
        """The value for *host*: by its whole name, then the longest wildcard in front, then the longest behind."""
        found = self.exact.get(host)
        if found is not None:
            return found
        if self.heads:
            at = host.find(b".")
            while at >= 0:
                found = self.heads.get(host[at:])
                if found is not None:
                    return found
                at = host.find(b".", at + 1)
        if self.tails:
            at = host.rfind(b".")
            while at >= 0:
                found = self.tails.get(host[: at + 1])
                if found is not None:
                    return found
                at = host.rfind(b".", 0, at)
        return None


def _entries(hosts: HostTable[V], name: bytes) -> list[tuple[dict[bytes, V], bytes]]:
    if name[:2] == b"*." and len(name) > 2:
        made = [(hosts.heads, name[1:])]
    elif name[:1] == b"." and len(name) > 1:
        made = [(hosts.exact, name[1:]), (hosts.heads, name)]
    elif name[-2:] == b".*" and len(name) > 2:
        made = [(hosts.tails, name[:-1])]
    else:
        made = [(hosts.exact, name)]
    stars = name.count(b"*")
    if stars > 1 or (stars and made[0][0] is hosts.exact and len(made) == 1) or b".." in name or b"\0" in name:
        raise BadName(name)
    return made
