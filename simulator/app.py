"""The shell around the exchange: HTTP and WebSocket on loopback, one event loop, one market clock."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from simulator.control import Control
from simulator.facade import Simulator
from simulator.page import page
from simulator.streams import Hub
from simulator.venue import BODY_MAX, Reply

TICK_SECONDS = 0.05


class Brief(logging.Filter):
    """A client that speaks no HTTP is answered 400 and gets one line in the log, not a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError | ConnectionError):
            words = " ".join(str(error).split())[:200]
            record.msg, record.args = "A request was not understood: %s", (words,)
            record.exc_info = record.exc_text = None
        return True


class Server:
    """Serves one simulator until told to stop."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.hub = Hub(simulator)
        self.control = Control(simulator, self.flush)
        simulator.venue.collects_events = True
        self._ticker: asyncio.Task[None] | None = None
        self._late: dict[int, asyncio.Future[Reply]] = {}

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
                # A defect in one step must not stop the market for good; it is loud, and the next step is tried.
                logging.getLogger(__name__).exception("A step of the market failed.")
            await asyncio.sleep(TICK_SECONDS)

    def flush(self) -> None:
        """Send every event that is due to the sockets."""
        self.hub.tell_user(self.simulator.ex.take_events())
        self.hub.tell_market()
        dropped, self.simulator.venue.dropped[:] = list(self.simulator.venue.dropped), []
        for account in dropped:
            self.hub.cut(account)
        answers = self.simulator.venue.late_answers
        for number in [n for n in self._late if n in answers]:
            future = self._late.pop(number)
            if not future.done():
                future.set_result(answers.pop(number))

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=page(), content_type="text/html")

    async def _exchange(self, request: web.Request) -> web.StreamResponse:
        """One request to the exchange; what a fault does to the connection is done here."""
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
        if reply.late:
            future = self._late[reply.late] = asyncio.get_running_loop().create_future()
            self.flush()
            reply = await future
        else:
            self.flush()
        if reply.lost:
            return _hang_up(request)
        if reply.delay_ms:
            await asyncio.sleep(reply.delay_ms / 1000)
        return web.Response(body=reply.body, status=reply.status, headers=reply.headers)


def _hang_up(request: web.Request) -> web.StreamResponse:
    """Cut the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
