"""`userid`: a cookie that tells one browser from another.   nginx: ngx_http_userid_filter_module.c"""

from __future__ import annotations

import os
import socket
import struct
from time import time_ns
from typing import TYPE_CHECKING, Any

from geng.conf.convert import bitmask, enum, num, octets, to_bytes, to_text
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL
from geng.core import base64, clock
from geng.core.values import BadValue, parse_sec
from geng.errors import Refused
from geng.hot.dates import cookie_time
from geng.http.module import CHANGEABLE, Module, Variable
from geng.wire.http1 import find_value

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.filters import Send, Writer
    from geng.http.module import Filter
    from geng.http.request import Request

OFF, LOG, V1, ON = range(4)
STATES = {"off": OFF, "log": LOG, "v1": V1, "on": ON}

SAME_SITE = 16
FLAGS = {
    "off": 2,
    "secure": 4,
    "httponly": 8,
    "samesite=strict": SAME_SITE | 32,
    "samesite=lax": SAME_SITE | 64,
    "samesite=none": SAME_SITE | 128,
}
#: What is written for each, in this order.
WRITTEN = (
    (4, b"; secure"),
    (8, b"; httponly"),
    (32, b"; samesite=strict"),
    (64, b"; samesite=lax"),
    (128, b"; samesite=none"),
)

MAX_EXPIRES = 2145916555
MAX_LINE = b"; expires=Thu, 31-Dec-37 23:55:55 GMT"
NO_MARK = b""
SIZE = 22  # of 16 bytes in base64 without its padding, which may hold the mark
FIRST_V2 = 0x03030302

Uid = tuple[int, int, int, int]
NONE: Uid = (0, 0, 0, 0)


