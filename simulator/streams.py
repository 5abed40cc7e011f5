"""WebSocket streams: user events on /private, market data on /market and /public, silence elsewhere.

A socket without a route carries the public streams only in production, everything on demo.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from decimal import localcontext
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import WSMsgType, web

from simulator.engine.decimals import MONEY, eight
from simulator.engine.funding import FUNDING_MS
from simulator.facade import Simulator
from simulator.prices.history import INTERVALS
from simulator.protocol.context import Context
from simulator.protocol.market_api import day_row, depth_rows
from simulator.protocol.params import Params

PUBLIC: Final = ("bookTicker", "depth", "rpiDepth")
MESSAGES_PER_SECOND: Final = 10
QUEUE_MAX: Final = 10_000
PING_SECONDS: Final = 180.0
CONNECTION_MS: Final = 24 * 3_600_000  # no connection lasts longer


@dataclass(eq=False)
class Socket:
    """One open connection, what it wants, and what waits to be sent on it."""

    ws: web.WebSocketResponse
    route: str  # private, market, public, or nothing
    combined: bool
    opened: int
    listen_keys: set[str] = field(default_factory=set)
    only: frozenset[str] = frozenset()  # user events wanted; empty means all
    streams: set[str] = field(default_factory=set)
    queue: asyncio.Queue[str | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))

    def push(self, stream: str, event: dict[str, Any]) -> None:
        """Queue one event; a reader too slow for the queue is cut off, as the venue does."""
        shown = {"stream": stream, "data": event} if self.combined else event
        try:
            self.queue.put_nowait(json.dumps(shown, separators=(",", ":"), ensure_ascii=False))
        except asyncio.QueueFull:
            self.cut()

    def cut(self) -> None:
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)


def carries(route: str, stream: str, unrouted: str) -> bool:
    """Whether a socket on this route carries this market stream; ``unrouted`` tells what one without a route does."""
    if not route and unrouted == "all":
        return True
    if stream.endswith("@trade"):  # not in the routing table; clients ask for it on either route
        return route != "private"
    public = stream.rpartition("@")[2].startswith(PUBLIC) or stream.startswith("!bookTicker")
    return (route == "market" and not public) or (route in ("public", "") and public)


class Hub:
    """All open sockets of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.sockets: set[Socket] = set()
        self._second = 0
        self._closed: dict[tuple[str, str], int] = {}

    # -- connections ----------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Take one connection and keep it until it ends. The handshake always succeeds."""
        ws = web.WebSocketResponse(heartbeat=PING_SECONDS, autoping=True, max_msg_size=1 << 20)
        await ws.prepare(request)
        socket = _socket_for(request, ws, self.simulator.clock())
        self.sockets.add(socket)
        writer = asyncio.create_task(self._write(socket))
        try:
            await self._read(socket)
        finally:
            self.sockets.discard(socket)
            writer.cancel()
        return ws

    async def _write(self, socket: Socket) -> None:
        try:
            while (text := await socket.queue.get()) is not None:
                await socket.ws.send_str(text)
        except (ConnectionError, RuntimeError):
            return
        await socket.ws.close(code=1008)

    async def _read(self, socket: Socket) -> None:
        window, count = 0, 0
        async for message in socket.ws:
            if message.type is not WSMsgType.TEXT:
                continue
            second = self.simulator.clock() // 1000
            window, count = (window, count + 1) if second == window else (second, 1)
            if count > MESSAGES_PER_SECOND:
                socket.cut()
                return
            socket.queue.put_nowait(json.dumps(_answer(socket, message.data)))

    def cut(self, account: str) -> None:
        """Cut the user streams of an account."""
        keys = {key for key, book in self.simulator.ex.by_listen_key.items() if book.account.name == account}
        for socket in list(self.sockets):
            if socket.listen_keys & keys:
                socket.cut()

    # -- user events ----------------------------------------------------------------------------------------------

    def tell_user(self, pending_events: list[tuple[str, dict[str, Any]]]) -> None:
        """Send user events to the sockets that hold the account's live listen key on /private."""
        now = self.simulator.clock()
        for account, event in pending_events:
            key = self.simulator.ex.books[account].account.listen_key
            if not key or self.simulator.ex.books[account].account.listen_until <= now:
                continue
            for socket in self.sockets:
                if self._hears(socket, key) and (not socket.only or event["e"] in socket.only):
                    socket.push(key, event)

    def expire(self, now: int) -> None:
        """Tell sockets whose listen key has run out; they stay open and silent."""
        for key, book in list(self.simulator.ex.by_listen_key.items()):
            if book.account.listen_until > now:
                continue
            event = {"e": "listenKeyExpired", "E": now, "listenKey": key}
            for socket in self.sockets:
                if self._hears(socket, key):
                    socket.push(key, event)
            del self.simulator.ex.by_listen_key[key]
        for socket in list(self.sockets):
            if now - socket.opened >= CONNECTION_MS:
                socket.cut()

    def _hears(self, socket: Socket, key: str) -> bool:
        """Whether the user events of this key come on this socket."""
        routed = socket.route == "private" or (
            not socket.route and self.simulator.ex.profile.unrouted_streams == "all"
        )
        return routed and key in socket.listen_keys

    # -- market data ----------------------------------------------------------------------------------------------

    def tell_market(self) -> None:
        """Send what moved since the last time: trades, books, bars; marks once a second."""
        simulator = self.simulator
        moved_symbols, simulator.ex.moved_symbols = simulator.ex.moved_symbols, set()
        public_trades, simulator.ex.public_trades = simulator.ex.public_trades, []
        now = simulator.clock()
        second = now // 1000
        beat = second != self._second
        self._second = second
        unrouted = simulator.ex.profile.unrouted_streams
        wanted: dict[str, list[Socket]] = {}
        for socket in self.sockets:
            for stream in socket.streams:
                if carries(socket.route, stream, unrouted):
                    wanted.setdefault(stream, []).append(socket)
        if not wanted:
            return
        with localcontext(MONEY):
            for stream, sockets in wanted.items():
                for event in self._events(stream, moved_symbols, public_trades, now, beat):
                    for socket in sockets:
                        socket.push(stream, event)

    def _events(
        self,
        stream: str,
        moved_symbols: set[str],
        public_trades: list[tuple[str, dict[str, Any]]],
        now: int,
        beat: bool,
    ) -> list[Any]:
        if stream.startswith("!"):
            return self._all_market(stream, moved_symbols, now, beat)
        name, _, kind = stream.partition("@")
        symbol = name.upper()
        if name != name.lower() or self.simulator.ex.catalogue.find(symbol) is None:
            return []  # stream names are lower case; any other is silence
        if kind in ("aggTrade", "trade"):
            return [self._trade(symbol, kind, trade, now) for s, trade in public_trades if s == symbol]
        if kind.startswith("markPrice"):
            every = 1 if kind.endswith("@1s") else 3
            return [self._mark(symbol, now)] if beat and self._second % every == 0 else []
        if kind in ("ticker", "miniTicker"):
            return [self._day(symbol, kind, now)] if beat else []
        if symbol not in moved_symbols and not (beat and kind.startswith(("kline", "depth"))):
            return []
        if kind == "bookTicker":
            return [self._book(symbol, now)]
        if kind.startswith("kline_") and kind[6:] in INTERVALS:
            return self._bars(symbol, kind[6:], now)
        if kind.startswith("depth"):
            return [self._depth(symbol, kind, now)]
        return []

    def _all_market(self, stream: str, moved_symbols: set[str], now: int, beat: bool) -> list[Any]:
        names = [s for s in self.simulator.ex.markets if self.simulator.ex.catalogue.is_trading(s)]
        if stream == "!bookTicker":
            return [self._book(symbol, now) for symbol in names if symbol in moved_symbols]
        if not beat:
            return []
        if stream.startswith("!markPrice@arr"):
            return [[self._mark(symbol, now) for symbol in names]]
        if stream in ("!ticker@arr", "!miniTicker@arr"):
            kind = stream[1:].partition("@")[0]
            return [[self._day(symbol, kind, now) for symbol in names if symbol in moved_symbols]]
        return []

    def _trade(self, symbol: str, kind: str, trade: dict[str, Any], now: int) -> dict[str, Any]:
        rules = self.simulator.ex.rules(symbol)
        row = {"e": kind, "E": now, "s": symbol, "p": rules.price(trade["p"]), "q": rules.quantity(trade["q"]),
               "T": trade["T"], "m": trade["m"], "st": 1}  # fmt: skip
        ids = (
            {"a": trade["t"], "f": trade["t"], "l": trade["t"]}
            if kind == "aggTrade"
            else {"t": trade["t"], "X": "MARKET"}
        )
        return row | ids

    def _mark(self, symbol: str, now: int) -> dict[str, Any]:
        market = self.simulator.ex.market(symbol)
        mark = eight(market.mark)
        upcoming = (self.simulator.ex.market_ms // FUNDING_MS + 1) * FUNDING_MS
        return {"e": "markPriceUpdate", "E": now, "s": symbol, "p": mark, "ap": mark, "P": mark, "i": mark,
                "r": eight(market.funding), "T": upcoming, "st": 1}  # fmt: skip

    def _book(self, symbol: str, now: int) -> dict[str, Any]:
        market = self.simulator.ex.market(symbol)
        rules = market.rules
        bid, bids = market.level("SELL", 0)
        ask, asks = market.level("BUY", 0)
        return {"e": "bookTicker", "u": 10_000_000_000 + market.updates, "E": now, "T": now, "s": symbol, "ps": symbol,
                "b": rules.price(bid), "B": rules.quantity(bids), "a": rules.price(ask), "A": rules.quantity(asks),
                "st": 1}  # fmt: skip

    def _depth(self, symbol: str, kind: str, now: int) -> dict[str, Any]:
        market = self.simulator.ex.market(symbol)
        digits = kind[5:].partition("@")[0]
        limit = int(digits) if digits.isdigit() else 20
        update = 10_000_000_000 + market.updates
        return {"e": "depthUpdate", "E": now, "T": now, "s": symbol, "ps": symbol, "U": update, "u": update,
                "pu": update - 1, "b": depth_rows(market, "SELL", limit), "a": depth_rows(market, "BUY", limit),
                "st": 1}  # fmt: skip

    def _bars(self, symbol: str, interval: str, now: int) -> list[dict[str, Any]]:
        """The open bar, and before it the one that has just closed."""
        ex = self.simulator.ex
        market = ex.market(symbol)
        length = INTERVALS[interval]
        seen = self._closed.get((symbol, interval))
        bars = self.simulator.venue.history.bars(ex, market, interval, since=seen or ex.market_ms - length)
        open_start = bars[-1].start
        rows = []
        for bar in bars:
            closed = bar.start < open_start
            if closed and seen in (None, open_start):
                continue
            rows.append(_bar_event(market, bar, interval, length, closed, now))
        self._closed[symbol, interval] = open_start
        return rows

    def _day(self, symbol: str, kind: str, now: int) -> dict[str, Any]:
        simulator = self.simulator
        market = simulator.ex.market(symbol)
        row = day_row(Context(simulator.ex, Params({}), now, simulator.venue.history), market)
        short = {"e": "24hrMiniTicker" if kind == "miniTicker" else "24hrTicker", "E": now, "s": symbol,
                 "c": row["lastPrice"], "o": row["openPrice"], "h": row["highPrice"], "l": row["lowPrice"],
                 "v": row["volume"], "q": row["quoteVolume"], "st": 1}  # fmt: skip
        if kind == "miniTicker":
            return short
        return short | {"p": row["priceChange"], "P": row["priceChangePercent"], "w": row["weightedAvgPrice"],
                        "Q": row["lastQty"], "O": row["openTime"], "C": row["closeTime"], "F": row["firstId"],
                        "L": row["lastId"], "n": row["count"]}  # fmt: skip


def _bar_event(market: Any, bar: Any, interval: str, length: int, closed: bool, now: int) -> dict[str, Any]:
    rules = market.rules
    half = (bar.volume / 2).quantize(rules.quantity_unit)
    middle = (bar.open + bar.close) / 2
    return {
        "e": "kline", "E": now, "s": rules.symbol, "ps": rules.symbol, "st": 1,
        "k": {"t": bar.start, "T": bar.start + length - 1, "s": rules.symbol, "i": interval, "f": 1,
              "L": max(1, market.trades), "o": rules.price(bar.open), "c": rules.price(bar.close),
              "h": rules.price(bar.high), "l": rules.price(bar.low), "v": rules.quantity(bar.volume),
              "n": bar.trades, "x": closed, "q": eight(bar.volume * middle), "V": rules.quantity(half),
              "Q": eight(half * middle), "B": "0"},
    }  # fmt: skip


def _socket_for(request: web.Request, ws: web.WebSocketResponse, now: int) -> Socket:
    parts = [part for part in request.path.split("/") if part]
    route = parts.pop(0) if parts and parts[0] in ("private", "market", "public") else ""
    kind = parts.pop(0) if parts else "ws"
    socket = Socket(ws, route, kind == "stream", now)
    query = request.query
    if "listenKey" in query:
        socket.listen_keys.add(query["listenKey"])
    if "events" in query:
        socket.only = frozenset(part for part in query["events"].split("/") if part)
    names = [unquote(part) for part in parts]
    for name in [*names, *query.get("streams", "").split("/")]:
        _want(socket, name)
    return socket


def _want(socket: Socket, name: str) -> None:
    if not name:
        return
    if "@" in name or name.startswith("!"):
        socket.streams.add(name)
    else:
        socket.listen_keys.add(name)


def _answer(socket: Socket, text: str) -> dict[str, Any]:
    """Serve SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    method = message.get("method") if isinstance(message, dict) else None
    names = (message.get("params") or []) if isinstance(message, dict) else []
    if (
        not isinstance(method, str)
        or not isinstance(names, list)
        or not all(isinstance(n, str) for n in names)
    ):
        return {
            "error": {"code": 3, "msg": "Invalid JSON: expected an object with method, params and id"},
            "id": None,
        }
    ident = message.get("id")
    if method == "LIST_SUBSCRIPTIONS":
        return {"result": sorted(socket.streams | socket.listen_keys), "id": ident}
    if method not in ("SUBSCRIBE", "UNSUBSCRIBE"):
        return {"error": {"code": 2, "msg": "Invalid request: unknown method"}, "id": ident}
    for name in names:
        if method == "SUBSCRIBE":
            _want(socket, name)
        else:
            socket.streams.discard(name)
            socket.listen_keys.discard(name)
    return {"result": None, "id": ident}
