"""The core's own settings: of the http block, of a server, of a location.

nginx: ngx_http_core_module.c (its command table, merges and setters)
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from geng.conf.convert import (
    bitmask,
    bufs,
    complex_size,
    default_path,
    enum,
    error_log,
    flag,
    lowat,
    msec,
    num,
    off,
    path,
    predicates,
    sec,
    size,
    string,
    to_bytes,
)
from geng.conf.directive import UNSET, Conf, Level, command, directive, group, own, own_or_nameless, value
from geng.conf.tables import HTTP, LIF, LOC, SRV
from geng.core import hashes
from geng.core.values import BadValue, atoi, parse_msec, parse_sec
from geng.errors import GengError, Invalid, Refused
from geng.http import listen
from geng.http.files import UNLIMITED, OpenFileCache
from geng.http.ports import Address, Ports
from geng.http.resolving import resolver
from geng.http.script import Value, compile_regex, compile_value, count_variables
from geng.http.servernames import NAMELESS, Names, captures, first_name, server_names
from geng.http.servertls import Protocol, ServerTls
from geng.wire.http1 import RequestOptions

if TYPE_CHECKING:
    from geng.conf.compiler import Cf
    from geng.core.log import Log
    from geng.http.listen import Listen
    from geng.http.module import Handler, HandlerLink
    from geng.http.request import Request
    from geng.http.script import Regex, Variables

HS = HTTP | SRV
HSL = HTTP | SRV | LOC
PAGE = 4096
MIN_POOL_SIZE = 112  # NGX_MIN_POOL_SIZE on 64 bits

DEFAULT_TYPES = {b"html": b"text/html", b"gif": b"image/gif", b"jpg": b"image/jpeg"}

METHOD_NAMES = tuple("GET HEAD POST PUT DELETE MKCOL COPY MOVE OPTIONS PROPFIND PROPPATCH LOCK UNLOCK PATCH".split())  # noqa: SIM905

KEEPALIVE_DISABLE = {"none": 1, "msie6": 2, "safari": 4}
GZIP_PROXIED = {"off": 1, "expired": 2, "no-cache": 4, "no-store": 8, "private": 16, "no_last_modified": 32,
                "no_etag": 64, "auth": 128, "any": 256}  # fmt: skip


def pool_size(text: str) -> int:
    """Memory pools are Python's own; nginx's rules for their sizes hold nevertheless (ngx_http_core_pool_size)."""
    number = size(text)
    if number < MIN_POOL_SIZE:
        raise Invalid(f"the pool size must be no less than {MIN_POOL_SIZE}")
    if number % 16:
        raise Invalid("the pool size must be a multiple of 16")
    return number


class HttpAddress(Address):
    """An address of http{}."""

    __slots__ = ("quic", "request_options", "start_http2")

    def __init__(self, sockaddr: Any, found: Listen, server: CoreSrv) -> None:
        super().__init__(sockaddr, found, server)
        self.request_options: Any = None
        self.quic: Any = None  # the transport's settings (geng.quic.conf), where it is spoken here
        self.start_http2: Any = None  # where the first bytes may be HTTP/2's: takes the connection that it begins on

    @property
    def ssl(self) -> bool:
        return self.udp or bool(self.protocols & listen.TLS)

    @property
    def http2(self) -> bool:
        return bool(self.protocols & listen.HTTP2)


class CoreMain(Conf, level=Level.MAIN):
    """The http block. The tables here grow by themselves; that nginx's could not be built is said nevertheless."""

    variables_hash_max_size: int = directive("variables_hash_max_size", HTTP, num, default=1024)
    variables_hash_bucket_size: int = directive("variables_hash_bucket_size", HTTP, num, default=64)
    server_names_hash_max_size: int = directive("server_names_hash_max_size", HTTP, num, default=512)
    server_names_hash_bucket_size: int = directive("server_names_hash_bucket_size", HTTP, num, default=64)

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[CoreSrv] = []
        self.ports = Ports(HttpAddress)
        self.quic = Ports(HttpAddress)
        self.quic_handlers: tuple[Any, Any] = (None, None)  # of new connections, and what takes datagrams
        self.quic_protocols: list[Protocol] = []  # that ALPN may choose over QUIC
        self.variables: Variables = None  # type: ignore[assignment]
        self.confs: dict[type[Conf], Any] = {}
        self.has_error_pages = False
        self.worker: Any = None  # the worker that this process is
        self.protocols: list[Protocol] = []  # that ALPN may choose besides HTTP/1, best first

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]


