"""What stream{} and its servers themselves say.   nginx: ngx_stream_core_module.c, ngx_stream.c (ngx_stream_add_listen)"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, msec, num, size, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, value
from geng.conf.tables import STREAM, STREAM_SRV
from geng.core import hashes
from geng.core.hostnames import BadName, Conflict, HostTable
from geng.errors import ConfigError, Invalid, Refused
from geng.http.resolving import ResolverSettings
from geng.http.script import Regex, compile_regex
from geng.modules.foreign import listen
from geng.modules.foreign.table import Foreign
from geng.net import sockaddr as sa

if TYPE_CHECKING:
    from geng.conf.compiler import Cf

SS = STREAM | STREAM_SRV
HASHES = ("variables_hash", "server_names_hash")


class Address:
    """One address and port, with its servers.   nginx: ngx_stream_conf_addr_t"""

    def __init__(self, sockaddr: Any, udp: bool, found: listen.Listen, server: StreamServer) -> None:
        self.sockaddr = sockaddr
        self.udp = udp
        self.text = sa.text(sockaddr)
        self.servers = [server]
        self.default = server
        self.has_default = "default_server" in found
        self.set = found.set
        self.protocols = protocols_of(found)
        self.ssl = "ssl" in found
        self.before = 0
        self.before_set = self.changed = False

    def join(self, cf: Cf, found: listen.Listen, server: StreamServer) -> None:
        """One more `listen` for this address; raises Invalid.   nginx: ngx_stream_add_addresses"""
        if server in self.servers:
            raise Invalid(f"a duplicate listen {self.text}")
        self.servers.append(server)
        old_set = self.set
        if found.set:
            if self.set:
                raise Invalid(f"duplicate listen options for {self.text}")
            self.set = True
        if "default_server" in found:
            if self.has_default:
                raise Invalid(f"a duplicate default server for {self.text}")
            self.has_default, self.default = True, server
        self._join_protocols(cf, found, old_set or found.set)
        self.ssl = self.ssl or "ssl" in found

    def _join_protocols(self, cf: Cf, found: listen.Listen, is_set: bool) -> None:
        now, before = protocols_of(found), self.protocols
        if now | before != before:
            redefined = (is_set and not found.set) or self.changed or now | before != now
            kept, changed = before, True
        elif before | now != now:
            redefined = found.set or (self.before_set and now != self.before)
            kept, changed = now, True
        else:
            redefined = (found.set and self.changed) or (self.before_set and now != self.before)
            kept, changed = now, self.changed
        if redefined:
            cf.warn(f"protocol options redefined for {self.text}")
        self.before, self.before_set, self.changed = kept, True, changed
        self.protocols = now | before


def protocols_of(found: listen.Listen) -> int:
    return ("proxy_protocol" in found) + 2 * ("ssl" in found)


class StreamMain(
    Foreign,
    level=Level.MAIN,
    module="stream_core",
    rules={f"{name}_{what}": num for name in HASHES for what in ("max_size", "bucket_size")},
):
    """What stream{} says, its servers and addresses."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[StreamServer] = []
        self.addresses: list[Address] = []

    @command("server", STREAM, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        server = confs[StreamServer]
        server.file, server.line, server.confs = cf.file, cf.line, confs
        self.servers.append(server)
        cf.walk(cf.node.block or [], STREAM_SRV, confs)
        if not server.listens:
            raise ConfigError(f'no "listen" is defined for server in {server.file}:{server.line}')

    def add(self, cf: Cf, server: StreamServer, found: listen.Listen) -> None:
        """A `listen` of *server*; raises Invalid."""
        udp = "udp" in found
        for sockaddr in found.addresses:
            for address in self.addresses:
                if address.sockaddr == sockaddr and address.udp == udp:
                    address.join(cf, found, server)
                    break
            else:
                self.addresses.append(Address(sockaddr, udp, found, server))

    def sort_names(self, cf: Cf) -> None:
        """Find out which server has which name on each address.   nginx: ngx_stream_server_names"""
        for address in self.addresses:
            if len(address.servers) == 1 and not address.default.captures:
                continue
            hosts: HostTable[StreamServer] = HostTable()
            known = [
                name for server in address.servers for name in server.names if _add_name(cf, hosts, address, name, server)
            ]
            hashes.build_names(self._hash("server_names_hash", 512, partial(cf.log, "warn")), known)

    def check_variables(self, names: list[bytes]) -> None:
        """Raises ConfigError where nginx could not build its table of variables."""
        self._hash("variables_hash", 1024).build(names)

    def _hash(self, name: str, max_size: int, warn: Any = None) -> hashes.Hash:
        given = getattr(self, f"{name}_max_size")
        bucket_size = getattr(self, f"{name}_bucket_size")
        size = 64 if bucket_size is UNSET else hashes.aligned(bucket_size)
        return hashes.Hash(name, max_size if given is UNSET else given, size, warn)


def _add_name(cf: Cf, hosts: HostTable[StreamServer], address: Address, name: bytes, server: StreamServer) -> bool:
    shown = name.decode("utf-8", "surrogateescape")
    try:
        hosts.add(name, server)
        return True
    except BadName:
        raise ConfigError(f'invalid server name or wildcard "{shown}" on {address.text}') from None
    except Conflict:
        cf.log("warn", f'conflicting server name "{shown}" on {address.text}, ignored')
        return False


class StreamServer(
    Foreign,
    level=Level.SERVER,
    module="stream_core",
    rules={
        "resolver_timeout": msec,
        "proxy_protocol_timeout": msec,
        "tcp_nodelay": flag,
        "preread_buffer_size": size,
        "preread_timeout": msec,
    },
):
    """One server of stream{}, or what stream{} says for all of them. *names*: all but regular expressions."""

    resolver: Any = value(None)
    error_log: Any = value(None)

    def __init__(self) -> None:
        super().__init__()
        self.file, self.line = "", 0
        self.confs: Any = None
        self.listens = False
        self.names: list[bytes] = []
        self.regexes: list[Regex] = []
        self.captures = False

    @command("listen", STREAM_SRV)
    def listen(self, cf: Cf) -> None:
        """`listen address:port [parameters]`"""
        self.listens = True
        cf[StreamMain].add(cf, self, listen.read(cf, "stream"))

    @command("server_name", STREAM_SRV)
    def add_names(self, cf: Cf) -> None:
        """`server_name name ...`"""
        for word in cf.args:
            if (word[:1] == "*" and (len(word) < 3 or word[1] != ".")) or (word[:1] == "." and len(word) < 2):
                raise Invalid(f'server name "{word}" is invalid')
            if "/" in word:
                cf.warn(f'server name "{word}" has suspicious symbols')
            if word[:1] != "~":
                self.names.append(to_bytes(cf.cycle.hostname if word.lower() == "$hostname" else word).lower())
                continue
            if len(word) == 1:
                raise Invalid(f'empty regex in server name "{word}"')
            regex = compile_regex(cf, word[1:], caseless=any("A" <= ch <= "Z" for ch in word))
            self.captures = regex.pattern.groups > 0
            self.regexes.append(regex)

    @command("error_log", SS)
    def add_error_log(self, cf: Cf) -> None:
        """`error_log file [level]`"""
        self.error_log = cf.cycle.add_log(cf, None if self.error_log is UNSET else self.error_log)

    @command("resolver", SS)
    def set_resolver(self, cf: Cf) -> None:
        """`resolver address ... [parameters]`"""
        if self.resolver is not UNSET:
            raise Refused("is duplicate")
        self.resolver = ResolverSettings.read(cf)

    def merge(self, cf: Cf, parent: Conf) -> None:
        super().merge(cf, parent)
        if not self.names and not self.regexes:
            self.names.append(b"")
