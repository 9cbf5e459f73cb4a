"""`dav_methods`: PUT, DELETE, MKCOL, COPY and MOVE.   nginx: ngx_http_dav_module.c.   RFC 4918

Unlike nginx's, a COPY shows itself only when it is complete.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from errno import EACCES, EEXIST, EISDIR, ENAMETOOLONG, ENOENT, ENOSPC, ENOTDIR, EPERM
from typing import TYPE_CHECKING

from geng.conf.convert import access, bitmask, flag, num, to_bytes, to_text
from geng.conf.directive import Conf, Level, directive
from geng.conf.tables import HSL
from geng.core import filetree
from geng.core.filetree import ENTER, FILE, LEAVE, SPECIAL
from geng.hot.dates import parse_http_time
from geng.hot.http1 import COPY, DELETE, MKCOL, MOVE, PUT
from geng.hot.uri import escape_uri, parse_unsafe_uri
from geng.http.files import Mapper, mapper
from geng.http.module import DECLINED, DONE, OK, Module, Phase

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc
    from geng.http.module import Handler
    from geng.http.request import Request

OFF = 1 << 40
METHODS = {"off": OFF, "put": PUT, "delete": DELETE, "mkcol": MKCOL, "copy": COPY, "move": MOVE}

INFINITY, INVALID = -1, -2
DEPTHS = {b"0": 0, b"1": 1, b"infinity": INFINITY}

_SLASHES = re.compile(rb"/{2,}")


class DavConf(Conf, level=Level.LOCATION):
    """What may be done to the files of a location."""

    methods: int = directive("dav_methods", HSL, bitmask(METHODS), default=OFF)
    full_path: bool = directive("create_full_put_path", HSL, flag, default=False)
    min_delete_depth: int = directive("min_delete_depth", HSL, num, default=0)
    access: int = directive("dav_access", HSL, access, default=0o600)


class Failed(Exception):
    """The request ends with this status; the log has it already."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def link(loc: CoreLoc) -> Handler | None:
    """The handler of a location where any of the methods is allowed."""
    conf = loc[DavConf]
    methods = conf.methods & ~OFF
    if not methods:
        return None
    path_of = mapper(loc)
    handlers: dict[int, Callable[[Request, DavConf, Mapper], int]] = {
        PUT: put, DELETE: delete, MKCOL: mkcol, COPY: copy_or_move, MOVE: copy_or_move
    }  # fmt: skip

    def dav(r: Request) -> int:
        if not r.method_id & methods:
            return DECLINED
        try:
            return handlers[r.method_id](r, conf, path_of)
        except Failed as failed:
            return failed.status

    return dav


# ---- what went wrong


def refuse(r: Request, status: int, message: str, err: int = 0) -> Failed:
    """What to raise: *status*, with *message* in the log."""
    r.log.error(message, err=err, ctx=r.c)
    return Failed(status)


def by_errno(r: Request, err: int, missing: int, call: str, path: bytes) -> int:
    """Log that *call* failed; the status for that, *missing* where there is no such file (ngx_http_dav_error)."""
    level, status = "error", missing
    if err in (EACCES, EPERM):
        status = 403
    elif err == EEXIST:
        status = 405
    elif err == ENOSPC:
        level, status = "crit", 507
    elif err not in (ENOENT, ENOTDIR, ENAMETOOLONG):
        level, status = "crit", 500
    r.log.log(level, f'{call} "{to_text(path)}" failed', err=err, ctx=r.c)
    return status


def without_body(r: Request, what: str) -> None:
    if r.content_length_n > 0 or r.chunked_body:
        raise refuse(r, 415, f"{what} with body {'are' if ' ' in what else 'is'} unsupported")


def depth_of(r: Request, default: int) -> int:
    """The Depth header."""
    told = r.header(b"depth")
    if told is None:
        return default
    depth = DEPTHS.get(told, INVALID)
    if depth == INVALID:
        r.log.error(f'client sent invalid "Depth" header: "{to_text(told)}"', ctx=r.c)
    return depth


