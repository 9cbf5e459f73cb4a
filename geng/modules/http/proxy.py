"""proxy_pass and what surrounds it: requests passed on over HTTP.   nginx: ngx_http_proxy_module.c"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.compiler import Cf
from geng.conf.convert import complex_text, enum, keyval, num, string, to_bytes, to_text
from geng.conf.directive import UNSET, command, directive, own_or_nameless, value
from geng.conf.tables import LIF, LMT, LOC
from geng.core import hashes
from geng.errors import Invalid, Refused
from geng.http.conf import CoreLoc
from geng.http.module import CHANGEABLE, NOCACHEABLE, Module, Variable
from geng.http.script import Value, compile_regex, compile_value, count_variables
from geng.modules.http.proxy_request import CACHE_HEADERS, DEFAULT_HEADERS, ProxyVars, assembler, target_uri
from geng.modules.http.proxy_rewrite import (
    CookieFlags,
    Rule,
    cookie_rewriter,
    domain_rule,
    first_of,
    literal_rule,
    prefix_rule,
    regex_rule,
)
from geng.modules.http.upstream import upstreams
from geng.net.address import BadAddress, Url, parse_url
from geng.upstream import tls_conf
from geng.upstream.cache_conf import CachePaths
from geng.upstream.conf import HSL, UpstreamConf
from geng.upstream.engine import Exchange, handler
from geng.upstream.headers import HeaderRules
from geng.upstream.http1 import Http1Adapter
from geng.upstream.http2 import ALPN, Http2, Http2Rules

if TYPE_CHECKING:
    from geng.http.module import Handler
    from geng.http.request import Request
    from geng.upstream.upstream import Upstream

NO_URI_PART = (
    '"proxy_pass" cannot have URI part in location given by regular expression, or inside named location,'
    ' or inside "if" statement, or inside "limit_except" block'
)


class Target:
    """What one proxy_pass says: a fixed *upstream* and *vars*, or the *value* to ask for each request.

    *location*: the beginning of a URI that the URI of proxy_pass replaces; *host*: of the address, whose certificate it
    should be.
    """

    __slots__ = ("host", "location", "schema", "upstream", "url", "value", "vars")

    def __init__(self, url: bytes, location: bytes = b"") -> None:
        self.url = url
        self.location = location
        self.schema = b"http://"
        self.host = b""
        self.upstream: Upstream | None = None
        self.vars: ProxyVars | None = None
        self.value: Value | None = None

    def __repr__(self) -> str:
        return f"<Target {to_text(self.url)}>"

    def default_redirect(self) -> Rule:
        """`proxy_redirect default`: the upstream's own addresses become this server's."""
        if self.vars is not None and self.vars.uri:
            return literal_rule(self.url, self.location)
        return literal_rule(self.url + b"/", b"/")


def vars_of(url: Url, default_port: int) -> ProxyVars:
    """nginx: ngx_http_proxy_set_vars"""
    uri = to_bytes(url.uri)
    if url.unix:
        return ProxyVars(b"localhost", b"", uri)
    host = to_bytes(url.host)
    if url.no_port or url.port == default_port:
        return ProxyVars(host, b"%d" % default_port, uri)
    return ProxyVars(b"%s:%d" % (host, url.port), b"%d" % url.port, uri)


def schema_of(text: str) -> tuple[bytes, int]:
    """What a URL begins with, and the port that it means then; (b"", 0) for neither of the two."""
    lower = text[:8].lower()
    if lower[:7] == "http://":
        return to_bytes(text[:7]), 80
    return (to_bytes(text[:8]), 443) if lower == "https://" else (b"", 0)


def compiled(cf: Cf, lines: Sequence[tuple[str, str]]) -> Sequence[tuple[str, Value]]:
    """Header lines to send, their values compiled: as late as nginx does it, and once for all that inherit them.

    nginx: ngx_http_proxy_init_headers
    """
    known: dict[int, Any] = cf.scope.header_lines
    found = known.get(id(lines))
    if found is None:
        found = known[id(lines)] = (lines, [(name, compile_value(cf, text)) for name, text in lines])
    made: Sequence[tuple[str, Value]] = found[1]
    return made


def rule_of(cf: Cf, pattern: str, replacement: str, *, caseless: bool = False, domain: bool = False) -> Rule:
    """`~regex`, or a text, and what stands in its place."""
    if pattern[:1] == "~":
        pattern = pattern[1:]
        if pattern[:1] == "*" and not domain:
            pattern, caseless = pattern[1:], True
        regex = compile_regex(cf, pattern, caseless=caseless)
        return regex_rule(regex, compile_value(cf, replacement))
    if not domain:
        return prefix_rule(compile_value(cf, pattern), compile_value(cf, replacement))
    return domain_rule(compile_value(cf, pattern.removeprefix(".")), compile_value(cf, replacement.removeprefix(".")))


class ProxyCaches(CachePaths, prefix="proxy"):
    """What proxy_cache_path declares."""


class ProxyConf(UpstreamConf, prefix="proxy", caches=True, tls=True):
    """What one location says about proxying. Times in ms, sizes in bytes."""

    default_hide = (
        b"Date", b"Server", b"X-Pad", b"X-Accel-Expires", b"X-Accel-Redirect", b"X-Accel-Limit-Rate",
        b"X-Accel-Buffering", b"X-Accel-Charset",
    )  # fmt: skip
    pass_early_hints = True

    target: Target | None = value(None, own_or_nameless)
    redirect: bool = value(True)
    redirects: list[Rule] | None = value(None)
    cookie_domains: list[Rule] | None = value(None)
    cookie_paths: list[Rule] | None = value(None)
    cookie_flags: list[CookieFlags] | None = value(None)
    set_header: Sequence[tuple[str, str]] = directive("proxy_set_header", HSL, keyval, default=(), repeat=True)
    set_body: str | None = directive("proxy_set_body", HSL, string, default=None)
    method: Value | None = directive("proxy_method", HSL, complex_text, default=None)
    http_version: int = directive("proxy_http_version", HSL, enum({"1.0": 10, "1.1": 11, "2": 20}), default=11)
    headers_hash_max_size: int = directive("proxy_headers_hash_max_size", HSL, num, default=512)
    headers_hash_bucket_size: int = directive("proxy_headers_hash_bucket_size", HSL, num, default=64)

    @command("proxy_pass", LOC | LIF | LMT)
    def set_pass(self, cf: Cf) -> None:
        """`proxy_pass URL`"""
        if self.target is not UNSET:
            raise Refused("is duplicate")
        core = cf[CoreLoc]
        core.content = link
        if core.name.endswith("/"):
            core.auto_redirect = True
        text = cf.args[0]
        target = Target(to_bytes(text))
        if count_variables(text):
            target.value = compile_value(cf, text)
        else:
            self._fixed(cf, core, target, text)
        self.target = target

    def _fixed(self, cf: Cf, core: CoreLoc, target: Target, text: str) -> None:
        schema, port = schema_of(text)
        if not schema:
            raise Invalid("invalid URL prefix")
        target.schema = schema
        target.upstream, url = upstreams(cf).add(cf, text[len(schema) :], port)
        target.vars = vars_of(url, port)
        target.host = to_bytes(url.host)
        if core.named or core.regex is not None or core.nameless:
            if target.vars.uri:
                raise Invalid(NO_URI_PART)
        else:
            target.location = to_bytes(core.name)

    @command("proxy_redirect", HSL)
    def set_redirect(self, cf: Cf) -> None:
        """`proxy_redirect off | default | redirect replacement`"""
        if self.redirect is False:
            raise Refused("is duplicate")
        words = cf.args
        if words == ("off",):
            if self.redirects is not UNSET:
                raise Refused("is duplicate")
            self.redirect = False
            return
        self.redirect = True
        if len(words) == 1 and words[0] != "default":
            raise Invalid(f'invalid parameter "{words[0]}"')
        rule = self._default_redirect() if len(words) == 1 else rule_of(cf, *words)
        self.redirects = [rule] if self.redirects is UNSET else [*(self.redirects or ()), rule]

    def _default_redirect(self) -> Rule:
        target = self.target
        if not target:
            raise Invalid('"proxy_redirect default" should be placed after the "proxy_pass" directive')
        if target.value is not None:
            raise Invalid('"proxy_redirect default" cannot be used with "proxy_pass" directive with variables')
        return target.default_redirect()

    @command("proxy_cookie_domain", HSL)
    def set_cookie_domain(self, cf: Cf) -> None:
        """`proxy_cookie_domain off | domain replacement`"""
        self._add_rule(cf, "cookie_domains", caseless=True, domain=True)

    @command("proxy_cookie_path", HSL)
    def set_cookie_path(self, cf: Cf) -> None:
        """`proxy_cookie_path off | path replacement`"""
        self._add_rule(cf, "cookie_paths")

    @command("proxy_cookie_flags", HSL)
    def set_cookie_flags(self, cf: Cf) -> None:
        """`proxy_cookie_flags off | cookie [flag ...]`"""
        if not self._begin_rules(cf, "cookie_flags"):
            return
        name, *words = cf.args
        values = [compile_value(cf, word) for word in words]
        if name[:1] == "~":
            entry = CookieFlags(None, compile_regex(cf, name[1:], caseless=True), values)
        else:
            entry = CookieFlags(compile_value(cf, name), None, values)
        self._append("cookie_flags", entry)

    def _add_rule(self, cf: Cf, attr: str, **how: Any) -> None:
        if self._begin_rules(cf, attr):
            self._append(attr, rule_of(cf, *cf.args, **how))

    def _begin_rules(self, cf: Cf, attr: str) -> bool:
        """Whether there is a rule to add; `off` is told from it."""
        current = getattr(self, attr)
        if current is None:
            raise Refused("is duplicate")
        if len(cf.args) > 1:
            return True
        if cf.args[0] != "off":
            raise Invalid(f'invalid parameter "{cf.args[0]}"')
        if current is not UNSET:
            raise Refused("is duplicate")
        setattr(self, attr, None)
        return False

    def _append(self, attr: str, entry: Any) -> None:
        current = getattr(self, attr)
        setattr(self, attr, [entry] if current is UNSET else [*current, entry])

    def merge(self, cf: Cf, parent: ProxyConf) -> None:
        super().merge(cf, parent)
        # here, not among the defaults: what is nested inherits this, even with a proxy_pass of its own
        if self.redirects is UNSET and self.redirect is not False and self.target and self.target.value is None:
            self.redirects = [self.target.default_redirect()]

    def check(self, cf: Cf) -> None:
        super().check(cf)
        self._check_names(cf)
        self.header_lines = compiled(cf, self.set_header)
        self.body = None if self.set_body is None else compile_value(cf, self.set_body)  # as late as nginx
        self.all_upstreams = upstreams(cf)
        self.all_caches = cf.confs[ProxyCaches].caches
        if self.target and (self.target.value is not None or len(self.target.schema) == 8):
            self.tls = tls_conf.make(self, cf)
            if self.http_version == 20:
                self.tls.alpn = ALPN

    def _check_names(self, cf: Cf) -> None:
        """Whether nginx could build its tables of header names; once for all who inherit them."""
        sizes = (self.headers_hash_max_size, hashes.aligned(self.headers_hash_bucket_size))
        table = hashes.Hash("proxy_headers_hash", *sizes, partial(cf.log, "warn"))
        hidden = (*self.default_hide, *(to_bytes(name) for name in self.hide_header))
        passed = {to_bytes(name).lower() for name in self.pass_header}
        given = [to_bytes(name) for name, _ in self.set_header if name.lower() != "host"]
        known = {name.lower() for name in given}
        checked: set[Any] = cf.scope.checked
        for kind, source, names in (
            ("hide", (id(self.hide_header), id(self.pass_header)), [n for n in hidden if n.lower() not in passed]),
            ("set", id(self.set_header), given + [n for n, _ in DEFAULT_HEADERS if n.lower() not in known]),
            ("cache", id(self.set_header), given + [n for n, _ in CACHE_HEADERS if n.lower() not in known]),
        ):
            if (kind, source, sizes) not in checked and (kind != "cache" or self.cache):
                checked.add((kind, source, sizes))
                table.build([name.lower() for name in names])


class ProxyAdapter(Http1Adapter):
    """One location's way to its HTTP upstream."""

    rules_class = HeaderRules

    def __init__(self, loc: CoreLoc, conf: ProxyConf, target: Target) -> None:
        parts: dict[str, Any] = dict(
            version=min(conf.http_version, 11),
            method=conf.method,
            vars=target.vars,
            location=target.location,
            headers=conf.header_lines,
            body=conf.body,
            pass_headers=conf.pass_request_headers,
            streams=conf.pass_request_body and conf.body is None and not conf.request_buffering,
        )
        assemble = assembler(**parts)
        Http1Adapter.__init__(
            self, loc, conf, target.schema, assemble, conf.pass_request_body and conf.body is None,
            min(conf.http_version, 11),
        )  # fmt: skip
        self.rules = self.rules_class(
            conf,
            first_of(conf.redirects) if conf.redirect and conf.redirects else None,
            cookie_rewriter(conf.cookie_domains or (), conf.cookie_paths or (), conf.cookie_flags or ())
            if conf.cookie_domains or conf.cookie_paths or conf.cookie_flags
            else None,
        )
        self.upstream = target.upstream
        self.upstreams = conf.all_upstreams
        self.host = target.host
        self.tls = conf.tls if len(target.schema) == 8 else None
        self.vars = target.vars
        self.value = target.value
        self.location = target.location
        self.caches = conf.all_caches
        if conf.cache:
            self.assemble_cached = assembler(**parts, defaults=CACHE_HEADERS)

    def cache_key(self, u: Exchange) -> bytes:
        """Schema, host and URI of the request as the upstream sees it.   nginx: ngx_http_proxy_create_key"""
        vars = u.vars or self.vars
        assert vars is not None
        return u.schema + vars.host_header + target_uri(u.r, vars, self.location, u.vars is not None)


