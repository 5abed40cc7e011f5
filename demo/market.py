"""The simulated market: its prices and faults, as the demo sets them, and what the exchange shows."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from django.conf import settings

from demo.retry import DemoFailed, retrying
from simulator.engine.errors import NEW_ORDER_REJECTED


@dataclass(frozen=True, slots=True)
class Shown:
    """What the exchange shows of some accounts: sizes of positions, and the client ids of what rests, by slot's names."""

    positions: dict[tuple[str, str], Decimal]
    resting: dict[tuple[str, str], frozenset[str]]


class SimulatedMarket:
    """Sets the simulator's prices and faults. While paused, its own market stands still."""

    def __init__(self) -> None:
        self._root = settings.BINANCE_URLS["PAPER"].rest.rstrip("/")
        self._opener = build_opener(ProxyHandler({}))

    def price(self, symbol: str) -> Decimal:
        return Decimal(self._ask("GET", f"/fapi/v2/ticker/price?symbol={symbol}")["price"])

    def move(self, symbol: str, price: Decimal) -> None:
        self._ask("POST", "/sim/price", {"symbol": symbol, "price": format(price, "f")})

    def shown(self, accounts: Collection[str]) -> Shown:
        """Return what these accounts hold. A market that moves by itself is paused again.

        A simulator that was killed has forgotten that it was paused.
        """
        state = self._ask("GET", "/sim/state")
        if state["running"]:
            self.pause()
        positions: dict[tuple[str, str], Decimal] = {}
        resting: dict[tuple[str, str], set[str]] = {}
        for account in state["accounts"]:
            if account["name"] not in accounts:
                continue
            for position in account["positions"]:
                positions[account["name"], position["symbol"]] = abs(Decimal(position["quantity"]))
            for order in (*account["orders"], *account["algo_orders"]):
                ids = resting.setdefault((account["name"], order["symbol"]), set())
                ids.add(order.get("clientAlgoId") or order["clientOrderId"])
        return Shown(positions, {slot: frozenset(ids) for slot, ids in resting.items()})

    def pause(self) -> None:
        self._ask("POST", "/sim/market", {"mode": "pause"})

    def run(self, *, speed: int = 1) -> None:
        """Let the market move by itself, so many times as fast as the clock."""
        self._ask("POST", "/sim/market", {"mode": "run", "speed": speed})

    def refuse_stops(self, symbol: str) -> None:
        """Have every stop-loss on a symbol refused, until ``clear_faults``."""
        self._ask(
            "POST",
            "/sim/faults",
            {
                "match": {"method": "POST", "type": "STOP_MARKET", "symbol": symbol},
                "occurrence": "every",
                "then": {"do": "refuse", "code": NEW_ORDER_REJECTED, "msg": "New order rejected."},
            },
        )

    def clear_faults(self) -> None:
        self._ask("DELETE", "/sim/faults")

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request. A simulator that was killed is started again, so wait for it."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(  # noqa: S310 - our own loopback address
            self._root + path, data=data, method=method, headers={"Content-Type": "application/json"}
        )

        def once() -> Any:
            try:
                with self._opener.open(request, timeout=5) as response:
                    return json.loads(response.read())
            except HTTPError as refused:
                raise DemoFailed(
                    f"{self._root} refused {path} (HTTP {refused.code}): it is not our simulator, or an older one."
                ) from refused

        return retrying(once)
