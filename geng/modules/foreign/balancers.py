"""least_time and sticky, in upstream{}.

nginx: ngx_http_upstream_least_time_module.c, ngx_http_upstream_sticky_module.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import UPS
from geng.core.values import BadValue, parse_size
from geng.errors import Invalid, Refused
from geng.http.module import Module
from geng.http.script import compile_value
from geng.modules.foreign.table import Foreign, milliseconds, seconds
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.upstream import ALL, Method, balancing

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

PAGE = 4096
SMALLEST_ZONE = 8 * PAGE
SAMESITE = (b"strict", b"lax", b"none")


class LeastTimeMethod(Method):
    """What servers may say with least_time."""

    flags = ALL


class LeastTimeConf(Foreign, level=Level.SERVER):
    """least_time"""

    mode: str = value()

    @command("least_time", UPS)
    def least_time(self, cf: Cf) -> None:
        """`least_time header | last_byte [inflight]`"""
        balancing(cf, cf[UpstreamServers].upstream, LeastTimeMethod())
        mode, *words = cf.args
        if words and words[0] != "inflight":
            raise Invalid(f'invalid parameter "{words[0]}"')
        if self.mode is not UNSET:
            raise Refused("is duplicate")
        if to_bytes(mode).lower() not in (b"header", b"last_byte"):
            raise Invalid(f'invalid value "{mode}"')
        self.mode = mode


class StickyConf(Foreign, level=Level.SERVER):
    """sticky"""

    sticky_given: bool = value()

    @command("sticky", UPS)
    def sticky(self, cf: Cf) -> None:
        """`sticky cookie name … | route $variable … | learn …`"""
        if self.sticky_given is not UNSET:
            raise Refused("is duplicate")
        self.sticky_given = True
        upstream = cf[UpstreamServers].upstream
        upstream.method = upstream.method or Method()
        kind, *words = cf.args
        if kind == "cookie":
            _cookie(cf, words)
        elif kind == "route":
            for word in words:
                if word[:1] != "$":
                    raise Invalid(f'invalid variable name "{word}"')
                _variable(cf, word[1:])
        elif kind == "learn":
            _learn(cf, words)
        else:
            raise Invalid(f'unknown parameter "{kind}"')


def _variable(cf: Cf, name: str) -> None:
    cf.scope.variables.ref(name)


def _cookie(cf: Cf, words: list[str]) -> None:
    name, *rest = words
    if not name:
        raise Refused("empty cookie name")
    seen: set[str] = set()
    for word in rest:
        parameter, equals, text = word.partition("=")
        if parameter + equals not in ("domain=", "path=", "expires=", "httponly", "secure", "samesite="):
            raise Invalid(f'unknown parameter "{word}"')
        if parameter in seen:
            raise Refused(f'parameter "{parameter}" is duplicate')
        seen.add(parameter)
        if parameter in ("domain", "path") and not text:
            raise Refused(f'no value for "{parameter}"')
        if parameter == "expires" and text != "max" and seconds(text) is None:
            raise Refused('invalid "expires" parameter value')
        if parameter in ("domain", "samesite"):
            literal = compile_value(cf, text).literal
            if parameter == "samesite" and literal is not None and literal.lower() not in SAMESITE:
                raise Refused('invalid "samesite" parameter value')
    _variable(cf, f"cookie_{name}")


def _learn(cf: Cf, words: list[str]) -> None:
    zone: tuple[str, int] | None = None
    timed = False
    variables = {"create": 0, "lookup": 0}
    for word in words:
        parameter, equals, text = word.partition("=")
        if parameter + equals == "zone=":
            if zone is not None:
                raise Refused("duplicate zone")
            zone = _zone(text)
        elif parameter + equals == "timeout=":
            if timed:
                raise Refused("duplicate timeout")
            timed = True
            if not milliseconds(text):
                raise Refused("invalid timeout")
        elif equals and parameter in variables:
            if text[:1] != "$":
                raise Refused(f'missing variable in the "{parameter}" parameter')
            _variable(cf, text[1:])
            variables[parameter] += 1
        elif word != "header":
            raise Invalid(f'unknown parameter "{word}"')
    for parameter in ("lookup", "create"):
        if not variables[parameter]:
            raise Refused(f'"{parameter}" parameter is not specified')
    if zone is None:
        raise Refused('"zone" parameter is not specified')
    _claim(cf, *zone)


def _zone(text: str) -> tuple[str, int]:
    name, colon, size = text.partition(":")
    if not colon:
        raise Refused("zone size is not specified")
    if not name:
        raise Refused("zone name is not specified")
    try:
        made = parse_size(size)
    except BadValue:
        raise Refused("invalid zone size") from None
    if made < SMALLEST_ZONE:
        raise Refused("zone is too small")
    return name, made


def _claim(cf: Cf, name: str, size: int) -> None:
    zone = cf.cycle.zones.add(name, size, "sticky")
    upstream = cf[UpstreamServers].upstream
    if zone.data is not None:
        raise Invalid(f'sticky zone "{name}" is already used in upstream "{zone.data}"')
    zone.data = upstream.host


least_time = Module(name="http_upstream_least_time", confs=(LeastTimeConf,))
sticky = Module(name="http_upstream_sticky", confs=(StickyConf,))