class VariableProxyAdapter(ProxyAdapter):
    """proxy_pass with variables."""

    def begin(self, u: Exchange) -> int:
        """nginx: ngx_http_proxy_eval"""
        r = u.r
        assert self.value is not None
        text = to_text(self.value.fn(r))
        schema, port = schema_of(text)
        if not schema or len(text) == len(schema):
            r.log.error(f'invalid URL prefix in "{text}"', ctx=r.c)
            return 500
        u.schema = schema
        if port == 443:
            u.tls = self.conf.tls
        try:
            u.aim = url = parse_url(text[len(schema) :], port, uri_part=True)
        except BadAddress as bad:
            r.log.error(f'{bad} in upstream "{text[len(schema) :]}"', ctx=r.c)
            return 500
        if url.uri[:1] == "?":
            url.uri = "/" + url.uri
        u.vars = vars_of(url, port)
        return 0


class ProxyV2Adapter(Http2, ProxyAdapter):
    """proxy_http_version 2.   nginx: ngx_http_proxy_v2_module.c"""

    rules_class = Http2Rules

    def __init__(self, loc: CoreLoc, conf: ProxyConf, target: Target) -> None:
        ProxyAdapter.__init__(self, loc, conf, target)
        self.setup()

    def create_request(self, u: Exchange) -> Sequence[Any]:
        return self.framed_request(u, ProxyAdapter.create_request(self, u))