class CoreSrv(Conf, level=Level.SERVER):
    """One server. `default` is the location that holds what stands in the server itself."""

    connection_pool_size: int = directive("connection_pool_size", HS, pool_size, default=512)
    request_pool_size: int = directive("request_pool_size", HS, pool_size, default=4096)
    client_header_timeout: int = directive("client_header_timeout", HS, msec, default=60_000)
    client_header_buffer_size: int = directive("client_header_buffer_size", HS, size, default=1024)
    large_client_header_buffers: tuple[int, int] = directive("large_client_header_buffers", HS, bufs, default=(4, 8192))
    max_headers: int = directive("max_headers", HS, num, default=1000)
    ignore_invalid_headers: bool = directive("ignore_invalid_headers", HS, flag, default=True)
    merge_slashes: bool = directive("merge_slashes", HS, flag, default=True)
    underscores_in_headers: bool = directive("underscores_in_headers", HS, flag, default=False)
    names: Names = directive("server_name", SRV, server_names, merge=own)
    client_body_early_read: tuple[Any, ...] | None = directive("client_body_early_read", HS, predicates, default=None)

    def __init__(self) -> None:
        super().__init__()
        self.main: CoreMain = None  # type: ignore[assignment]
        self.default: CoreLoc = None  # type: ignore[assignment]
        self.confs: dict[type[Conf], Any] = {}
        self.server_name = b""
        self.captures = False
        self.listens = False
        self.allow_connect = False  # somewhere in it there is a tunnel_pass
        self.named: dict[bytes, CoreLoc] = {}
        self.options: RequestOptions = None  # type: ignore[assignment]
        self.post_read: tuple[Handler, ...] = ()
        self.rewrite: tuple[Handler, ...] = ()
        self.file = ""
        self.line = 0
        self.tls = ServerTls()
        self.http2 = False  # the `http2` directive
        self.http3 = True  # the `http3` directive
        self.framed_options: dict[int, tuple[RequestOptions, RequestOptions]] = {}  # of HTTP/2 and HTTP/3, when needed
        self.behind_tls = False  # some address of this server speaks TLS

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    def __repr__(self) -> str:
        return f"<CoreSrv {self.server_name.decode('utf-8', 'replace')!r} {self.file}:{self.line}>"

    @command("listen", SRV)
    def listen(self, cf: Cf) -> None:
        """`listen address[:port] [parameters]`"""
        self.listens = True
        self._listen(cf, listen.read(cf, listen.HTTP))

    def listen_by_default(self, cf: Cf) -> None:
        """What a server without `listen` gets."""
        self._listen(cf, listen.by_default())

    def _listen(self, cf: Cf, found: Listen) -> None:
        main = cf[CoreMain]
        ports = main.quic if found.udp else main.ports
        for sockaddr in found.addresses:
            ports.add(cf, self, sockaddr, found)

    def merge(self, cf: Cf, parent: Any) -> None:
        super().merge(cf, parent)
        self.names = self.names or NAMELESS
        self.server_name, self.captures = first_name(self.names), captures(self.names)

    def check(self, cf: Cf) -> None:
        if self.large_client_header_buffers[1] < self.connection_pool_size:
            raise Invalid('the "large_client_header_buffers" size must be equal to or greater than "connection_pool_size"')
        self.options = self.options_for(stop_at_host=False)

    @property
    def options_key(self) -> tuple[Any, ...]:
        """What makes this server's request heads be read in another way than another's."""
        return (
            self.underscores_in_headers,
            self.ignore_invalid_headers,
            self.merge_slashes,
            self.max_headers,
            self.allow_connect,
            self.large_client_header_buffers,
        )

    def options_for(self, *, stop_at_host: bool) -> RequestOptions:
        """How request heads are read in this server."""
        return RequestOptions(
            underscores_in_headers=self.underscores_in_headers,
            ignore_invalid_headers=self.ignore_invalid_headers,
            merge_slashes=self.merge_slashes,
            max_headers=self.max_headers,
            allow_connect=self.allow_connect,
            client_header_buffer_size=self.client_header_buffer_size,
            large_client_header_buffers=self.large_client_header_buffers,
            stop_at_host=stop_at_host,
        )


