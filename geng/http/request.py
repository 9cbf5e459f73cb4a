"""One request on its way through the phases: what came in, where it is, what goes out.

nginx: ngx_http_request_t, ngx_http_request.c (ngx_http_finalize_request), ngx_http_core_module.c
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from greenlet import getcurrent

from geng.hot import uri as uris
from geng.hot.http1 import METHODS, request_number
from geng.http.module import DONE, OK
from geng.http.response import new_response

if TYPE_CHECKING:
    from geng.core.log import Log
    from geng.http.body import RequestBody
    from geng.http.conf import CoreLoc, CoreSrv
    from geng.http.connection import HttpConnection
    from geng.http.filters import Writer
    from geng.http.linked import Linked
    from geng.net.connection import Connection
    from geng.wire.http1 import RequestHead

# What a request can do is written in the modules above this one, which say so when they are loaded: bind().
read_body: Callable[[Request], int] = None  # type: ignore[assignment]
discard_body: Callable[[Request], int] = None  # type: ignore[assignment]
send_head: Callable[[Request], Writer] = None  # type: ignore[assignment]
internal_redirect: Callable[[Request, bytes, bytes | None], int] = None  # type: ignore[assignment]
named_location: Callable[[Request, bytes], int] = None  # type: ignore[assignment]


def bind(**functions: Callable[..., Any]) -> None:
    """Fill in the functions that Request's methods of the same names call."""
    globals().update(functions)


_EXPECT = request_number(b"expect")

MAX_URI_CHANGES = 10
MAX_SUBREQUESTS = 50  # inside each other
MAX_REFERENCES = 65535 - 1000  # of one request, one after the other


