"""The directives of TLS toward upstreams, for any protocol: proxy_ssl_…, uwsgi_ssl_…

nginx: ngx_http_proxy_module.c (ngx_http_proxy_merge_ssl, ngx_http_proxy_set_ssl)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, complex_text, flag, keyval, num, string
from geng.conf.directive import directive
from geng.conf.tables import HTTP, LOC, SRV
from geng.errors import ConfigError
from geng.net import tls as net
from geng.tls.conf import certificate_cache, need_library, password_file, runtime_cache
from geng.tls.context import DEFAULT_PROTOCOLS, PROTOCOLS, Context
from geng.upstream.tls import UpstreamTls

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

HSL = HTTP | SRV | LOC


#: attribute (and, behind the prefix, the directive's name) -> converter, default, gathered over several directives
TABLE: dict[str, tuple[Callable[..., Any], Any, bool]] = {
    "ssl_session_reuse": (flag, True, False),
    "ssl_protocols": (bitmask(PROTOCOLS), DEFAULT_PROTOCOLS, False),
    "ssl_ciphers": (string, "DEFAULT", False),
    "ssl_name": (complex_text, None, False),
    "ssl_server_name": (flag, False, False),
    "ssl_verify": (flag, False, False),
    "ssl_verify_depth": (num, 1, False),
    "ssl_trusted_certificate": (string, "", False),
    "ssl_crl": (string, "", False),
    "ssl_certificate": (complex_text, None, False),
    "ssl_certificate_key": (complex_text, None, False),
    "ssl_certificate_cache": (certificate_cache, None, False),
    "ssl_password_file": (password_file, None, False),
    "ssl_conf_command": (keyval, None, True),
}


def declare(cls: Any, prefix: str) -> None:
    """Give a conf class the directives of *prefix*; called before Conf gathers them."""
    for attr, (convert, default, repeat) in TABLE.items():
        setattr(cls, attr, directive(f"{prefix}_{attr}", HSL, convert, default=default, repeat=repeat))


def make(conf: Any, cf: Cf, kind: type[UpstreamTls] = UpstreamTls) -> UpstreamTls:
    """What a location with these words does to its connections; raises ConfigError.

    Locations that say the same share the library's context, and so the sessions.
    """
    need_library()
    net.start()
    found: Any = conf
    pair = _pair(conf)
    fixed = pair is not None and pair[0].literal is not None and pair[1].literal is not None
    key = (
        found.ssl_protocols, found.ssl_ciphers, found.ssl_verify, found.ssl_verify_depth, found.ssl_trusted_certificate,
        found.ssl_crl, tuple(found.ssl_conf_command or ()), found.ssl_session_reuse,
        (pair[0].text, pair[1].text, tuple(found.ssl_password_file or ())) if fixed and pair else None,
    )  # fmt: skip
    contexts: dict[Any, Context] = cf.scope.upstream_contexts
    context = contexts.get(key)
    if context is None:
        context = contexts[key] = _context(found, cf, pair if fixed else None)
    return kind(
        context,
        name=found.ssl_name,
        sends_name=found.ssl_server_name,
        verify=found.ssl_verify,
        reuse=found.ssl_session_reuse,
        pair=None if fixed else pair,
        cache=found.ssl_certificate_cache or runtime_cache(cf),
        passwords=found.ssl_password_file or (),
    )


def _pair(conf: Any) -> tuple[Any, Any] | None:
    """The certificate to show and its key; None for none, which an empty text means too."""
    certificate = conf.ssl_certificate
    if certificate is None or not certificate.text:
        return None
    if conf.ssl_certificate_key is None:
        name = f"{conf.prefix}_ssl_certificate_key"
        raise ConfigError(f'no "{name}" is defined for certificate "{certificate.text}"')
    return certificate, conf.ssl_certificate_key


def _context(conf: Any, cf: Cf, pair: tuple[Any, Any] | None) -> Context:
    context = Context(conf.ssl_protocols)
    objects = cf.cycle.tls_objects
    context.set_ciphers(conf.ssl_ciphers, False)
    if pair is not None:
        context.add_certificate(objects, pair[0].text, pair[1].text, conf.ssl_password_file)
    if conf.ssl_verify:
        if not conf.ssl_trusted_certificate:
            raise ConfigError(f"no {conf.prefix}_ssl_trusted_certificate for {conf.prefix}_ssl_verify")
        context.add_trusted(objects, conf.ssl_trusted_certificate, conf.ssl_verify_depth)
        context.add_crl(objects, conf.ssl_crl)
    if conf.ssl_session_reuse:
        context.keep_sessions()
    if conf.ssl_conf_command:
        context.run_commands(conf.ssl_conf_command, lambda name: cf.path(name, conf_prefix=True))
    return context
