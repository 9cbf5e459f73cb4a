"""URIs: normalising, escaping, arguments, host names.

nginx: ngx_http_parse.c (complex and unsafe URIs, arguments), ngx_string.c (escaping),
ngx_http_request.c (ngx_http_validate_host), ngx_http_core_module.c (ngx_http_set_exten).   RFC 3986.
"""

from __future__ import annotations

from collections.abc import Iterable

URI, ARGS, URI_COMPONENT, HTML, REFRESH, MEMCACHED, MAIL_AUTH, MAIL_XTEXT = range(8)
"""What escape_uri() escapes for (NGX_ESCAPE_*)."""

UNESCAPE_ALL, UNESCAPE_URI, UNESCAPE_REDIRECT = range(3)
"""What unescape_uri() reads: all of it; up to a `?`; only what a redirect may show bare (NGX_UNESCAPE_*)."""

# The same for this file: compiled, these are C integers, which nobody else can see.
_MAIL_XTEXT, _ALL, _REDIRECT = MAIL_XTEXT, UNESCAPE_ALL, UNESCAPE_REDIRECT

HEX = b"0123456789ABCDEF"


def _table(marks: Iterable[tuple[bytes, int]], default: int = 0) -> bytes:
    """256 bytes: the class of each byte."""
    table = bytearray([default]) * 256
    for chars, kind in marks:
        for ch in chars:
            table[ch] = kind
    return bytes(table)


DIGITS = b"0123456789"
LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONTROL = bytes(range(0x20))
HIGH = bytes(range(0x7F, 0x100))
SUB_DELIMS = b"!$&'()*+,;="

XDIGIT = bytes(int(chr(c), 16) if chr(c) in "0123456789abcdefABCDEF" else 16 for c in range(256))
"""The value of a hexadecimal digit, 16 for any other byte."""

# RFC 3986 lets unreserved, gen-delims and sub-delims stand unescaped; each kind takes away what would be misread.
_UNSAFE = CONTROL + HIGH + b" <>\\^`{|"
ESCAPED = (
    _table([(_UNSAFE + b'}"#%?', 1)]),
    _table([(_UNSAFE + b'}"#%&+;?', 1)]),
    _table([(LETTERS + DIGITS + b"-._~", 0)], default=1),
    _table([(_UNSAFE + b"}\"#%'", 1)]),
    _table([(_UNSAFE + b"~\"'", 1)]),  # "~" escaped and "}" not: nginx's table has these two swapped
    _table([(CONTROL + b" %", 1)]),
    _table([(CONTROL + b" %", 1)]),
    _table([(CONTROL + HIGH + b" +=", 1)]),
)


def escape_uri(text: bytes, kind: int = 0) -> bytes:
    """*text* with each byte that *kind* forbids as %XX (+XX for MAIL_XTEXT). *text* itself when there is none."""
    escaped = ESCAPED[kind]
    p = text
    size = len(text)
    i = 0
    while i < size and not escaped[p[i]]:
        i += 1
    if i == size:
        return text
    hex = HEX
    mark = 43 if kind == _MAIL_XTEXT else 37
    out = bytearray(p[:i])
    while i < size:
        ch = p[i]
        if escaped[ch]:
            out.append(mark)
            out.append(hex[ch >> 4])
            out.append(hex[ch & 15])
        else:
            out.append(ch)
        i += 1
    return bytes(out)


def escaped_length(text: bytes, kind: int = 0) -> int:
    """How many bytes of *text* escape_uri() would escape."""
    escaped = ESCAPED[kind]
    p = text
    size = len(text)
    n = 0
    for i in range(size):
        n += escaped[p[i]]
    return n


def unescape_uri(text: bytes, mode: int = 0) -> bytes:
    """*text* with %XX decoded, as ngx_unescape_uri does: a broken escape loses its `%` and what follows is kept.

    UNESCAPE_URI and UNESCAPE_REDIRECT decode up to the first `?`, bare or escaped, and copy what follows it;
    UNESCAPE_REDIRECT decodes only what is above `%` and below DEL.
    """
    if b"%" not in text and (mode == _ALL or b"?" not in text):
        return text
    p = text
    xdigit = _XDIGITS
    size = len(text)
    out = bytearray()
    i = 0
    while i < size:
        ch = p[i]
        i += 1
        if ch != 37:
            out.append(ch)
            if ch == 63 and mode != _ALL:
                out += p[i:size]
                break
            continue
        if i == size:
            break
        if xdigit[p[i]] == 16:
            out.append(p[i])
            i += 1
            continue
        i += 1
        if i == size:
            break
        if xdigit[p[i]] == 16:
            i += 1
            continue
        ch = (xdigit[p[i - 1]] << 4) + xdigit[p[i]]
        i += 1
        if ch == 63 and mode != _ALL:
            out.append(ch)
            out += p[i:size]
            break
        if mode == _REDIRECT and not 37 < ch < 0x7F:
            out += p[i - 3 : i]
        else:
            out.append(ch)
    return bytes(out)


