"""`auth_basic`: names and passwords, by a file of users.   nginx: ngx_http_auth_basic_module.c"""

from __future__ import annotations

import os
from errno import ENOENT
from typing import TYPE_CHECKING, Any

from geng.conf.convert import complex_value, to_bytes, to_text
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import HSL, LMT
from geng.core.crypt import CryptFailed, verify
from geng.errors import Refused
from geng.hot.http1 import CONNECT
from geng.http.module import DECLINED, OK, Handler, Module, Phase
from geng.http.script import compile_value
from geng.http.variables import credentials

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.http.conf import CoreLoc
    from geng.http.request import Request


class AuthBasicConf(Conf, level=Level.LOCATION):
    """Who asks, and whose passwords count."""

    realm: Any = directive("auth_basic", HSL | LMT, complex_value, default=None)
    user_file: Any = value(None)
    folder: bytes = value(b"")  # of the configuration, where names that do not begin with "/" are

    @command("auth_basic_user_file", HSL | LMT)
    def set_user_file(self, cf: Cf) -> None:
        """`auth_basic_user_file file`"""
        if self.user_file is not UNSET:
            raise Refused("is duplicate")
        self.user_file = compile_value(cf, cf.args[0])
        self.folder = to_bytes(cf.path("", conf_prefix=True))


def link(loc: CoreLoc) -> Handler | None:
    """What asks for a password in one location; nothing where there is no realm or no file."""
    conf: AuthBasicConf = loc[AuthBasicConf]
    if conf.realm is None or conf.user_file is None or conf.realm.literal == b"off":
        return None
    realm_of, file_of, folder = conf.realm.fn, conf.user_file.fn, conf.folder

    def check(r: Request) -> int:
        realm = realm_of(r)
        if realm == b"off":
            return DECLINED
        told = credentials(r)
        if told is None:
            r.log.info("no user/password was provided for basic authentication", ctx=r.c)
            return _ask(r, realm)
        return _verify(r, realm, told, os.path.join(folder, file_of(r)))

    return check


def _verify(r: Request, realm: bytes, told: tuple[bytes, bytes], path: bytes) -> int:
    user, password = told
    try:
        stored = _password_of(user, path)
    except OSError as error:
        failed = f'{"read" if error.filename is None else "open"}() "{to_text(path)}" failed'
        if error.errno == ENOENT:
            r.log.error(failed, err=ENOENT, ctx=r.c)
            return 403
        r.log.crit(failed, err=error.errno, ctx=r.c)
        return 500
    if stored is None:
        r.log.error(f'user "{to_text(user)}" was not found in "{to_text(path)}"', ctx=r.c)
        return _ask(r, realm)
    try:
        if verify(password, stored):
            return OK
    except CryptFailed as failure:
        r.log.crit("crypt_r() failed", err=failure.errno, ctx=r.c)
        return 500
    r.log.error(f'user "{to_text(user)}": password mismatch', ctx=r.c)
    return _ask(r, realm)


def _password_of(user: bytes, path: bytes) -> bytes | None:
    """What the file holds for *user*; raises OSError, with a filename where it could not be opened."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = os.read(fd, max(os.fstat(fd).st_size, 1))
    finally:
        os.close(fd)
    head = user + b":"
    for line in text.split(b"\n"):
        if line.startswith(head) and line[:1] != b"#":
            return line[len(head) :].partition(b":")[0].partition(b"\r")[0]
    return None


def _ask(r: Request, realm: bytes) -> int:
    challenge = b'Basic realm="%s"' % realm
    if r.method_id == CONNECT:
        r.out.add(b"Proxy-Authenticate", challenge)
        return 407
    r.out.add(b"WWW-Authenticate", challenge)
    return 401


module = Module(name="http_auth_basic", confs=(AuthBasicConf,), handlers={Phase.ACCESS: link})