class AliasRewritten(GengError):
    """A location's `alias` says nothing about a URI that does not begin with the location's name any more."""


class ErrorPage:
    """One status of an `error_page`. overwrite: -1 as it was, 0 the page's own, else the status to send."""

    __slots__ = ("args", "overwrite", "uri")

    def __init__(self, overwrite: int, uri: Value, args: bytes) -> None:
        self.overwrite = overwrite
        self.uri = uri
        self.args = args

    def __repr__(self) -> str:
        return f"<ErrorPage {self.uri.text}>"


class CoreLoc(Conf, level=Level.LOCATION):
    """One location, or a nameless one (`if`, `limit_except`), or what stands in a server itself."""

    default_type: str = directive("default_type", HSL, string, default="text/plain")
    client_max_body_size: int = directive("client_max_body_size", HSL, off, default=1 << 20)
    client_body_buffer_size: int = directive("client_body_buffer_size", HSL, size, default=2 * PAGE)
    client_body_timeout: int = directive("client_body_timeout", HSL, msec, default=60_000)
    client_body_temp_path: Any = directive("client_body_temp_path", HSL, path, default=None)
    client_body_in_file_only: int = directive(
        "client_body_in_file_only", HSL, enum({"off": 0, "on": 1, "clean": 2}), default=0
    )
    client_body_in_single_buffer: bool = directive("client_body_in_single_buffer", HSL, flag, default=False)
    sendfile: bool = directive("sendfile", HSL | LIF, flag, default=False)
    sendfile_max_chunk: int = directive("sendfile_max_chunk", HSL, size, default=2 << 20)
    subrequest_output_buffer_size: int = directive("subrequest_output_buffer_size", HSL, size, default=PAGE)
    output_buffers: tuple[int, int] = directive("output_buffers", HSL, bufs, default=(2, 32768))
    aio_write: bool = directive("aio_write", HSL, flag, default=False)
    read_ahead: int = directive("read_ahead", HSL, size, default=0)
    directio_alignment: int = directive("directio_alignment", HSL, off, default=512)
    tcp_nopush: bool = directive("tcp_nopush", HSL, flag, default=False)
    tcp_nodelay: bool = directive("tcp_nodelay", HSL, flag, default=True)
    send_timeout: int = directive("send_timeout", HSL, msec, default=60_000)
    send_lowat: int = directive("send_lowat", HSL, lowat, default=0)
    postpone_output: int = directive("postpone_output", HSL, size, default=1460)
    limit_rate: Any = directive("limit_rate", HSL | LIF, complex_size, default=None)
    limit_rate_after: Any = directive("limit_rate_after", HSL | LIF, complex_size, default=None)
    keepalive_time: int = directive("keepalive_time", HSL, msec, default=3_600_000)
    keepalive_timeout: int = value(75_000)
    keepalive_header: int = value(0)
    keepalive_min_timeout: int = directive("keepalive_min_timeout", HSL, msec, default=0)
    keepalive_requests: int = directive("keepalive_requests", HSL, num, default=1000)
    keepalive_disable: int = directive("keepalive_disable", HSL, bitmask(KEEPALIVE_DISABLE), default=2)
    satisfy: int = directive("satisfy", HSL, enum({"all": 0, "any": 1}), default=0)
    auth_delay: int = directive("auth_delay", HSL, msec, default=0)
    internal: bool = value(False)
    http2_chunk_size: int = value(8192)
    lingering_close: int = directive("lingering_close", HSL, enum({"off": 0, "on": 1, "always": 2}), default=1)
    lingering_time: int = directive("lingering_time", HSL, msec, default=30_000)
    lingering_timeout: int = directive("lingering_timeout", HSL, msec, default=5_000)
    reset_timedout_connection: bool = directive("reset_timedout_connection", HSL, flag, default=False)
    absolute_redirect: bool = directive("absolute_redirect", HSL, flag, default=True)
    server_name_in_redirect: bool = directive("server_name_in_redirect", HSL, flag, default=False)
    port_in_redirect: bool = directive("port_in_redirect", HSL, flag, default=True)
    msie_padding: bool = directive("msie_padding", HSL, flag, default=True)
    msie_refresh: bool = directive("msie_refresh", HSL, flag, default=False)
    log_not_found: bool = directive("log_not_found", HSL, flag, default=True)
    log_subrequest: bool = directive("log_subrequest", HSL, flag, default=False)
    recursive_error_pages: bool = directive("recursive_error_pages", HSL, flag, default=False)
    server_tokens: int = directive("server_tokens", HSL, enum({"off": 0, "on": 1, "build": 2}), default=1)
    if_modified_since: int = directive("if_modified_since", HSL, enum({"off": 0, "exact": 1, "before": 2}), default=1)
    max_ranges: int = directive("max_ranges", HSL, num, default=(1 << 31) - 1)
    chunked_transfer_encoding: bool = directive("chunked_transfer_encoding", HSL, flag, default=True)
    etag: bool = directive("etag", HSL, flag, default=True)
    early_hints: Any = directive("early_hints", HSL, predicates, default=None)
    post_action: str = directive("post_action", HSL | LIF, string, default="")
    resolver_timeout: int = directive("resolver_timeout", HSL, msec, default=30_000)
    open_file_cache_valid: int = directive("open_file_cache_valid", HSL, sec, default=60)
    open_file_cache_min_uses: int = directive("open_file_cache_min_uses", HSL, num, default=1)
    open_file_cache_errors: bool = directive("open_file_cache_errors", HSL, flag, default=False)
    open_file_cache_events: bool = directive("open_file_cache_events", HSL, flag, default=False)
    gzip_vary: bool = directive("gzip_vary", HSL, flag, default=False)
    gzip_http_version: int = directive("gzip_http_version", HSL, enum({"1.0": 10, "1.1": 11}), default=11)
    gzip_proxied: int = directive("gzip_proxied", HSL, bitmask(GZIP_PROXIED), default=1)
    types_hash_max_size: int = directive("types_hash_max_size", HSL, num, default=1024)
    types_hash_bucket_size: int = directive("types_hash_bucket_size", HSL, num, default=64)

    aio: str = value("off")
    directio: int = value(UNLIMITED)
    types: Any = value(None)
    root: Any = value(None, group("root", "alias"))
    alias: int = value(0, group("root", "alias"))
    error_pages: Any = value(None)
    error_log: Any = directive("error_log", HSL, error_log, default=None)
    resolver: Any = directive("resolver", HSL, resolver, default=None)
    open_file_cache: Any = value(None)
    gzip_disable: Any = value(None)
    disable_symlinks: int = value(0)
    disable_symlinks_from: Any = value(None)
    content: HandlerLink | None = value(None, own_or_nameless)
    limit_except: Any = value(None, own)

    def __init__(self) -> None:
        super().__init__()
        self.srv: CoreSrv = None  # type: ignore[assignment]
        self.main: CoreMain = None  # type: ignore[assignment]
        self.confs: dict[type[Conf], Any] = {}
        self.name = ""
        self.exact = False
        self.noregex = False
        self.named = False
        self.lmt_excpt = False
        self.regex: Regex | None = None
        self.prefix = b""  # as compared with the URI
        self.auto_redirect = False
        self.children: list[CoreLoc] = []
        self.file = ""
        self.line = 0
        self.search: Any = None  # the tree of nested locations
        # -- filled by linking (geng.http.phases)
        self.log: Log = None  # type: ignore[assignment]
        self.server_line = b""
        self.server_prefix = b""
        self.product = b""
        self.page_tail = b""
        self.default_type_bytes = b""
        self.steps: Any = ()
        self.rewrite: tuple[Handler, ...] = ()
        self.handlers: tuple[Any, ...] = ()
        self.content_handler: Handler | None = None
        self.log_handlers: tuple[Callable[[Request], object], ...] = ()
        self.hot: Any = None  # geng.http.linked.Linked
        self.send_head: Any = None
        self.send_subhead: Any = None

    def __getitem__(self, cls: type[Any]) -> Any:
        return self.confs[cls]

    def __repr__(self) -> str:
        modifier = "= " if self.exact else "^~ " if self.noregex else "~ " if self.regex else ""
        kind = "nameless " if self.nameless else ""
        return f"<CoreLoc {kind}{modifier}{self.name!r} {self.file}:{self.line}>"

    @property
    def output_buffer_size(self) -> int:
        return self.output_buffers[1]

    # -- files

    def path_of(self, r: Request) -> bytes:
        """The file that r.uri means here (ngx_http_map_uri_to_path)."""
        root = self.root_of(r)
        alias = self.alias
        if not alias:
            return root + r.uri
        if alias < 0:
            return root + r.uri if r.add_uri_to_alias else root
        return root + r.uri[alias:]

    def root_of(self, r: Request) -> bytes:
        """What stands in path_of() before what it takes from the URI. Raises AliasRewritten."""
        if self.alias and not r.valid_location:
            raise AliasRewritten(f'"alias" cannot be used in location "{self.name}" where URI was rewritten')
        root: bytes = self.root.fn(r)
        return root if root[:1] == b"/" else self.server_prefix + root

    @command("root", HSL | LIF)
    def set_root(self, cf: Cf) -> None:
        """`root path`"""
        self._set_root(cf, alias=False)

    @command("alias", LOC)
    def set_alias(self, cf: Cf) -> None:
        """`alias path`"""
        self._set_root(cf, alias=True)

    def _set_root(self, cf: Cf, alias: bool) -> None:
        if self.root is not UNSET:
            earlier = bool(self.alias)
            if earlier == alias:
                raise Refused("is duplicate")
            raise Invalid(
                f'"{cf.node.name}" directive is duplicate, '
                f'"{"alias" if earlier else "root"}" directive was specified earlier'
            )
        if self.named and alias:
            raise Invalid('the "alias" directive cannot be used inside the named location')
        text = cf.args[0]
        for name in ("document_root", "realpath_root"):
            if f"${name}" in text or f"${{{name}}}" in text:
                raise Invalid(f'the ${name} variable cannot be used in the "{cf.node.name}" directive')
        if not alias and text.endswith("/"):
            text = text[:-1]
        if text[:1] != "$":
            text = cf.path(text)
        self.root = compile_value(cf, text)
        if alias:  # also for the locations inside, so it is this one's name that counts
            self.alias = -1 if self.regex is not None else len(self.prefix)
        else:
            self.alias = 0
        self.given.update(("root", "alias"))

    @property
    def alias_length(self) -> int:
        """How much of a URI an `alias` takes the place of; 0: there is none, -1: all of it (a regex location)."""
        return self.alias

    @property
    def prefix_raw(self) -> bytes:
        return to_bytes(self.name)

    @command("types", HSL, block=True)
    def set_types(self, cf: Cf) -> None:
        """`types { type extension ...; }`"""
        if self.types is UNSET:
            self.types = {}
            self.given.add("types")

        def read(words: tuple[str, ...]) -> None:
            if words[0] == "include":  # with one argument it is no row
                raise Invalid('invalid number of arguments in "include" directive')
            for word in words[1:]:
                self._add_type(cf, to_bytes(word).lower(), to_bytes(words[0]))

        cf.table(read)

    def _check_types(self, cf: Cf) -> None:
        """Whether nginx could build its table of them; once for all who inherit them."""
        sizes = (self.types_hash_max_size, hashes.aligned(self.types_hash_bucket_size))
        checked: set[Any] = cf.scope.checked
        if (id(self.types), sizes) not in checked:
            checked.add((id(self.types), sizes))
            hashes.Hash("types_hash", *sizes, partial(cf.log, "warn")).build(list(self.types))

    def _add_type(self, cf: Cf, extension: bytes, kind: bytes) -> None:
        known = self.types.get(extension)
        if known is not None:
            words = [text.decode("utf-8", "surrogateescape") for text in (extension, kind, known)]
            cf.warn('duplicate extension "{}", content type: "{}", previous content type: "{}"'.format(*words))
        self.types[extension] = kind

    @command("open_file_cache", HSL)
    def set_open_file_cache(self, cf: Cf) -> None:
        """`open_file_cache off | max=N [inactive=time]`"""
        if self.open_file_cache is not UNSET:
            raise Refused("is duplicate")
        most, inactive, is_off = 0, 60, False
        for word in cf.args:
            name, equals, text = word.partition("=")
            try:
                if word == "off":
                    is_off = True
                elif name == "max" and equals and text.isdigit() and int(text) > 0:
                    most = int(text)
                elif name == "inactive" and equals:
                    inactive = parse_sec(text)
                else:
                    raise BadValue
            except BadValue:
                raise Invalid(f'invalid "open_file_cache" parameter "{word}"') from None
        if not is_off and not most:
            raise Invalid('"open_file_cache" must have the "max" parameter')
        self.open_file_cache = None if is_off else OpenFileCache(most, inactive)
        self.given.add("open_file_cache")

    @command("directio", HSL)
    def set_directio(self, cf: Cf) -> None:
        """`directio size | off`"""
        if self.directio is not UNSET:
            raise Refused("is duplicate")
        self.directio = UNLIMITED if cf.args[0] == "off" else off(cf.args[0])

    @command("aio", HSL)
    def set_aio(self, cf: Cf) -> None:
        """`aio on | off | threads[=pool]`: who reads files is of no consequence for what a client gets."""
        if self.aio is not UNSET:
            raise Refused("is duplicate")
        word = cf.args[0]
        if word not in ("on", "off", "threads") and not word.startswith("threads="):
            raise Refused("invalid value")
        kind, equals, pool = word.partition("=")
        if count_variables(pool):
            compile_value(cf, pool)
        elif kind == "threads":
            cf.cycle.thread_pools.use(cf, pool if equals else "default")
        self.aio = word

    @command("disable_symlinks", HSL)
    def set_disable_symlinks(self, cf: Cf) -> None:
        """`disable_symlinks off | on | if_not_owner [from=part]`"""
        if self.disable_symlinks is not UNSET:
            raise Refused("is duplicate")
        modes = {"off": 0, "on": 1, "if_not_owner": 2}
        for word in cf.args:
            if word in modes:
                self.disable_symlinks = modes[word]
            elif word.startswith("from="):
                self.disable_symlinks_from = compile_value(cf, word[5:])
            else:
                raise Invalid(f'invalid parameter "{word}"')
        if self.disable_symlinks is UNSET:
            raise Invalid('"disable_symlinks" must have "off", "on" or "if_not_owner" parameter')
        if len(cf.args) == 1:
            self.disable_symlinks_from = None
        elif self.disable_symlinks_from is UNSET:
            raise Invalid(f'duplicate parameters "{cf.args[0]} {cf.args[1]}"')
        elif not self.disable_symlinks:
            raise Invalid('"from=" cannot be used with "off" parameter')

    # -- the connection

    @command("keepalive_timeout", HSL)
    def set_keepalive_timeout(self, cf: Cf) -> None:
        """`keepalive_timeout timeout [header_timeout]`"""
        if self.keepalive_timeout is not UNSET:
            raise Refused("is duplicate")
        try:
            self.keepalive_timeout = parse_msec(cf.args[0])
            if len(cf.args) == 2:
                self.keepalive_header = parse_sec(cf.args[1])
        except BadValue:
            raise Refused("invalid value") from None

    @command("internal", LOC)
    def set_internal(self, cf: Cf) -> None:
        """`internal`"""
        if self.internal is not UNSET:
            raise Refused("is duplicate")
        self.internal = True

    # -- errors

    @command("error_page", HSL | LIF)
    def add_error_page(self, cf: Cf) -> None:
        """`error_page code ... [=[response]] uri`"""
        words = list(cf.args)
        uri = words.pop()
        overwrite = -1
        if words[-1][:1] == "=":
            if len(words) == 1:
                raise Invalid(f'invalid value "{words[0]}"')
            word = words.pop()
            if len(word) > 1 and not word[1:].isdigit():
                raise Invalid(f'invalid value "{word}"')
            overwrite = int(word[1:] or 0)
        compiled = compile_value(cf, uri)
        args = b""
        if compiled.literal is not None and uri[:1] == "/":
            plain, _, rest = uri.partition("?")
            if rest:
                args = to_bytes(rest)
                compiled = compile_value(cf, plain.replace("$", "")) if "$" not in plain else compiled
        pages = {} if self.error_pages is UNSET else self.error_pages
        for word in words:
            status = _status(word)
            if status in (-1, 499):
                raise Invalid(f'invalid value "{word}"')
            if not 300 <= status <= 599:
                raise Invalid(f'value "{word}" must be between 300 and 599')
            as_status = 400 if overwrite == -1 and status in (494, 495, 496, 497) else overwrite
            pages.setdefault(status, ErrorPage(as_status, compiled, args))
        self.error_pages = pages
        cf[CoreMain].has_error_pages = True

    @command("gzip_disable", HSL)
    def set_gzip_disable(self, cf: Cf) -> None:
        """`gzip_disable regex ...`: user agents that get no compressed answers."""
        if self.gzip_disable is UNSET:
            self.gzip_disable = []
        for word in cf.args:
            if word == "msie6":
                self.gzip_disable.append("msie6")
            elif word == "degradation":
                self.gzip_disable.append(word)
            else:
                self.gzip_disable.append(compile_regex(cf, word, caseless=True))

    @command("limit_except", LOC, block=True)
    def set_limit_except(self, cf: Cf) -> None:
        """`limit_except method ... { }`"""
        from geng.http.location import add_limit_except

        add_limit_except(cf, self)

    def check(self, cf: Cf) -> None:
        if self.types is None:
            self.types = DEFAULT_TYPES
        self._check_types(cf)
        if self.root is None:
            self.root = compile_value(cf, cf.path("html"))
        if self.client_body_temp_path is None:
            self.client_body_temp_path = default_path(cf, "client_body_temp")
        self.default_type_bytes = to_bytes(self.default_type)
        self.server_prefix = to_bytes(cf.path(""))
        self.log = self.error_log if self.error_log is not None else cf.cycle.log
        product = cf.cycle.product
        token = product if self.server_tokens else product.partition(b"/")[0]
        self.server_line = b"Server: %s\r\n" % token
        self.product = token


def _status(word: str) -> int:
    """*word* as a number, -1 if it is none."""
    try:
        return atoi(word)
    except BadValue:
        return -1