class Sequence:
    """What makes two uids of this worker, and of two workers, differ."""

    def __init__(self) -> None:
        self.start = 0
        self.v1 = 1
        self.v2 = FIRST_V2

    def begin(self, worker: Any) -> None:
        """nginx: ngx_http_userid_init_worker"""
        self.start = ((time_ns() // 1000 % 1_000_000 // 20) << 16 | os.getpid()) & 0xFFFFFFFF

    def next_v1(self) -> int:
        number, self.v1 = self.v1, (self.v1 + 0x100) & 0xFFFFFFFF
        return number

    def next_v2(self) -> int:
        number = self.v2
        following = (number + 0x100) & 0xFFFFFFFF
        self.v2 = following if following >= FIRST_V2 else FIRST_V2
        return number


sequence = Sequence()


def _domain(word: str) -> bytes:
    return b"" if word == "none" else b"; domain=" + to_bytes(word)


def _path(word: str) -> bytes:
    return b"; path=" + to_bytes(word)


def _p3p(word: str) -> bytes:
    return b"" if word == "none" else to_bytes(word)


class UseridConf(Conf, level=Level.LOCATION):
    """The cookie of a location. service: -1 for the server's address; mark: the byte in place of the padding's first."""

    enable: int = directive("userid", HSL, enum(STATES), default=OFF)
    service: int = directive("userid_service", HSL, num, default=-1)
    name: bytes = directive("userid_name", HSL, octets, default=b"uid")
    domain: bytes = directive("userid_domain", HSL, _domain, default=b"")
    path: bytes = directive("userid_path", HSL, _path, default=b"; path=/")
    flags: int = directive("userid_flags", HSL, bitmask(FLAGS), default=FLAGS["off"])
    p3p: bytes = directive("userid_p3p", HSL, _p3p, default=b"")
    expires: int = value(0)
    mark: bytes = value(NO_MARK)

    @command("userid_expires", HSL)
    def set_expires(self, cf: Cf) -> None:
        """`userid_expires time | max | off`"""
        if self.expires is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        if word in ("max", "off"):
            self.expires = MAX_EXPIRES if word == "max" else 0
            return
        try:
            self.expires = parse_sec(word)
        except BadValue:
            raise Refused("invalid value") from None

    @command("userid_mark", HSL)
    def set_mark(self, cf: Cf) -> None:
        """`userid_mark letter | digit | = | off`"""
        if self.mark is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        if word == "off":
            self.mark = NO_MARK
        elif len(word) == 1 and word.isascii() and (word.isalnum() or word == "="):
            self.mark = to_bytes(word)
        else:
            raise Refused('value must be "off" or a single letter, digit or "="')


class Ids:
    """What one request brought, and what it is given."""

    __slots__ = ("cookie", "got", "reset", "set")

    def __init__(self) -> None:
        self.got = NONE
        self.set = NONE
        self.cookie = b""
        self.reset = False


def _ids(r: Request, conf: UseridConf) -> Ids:
    """The state of *r*, its cookie read."""
    ids: Ids | None = r.ctx.get(UseridConf)
    if ids is not None:
        return ids
    ids = r.ctx[UseridConf] = Ids()
    for line in r.head.getall(b"cookie"):
        found = find_value((line,), conf.name)
        if found is not None:
            _read_cookie(r, ids, found, line)
            break
    return ids


def _read_cookie(r: Request, ids: Ids, cookie: bytes, line: bytes) -> None:
    ids.cookie = cookie
    if len(cookie) < SIZE:
        r.log.error(f'client sent too short userid cookie "{to_text(line)}"', ctx=r.c)
        return
    data = base64.decode(cookie[:SIZE])  # no more: a mark may follow, or what somebody made of the padding
    if data is None:
        r.log.error(f'client sent invalid userid cookie "{to_text(line)}"', ctx=r.c)
        return
    ids.got = struct.unpack("=4I", data.ljust(16, b"\0"))


def _create(r: Request, ids: Ids, conf: UseridConf) -> None:
    """Decide which uid the client is to have, if another one than it has (ngx_http_userid_create_uid)."""
    if ids.set[3]:
        return
    if ids.got[3]:
        reset = _reset_of(r)
        if reset in (b"", b"0"):
            if conf.mark and not (len(ids.cookie) > SIZE + 1 and ids.cookie[SIZE : SIZE + 2] == conf.mark + b"="):
                ids.set = ids.got
            return
        ids.reset = True
        if reset == b"log":
            r.log.notice(f'userid cookie "{to_text(_shown(conf.name, ids.got))}" was reset', ctx=r.c)
    now = clock.seconds() & 0xFFFFFFFF
    if conf.enable == V1:
        ids.set = (max(conf.service, 0) & 0xFFFFFFFF, now, sequence.start, sequence.next_v1())
        return
    service = struct.pack("!I", conf.service & 0xFFFFFFFF) if conf.service >= 0 else _address(r)
    ids.set = struct.unpack("=4I", service + struct.pack("!3I", now, sequence.start, sequence.next_v2()))


def _reset_of(r: Request) -> bytes:
    getter = r.loc.main.variables.getter("uid_reset")
    return (getter(r) or b"") if getter is not None else b""


def _address(r: Request) -> bytes:
    """The last four bytes of the server's address."""
    local = r.c.local_addr()
    if not isinstance(local, tuple):
        return bytes(4)
    host = str(local[0]).partition("%")[0]
    return socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)[-4:]


def _shown(name: bytes, uid: Uid) -> bytes:
    return b"%s=%08X%08X%08X%08X" % (name, *uid)


def _line(ids: Ids, conf: UseridConf) -> bytes:
    """The value of Set-Cookie."""
    if not ids.got[3] or ids.reset:
        cookie = base64.encode(struct.pack("=4I", *ids.set))
        if conf.mark:
            cookie = cookie[:SIZE] + conf.mark + b"="
    else:
        cookie = ids.cookie[:SIZE] + conf.mark + b"="
    expires = b""
    if conf.expires == MAX_EXPIRES:
        expires = MAX_LINE
    elif conf.expires:
        expires = b"; expires=" + cookie_time(clock.seconds() + conf.expires)
    flags = b"".join(text for bit, text in WRITTEN if conf.flags & bit)
    return b"%s=%s%s%s%s%s" % (conf.name, cookie, expires, conf.domain, conf.path, flags)


def link(loc: CoreLoc) -> Filter | None:
    """The filter that sets the cookie, where `userid` is on or v1."""
    conf = loc[UseridConf]
    if conf.enable < V1:
        return None

    def userid(r: Request, next: Send) -> Writer:
        if r.main is r:
            ids = _ids(r, conf)
            _create(r, ids, conf)
            if ids.set[3]:
                r.out.add(b"Set-Cookie", _line(ids, conf))
                if conf.p3p:
                    r.out.add(b"P3P", conf.p3p)
        return next(r)

    return userid


def _uid_got(r: Request) -> bytes | None:
    main = r.main
    conf = main.loc[UseridConf]
    if conf.enable == OFF:
        return None
    ids = _ids(main, conf)
    return _shown(conf.name, ids.got) if ids.got[3] else None


def _uid_set(r: Request) -> bytes | None:
    main = r.main
    conf = main.loc[UseridConf]
    if conf.enable < V1:
        return None
    ids = _ids(main, conf)
    _create(main, ids, conf)
    return _shown(conf.name, ids.set) if ids.set[3] else None


module = Module(
    name="http_userid_filter",
    confs=(UseridConf,),
    variables=(
        Variable("uid_got", _uid_got),
        Variable("uid_set", _uid_set),
        Variable("uid_reset", lambda r: b"", CHANGEABLE),
    ),
    preconfiguration=lambda cf: cf.scope.variables.ref("uid_reset"),
    header_filter=link,
    init_worker=sequence.begin,
)
