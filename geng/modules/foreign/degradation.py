"""degradation and degrade.   nginx: ngx_http_degradation_module.c"""

from __future__ import annotations

from geng.conf.convert import enum
from geng.conf.directive import Level
from geng.core.values import BadValue, parse_size
from geng.errors import Invalid
from geng.http.module import Module
from geng.modules.foreign.table import Foreign, many


def sbrk(word: str) -> int:
    """`sbrk=size`"""
    name, equals, text = word.partition("=")
    if name != "sbrk" or not equals:
        raise Invalid(f'invalid parameter "{word}"')
    try:
        return parse_size(text)
    except BadValue:
        raise Invalid(f'invalid sbrk size "{word}"') from None


class DegradationMain(Foreign, level=Level.MAIN, module="http_degradation", rules={"degradation": many(sbrk)}):
    """What http{} says."""


class DegradationConf(Foreign, module="http_degradation", rules={"degrade": enum({"204": 204, "444": 444})}):
    """What a location says."""


module = Module(name="http_degradation", confs=(DegradationMain, DegradationConf))
