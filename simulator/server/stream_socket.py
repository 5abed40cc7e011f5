"""One WebSocket connection: its route, what it subscribes to, and what waits to be sent on it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

PUBLIC_STREAMS: Final = ("bookTicker", "depth", "rpiDepth")
QUEUE_MAX: Final = 10_000
Message = tuple[float, str]  # when it is due on the event loop's clock, and its text


@dataclass(eq=False)
class StreamSocket:
    """One open connection."""

    ws: web.WebSocketResponse
    route: str  # private, market, public, or nothing
    combined: bool  # events are wrapped with the name of their stream
    opened: int
    listen_keys: set[str] = field(default_factory=set)
    event_types: frozenset[str] = frozenset()  # of user events; empty: all
    streams: set[str] = field(default_factory=set)
    queue: asyncio.Queue[Message | None] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))

    @classmethod
    def from_request(cls, request: web.Request, ws: web.WebSocketResponse, now: int) -> StreamSocket:
        """Read route, listen keys and streams from the address: ``/private/ws/<key>``, ``/stream?streams=…``."""
        parts = [part for part in request.path.split("/") if part]
        route = parts.pop(0) if parts and parts[0] in ("private", "market", "public") else ""
        kind = parts.pop(0) if parts else "ws"
        socket = cls(ws, route, kind == "stream", now)
        query = request.query
        if "listenKey" in query:
            socket.listen_keys.add(query["listenKey"])
        socket.event_types = frozenset(part for part in query.get("events", "").split("/") if part)
        socket.subscribe([*map(unquote, parts), *query.get("streams", "").split("/")])
        return socket

    # -- subscriptions --------------------------------------------------------------------------------------------

    def subscribe(self, names: Iterable[str]) -> None:
        """Add market streams, and listen keys: any name that is not a stream's."""
        for name in names:
            if "@" in name or name.startswith("!"):
                self.streams.add(name)
            elif name:
                self.listen_keys.add(name)

    def unsubscribe(self, names: Iterable[str]) -> None:
        for name in names:
            self.streams.discard(name)
            self.listen_keys.discard(name)

    def answer(self, text: str) -> dict[str, Any]:
        """Serve SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        method = message.get("method") if isinstance(message, dict) else None
        names = (message.get("params") or []) if isinstance(message, dict) else []
        named = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not isinstance(method, str) or not named:
            error = {"code": 3, "msg": "Invalid JSON: expected an object with method, params and id"}
            return {"error": error, "id": None}
        ident = message.get("id")
        if method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(self.streams | self.listen_keys), "id": ident}
        if method == "SUBSCRIBE":
            self.subscribe(names)
        elif method == "UNSUBSCRIBE":
            self.unsubscribe(names)
        else:
            return {"error": {"code": 2, "msg": "Invalid request: unknown method"}, "id": ident}
        return {"result": None, "id": ident}

    def carries_market_stream(self, stream: str, unrouted: str) -> bool:
        """Whether a market stream is sent on its route; ``unrouted`` is the profile's rule for those without one."""
        if not self.route and unrouted == "all":
            return True
        if stream.endswith("@trade"):  # not in the routing table; clients ask for it on either route
            return self.route != "private"
        public = stream.rpartition("@")[2].startswith(PUBLIC_STREAMS) or stream.startswith("!bookTicker")
        return (self.route == "market" and not public) or (self.route in ("public", "") and public)

    def carries_user_events(self, listen_key: str, unrouted: str) -> bool:
        """Whether the user events of a listen key are sent on it."""
        routed = self.route == "private" or (not self.route and unrouted == "all")
        return routed and listen_key in self.listen_keys

    # -- sending --------------------------------------------------------------------------------------------------

    def push(self, stream: str, event: dict[str, Any], late_ms: int = 0) -> None:
        """Queue one event; a reader too slow for the queue is cut off, as on the real exchange."""
        message = {"stream": stream, "data": event} if self.combined else event
        try:
            self.send(json.dumps(message, separators=(",", ":"), ensure_ascii=False), late_ms)
        except asyncio.QueueFull:
            self.cut()

    def send(self, text: str, late_ms: int = 0) -> None:
        """Queue one text, to leave so late. Raises asyncio.QueueFull."""
        self.queue.put_nowait((asyncio.get_running_loop().time() + late_ms / 1000, text))

    def cut(self) -> None:
        """Close the connection without sending what still waits."""
        while not self.queue.empty():
            self.queue.get_nowait()
        self.queue.put_nowait(None)