# --- the complex URI ------------------------------------------------------------------------------------------------

USUAL, SLASH, DOT, PERCENT, QUERY, HASH, PLUS, SPACE, CR_BYTE, LF_BYTE, BAD = range(11)
"""Classes of bytes in the target of a request; BAD are control characters and DEL."""


URI_KIND = _table(
    [
        (CONTROL + b"\x7f", BAD),
        (b"/", SLASH),
        (b".", DOT),
        (b"%", PERCENT),
        (b"?", QUERY),
        (b"#", HASH),
        (b"+", PLUS),
        (b" ", SPACE),
        (b"\r", CR_BYTE),
        (b"\n", LF_BYTE),
    ]
)

_SLASH, _DOT, _PERCENT, _QUERY, _HASH, _PLUS = SLASH, DOT, PERCENT, QUERY, HASH, PLUS
_KINDS, _XDIGITS = URI_KIND, XDIGIT
_PLAIN, _AFTER_SLASH, _AFTER_DOT, _AFTER_DOT_DOT = range(4)


def _climb(out: bytearray) -> bool:
    """Drop "/.." and the segment before it from the end of *out*; False above the root."""
    slash = out.rfind(b"/", 0, len(out) - 3) if len(out) > 3 else -1
    if slash < 0:
        return False
    del out[slash + 1 :]
    return True


class ParsedUri:
    """What parse_uri() found: *path* decoded and normalised, *args* behind the `?` (b"" without), *exten* likewise."""

    __slots__ = ("args", "exten", "path", "plus", "quoted")

    def __init__(self, path: bytes, args: bytes, exten: bytes, plus: bool, quoted: bool) -> None:
        self.path = path
        self.args = args
        self.exten = exten
        self.plus = plus
        self.quoted = quoted

    def __repr__(self) -> str:
        return f"<ParsedUri {self.path!r} args={self.args!r} exten={self.exten!r}>"


def parse_uri(text: bytes, merge_slashes: bool = True, empty_path: bool = False) -> ParsedUri | None:
    """*text* decoded and its `//`, `/./`, `/../` resolved (ngx_http_parse_complex_uri); None where nginx answers 400.

    *empty_path*: the target was "http://host?args", so that a "/" comes first.
    """
    p = text
    kinds = _KINDS
    xdigit = _XDIGITS
    size = len(text)
    out = bytearray()
    if empty_path:
        out.append(47)
    state = _PLAIN
    ext = -1
    plus = quoted = False
    args = b""
    i = 0
    while i < size:
        ch = p[i]
        i += 1
        kind = kinds[ch]

        if kind == _PERCENT:
            # an escape is decoded and read again as if it stood bare, but "%", "#" and "?" then mean themselves
            quoted = True
            if i + 2 > size or xdigit[p[i]] == 16 or xdigit[p[i + 1]] == 16:
                return None
            ch = (xdigit[p[i]] << 4) + xdigit[p[i + 1]]
            i += 2
            if ch == 0:
                return None
            kind = kinds[ch]
            if kind == _PERCENT or kind == _HASH or kind == _QUERY:
                out.append(ch)
                state = _PLAIN
                continue

        if kind == _PLUS:
            plus = True

        if kind == _QUERY or kind == _HASH:
            if kind == _QUERY:
                hash_at = text.find(b"#", i)
                args = p[i : hash_at if hash_at >= 0 else size]
            break

        if kind == _SLASH:
            if state == _AFTER_DOT:
                out.pop()
            elif state == _AFTER_DOT_DOT:
                if not _climb(out):
                    return None
            elif state == _PLAIN:
                ext = -1
                out.append(ch)
            elif not merge_slashes:
                out.append(ch)
            state = _AFTER_SLASH
        elif kind == _DOT and state == _AFTER_SLASH:
            out.append(ch)
            state = _AFTER_DOT
        elif kind == _DOT and state == _AFTER_DOT:
            out.append(ch)
            state = _AFTER_DOT_DOT
        else:
            if kind == _DOT and state == _PLAIN:
                ext = len(out) + 1
            out.append(ch)
            state = _PLAIN

    if state == _AFTER_DOT:
        out.pop()
    elif state == _AFTER_DOT_DOT and not _climb(out):
        return None
    return ParsedUri(bytes(out), args, bytes(out)[ext:] if ext >= 0 else b"", plus, quoted)


