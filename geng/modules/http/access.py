"""`allow` and `deny`.   nginx: ngx_http_access_module.c"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import HSL, LMT
from geng.core.cidr import BadCidr, Cidr, parse
from geng.errors import Invalid
from geng.http.module import DECLINED, OK, Handler, Module, Phase

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class AccessConf(Conf, level=Level.LOCATION):
    """The rules in order: (network, or None for all; whether it is denied)."""

    rules: Any = value(())

    @command("allow", HSL | LMT)
    def allow(self, cf: Cf) -> None:
        """`allow address | CIDR | unix: | all`"""
        self._add(cf, deny=False)

    @command("deny", HSL | LMT)
    def deny(self, cf: Cf) -> None:
        """`deny address | CIDR | unix: | all`"""
        self._add(cf, deny=True)

    def _add(self, cf: Cf, deny: bool) -> None:
        word = cf.args[0]
        network = None
        if word != "all":
            try:
                network = Cidr(word)
            except BadCidr:
                raise Invalid(f'invalid parameter "{word}"') from None
            if network.loose:
                cf.warn(f"low address bits of {word} are meaningless")
        rules = () if self.rules is UNSET else self.rules
        self.rules = (*rules, (network, deny))


def link(loc: CoreLoc) -> Handler | None:
    """The check of one location; nothing where it has no rules."""
    conf: AccessConf = loc[AccessConf]
    rules = conf.rules
    if not rules:
        return None
    satisfy_all = not loc.satisfy
    denied = judge(rules)

    def check(r: Request) -> int:
        verdict = denied(r.c.addr_text)
        if verdict is None:
            return DECLINED
        if not verdict:
            return OK
        if satisfy_all:
            r.log.error("access forbidden by rule", ctx=r.c)
        return 403

    return check


def judge(rules: Sequence[tuple[Cidr | None, bool]]) -> Callable[[bytes], bool | None]:
    """What says of an address whether the first rule about it denies it; None where there is no such rule."""
    # without any rule for IPv4, nginx holds a mapped address against those for IPv6
    mapped = any(network is None or network.version == 4 for network, _ in rules)

    def denied(address: bytes) -> bool | None:
        number = parse(address, mapped)
        for network, deny in rules:
            if network is None or number in network:
                return deny
        return None

    return denied


module = Module(name="http_access", confs=(AccessConf,), handlers={Phase.ACCESS: link})
