"""Values of TLS directives that http, stream, mail and the upstream modules have alike.

nginx: ngx_http_ssl_module.c (ngx_http_ssl_session_cache, ngx_http_ssl_ocsp_cache, ngx_http_ssl_certificate_cache)

None of this needs OpenSSL: a configuration can be read without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geng.conf.convert import with_cf
from geng.core.log import errno_text
from geng.core.values import BadValue, atoi, parse_sec, parse_size
from geng.core.zone import PAGE, Zone
from geng.errors import ConfigError, Invalid
from geng.tls.loading import RuntimeCache, read_passwords
from geng.tls.openssl import NoOpenSsl, library
from geng.tls.sessions import TicketKey, map_zone, read_ticket_key

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

LEAST_ZONE = 8 * PAGE

#: What `ssl_session_cache` says of OpenSSL's own cache; a number from 0 on is its size.
OFF, NONE, NO_BUILTIN, DEFAULT_BUILTIN = -2, -3, -4, -5
WORDS = {"off": OFF, "none": NONE, "builtin": DEFAULT_BUILTIN}


@dataclass(slots=True)
class SessionCache:
    """`ssl_session_cache`: *builtin* as above, *zone* of the sessions that workers share."""

    builtin: int | None = None
    zone: Zone | None = None


def _shared(cf: Cf, word: str, what: str, tag: str) -> Zone:
    """The zone of `shared:name:size`; raises Invalid."""
    kind, _, rest = word.partition(":")
    name, colon, text = rest.partition(":")
    try:
        if kind != "shared" or not name or not colon:
            raise BadValue
        size = parse_size(text)
    except BadValue:
        raise Invalid(f'invalid {what} "{word}"') from None
    if size < LEAST_ZONE:
        raise Invalid(f'{what} "{word}" is too small')
    return cf.cycle.zones.add(name, size, tag)


def read_session_cache(cf: Cf, tag: str) -> SessionCache:
    """`off`, `none`, `builtin[:number]`, `shared:name:size`; *tag* keeps the zones of http, stream and mail apart."""
    found = SessionCache()
    for word in cf.args:
        if word in WORDS:
            found.builtin = WORDS[word]
        elif word.startswith("builtin:") and len(word) > 8:
            try:
                found.builtin = atoi(word[8:])
            except BadValue:
                raise Invalid(f'invalid session cache "{word}"') from None
        else:
            found.zone = _shared(cf, word, "session cache", tag)
            found.zone.init = map_zone
    if found.zone is not None and found.builtin is None:
        found.builtin = NO_BUILTIN
    return found


def read_ocsp_cache(cf: Cf, tag: str) -> Zone | None:
    """`off` or `shared:name:size`"""
    word = cf.args[0]
    if word == "off":
        return None
    zone = _shared(cf, word, "OCSP cache", tag)
    zone.init = map_zone
    return zone


def runtime_cache(cf: Cf, most: int = 0, valid: int = 60, inactive: int = 10) -> RuntimeCache:
    """A cache of certificates whose files have names as in the configuration; it keeps none by default."""
    full_name = cf.cycle.sources.full_name
    return RuntimeCache(lambda name: full_name(name, True), most, valid, inactive)


@with_cf
def certificate_cache(cf: Cf, *words: str) -> RuntimeCache | None:
    """`off` or `max=N [inactive=time] [valid=time]`"""
    times = {"inactive": 10, "valid": 60}
    most, there = 0, True
    for word in words:
        name, equals, text = word.partition("=")
        try:
            if word == "off":
                there = False
            elif name == "max" and equals:
                most = atoi(text)
                if not most:
                    raise BadValue
            elif name in times and equals:
                times[name] = parse_sec(text)
            else:
                raise BadValue
        except BadValue:
            raise Invalid(f'invalid parameter "{word}"') from None
    if not there:
        return None
    if not most:
        raise Invalid(f'"{cf.node.name}" must have the "max" parameter')
    return runtime_cache(cf, most, times["valid"], times["inactive"])


@with_cf
def password_file(cf: Cf, name: str) -> list[bytes]:
    """The passwords in a file of the configuration.   nginx: ngx_ssl_read_password_file"""
    full = cf.path(name, conf_prefix=True)
    try:
        return read_passwords(full)
    except IsADirectoryError as error:
        raise Invalid(f'read() "{full}" failed{errno_text(error.errno)}') from None
    except OSError as error:
        raise Invalid(f'open() "{full}" failed{errno_text(error.errno)}') from None
    except ValueError:
        raise Invalid(f'too long line in "{full}"') from None


def load_ticket_key(cf: Cf, name: str) -> TicketKey:
    """A file of `ssl_session_ticket_key`; raises ConfigError."""
    full = cf.path(name, conf_prefix=True)
    try:
        with open(full, "rb") as file:
            data = file.read(81)
    except IsADirectoryError:
        data = b""
    except OSError as error:
        raise cf.error(f'open() "{full}" failed{errno_text(error.errno)}') from None
    if len(data) not in (48, 80):
        raise cf.error(f'"{full}" must be 48 or 80 bytes')
    return read_ticket_key(data)


def need_library() -> None:
    """Find OpenSSL; raises ConfigError."""
    try:
        library()
    except NoOpenSsl as missing:
        raise ConfigError(str(missing)) from None