def set_location(r: Request) -> None:
    r.out.location = escape_uri(r.uri)


# ---- PUT


def put(r: Request, conf: DavConf, path_of: Mapper) -> int:
    """The body is received into a file among the temporary ones, which then becomes the one that was meant."""
    if r.uri.endswith(b"/"):
        raise refuse(r, 409, "cannot PUT to a collection")
    if r.header(b"content-range") is not None:
        raise refuse(r, 501, "PUT with range is unsupported")
    r.body_in_file = True
    rc = r.read_body()
    if rc != OK:
        return rc
    file = r.body.file if r.body is not None else None
    if file is None or not file.persistent:
        raise refuse(r, 500, "PUT request body must be in a file")
    path = path_of(r)
    status = 201
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):
            raise refuse(r, 409, f'"{to_text(path)}" could not be created', EISDIR)
        status = 204
    except OSError:
        pass  # there is none, or nobody can tell: the rename will
    _put_in_place(r, conf, file.fd, to_bytes(file.name), path)
    file.persistent = False  # it is no temporary one any more
    if status == 201:
        set_location(r)
        r.out.content_length = 0
    r.out.status = status
    r.header_only = True
    r.send_head().end()
    return DONE


def _put_in_place(r: Request, conf: DavConf, fd: int, temporary: bytes, path: bytes) -> None:
    date = r.header(b"date")
    when = parse_http_time(date) if date is not None else -1
    call = f'chmod() "{to_text(temporary)}"'
    try:
        os.fchmod(fd, conf.access)
        if when != -1:
            call = f'futimes() "{to_text(temporary)}"'
            os.utime(fd, (when, when))
        call = f'rename() "{to_text(temporary)}" to "{to_text(path)}"'
        filetree.move(temporary, path, filetree.folder_access(conf.access) if conf.full_path else None)
    except OSError as error:
        r.log.crit(f"{call} failed", err=error.errno, ctx=r.c)
        raise Failed(500) from None


# ---- DELETE


def delete(r: Request, conf: DavConf, path_of: Mapper) -> int:
    without_body(r, "DELETE")
    _check_delete_depth(r, conf.min_delete_depth)
    path = path_of(r)
    try:
        info = os.lstat(path)
    except OSError as error:
        return by_errno(r, error.errno or 0, 409 if error.errno == ENOTDIR else 404, "lstat()", path)
    folder = stat.S_ISDIR(info.st_mode)
    if folder:
        if not r.uri.endswith(b"/"):
            raise refuse(r, 409, f'DELETE "{to_text(path)}" failed', EISDIR)
        if depth_of(r, INFINITY) != INFINITY:
            raise refuse(r, 400, '"Depth" header must be infinity')
        path = path[:-1]
    elif depth_of(r, 0) not in (0, INFINITY):
        raise refuse(r, 400, '"Depth" header must be 0 or infinity')
    delete_path(r, path, folder)
    return 204


def _check_delete_depth(r: Request, least: int) -> None:
    """Whether the URI has *least* parts or more."""
    depth = 0
    if least:
        for at, byte in enumerate(r.uri, 1):
            if byte == 47:
                depth += 1
                if depth >= least and at < len(r.uri):
                    return
        raise refuse(r, 409, f"insufficient URI depth:{depth} to DELETE")


def delete_path(r: Request, path: bytes, folder: bool) -> None:
    """Delete a file, or a folder with all that is in it. Raises Failed."""
    call = "rmdir()" if folder else "unlink()"
    try:
        if not folder:
            os.unlink(path)
            return
        # `DELETE /link/`: nginx deletes what is in the folder behind the link, and then answers with 404
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC))
        for kind, inner, _ in filetree.walk(path, lambda call, at, err: _log_crit(r, call, at, err)):
            if kind != ENTER:
                _delete_one(r, inner, kind == LEAVE)
        os.rmdir(path)
    except OSError as error:
        raise Failed(by_errno(r, error.errno or 0, 404, call, path)) from None


