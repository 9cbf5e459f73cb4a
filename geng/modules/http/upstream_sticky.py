"""`sticky`: which of a client's requests go to the same peer.   nginx: ngx_http_upstream_sticky_module.c"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import UPS
from geng.core import clock
from geng.core.values import BadValue, parse_msec, parse_sec, parse_size
from geng.core.zone import PAGE
from geng.errors import Invalid, Refused
from geng.hot.dates import cookie_time
from geng.http.module import Module
from geng.http.script import Value, compile_value, variable_name
from geng.modules.http.upstream import UpstreamServers
from geng.upstream.sticky import Sessions, Stickiness
from geng.upstream.upstream import Method

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

TAG = "sticky"
SMALLEST_ZONE = 8 * PAGE
TIMEOUT = 600_000
SAMESITE = (b"strict", b"lax", b"none")
MAX_EXPIRES = b"; expires=Thu, 31-Dec-37 23:55:55 GMT; max-age=315360000"
COOKIE_PARAMETERS = ("domain=", "path=", "expires=", "httponly", "secure", "samesite=")


class UpstreamSticky(Conf, level=Level.SERVER):
    """The directive; what it says is kept by the upstream."""

    given_once: bool = value()

    @command("sticky", UPS)
    def sticky(self, cf: Cf) -> None:
        """`sticky cookie name … | route $variable … | learn …`"""
        if self.given_once is not UNSET:
            raise Refused("is duplicate")
        self.given_once = True
        upstream = cf[UpstreamServers].upstream
        upstream.method = upstream.method or Method()
        upstream.sticky = made = Stickiness()
        kind, *words = cf.args
        if kind == "cookie":
            made.cookie = read_cookie(cf, words)
            made.lookup.append(cf.scope.variables.ref(f"cookie_{words[0]}"))
        elif kind == "route":
            for word in words:
                made.lookup.append(cf.scope.variables.ref(variable_name(word)))
        elif kind == "learn":
            Learn(made).read(cf, words)
        else:
            raise Invalid(f'unknown parameter "{kind}"')


# ---- cookie


def read_cookie(cf: Cf, words: list[str]) -> Callable[[Any, bytes], bytes]:
    """`cookie name [expires=time] [domain=domain] [httponly] [samesite=…] [secure] [path=path]`: what makes it."""
    name, *rest = words
    if not name:
        raise Refused("empty cookie name")
    given: dict[str, Any] = {}
    for word in rest:
        parameter, equals, text = word.partition("=")
        if parameter + equals not in COOKIE_PARAMETERS:
            raise Invalid(f'unknown parameter "{word}"')
        if parameter in given:
            raise Refused(f'parameter "{parameter}" is duplicate')
        given[parameter] = _cookie_parameter(cf, parameter, text)
    return _cookie_maker(to_bytes(name), given)


def _cookie_parameter(cf: Cf, parameter: str, text: str) -> Any:
    """What one of them says; None for "max"."""
    if parameter in ("domain", "path") and not text:
        raise Refused(f'no value for "{parameter}"')
    if parameter == "path":
        return to_bytes(text)
    if parameter == "expires":
        try:
            return None if text == "max" else parse_sec(text)
        except BadValue:
            raise Refused('invalid "expires" parameter value') from None
    if parameter in ("httponly", "secure"):
        return True
    made = compile_value(cf, text)
    if parameter == "samesite" and made.literal is not None and made.literal.lower() not in SAMESITE:
        raise Refused('invalid "samesite" parameter value')
    return made


def _cookie_maker(name: bytes, given: dict[str, Any]) -> Callable[[Any, bytes], bytes]:
    """nginx: ngx_http_upstream_sticky_cookie_insert"""
    domain: Value | None = given.get("domain")
    samesite: Value | None = given.get("samesite")
    flags = b"".join(b"; " + to_bytes(flag) for flag in ("httponly", "secure") if flag in given)
    path = b"; path=" + given["path"] if "path" in given else b""

    def make(r: Any, sid: bytes) -> bytes:
        cookie = name + b"=" + sid
        if "expires" in given:
            cookie += _expires(given["expires"])
        host = domain(r) if domain is not None else b""
        if host:
            cookie += b"; domain=" + host
        cookie += flags
        site = samesite(r) if samesite is not None else b""
        if site:
            cookie += b"; samesite=" + (site if site.lower() in SAMESITE else b"strict")
        return cookie + path

    return make


def _expires(seconds: int | None) -> bytes:
    if seconds is None:
        return MAX_EXPIRES
    return b"; expires=%s; max-age=%d" % (cookie_time(clock.seconds() + seconds), seconds)


# ---- learn


class Learn:
    """`learn create=$variable lookup=$variable zone=name:size [timeout=time] [header]`"""

    def __init__(self, made: Stickiness) -> None:
        self.made = made
        self.zone = ("", 0)
        self.timeout: int | None = None

    def read(self, cf: Cf, words: list[str]) -> None:
        """Take the parameters; raises Invalid and Refused in nginx's words."""
        for word in words:
            self._parameter(cf, word)
        if not self.made.lookup:
            raise Refused('"lookup" parameter is not specified')
        if not self.made.create:
            raise Refused('"create" parameter is not specified')
        name, size = self.zone
        if not name:
            raise Refused('"zone" parameter is not specified')
        zone = cf.cycle.zones.add(name, size, TAG)
        if zone.data is not None:
            raise Invalid(f'sticky zone "{name}" is already used in upstream "{zone.data.host}"')
        timeout = TIMEOUT if self.timeout is None else self.timeout
        self.made.sessions = Sessions(zone, cf[UpstreamServers].upstream.host, timeout)

    def _parameter(self, cf: Cf, word: str) -> None:
        parameter, equals, text = word.partition("=")
        if parameter + equals == "zone=":
            if self.zone[0]:
                raise Refused("duplicate zone")
            self.zone = read_zone(text)
        elif parameter + equals == "timeout=":
            if self.timeout is not None:
                raise Refused("duplicate timeout")
            self.timeout = _timeout(text)
        elif equals and parameter in ("create", "lookup"):
            if text[:1] != "$":
                raise Refused(f'missing variable in the "{parameter}" parameter')
            refs = self.made.create if parameter == "create" else self.made.lookup
            refs.append(cf.scope.variables.ref(text[1:]))
        elif word == "header":
            self.made.early = True
        else:
            raise Invalid(f'unknown parameter "{word}"')


def _timeout(text: str) -> int:
    try:
        made = parse_msec(text)
    except BadValue:
        made = 0
    if not made:
        raise Refused("invalid timeout")
    return made


def read_zone(text: str) -> tuple[str, int]:
    """`name:size`"""
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


module = Module(name="http_upstream_sticky", confs=(UpstreamSticky,))
