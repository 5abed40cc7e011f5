"""The web application: REST, streams, control and the page on one event loop, with one ticker."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from simulator.server.control import Control
from simulator.server.hub import Hub
from simulator.server.page import page
from simulator.simulator import Simulator
from simulator.venue.admission import BODY_MAX
from simulator.venue.reply import Reply

TICK_SECONDS = 0.05


class MalformedRequestFilter(logging.Filter):
    """Log a request that is not HTTP, which is answered with 400, as one line instead of a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | ConnectionError):
            reason = " ".join(str(error).split())[:200]
            record.msg, record.args = "A request was not understood: %s", (reason,)
            record.exc_info = record.exc_text = None
        return True


class Server:
    """Serves one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.hub = Hub(simulator)
        self.control = Control(simulator, self.flush)
        simulator.venue.collects_events = True
        self._ticker: asyncio.Task[None] | None = None
        self._delayed: dict[int, asyncio.Future[Reply]] = {}

    def application(self) -> web.Application:
        app = web.Application(client_max_size=BODY_MAX)
        app.add_routes(self.control.routes())
        app.router.add_get("/", self._page)
        for prefix in ("", "/private", "/market", "/public"):
            for kind in ("ws", "stream"):
                app.router.add_get(f"{prefix}/{kind}", self.hub.serve)
                app.router.add_get(f"{prefix}/{kind}/{{names:.*}}", self.hub.serve)
        app.router.add_route("*", "/{path:.*}", self._exchange)
        app.on_startup.append(self._start)
        app.on_cleanup.append(self._stop)
        return app

    async def _start(self, _: web.Application) -> None:
        self._ticker = asyncio.create_task(self._tick())

    async def _stop(self, _: web.Application) -> None:
        if self._ticker is not None:
            self._ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._ticker

    async def _tick(self) -> None:
        while True:
            try:
                self.simulator.tick()
                self.flush()
                self.hub.expire(self.simulator.clock())
            except Exception:
                # A defect in one tick must not stop the market for good: log it, and try the next one.
                logging.getLogger(__name__).exception("A tick of the market failed.")
            await asyncio.sleep(TICK_SECONDS)

    def flush(self) -> None:
        """Send to sockets and waiting clients everything that is due to them."""
        venue = self.simulator.venue
        self.hub.send_user_events(self.simulator.ex.take_events())
        self.hub.send_market_events()
        for account in venue.dropped_streams:
            self.hub.cut_user_streams(account)
        venue.dropped_streams.clear()
        replies = venue.delayed.replies
        for ident in [ident for ident in self._delayed if ident in replies]:
            future = self._delayed.pop(ident)
            if not future.done():
                future.set_result(replies.pop(ident))

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=page(), content_type="text/html")

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        """Serve one request to the exchange, with what a fault does to its connection."""
        try:
            body = await request.read() if request.can_read_body else b""
        except ConnectionError:
            return _hang_up(request)
        headers = {"x-mbx-apikey": request.headers.get("X-MBX-APIKEY", "")}
        reply = self.simulator.venue.handle(
            request.method,
            request.raw_path,
            headers,
            body,
            self.simulator.clock(),
            request.remote or "127.0.0.1",
        )
        if reply.delayed_id:
            future = self._delayed[reply.delayed_id] = asyncio.get_running_loop().create_future()
            self.flush()
            reply = await future
        else:
            self.flush()
        if reply.lost:
            return _hang_up(request)
        if late_ms := reply.delay_ms + self.simulator.latency_ms:
            await asyncio.sleep(late_ms / 1000)
        return web.Response(body=reply.body, status=reply.status, headers=reply.headers)


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Cut the connection without a response."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