def _delete_one(r: Request, path: bytes, folder: bool) -> None:
    try:
        if folder:
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError as error:
        by_errno(r, error.errno or 0, 0, "rmdir()" if folder else "unlink()", path)


def _log_crit(r: Request, call: str, path: bytes, err: int) -> None:
    r.log.crit(f'{call} "{to_text(path)}" failed', err=err, ctx=r.c)


# ---- MKCOL


def mkcol(r: Request, conf: DavConf, path_of: Mapper) -> int:
    without_body(r, "MKCOL")
    if not r.uri.endswith(b"/"):
        raise refuse(r, 409, "MKCOL can create a collection only")
    path = path_of(r)[:-1]
    try:
        os.mkdir(path, filetree.folder_access(conf.access))
    except OSError as error:
        return by_errno(r, error.errno or 0, 409, "mkdir()", path)
    set_location(r)
    return 201


# ---- COPY, MOVE


def copy_or_move(r: Request, conf: DavConf, path_of: Mapper) -> int:
    without_body(r, "COPY and MOVE")
    told = r.header(b"destination")
    if told is None:
        raise refuse(r, 400, 'client sent no "Destination" header')
    uri = _destination(r, told)
    if r.uri.endswith(b"/") != told.endswith(b"/"):
        raise refuse(
            r, 409, f'both URI "{to_text(r.uri)}" and "Destination" URI "{to_text(told)}" '
            "should be either collections or non-collections"
        )  # fmt: skip
    if 0 < r.loc.alias > len(uri):
        raise refuse(r, 400, f'client sent invalid "Destination" header: "{to_text(told)}"')
    _check_depth(r)
    overwrite = _overwrites(r)
    source = _SLASHES.sub(b"/", path_of(r))
    ours, r.uri = r.uri, uri
    try:
        target = _SLASHES.sub(b"/", path_of(r))
    finally:
        r.uri = ours
    slash = target.endswith(b"/")
    if slash:
        target = target[:-1]
    _check_paths(r, source, target, slash, told)
    return _transfer(r, conf, source, target, _existing(r, target, slash, overwrite, told))


def _destination(r: Request, told: bytes) -> bytes:
    """The path that Destination names on this server, decoded."""
    invalid = f'client sent invalid "Destination" header: "{to_text(told)}"'
    rest = told
    if not told.startswith(b"/"):
        server = r.server_name_asked
        if not server:
            raise refuse(r, 400, 'client sent no "Host" header')
        scheme = b"https://" if r.hc.ssl else b"http://"
        if not told.startswith(scheme):
            raise refuse(r, 400, invalid)
        rest = told[len(scheme) :]
        if not rest.startswith(server):
            raise refuse(
                r, 400, f'"Destination" URI "{to_text(told)}" is handled by different repository than the source URI'
            )
        at = rest.find(b"/", len(server))
        if at < 0:
            raise refuse(r, 400, invalid)
        rest = rest[at:]
    parsed = parse_unsafe_uri(rest)
    if parsed is None:
        r.log.error(f'unsafe URI "{to_text(rest)}" was detected', ctx=r.c)
        raise refuse(r, 400, invalid)
    return parsed[0]


def _check_depth(r: Request) -> None:
    depth = depth_of(r, INFINITY)
    if depth == INFINITY or (depth == 0 and r.method_id == COPY):
        return
    raise refuse(r, 400, f'"Depth" header must be {"0 or " if r.method_id == COPY else ""}infinity')


def _overwrites(r: Request) -> bool:
    told = r.header(b"overwrite")
    if told is None or told in (b"T", b"t"):
        return True
    if told in (b"F", b"f"):
        return False
    raise refuse(r, 400, f'client sent invalid "Overwrite" header: "{to_text(told)}"')


