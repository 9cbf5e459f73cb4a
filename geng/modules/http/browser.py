"""`$modern_browser` and `$ancient_browser`: how old the client is.   nginx: ngx_http_browser_module.c"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import HSL
from geng.errors import Invalid, Unsaid
from geng.hot.http1 import MSIE
from geng.http.module import CHANGEABLE, Module, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

NEVER = 4001000000  # no version reaches it


@dataclass(slots=True, frozen=True)
class Mask:
    """How a browser shows in User-Agent: *name* somewhere from *skip* on, the version *add* bytes behind its start."""

    rank: int
    skip: int
    add: int
    name: bytes


#: In the order in which they are looked for: Opera says that it is others, too.
MASKS = {
    "opera": Mask(0, 0, len("Opera "), b"Opera"),
    "msie": Mask(1, len("Mozilla/4.0 (compatible; "), len("MSIE "), b"MSIE "),
    "gecko": Mask(2, len("Mozilla/5.0 ("), len("rv:"), b"rv:"),
    "safari": Mask(3, len("Mozilla/5.0 ("), len("Safari/"), b"Safari/"),
    "konqueror": Mask(4, len("Mozilla/5.0 (compatible; "), len("Konqueror/"), b"Konqueror/"),
}


class BrowserConf(Conf, level=Level.LOCATION):
    """Which browsers are modern from which version on, and which texts mean an ancient one."""

    modern_value: bytes = value(b"1")
    ancient_value: bytes = value(b"1")
    modern: Any = value(())
    ancient: Any = value(())
    unlisted: bool = value(False)
    netscape4: bool = value(False)

    @command("modern_browser", HSL)
    def add_modern(self, cf: Cf) -> None:
        """`modern_browser browser version | unlisted`"""
        browser, *rest = cf.args
        if not rest:
            if browser != "unlisted":
                raise Unsaid(f'invalid parameter "{browser}"')
            self.unlisted = True
            return
        mask = MASKS.get(browser.lower())
        if mask is None:
            raise Invalid(f'unknown browser name "{browser}"')
        if rest[0].strip("0123456789."):
            raise Invalid(f'invalid browser version "{rest[0]}"')
        self.modern = (*(self.modern or ()), (mask, read_version(to_bytes(rest[0]))))

    @command("ancient_browser", HSL)
    def add_ancient(self, cf: Cf) -> None:
        """`ancient_browser string ... | netscape4`"""
        for word in cf.args:
            if word == "netscape4":
                self.netscape4 = True
            else:
                self.ancient = (*(self.ancient or ()), to_bytes(word))

    @command("modern_browser_value", HSL)
    def set_modern_value(self, cf: Cf) -> None:
        """`modern_browser_value string`; the last one counts"""
        self.modern_value = to_bytes(cf.args[0])

    @command("ancient_browser_value", HSL)
    def set_ancient_value(self, cf: Cf) -> None:
        """`ancient_browser_value string`; the last one counts"""
        self.ancient_value = to_bytes(cf.args[0])

    def merge(self, cf: Cf, parent: Any) -> None:
        if self.modern is not UNSET or self.unlisted is not UNSET:  # one is inherited with the other
            self.modern, self.unlisted = self.modern or (), bool(self.unlisted)
        if self.ancient is not UNSET or self.netscape4 is not UNSET:
            self.ancient, self.netscape4 = self.ancient or (), bool(self.netscape4)
        super().merge(cf, parent)

    def check(self, cf: Cf) -> None:
        modern = self.modern
        if modern and all(mask.rank for mask, _ in modern):
            modern = (*modern, (MASKS["opera"], NEVER))  # or it would be taken for what it says it is
        self.modern = tuple(sorted(modern, key=lambda one: one[0].rank))

    def is_modern(self, agent: bytes | None) -> bool:
        """nginx: ngx_http_browser"""
        if agent is None:
            return self.unlisted
        for mask, version in self.modern:
            at = agent.find(mask.name, mask.skip)
            if at < 0 or at + mask.add >= len(agent):
                continue
            return read_version(agent[at + mask.add :], version) >= version
        if self.modern and not self.unlisted:
            return False
        if self.netscape4 and len(agent) > len("Mozilla/4.72 ") and agent.startswith(b"Mozilla/") and 48 < agent[8] < 53:
            return False
        if any(text in agent for text in self.ancient):
            return False
        return self.unlisted


def read_version(text: bytes, enough: int = NEVER) -> int:
    """`7.50` as 7500000: a part counts a hundredth of the one before; no further than it takes to be above *enough*."""
    version = part = 0
    scale = 1000000
    for digit in text:
        if 48 <= digit <= 57:
            part = part * 10 + digit - 48
        elif digit == 46:
            version += part * scale
            if version > enough:
                return version
            part = 0
            scale //= 100
        else:
            break
    return version + part * scale


def _modern(r: Request) -> bytes:
    conf = r.loc[BrowserConf]
    return conf.modern_value if conf.is_modern(r.head.user_agent) else b""


def _ancient(r: Request) -> bytes:
    conf = r.loc[BrowserConf]
    return b"" if conf.is_modern(r.head.user_agent) else conf.ancient_value


module = Module(
    name="http_browser",
    confs=(BrowserConf,),
    variables=(
        Variable("msie", lambda r: b"1" if r.head.browser & MSIE else b"", CHANGEABLE),
        Variable("modern_browser", _modern, CHANGEABLE),
        Variable("ancient_browser", _ancient, CHANGEABLE),
    ),
)
