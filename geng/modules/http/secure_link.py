"""`$secure_link`: whether the one who asks was given this link, and whether it still holds.

nginx: ngx_http_secure_link_module.c
"""

from __future__ import annotations

from binascii import Error as BadHex
from binascii import unhexlify
from hashlib import md5
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from geng.conf.convert import complex_value, octets
from geng.conf.directive import UNSET, Conf, Level, directive, own
from geng.conf.tables import HSL
from geng.core import base64, clock
from geng.core.values import BadValue, atoi
from geng.errors import Invalid
from geng.http.module import Module, Variable

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.request import Request

LONGEST = 24  # characters of an MD5 sum in base64
URL_SAFE = bytes.maketrans(b"-_+/", b"+/!!")  # what stands for what; the usual two are no part of it


class SecureLinkConf(Conf, level=Level.LOCATION):
    """What a link says of itself (`hash[,expires]`) and what its hash is made of; or the secret of the old way."""

    told: Any = directive("secure_link", HSL, complex_value, default=None)
    hashed: Any = directive("secure_link_md5", HSL, complex_value, default=None)
    secret: bytes | None = directive("secure_link_secret", HSL, octets, default=None, merge=own)

    def merge(self, cf: Cf, parent: Any) -> None:
        if self.secret is not UNSET and self.secret is not None:
            if self.told or self.hashed:
                raise Invalid('"secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"')
            self.told = self.hashed = None
        else:
            super().merge(cf, parent)
            if not self.told and not self.hashed:
                self.secret = parent.secret


def _secure_link(r: Request) -> bytes | None:
    conf = r.loc[SecureLinkConf]
    if conf.secret is not None:
        return _old(r.unparsed_uri, conf.secret)
    if conf.told is None or conf.hashed is None:
        return None
    told, comma, text = conf.told(r).partition(b",")
    expires = 0
    if comma:
        try:
            expires = atoi(text)
        except BadValue:
            return None
        if expires <= 0:
            return None
        r.ctx[SecureLinkConf] = text
    found = base64.decode(told.translate(URL_SAFE)) if len(told) <= LONGEST else None
    if found is None or len(found) != 16 or not compare_digest(found, _sum(conf.hashed(r))):
        return None
    return b"0" if expires and expires < clock.seconds() else b"1"


def _old(uri: bytes, secret: bytes) -> bytes | None:
    """`/prefix/hash/link`: the link, where the hash is of link and secret."""
    parts = uri[1:].split(b"/", 2)
    if len(parts) < 3 or len(parts[1]) != 32 or not parts[2]:
        return None
    try:
        found = unhexlify(parts[1])
    except (BadHex, ValueError):
        return None
    return parts[2] if compare_digest(found, _sum(parts[2] + secret)) else None


def _sum(text: bytes) -> bytes:
    return md5(text, usedforsecurity=False).digest()


def _expires(r: Request) -> bytes | None:
    return r.ctx.get(SecureLinkConf)


module = Module(
    name="http_secure_link",
    configure_flag="--with-http_secure_link_module",
    confs=(SecureLinkConf,),
    variables=(Variable("secure_link", _secure_link), Variable("secure_link_expires", _expires)),
)