class VariableProxyV2Adapter(ProxyV2Adapter):
    """The same, and proxy_pass with variables."""

    begin = VariableProxyAdapter.begin


ADAPTERS: dict[tuple[bool, bool], type[ProxyAdapter]] = {
    (False, False): ProxyAdapter,
    (False, True): VariableProxyAdapter,
    (True, False): ProxyV2Adapter,
    (True, True): VariableProxyV2Adapter,
}


def link(loc: CoreLoc) -> Handler:
    """The content handler of a location with proxy_pass."""
    conf = loc[ProxyConf]
    target = conf.target
    assert target is not None
    cls = ADAPTERS[conf.http_version == 20, target.value is not None]
    return handler(cls(loc, conf, target))


# ---- variables


def _vars(r: Request) -> ProxyVars | None:
    u = r.upstream
    if u is None or not isinstance(u.adapter, ProxyAdapter):
        return None
    vars: ProxyVars | None = u.vars or u.adapter.vars
    return vars


def proxy_host(r: Request) -> bytes | None:
    vars = _vars(r)
    return None if vars is None else vars.host_header


def proxy_port(r: Request) -> bytes | None:
    vars = _vars(r)
    return None if vars is None else vars.port


def add_x_forwarded_for(r: Request) -> bytes | None:
    came = r.head.joined(b"x-forwarded-for")
    return r.c.addr_text if came is None else came + b", " + r.c.addr_text


def internal_body_length(r: Request) -> bytes | None:
    u = r.upstream
    if u is None or u.chunked:
        return None
    length = u.body_length if u.body_length >= 0 else r.content_length_n
    return None if length < 0 else b"%d" % length


def internal_chunked(r: Request) -> bytes | None:
    u = r.upstream
    return b"chunked" if u is not None and u.chunked else None


module = Module(
    name="http_proxy",
    confs=(ProxyCaches, ProxyConf),
    variables=(
        Variable("proxy_host", proxy_host, CHANGEABLE | NOCACHEABLE),
        Variable("proxy_port", proxy_port, CHANGEABLE | NOCACHEABLE),
        Variable("proxy_add_x_forwarded_for", add_x_forwarded_for),
        Variable("proxy_internal_body_length", internal_body_length, NOCACHEABLE),
        Variable("proxy_internal_chunked", internal_chunked, NOCACHEABLE),
    ),
)