def _climbs(path: bytes, whole: bool) -> bool:
    """Whether a segment of *path* is ".."; one that ends the path counts only when nothing follows (*whole*)."""
    return path.startswith(b"../") or b"/../" in path or (whole and (path == b".." or path.endswith(b"/..")))


def parse_unsafe_uri(uri: bytes) -> tuple[bytes, bytes] | None:
    """(path, args) of a URI that an upstream or a page gave, path decoded; None when it is unsafe.

    The caller logs `unsafe URI "%V" was detected` where nginx's NGX_HTTP_LOG_UNSAFE asks for it.
    nginx: ngx_http_parse_unsafe_uri, which lets "/..?" pass.
    """
    if not uri or uri.startswith(b"?"):
        return None
    path, mark, args = uri.partition(b"?")
    if b"\0" in path or _climbs(path, not mark):
        return None
    if b"%" in path:
        path = unescape_uri(path)
        if b"\0" in path or _climbs(path, True):
            return None
    return path, args


def exten(uri: bytes) -> bytes:
    """What follows the last dot of the last segment (ngx_http_set_exten): b"" for "/.x", "/a." and "/a"."""
    dot = uri.rfind(b".", uri.rfind(b"/") + 2 if b"/" in uri else 2)
    return uri[dot + 1 :] if dot > 1 else b""


def arg(args: bytes, name: bytes) -> bytes | None:
    """The value of the first argument *name*, its case ignored, still escaped (ngx_http_arg)."""
    if not args:
        return None
    low = args.lower()
    key = name.lower() + b"="
    p = args
    at = 0
    while True:
        at = low.find(key, at)
        if at < 0:
            return None
        if at == 0 or p[at - 1] == 38:
            start = at + len(key)
            stop = args.find(b"&", start)
            return args[start:] if stop < 0 else args[start:stop]
        at += 1


# --- host names -----------------------------------------------------------------------------------------------------

_H_BAD, _H_PLAIN, _H_UPPER, _H_DOT, _H_COLON, _H_OPEN, _H_CLOSE, _H_PERCENT = range(8)

HOST_KIND = _table(
    [
        (LETTERS[:26] + DIGITS + b"-_~" + SUB_DELIMS, _H_PLAIN),
        (LETTERS[26:], _H_UPPER),
        (b".", _H_DOT),
        (b":", _H_COLON),
        (b"[", _H_OPEN),
        (b"]", _H_CLOSE),
        (b"%", _H_PERCENT),
    ]
)


def validate_host(host: bytes) -> tuple[bytes, int] | None:
    """(name, port) of a Host header: lower case, port and one trailing dot cut off; port 0 without one.

    None where nginx answers 400 (NGX_DECLINED).   nginx: ngx_http_validate_host
    """
    p = host
    kinds = HOST_KIND
    size = len(host)
    upper = False
    dot = -2
    i = 0
    literal = size > 0 and p[0] == 91
    if literal:
        i = 1
    while i < size:
        kind = kinds[p[i]]
        if kind == _H_DOT:
            if dot == i - 1:
                return None
            dot = i
        elif kind == _H_UPPER:
            upper = True
        elif kind == _H_COLON:
            if not literal:
                break
        elif kind == _H_CLOSE and literal:
            break
        elif kind == _H_PERCENT:
            if literal:
                return None
        elif kind != _H_PLAIN:
            return None
        i += 1
    stop = i
    if literal:
        if i == size:
            return None
        i += 1
        stop = i
        if i < size and p[i] != 58:
            return None
    port = 0
    i += 1
    while i < size:
        digit = p[i] - 48
        if digit < 0 or digit > 9:
            return None
        port = port * 10 + digit
        if port > 65535:
            return None
        i += 1
    if dot == stop - 1:
        stop -= 1
    if stop == 0:
        return None
    name = p[:stop]
    return (name.lower() if upper else name), port
