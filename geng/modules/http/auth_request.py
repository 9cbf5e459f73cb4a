"""`auth_request`: another URI says whether this one may be served.   nginx: ngx_http_auth_request_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import HSL
from geng.errors import Refused
from geng.http import subrequest
from geng.http.body import RequestBody
from geng.http.module import CHANGEABLE, ERROR, OK, Handler, Module, Phase, Setter, Variable
from geng.http.script import Value, Variables, compile_value, variable_name

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class AuthRequestConf(Conf, level=Level.LOCATION):
    """Whom to ask, and what to remember of the answer: (variable, its setter, value)."""

    uri: bytes = value(b"")
    sets: list[tuple[str, Setter | None, Value]] = value(())

    @command("auth_request", HSL)
    def set_uri(self, cf: Cf) -> None:
        """`auth_request uri | off`"""
        if self.uri is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        self.uri = b"" if word == "off" else to_bytes(word)

    @command("auth_request_set", HSL)
    def add_set(self, cf: Cf) -> None:
        """`auth_request_set $variable value`"""
        word, text = cf.args
        name = variable_name(word)
        variables: Variables = cf.scope.variables
        known = variables.defined.get(name)
        if known is None or not known.flags & CHANGEABLE:
            variables.add(Variable(name, None, CHANGEABLE))
        variables.ref(name)
        sets = [] if self.sets is UNSET else self.sets
        self.sets = [*sets, (name, variables.defined[name].set, compile_value(cf, text))]


def link(loc: CoreLoc) -> Handler | None:
    """What asks before *loc* is served."""
    conf = loc[AuthRequestConf]
    uri = conf.uri
    if not uri:
        return None
    sets = tuple((name, setter, made.fn) for name, setter, made in conf.sets)

    def auth_request(r: Request) -> int:
        try:
            sub = subrequest.make(r, uri)
        except subrequest.SubrequestsCycle:
            return ERROR
        sub.header_only = True
        sub.body = RequestBody()  # the real one is not for it, and belongs to what comes afterwards
        subrequest.run(sub)
        if r.hc.broken:
            return ERROR
        _set_variables(r, sub, sets)
        return _judge(r, sub)

    return auth_request


def _set_variables(r: Request, sub: Request, sets: tuple[tuple[str, Setter | None, Callable[[Any], bytes]], ...]) -> None:
    """At once, so that they are there after internal redirects as well."""
    for name, setter, make in sets:
        made = make(sub)
        if setter is not None:
            setter(r, made)
        else:
            r.vars[name] = made


def _judge(r: Request, sub: Request) -> int:
    status = sub.out.status
    if status == 403:
        return status
    if status == 401:
        _challenge(r, sub)
        return status
    if 200 <= status < 300:
        return OK
    r.log.error(f"auth request unexpected status: {status}", ctx=r.c)
    return 500


def _challenge(r: Request, sub: Request) -> None:
    """How to log in: what the subrequest would have told, else what its upstream did tell."""
    told = sub.out.getall(b"www-authenticate")
    head = sub.upstream.head if sub.upstream is not None else None
    if not told and head is not None:
        told = head.getall(b"www-authenticate")
    for challenge in told:
        r.out.add(b"WWW-Authenticate", challenge)


module = Module(
    name="http_auth_request",
    configure_flag="--with-http_auth_request_module",
    confs=(AuthRequestConf,),
    handlers={Phase.ACCESS: link},
)
