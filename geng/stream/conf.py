"""What stream{} and its servers themselves say.   nginx: ngx_stream_core_module.c, ngx_stream.c (ngx_stream_add_listen)"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import flag, msec, num, size, to_bytes
from geng.conf.directive import UNSET, Conf, Level, command, directive, value
from geng.conf.tables import STREAM, STREAM_SRV
from geng.core import hashes
from geng.core.hostnames import BadName, Conflict, HostTable
from geng.errors import ConfigError, Invalid, Refused
from geng.http.resolving import ResolverSettings
from geng.http.script import Regex, compile_regex
from geng.http.servertls import ServerTls
from geng.net import sockaddr as sa
from geng.stream import listen
from geng.stream.module import Handler, Module, Phase

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.net.listen import Listening

SS = STREAM | STREAM_SRV


class Address:
    """One address and port, with its servers.   nginx: ngx_stream_conf_addr_t"""

    def __init__(self, sockaddr: Any, udp: bool, found: listen.Listen, server: StreamServer) -> None:
        self.sockaddr = sockaddr
        self.udp = udp
        self.options = found.options
        self.bind = found.set
        self.text = sa.text(sockaddr)
        self.hosts: HostTable[StreamServer] = HostTable()
        self.regexes: list[tuple[Regex, StreamServer]] = []
        self.servers = [server]
        self.default = server
        self.has_default = "default_server" in found
        self.set = found.set
        self.protocols = protocols_of(found)
        self.ssl = "ssl" in found
        self.before = 0
        self.before_set = self.changed = False

    def __repr__(self) -> str:
        return f"<Address {self.text}{' udp' if self.udp else ''} {len(self.servers)} servers>"

    @property
    def wildcard(self) -> bool:
        return sa.is_wildcard(self.sockaddr)

    @property
    def proxy_protocol(self) -> bool:
        return bool(self.protocols & 1)

    def find(self, host: bytes, s: Any) -> StreamServer | None:
        """The server that has the name *host* (lower case), None for none.   nginx: ngx_stream_find_virtual_server"""
        server = self.hosts.find(host)
        if server is not None:
            return server
        for regex, server in self.regexes:
            if regex.exec(s, host):
                return server
        return None

    def join(self, cf: Cf, found: listen.Listen, server: StreamServer) -> None:
        """One more `listen` for this address; raises Invalid.   nginx: ngx_stream_add_addresses"""
        if server in self.servers:
            raise Invalid(f"a duplicate listen {self.text}")
        self.servers.append(server)
        old_set = self.set
        if found.set:
            if self.set:
                raise Invalid(f"duplicate listen options for {self.text}")
            self.set = self.bind = True
            self.options = found.options
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


class StreamMain(Conf, level=Level.MAIN):
    """What stream{} says, its servers and addresses. Sizes of hash tables are only checked."""

    variables_hash_max_size: int = directive("variables_hash_max_size", STREAM, num, default=1024)
    variables_hash_bucket_size: int = directive("variables_hash_bucket_size", STREAM, num, default=64)
    server_names_hash_max_size: int = directive("server_names_hash_max_size", STREAM, num, default=512)
    server_names_hash_bucket_size: int = directive("server_names_hash_bucket_size", STREAM, num, default=64)

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[StreamServer] = []
        self.addresses: list[Address] = []
        self.confs: dict[type[Conf], Any] = {}
        self.worker: Any = None  # once there is one

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    @command("server", STREAM, block=True)
    def server(self, cf: Cf) -> None:
        """`server { … }`"""
        confs = cf.confs.nested(cf.scope.classes, Level.SERVER, Level.LOCATION)
        server = confs[StreamServer]
        server.file, server.line, server.confs = cf.file, cf.line, confs
        server.main = self
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
            known = []
            for server in address.servers:
                for name, regex in server.names:
                    if regex is not None:
                        address.regexes.append((regex, server))
                    elif _add_name(cf, address, name, server):
                        known.append(name)
            hashes.build_names(self._hash("server_names_hash", partial(cf.log, "warn")), known)

    def listenings(self, handler: Any) -> list[Listening]:
        """The sockets to open."""
        return listen.listenings(self.addresses, handler)

    def check_variables(self, names: list[bytes]) -> None:
        """Raises ConfigError where nginx could not build its table of variables."""
        self._hash("variables_hash").build(names)

    def _hash(self, name: str, warn: Any = None) -> hashes.Hash:
        size = hashes.aligned(getattr(self, f"{name}_bucket_size"))
        return hashes.Hash(name, getattr(self, f"{name}_max_size"), size, warn)


def _add_name(cf: Cf, address: Address, name: bytes, server: StreamServer) -> bool:
    shown = name.decode("utf-8", "surrogateescape")
    try:
        address.hosts.add(name, server)
        return True
    except BadName:
        raise ConfigError(f'invalid server name or wildcard "{shown}" on {address.text}') from None
    except Conflict:
        cf.log("warn", f'conflicting server name "{shown}" on {address.text}, ignored')
        return False


class StreamServer(Conf, level=Level.SERVER):
    """One server of stream{}, or what stream{} says for all of them. *names*: with their regular expressions, if any.

    *content* links the handler of the content phase; *handlers* are the other phases', once linked.
    """

    resolver_timeout: int = directive("resolver_timeout", SS, msec, default=30_000)
    proxy_protocol_timeout: int = directive("proxy_protocol_timeout", SS, msec, default=30_000)
    tcp_nodelay: bool = directive("tcp_nodelay", SS, flag, default=True)
    preread_buffer_size: int = directive("preread_buffer_size", SS, size, default=16384)
    preread_timeout: int = directive("preread_timeout", SS, msec, default=30_000)
    resolver: Any = value(None)
    error_log: Any = value(None)

    def __init__(self) -> None:
        super().__init__()
        self.file, self.line = "", 0
        self.confs: Any = None
        self.listens = False
        self.main: StreamMain = None  # type: ignore[assignment]
        self.names: list[tuple[bytes, Regex | None]] = []
        self.server_name = b""
        self.captures = False
        self.log: Any = None
        self.tls = ServerTls()
        self.content: Any = None
        self.handlers: tuple[tuple[Handler, ...], ...] = ()
        self.handler: Handler | None = None

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    def __repr__(self) -> str:
        return f"<StreamServer {self.server_name.decode('utf-8', 'replace')!r} {self.file}:{self.line}>"

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
                name = cf.cycle.hostname if word.lower() == "$hostname" else word
                self.names.append((to_bytes(name).lower(), None))
                continue
            if len(word) == 1:
                raise Invalid(f'empty regex in server name "{word}"')
            regex = compile_regex(cf, word[1:], caseless=any("A" <= ch <= "Z" for ch in word))
            self.captures = regex.pattern.groups > 0
            self.names.append((to_bytes(word[1:]), regex))

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
        if not self.names:
            self.names.append((b"", None))
        first, regex = self.names[0]
        self.server_name = b"~" + first if regex is not None else first.removeprefix(b".")

    def check(self, cf: Cf) -> None:
        self.log = self.error_log if self.error_log is not None else cf.cycle.log

    def link(self, modules: tuple[Module, ...]) -> None:
        """All is read: which handlers each phase has. nginx calls those of a phase in reverse order of the modules."""
        phases: list[tuple[Handler, ...]] = []
        for phase in Phase:
            links = [module.handlers[phase] for module in modules if phase in module.handlers]
            made = [link(self) for link in (links if phase is Phase.LOG else reversed(links))]
            phases.append(tuple(handler for handler in made if handler is not None))
        self.handlers = tuple(phases)
        self.handler = self.content(self) if self.content is not None else None