def _check_paths(r: Request, source: bytes, target: bytes, slash: bool, told: bytes) -> None:
    """Neither may be the other, nor one of two collections be inside the other."""
    if len(source) > 1:
        source = source.removesuffix(b"/")
    if source == target:
        raise refuse(
            r, 403, f'both URI "{to_text(r.uri)}" and "Destination" URI "{to_text(told)}" point to the same location'
        )
    if slash and (target.startswith(source + b"/") or source.startswith(target + b"/")):
        raise refuse(r, 403, _not_into(r, told))


def _not_into(r: Request, told: bytes) -> str:
    return f'"{to_text(r.uri)}" could not be {to_text(r.method)}ed to collection "{to_text(told)}"'


def _existing(r: Request, target: bytes, slash: bool, overwrite: bool, told: bytes) -> os.stat_result | None:
    """What is at *target* already and will be replaced."""
    try:
        there = os.lstat(target)
    except OSError as error:
        if error.errno != ENOENT:
            raise Failed(by_errno(r, error.errno or 0, 404, "lstat()", target)) from None
        return None
    if stat.S_ISDIR(there.st_mode) and not slash:
        raise refuse(r, 409, _not_into(r, told))
    if not overwrite:
        raise refuse(r, 412, f'"{to_text(target)}" could not be created', EEXIST)
    return there


def _transfer(r: Request, conf: DavConf, source: bytes, target: bytes, there: os.stat_result | None) -> int:
    try:
        info = os.lstat(source)
    except OSError as error:
        return by_errno(r, error.errno or 0, 404, "lstat()", source)
    moves = r.method_id == MOVE
    if stat.S_ISDIR(info.st_mode):
        if not r.uri.endswith(b"/"):
            raise refuse(r, 400, f'"{to_text(r.uri)}" is collection')
        if there is not None:
            delete_path(r, target, stat.S_ISDIR(there.st_mode))
        return _transfer_folder(r, source[:-1], target, info, moves)
    try:
        if moves:
            filetree.move(source, target, filetree.folder_access(conf.access))
        else:
            filetree.copy(source, target, info.st_mode & 0o777, info.st_mtime)
    except OSError as error:
        call = f'rename() "{to_text(source)}" to' if moves else "open()"
        _log_crit(r, call, target, error.errno or 0)
        return 500
    return 204


def _transfer_folder(r: Request, source: bytes, target: bytes, info: os.stat_result, moves: bool) -> int:
    if moves:
        try:
            os.rename(source, target)
            return 201
        except OSError:
            pass  # to another file system, most likely: piece by piece, then
    try:
        os.mkdir(target, info.st_mode & 0o777)
    except OSError as error:
        return by_errno(r, error.errno or 0, 404, "mkdir()", target)
    for kind, path, inner in filetree.walk(source, lambda call, at, err: _log_crit(r, call, at, err)):
        _copy_one(r, kind, path, target + path[len(source) :], inner)
    if moves:
        delete_path(r, source, True)
    return 201


def _copy_one(r: Request, kind: int, path: bytes, to: bytes, info: os.stat_result) -> None:
    """One thing inside a folder; what cannot be copied is logged, and left out."""
    call = "mkdir()"
    try:
        if kind == ENTER:
            os.mkdir(to, filetree.folder_access(info.st_mode & 0o777))
        elif kind == FILE:
            call = "open()"
            filetree.copy(path, to, info.st_mode & 0o777, info.st_mtime)
        elif kind != SPECIAL:
            call = "utimes()"
            os.utime(to, (info.st_mtime, info.st_mtime))
    except OSError as error:
        by_errno(r, error.errno or 0, 0, call, to)


module = Module(
    name="http_dav",
    configure_flag="--with-http_dav_module",
    confs=(DavConf,),
    handlers={Phase.CONTENT: link},
)
