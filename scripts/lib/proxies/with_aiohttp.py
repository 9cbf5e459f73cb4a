"""aiohttp as a reverse proxy: `with_aiohttp.py PORT BACKEND_PORT`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

from aiohttp import ClientSession, TCPConnector, web

PER_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "content-length", "content-encoding"}


def main(port: int, backend: int) -> None:
    async def context(app: web.Application) -> AsyncIterator[None]:
        async with ClientSession(connector=TCPConnector(limit=0), auto_decompress=False) as session:
            app["session"] = session
            yield

    async def pass_on(request: web.Request) -> web.StreamResponse:
        session: ClientSession = request.app["session"]
        url = f"http://127.0.0.1:{backend}{request.raw_path}"
        headers = {name: value for name, value in request.headers.items() if name.lower() not in PER_HOP}
        async with session.request(request.method, url, headers=headers, data=await request.read()) as answer:
            kept = {name: value for name, value in answer.headers.items() if name.lower() not in PER_HOP}
            return web.Response(status=answer.status, headers=kept, body=await answer.read())

    app = web.Application()
    app.cleanup_ctx.append(context)
    app.router.add_route("*", "/{path:.*}", pass_on)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
