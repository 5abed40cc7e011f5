"""The hub: every open WebSocket, and which events go to which.

User events go to /private, market data to /market and /public; elsewhere there is silence. A socket without a route
carries the public streams only in production, everything on demo.
"""

from __future__ import annotations

import asyncio
import json
from decimal import localcontext
from typing import Any, Final

from aiohttp import WSMsgType, web

from simulator.engine.decimals import MONEY
from simulator.server.market_events import MarketEvents
from simulator.server.stream_socket import StreamSocket
from simulator.simulator import Simulator

MESSAGES_PER_SECOND: Final = 10
PING_SECONDS: Final = 180.0
CONNECTION_MS: Final = 24 * 3_600_000  # no connection lasts longer


class Hub:
    """All open sockets of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.sockets: set[StreamSocket] = set()
        self._market_events = MarketEvents(simulator)

    # -- connections ----------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Accept one connection and keep it until it ends. The handshake always succeeds."""
        ws = web.WebSocketResponse(heartbeat=PING_SECONDS, autoping=True, max_msg_size=1 << 20)
        await ws.prepare(request)
        socket = StreamSocket.from_request(request, ws, self.simulator.clock())
        self.sockets.add(socket)
        writer = asyncio.create_task(self._write(socket))
        try:
            await self._read(socket)
        finally:
            self.sockets.discard(socket)
            writer.cancel()
        return ws

    async def _write(self, socket: StreamSocket) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while (message := await socket.queue.get()) is not None:
                due, text = message
                if (early := due - clock()) > 0:
                    await asyncio.sleep(early)
                await socket.ws.send_str(text)
        except (ConnectionError, RuntimeError):
            return
        await socket.ws.close(code=1008)

    async def _read(self, socket: StreamSocket) -> None:
        window, count = 0, 0
        async for message in socket.ws:
            if message.type is not WSMsgType.TEXT:
                continue
            second = self.simulator.clock() // 1000
            window, count = (window, count + 1) if second == window else (second, 1)
            if count > MESSAGES_PER_SECOND:
                socket.cut()
                return
            socket.send(json.dumps(socket.answer(message.data)))

    def cut_user_streams(self, account: str) -> None:
        """Cut the sockets that carry the user events of an account."""
        keys = {key for key, book in self.simulator.ex.by_listen_key.items() if book.account.name == account}
        for socket in list(self.sockets):
            if socket.listen_keys & keys:
                socket.cut()

    def cut_all(self) -> None:
        for socket in list(self.sockets):
            socket.cut()

    # -- user events ----------------------------------------------------------------------------------------------

    def send_user_events(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        """Send each event to the sockets that carry its account's live listen key and want its type."""
        now = self.simulator.clock()
        for name, event in events:
            account = self.simulator.ex.books[name].account
            if not account.listen_key or account.listen_until <= now:
                continue
            for socket in self._sockets_for(account.listen_key):
                if not socket.event_types or event["e"] in socket.event_types:
                    socket.push(account.listen_key, event, self.simulator.latency_ms)

    def expire(self, now: int) -> None:
        """Report listen keys that have run out, whose sockets stay open and silent; cut sockets that are a day old."""
        for key, book in list(self.simulator.ex.by_listen_key.items()):
            if book.account.listen_until > now:
                continue
            event = {"e": "listenKeyExpired", "E": now, "listenKey": key}
            for socket in self._sockets_for(key):
                socket.push(key, event, self.simulator.latency_ms)
            del self.simulator.ex.by_listen_key[key]
        for socket in list(self.sockets):
            if now - socket.opened >= CONNECTION_MS:
                socket.cut()

    def _sockets_for(self, listen_key: str) -> list[StreamSocket]:
        unrouted = self.simulator.ex.profile.unrouted_streams
        return [socket for socket in self.sockets if socket.carries_user_events(listen_key, unrouted)]

    # -- market data ----------------------------------------------------------------------------------------------

    def send_market_events(self) -> None:
        """Send what changed since the last time: trades, books, bars; marks once a second."""
        happened = self._market_events.collect()
        unrouted = self.simulator.ex.profile.unrouted_streams
        wanted: dict[str, list[StreamSocket]] = {}
        for socket in self.sockets:
            for stream in socket.streams:
                if socket.carries_market_stream(stream, unrouted):
                    wanted.setdefault(stream, []).append(socket)
        if not wanted:
            return
        with localcontext(MONEY):
            for stream, sockets in wanted.items():
                for event in self._market_events.of(stream, happened):
                    for socket in sockets:
                        socket.push(stream, event, self.simulator.latency_ms)
