"""`valid_referers`: whether a request comes from a page that may send it.   nginx: ngx_http_referer_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geng.conf.convert import num, to_bytes, to_text
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import LOC, SRV
from geng.core.hostnames import BadName, Conflict, HostTable
from geng.errors import ConfigError, Invalid
from geng.http.conf import CoreSrv
from geng.http.module import CHANGEABLE, Module, Variable
from geng.http.script import plain_regex

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

SHORTEST = len("http://i.ru")
LONGEST_HOST = 256


class RefererConf(Conf, level=Level.LOCATION):
    """What may refer. Sizes of nginx's hash tables have no effect here: the tables grow by themselves.

    hosts: what the URI behind a host must begin with (b"": anything), by host; regexes: searched in the whole
    referer without its scheme; server_regexes: searched in the host.
    """

    hash_max_size: int = directive("referer_hash_max_size", SRV | LOC, num, default=2048)
    hash_bucket_size: int = directive("referer_hash_bucket_size", SRV | LOC, num, default=64)
    hosts: Any = value(None)
    regexes: Any = value(())
    server_regexes: Any = value(())
    none: bool = value(False)
    blocked: bool = value(False)

    def __init__(self) -> None:
        super().__init__()
        self.server_names = False

    @command("valid_referers", SRV | LOC)
    def add(self, cf: Cf) -> None:
        """`valid_referers none | blocked | server_names | string ...`"""
        if self.hosts is UNSET:
            self.hosts = HostTable()
        for word in cf.args:
            if not word:
                raise Invalid('invalid referer ""')
            if word == "none":
                self.none = True
            elif word == "blocked":
                self.blocked = True
            elif word == "server_names":
                self.server_names = True
            elif word[0] == "~":
                self._add_regex(word)
            else:
                host, slash, path = word.partition("/")
                self._add_host(host, to_bytes(slash + path))

    def _add_regex(self, word: str) -> None:
        if len(word) == 1:
            raise Invalid(f'empty regex in "{word}"')
        pattern = plain_regex(word[1:], caseless=True)
        self.regexes = (*(self.regexes or ()), pattern.search)

    def _add_host(self, host: str, path: bytes) -> None:
        try:
            self.hosts.add(to_bytes(host).lower(), path)
        except BadName:
            raise Invalid(f'invalid hostname or wildcard "{host}"') from None
        except Conflict:
            raise Invalid(f'conflicting parameter "{host.lower()}"') from None

    def merge(self, cf: Cf, parent: Any) -> None:
        if self.hosts is not UNSET:  # what stands in a `valid_referers` is one whole, but for regular expressions
            self._add_server_names(cf)
            self.none, self.blocked = bool(self.none), bool(self.blocked)
            if (self.none or self.blocked) and not self.hosts:
                raise ConfigError(
                    'the "none" or "blocked" referers are specified '
                    'in the "valid_referers" directive without any valid referer'
                )
        super().merge(cf, parent)

    def _add_server_names(self, cf: Cf) -> None:
        if not self.server_names:
            return
        for name, regex in cf[CoreSrv].names:
            if regex is None:
                self._add_host(to_text(name), b"")
            else:
                self.server_regexes = (*(self.server_regexes or ()), regex.search)

    @property
    def restricts(self) -> bool:
        """Whether there is anything that a referer must be."""
        return bool(self.hosts or self.regexes or self.server_regexes)

    def allows(self, referer: bytes | None) -> bool:
        """Whether *referer*, None without one, may send requests here."""
        if not self.restricts:
            return True
        if referer is None:
            return self.none
        scheme = referer[:8].lower()
        if len(referer) < SHORTEST or not scheme.startswith((b"http://", b"https://")):
            return self.blocked
        rest = referer[8 if scheme == b"https://" else 7 :]
        host = rest.partition(b"/")[0].partition(b":")[0].lower()
        if len(host) > LONGEST_HOST:
            return False
        path: bytes | None = self.hosts.find(host) if self.hosts is not None else None
        if path is not None:
            slash = rest.find(b"/", len(host))
            return not path or (slash >= 0 and rest.startswith(path, slash))
        return any(search(host) is not None for search in self.server_regexes) or any(
            search(rest) is not None for search in self.regexes
        )


def _invalid_referer(r: Request) -> bytes:
    conf: RefererConf = r.loc[RefererConf]
    return b"" if conf.allows(r.head.referer) else b"1"


module = Module(
    name="http_referer",
    confs=(RefererConf,),
    variables=(Variable("invalid_referer", _invalid_referer, CHANGEABLE),),
)
