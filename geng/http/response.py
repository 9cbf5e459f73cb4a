"""The head of the response that is being made: what handlers fill in, filters change and output writes.

nginx: ngx_http_headers_out_t
"""

from __future__ import annotations

from geng.wire.http1 import NameSet, ResponseHead

NOTHING_HIDDEN = NameSet()


class ResponseOut:
    """The head of one response.

    status: 0 until set.  line: an upstream's "200 Fine" to pass on.  content_length: bytes, -1 unknown.
    last_modified: seconds since 1970, -1 none; last_modified_text: an upstream's own words for it.
    location: as the client gets it; a local one ("/path") becomes absolute when the head is written.
    server, date: an upstream's own, None for geng's.
    headers: other lines as [name, value], in order; trailers: likewise, after a chunked body.
    passed, hidden: an upstream's head whose lines pass through, but for hidden ones; see unfold().
    """

    # Defaults of what few responses use; what most use is set in __init__ (and typed in response.pxd).
    override_charset: bytes | None = None  # X-Accel-Charset
    content_offset = 0  # where in the whole the body begins that is being sent (slice)
    connection = b""  # the whole line's value, for "upgrade" and the like

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """__init__(), for compiled callers."""
        self.status = 0
        self.line = b""
        self.content_type = b""
        self.charset = b""
        self.content_length = -1
        self.last_modified = -1
        self.last_modified_text = b""
        self.etag = b""
        self.location = b""
        self.content_encoding = b""
        self.server: bytes | None = None
        self.date: bytes | None = None
        self.passed: ResponseHead | None = None
        self.hidden: NameSet = NOTHING_HIDDEN
        self.headless = False  # an upstream's answer had no head: neither has the client's
        self.expect_trailers = False
        self.chunked = False
        self.vary = False  # the answer depends on Accept-Encoding (gzip_vary)
        self.headers: list[tuple[bytes, bytes]] = []
        self.trailers: list[tuple[bytes, bytes]] = []

    def __repr__(self) -> str:
        return f"<ResponseOut {self.status} {self.content_type.decode('latin-1')} {self.content_length}>"

    def add(self, name: bytes, value: bytes) -> None:
        """One more line; *name* as it is written."""
        self.headers.append((name, value))

    def set(self, name: bytes, value: bytes) -> None:
        """The only line of this name."""
        self.remove(name)
        self.headers.append((name, value))

    def remove(self, name: bytes) -> None:
        """No line of this name."""
        self.unfold()
        sought = name.lower()
        self.headers = [line for line in self.headers if line[0].lower() != sought]

    def getall(self, name: bytes) -> list[bytes]:
        """The values of all lines of this name (lower case); fields that have no line are not in it."""
        passed = self.passed
        found = [] if passed is None or name in self.hidden else passed.getall(name)
        return found + [value for key, value in self.headers if key.lower() == name]

    def unfold(self) -> None:
        """Turn the lines that pass through into entries of `headers`, so that they can be changed."""
        passed = self.passed
        if passed is not None:
            self.passed = None
            hidden = self.hidden
            self.headers[:0] = [line for line in passed.items() if line[0].lower() not in hidden]

    def clear_validators(self, weak: bool = False) -> None:
        """Another body than the file's is coming: no length, no date; the entity tag goes or becomes weak."""
        self.content_length = -1
        self.remove(b"accept-ranges")
        if not weak:
            self.last_modified, self.last_modified_text, self.etag = -1, b"", b""
        else:
            self.weaken_etag()

    def weaken_etag(self) -> None:
        """nginx: ngx_http_weak_etag"""
        if self.etag and not self.etag.startswith(b"W/"):
            self.etag = b"W/" + self.etag if self.etag.startswith(b'"') else b""


def new_response() -> ResponseOut:
    """ResponseOut(); compiled, without calling a type."""
    out = ResponseOut.__new__(ResponseOut)
    out.begin()
    return out