class Request:
    """A request or a subrequest; *main* is the request that the client sent (itself for that one).

    uri, args: what locations and handlers see (decoded path, query without "?"); unparsed_uri: as it was sent.
    vars: values of variables by name, cached or set here; shared with subrequests.
    captures: the last regular expression's match; ctx: each module's own state of this request, by conf class.
    """

    # Defaults of what few requests use; what most use is set in __init__ (and typed in request.pxd).
    add_uri_to_alias = False  # try_files has found the rest of an alias by a regex
    subrequests = MAX_REFERENCES  # how many more it may have
    body_in_file = False  # its body is received into a file that has a name, until the request is over (dav)
    names_body_file = False  # a file that its body is received into has a name, likewise (perl)
    error_page = False
    access_code = 0
    expect_tested = False
    filter_need_temporary = False
    limit_rate_after: int | None = None
    joins_pieces = False  # its body is followed by those of subrequests (slice)
    preserve_body = False
    realip: Any = None  # the client's own address where another stands in its place
    root_tested = False
    parent: Request | None = None
    depth = 0
    wrote = False  # a subrequest has written something of its body
    on_result: Callable[[Request, int], int] | None = None  # what a subrequest's verdict means (post_subrequest)
    waits_for_backgrounds: Any = None
    left_handler: Callable[[Request], int] | None = None  # of an `if` that another one without a handler came after

    def __init__(self, c: Connection, hc: HttpConnection, head: RequestHead, hot: Linked, start: int) -> None:
        """*hot*: where it begins, the default location of its server; *start*: when, in ms."""
        self.begin(c, hc, head, hot, start)

    def begin(self, c: Connection, hc: HttpConnection, head: RequestHead, hot: Linked, start: int) -> None:
        """__init__(), for compiled callers."""
        self.c = c
        self.hc = hc
        self.head = head
        self.main = self
        self.current = self  # of the main request: which subrequest of it runs
        self.srv: CoreSrv = hot.srv
        self.loc: CoreLoc = hot.loc
        self.hot = hot  # of self.loc
        self.log: Log = hot.log
        self.vars: dict[str, bytes | None] = {}
        self.ctx: dict[Any, Any] = {}
        self.out = new_response()
        self.uri: bytes = head.read_uri()
        self.args: bytes = head.read_args()
        self.start_msec = start
        self.cleanups: list[Callable[[], object]] | None = None
        # -- what came in
        self.method_id: int = head.method_id  # geng.hot.http1.GET, HEAD, …
        self.method_name: bytes | None = None  # set where the method was changed: set_method()
        self.content_length_n = -1
        self.chunked_body = False
        self.body: RequestBody | None = None
        self.discarded = False
        self.request_length = 0
        # -- where it is
        self.internal = False
        self.uri_changed = False
        self.uri_changes = MAX_URI_CHANGES + 1
        self.valid_unparsed_uri = True
        self.valid_location = True  # r.uri begins with the location's name: not after `rewrite ... break`
        self.captures: Any = None
        self.err_status = 0
        self.upstream: Any = None  # the exchange with an upstream that is under way or was last
        self.upstream_states: Any = ()  # a list once there are any
        # -- what goes out
        self.header_sent = False
        self.header_only = False
        self.header_size = 0
        self.pushing = False  # the socket is corked (tcp_nopush)
        self.sink: Writer | None = None  # where subrequests' bodies join this request's
        self.keepalive = False
        self.lingering = False
        self.allow_ranges = False
        self.single_range = False
        self.disable_not_modified = False
        self.limit_rate: int | None = None  # None: as the location says
        self.post_action = False
        self.logged = False
        # -- subrequests
        self.memory: list[bytes] | None = None  # collects the body of a subrequest "in memory"
        self.background = False
        self.backgrounds = 0

    def __repr__(self) -> str:
        kind = "Request" if self.main is self else "Subrequest"
        return f"<{kind} {self.method.decode('latin-1')} {self.uri.decode('latin-1')} {self.out.status}>"

    # ---- what came in

    @property
    def method(self) -> bytes:
        return self.head.method if self.method_name is None else self.method_name

    def set_method(self, name: bytes) -> None:
        """Another method than the client's (X-Accel-Redirect, error pages, subrequests)."""
        self.method_name = name
        self.method_id = METHODS.get(name, 0)

    @property
    def http_version(self) -> int:
        """9, 10, 11 (20 for HTTP/2)."""
        version: int = self.head.http_version
        return version if version < 1000 else version // 1000 * 10 + version % 1000

    @property
    def exten(self) -> bytes:
        """What follows the last dot of the URI's last part, b"" without."""
        return uris.exten(self.uri)

    @property
    def server_name_asked(self) -> bytes:
        """The host that the client asked for, lower case, without port (headers_in.server)."""
        return self.head.server or b""

    @property
    def unparsed_uri(self) -> bytes:
        return self.head.unparsed_uri

    def header(self, name: bytes) -> bytes | None:
        """The first header *name* (lower case) of the request."""
        return self.head.get(name)

    def capture(self, n: int) -> bytes | None:
        """$1 … of the last regular expression that matched."""
        match = self.captures
        if match is None:
            return None
        try:
            return match.group(n)
        except IndexError:
            return None

    def read_body(self) -> int:
        """Receive the whole body to memory or to a file (`self.body`). OK, or a status to answer with."""
        if self.body is not None:
            return OK
        return read_body(self)

    def discard_body(self) -> int:
        """The body, if any, is not wanted: read it away while answering. OK or a status."""
        if self.content_length_n <= 0 and not self.chunked_body and self.head.first(_EXPECT) is None:
            return OK
        return discard_body(self)

    # ---- what goes out

    def set_content_type(self) -> None:
        """The type that the location's `types` gives to this URI's extension."""
        if not self.out.content_type:  # an upstream's may have come with X-Accel-Redirect
            self.out.content_type = self.type_of_uri()

    def type_of_uri(self) -> bytes:
        """nginx: ngx_http_set_content_type"""
        hot = self.hot
        extension = uris.exten(self.uri)
        if extension:
            kind = hot.types.get(extension) or hot.types.get(extension.lower())
            if kind is not None:
                return kind
        return hot.default_type

    def send_head(self) -> Writer:
        """Send the response's head through the location's filters; the body goes to what this returns.

        With `header_only` set afterwards (HEAD, 204, 304) the writer drops what it gets: a handler may stop early.
        """
        return send_head(self)

    def respond(self, status: int, body: bytes = b"", content_type: bytes | None = None) -> int:
        """Answer with a whole body in memory (ngx_http_send_response); returns DONE."""
        out = self.out
        out.status = status
        if content_type is not None:
            out.content_type = content_type
        out.content_length = len(body)
        writer = send_head(self)
        if body and not self.header_only:
            writer.write((body,))
        writer.end()
        return DONE

    # ---- other ways to go on

    def set_uri(self, uri: bytes, args: bytes | None = None) -> None:
        """Another URI for this request; nothing else happens."""
        self.uri = uri
        if args is not None:
            self.args = args

    def internal_redirect(self, uri: bytes, args: bytes | None = None) -> int:
        """Serve *uri* instead, from the server's rewrite phase on (ngx_http_internal_redirect); returns DONE."""
        return internal_redirect(self, uri, args)

    def named_location(self, name: bytes) -> int:
        """Serve with location @name instead (ngx_http_named_location); returns DONE."""
        return named_location(self, name)

    def pause(self, ms: int) -> None:
        """Wait, unless the client goes meanwhile: then raises Abandoned."""
        c = self.c
        c.abort_on_close(getcurrent())
        try:
            c.hub.sleep(ms)
        finally:
            if not c.closed:
                c.on_read = None

    def on_end(self, cleanup: Callable[[], object]) -> None:
        """Call *cleanup* when the request is over, whatever happens (ngx_http_cleanup_add)."""
        if self.cleanups is None:
            self.cleanups = [cleanup]
        else:
            self.cleanups.append(cleanup)
