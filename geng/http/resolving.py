"""`resolver`: its parameters, and one resolver per worker made from them.

nginx: ngx_resolver.c (ngx_resolver_create)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import with_cf
from geng.core.values import BadValue, parse_sec
from geng.errors import Invalid
from geng.net.address import BadAddress, parse_url, resolve_host

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.resolver import Resolver


class ResolverSettings:
    """What one `resolver` says; *valid* in seconds, 0: the answers' own times."""

    __slots__ = ("_made", "ipv4", "ipv6", "servers", "valid")

    def __init__(self, servers: list[Any], valid: int = 0, ipv4: bool = True, ipv6: bool = True) -> None:
        self.servers = servers
        self.valid = valid
        self.ipv4 = ipv4
        self.ipv6 = ipv6
        self._made: Resolver | None = None

    def __repr__(self) -> str:
        return f"<ResolverSettings {self.servers} valid={self.valid}>"

    def parameter(self, word: str, name: str, text: str) -> None:
        """*word* is `name=text`; raises Invalid."""
        if name == "valid":
            try:
                self.valid = parse_sec(text)
            except BadValue:
                raise Invalid(f"invalid parameter: {word}") from None
        elif name in ("ipv4", "ipv6") and text in ("on", "off"):
            setattr(self, name, text == "on")
        else:
            raise Invalid(f"invalid parameter: {word}")

    def get(self, worker: Any) -> Resolver:
        """This worker's resolver, made when first asked for."""
        if self._made is None:
            from geng.net.resolver import Resolver

            self._made = Resolver(
                worker.hub, worker.pool, self.servers, worker.log, valid=self.valid, ipv4=self.ipv4, ipv6=self.ipv6
            )
        return self._made


@with_cf
def resolver(cf: Cf, *words: str) -> ResolverSettings:
    """`resolver address ... [valid=time] [ipv4=on|off] [ipv6=on|off] [status_zone=zone]`"""
    made = ResolverSettings([])
    for word in words:
        name, equals, text = word.partition("=")
        if equals and name in ("valid", "ipv4", "ipv6", "status_zone"):
            made.parameter(word, name, text)
            continue
        try:
            url = parse_url(word, 53, resolve=resolve_host)
        except BadAddress as bad:
            raise Invalid(f'{bad} in resolver "{word}"') from None
        made.servers.extend(address.sockaddr for address in url.addresses)
    if not made.servers:
        raise Invalid("no name servers defined")
    if not (made.ipv4 or made.ipv6):
        raise Invalid('"ipv4" and "ipv6" cannot both be "off"')
    if not cf.cycle.options.test:
        import geng.net.resolver  # noqa: F401 - once, before the fork
    return made
