"""The HTTP modules, in nginx's order (auto/modules): phases and filters run from the last to the first."""

from __future__ import annotations

from geng.http.block import HttpServers
from geng.http.conf import CoreLoc, CoreMain, CoreSrv
from geng.http.module import Module
from geng.http.variables import VARIABLES
from geng.modules.http import (
    access,
    addition,
    auth_basic,
    auth_request,
    autoindex,
    browser,
    charset,
    dav,
    degradation,
    empty_gif,
    flv,
    geo,
    gunzip,
    gzip,
    gzip_static,
    headers,
    index,
    limit_conn,
    limit_req,
    log,
    map,
    mirror,
    mp4,
    not_modified,
    proxy,
    random_index,
    range,
    realip,
    referer,
    rewrite,
    secure_link,
    slice,
    split_clients,
    ssi,
    static,
    stub_status,
    sub,
    try_files,
    upstream,
    upstream_hash,
    upstream_ip_hash,
    upstream_keepalive,
    upstream_least_conn,
    upstream_random,
    upstream_variables,
    upstream_zone,
    userid,
)

core = Module(name="http_core", confs=(HttpServers, CoreMain, CoreSrv, CoreLoc), variables=VARIABLES)

HTTP_MODULES: tuple[Module, ...] = (
    core,
    # -- log, which runs when a request is over
    log.module,
    upstream.module,
    upstream_variables.module,
    # -- filters at the end of the chain
    range.module,
    gzip.module,
    # -- handlers of content
    static.module,
    gzip_static.module,
    dav.module,
    autoindex.module,
    index.module,
    random_index.module,
    mirror.module,
    try_files.module,
    stub_status.module,
    # -- handlers of access
    auth_request.module,
    auth_basic.module,
    access.module,
    limit_conn.module,
    limit_req.module,
    realip.module,
    # -- variables
    geo.module,
    map.module,
    split_clients.module,
    referer.module,
    rewrite.module,
    # -- handlers that talk to backends
    proxy.module,
    empty_gif.module,
    browser.module,
    secure_link.module,
    degradation.module,
    flv.module,
    mp4.module,
    # -- balancers
    upstream_hash.module,
    upstream_ip_hash.module,
    upstream_least_conn.module,
    upstream_random.module,
    upstream_keepalive.module,
    upstream_zone.module,
    # -- filters of content
    ssi.module,
    charset.module,
    sub.module,
    addition.module,
    gunzip.module,
    userid.module,
    headers.module,
    not_modified.module,
    slice.module,
)
