"""Perl's directives; what stands in the Perl is not looked at.   nginx: ngx_http_perl_module.c"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.conf.convert import string
from geng.conf.directive import UNSET, Level, command, value
from geng.conf.tables import HTTP, LMT, LOC
from geng.errors import Invalid
from geng.http.module import CHANGEABLE, Module, Variable
from geng.modules.foreign.table import Foreign, many

if TYPE_CHECKING:
    from geng.conf.compiler import Cf


class PerlMain(
    Foreign, level=Level.MAIN, module="http_perl", rules={"perl_modules": many(string), "perl_require": many(string)}
):
    """What http{} says."""

    @command("perl_set", HTTP)
    def set_variable(self, cf: Cf) -> None:
        """`perl_set $variable module::function`"""
        name = cf.args[0]
        if name[:1] != "$":
            raise Invalid(f'invalid variable name "{name}"')
        cf.scope.variables.add(Variable(name[1:].lower(), flags=CHANGEABLE))
        cf.scope.variables.ref(name[1:])


class PerlConf(Foreign):
    """What a location says."""

    handler: str = value()

    @command("perl", LOC | LMT)
    def set_handler(self, cf: Cf) -> None:
        """`perl module::function`"""
        if self.handler is not UNSET:
            raise Invalid(f'duplicate perl handler "{cf.args[0]}"')
        self.handler = cf.args[0]


module = Module(name="http_perl", confs=(PerlMain, PerlConf))
