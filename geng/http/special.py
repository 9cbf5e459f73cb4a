"""Answers that are made here: error pages, redirects, and the `error_page` that replaces them.

nginx: ngx_http_special_response.c
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geng.hot.http1 import CHROME, HEAD, MSIE
from geng.http.module import DONE
from geng.wire.http1 import REASONS

if TYPE_CHECKING:
    from geng.http.conf import CoreLoc, ErrorPage
    from geng.http.request import Request

_TITLES = {
    302: b"302 Found",
    401: b"401 Authorization Required",
    494: b"400 Request Header Or Cookie Too Large",
    495: b"400 The SSL certificate error",
    496: b"400 No required SSL certificate was sent",
    497: b"400 The plain HTTP request was sent to HTTPS port",
    498: b"404 Not Found",
}
_MORE = {
    494: b"Request Header Or Cookie Too Large",
    495: b"The SSL certificate error",
    496: b"No required SSL certificate was sent",
    497: b"The plain HTTP request was sent to HTTPS port",
}
_WITHOUT = frozenset((103, 200, 201, 204, 206, 304))


def _page(status: int) -> bytes:
    title = _TITLES.get(status) or b"%d %s" % (status, REASONS[status])
    head = b"<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n" % title
    if status in _MORE:
        return head + b"<center><h1>400 Bad Request</h1></center>\r\n<center>%s</center>\r\n" % _MORE[status]
    return head + b"<center><h1>%s</h1></center>\r\n" % title


PAGES = {status: _page(status) for status in [*REASONS, 494, 495, 496, 497, 498] if status not in _WITHOUT}

PADDING = b"<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n" * 6

CLOSES = frozenset((400, 413, 414, 497, 495, 496, 500, 501))
REDIRECTS = frozenset((301, 302, 303, 307, 308))


def respond(r: Request, status: int) -> int:
    """End *r* with *status*: by an error page of the configuration, or by geng's own. Returns DONE."""
    loc = r.loc
    r.err_status = status
    if status in CLOSES:
        r.keepalive = False
        if status in (400, 495, 496, 497):
            r.lingering = False
    r.out.content_type = b""
    if not r.error_page and loc.error_pages and r.uri_changes != 0:
        if not loc.recursive_error_pages:
            r.error_page = True
        page = loc.error_pages.get(status)
        if page is not None:
            return _send_error_page(r, loc, page)
    _drop_body(r)
    if loc.msie_refresh and status in (301, 302) and r.head.browser & MSIE:
        return _send_refresh(r)
    shown = status
    if status in (494, 495, 496, 497):
        r.err_status = 400
    return send_special(r, loc, shown)


def _drop_body(r: Request) -> None:
    r.expect_tested = True
    if r.discard_body() != 0:
        r.keepalive = False


def _send_error_page(r: Request, loc: CoreLoc, page: ErrorPage) -> int:
    overwrite = page.overwrite
    if overwrite and overwrite != 200:
        r.expect_tested = True
    if overwrite >= 0:
        r.err_status = overwrite
    uri = page.uri(r)
    if uri[:1] == b"/":
        args = page.args
        if page.uri.literal is None:
            uri, _, args = uri.partition(b"?")
        if r.method_id != HEAD:
            r.set_method(b"GET")
        return r.internal_redirect(uri, args)
    if uri[:1] == b"@":
        return r.named_location(uri)
    _drop_body(r)
    r.out.location = uri
    if overwrite not in REDIRECTS:
        overwrite = 302
    r.err_status = overwrite
    if loc.msie_refresh and r.head.browser & MSIE:
        return _send_refresh(r)
    return send_special(r, loc, overwrite)


def send_special(r: Request, loc: CoreLoc, status: int) -> int:
    """The page for *status*, or a response without a body where there is none."""
    out = r.out
    page = PAGES.get(status)
    body = b""
    if page is not None:
        body = page + loc.page_tail
        if loc.msie_padding and status >= 400 and r.http_version >= 10 and r.head.browser & (MSIE | CHROME):
            body += PADDING
        out.content_type = b"text/html"
        out.charset = b""
    out.clear_validators()
    out.content_length = len(body)
    writer = r.send_head()
    if body and not r.header_only:
        writer.write((body,))
    writer.end()
    return DONE


def _send_refresh(r: Request) -> int:
    """A page that makes an old Internet Explorer go elsewhere (msie_refresh)."""
    from geng.hot.uri import REFRESH, escape_uri

    location = r.out.location
    target = escape_uri(location, REFRESH) if location else b""
    r.out.location = b""
    body = b'<html><head><meta http-equiv="Refresh" content="0; URL=' + target + b'"></head><body></body></html>\r\n'
    r.err_status = 200
    r.out.content_type = b"text/html"
    r.out.clear_validators()
    r.out.content_length = len(body)
    writer = r.send_head()
    if not r.header_only:
        writer.write((body,))
    writer.end()
    return DONE
