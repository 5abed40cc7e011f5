"""A small client that signs its requests and calls the simulator directly."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any
from urllib.parse import urlencode

from simulator import Reply, Simulator

KEY, SECRET = "desk0key", "desk0secret"
START_MS = 1_790_000_000_000


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self, ms: int = START_MS) -> None:
        self.ms = ms

    def __call__(self) -> int:
        return self.ms

    def forward(self, ms: int) -> None:
        self.ms += ms


class Refused(Exception):
    """The exchange refused a request."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.code = body.get("code")
        self.msg = body.get("msg")


class Desk:
    """One account and its requests."""

    def __init__(self, simulator: Simulator, clock: Clock, key: str = KEY, secret: str = SECRET) -> None:
        self.simulator = simulator
        self.clock = clock
        self.key = key
        self.secret = secret

    def signed_query(self, **params: Any) -> str:
        query = urlencode({"timestamp": self.clock(), **params})
        signature = hmac.new(self.secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        return f"{query}&signature={signature}"

    def raw(self, method: str, path: str, query: str = "", body: bytes = b"") -> Reply:
        target = f"{path}?{query}" if query else path
        return self.simulator.handle(method, target, {"x-mbx-apikey": self.key}, body)

    def ask(self, method: str, path: str, **params: Any) -> Any:
        """A signed request; raises Refused."""
        reply = self.raw(method, path, self.signed_query(**params))
        answer: Any = json.loads(reply.body) if reply.body else {}
        if reply.status != 200:
            raise Refused(reply.status, answer)
        return answer

    def order(self, side: str, kind: str, quantity: str, **params: Any) -> Any:
        order = {"symbol": "BTCUSDT", "side": side, "type": kind, "quantity": quantity, **params}
        if kind == "LIMIT":
            order.setdefault("timeInForce", "GTC")
        return self.ask("POST", "/fapi/v1/order", **order)

    def algo(self, side: str, kind: str, trigger: str, **params: Any) -> Any:
        return self.ask(
            "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol=params.pop("symbol", "BTCUSDT"), side=side,
            type=kind, triggerPrice=trigger, **params,
        )  # fmt: skip

    def events(self) -> list[dict[str, Any]]:
        return self.simulator.drain_events(self.key)

    def story(self) -> list[str]:
        """The events since the last call, each as its type and status."""
        story = []
        for event in self.events():
            body = event.get("o", {})
            story.append(f"{event['e']} {body.get('X') or event.get('a', {}).get('m', '')}".strip())
        return story
