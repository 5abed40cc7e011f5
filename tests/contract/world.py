"""A simulator in which everything has happened once, so that every endpoint and event has something to show."""

from __future__ import annotations

import json
from typing import Any

from simulator import Simulator
from simulator.server.market_events import Happened, MarketEvents
from tests.unit.simulator.support import KEY, SECRET, Clock, Desk


class World:
    """One exchange with a past: trades, resting orders, triggers, amendments, a liquidation, a market that moves."""

    def __init__(self, profile: str = "demo") -> None:
        self.clock = Clock()
        self.simulator = Simulator(clock=self.clock, profile=profile, prices="walk", enforce_rates=False)
        self.simulator.add_account("desk", KEY, SECRET, "100000")
        self.simulator.add_account("poor", "poor0key", "poor0secret", "700")
        self.desk = Desk(self.simulator, self.clock)
        self.poor = Desk(self.simulator, self.clock, "poor0key", "poor0secret")
        self.simulator.venue.collects_events = True
        for symbol, price in (("BTCUSDT", "63000"), ("BNBUSDT", "700"), ("ETHUSDT", "2400")):
            self.simulator.set_price(symbol, price)
        self.events: list[dict[str, Any]] = []
        self._live()

    def ask(self, method: str, path: str, **params: Any) -> Any:
        return self.desk.ask(method, path, **params)

    def body(self, method: str, path: str, query: str = "") -> Any:
        return json.loads(self.desk.raw(method, path, query).body)

    def refused(self, path: str, method: str = "POST", **params: Any) -> Any:
        """The status and body of a signed request that is refused."""
        reply = self.desk.raw(method, path, self.desk.signed_query(**params))
        return {"http": reply.status, "body": json.loads(reply.body)}

    def faulty(self, status: int, code: int, msg: str) -> Any:
        """The status and body of a request that a fault refuses."""
        self.simulator.fault({}, {"do": "refuse", "status": status, "code": code, "msg": msg}, 1)
        answer = self.refused("/fapi/v1/order")
        self.simulator.clear_faults()
        return answer

    def _live(self) -> None:
        desk = self.desk
        self.limit = desk.order("BUY", "LIMIT", "0.010", price="60000", newClientOrderId="rests")
        self.amended = desk.ask("PUT", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="rests", side="BUY",
                                quantity="0.011", price="60000", modifyId="1")  # fmt: skip
        self.market = desk.order("BUY", "MARKET", "0.010", newClientOrderId="entry")
        self.algo = desk.algo("SELL", "TAKE_PROFIT", "750", symbol="BNBUSDT", price="750.0", quantity="1",
                              clientAlgoId="bnb")  # fmt: skip
        desk.algo("SELL", "STOP_MARKET", "62000", closePosition="true", clientAlgoId="stop")
        desk.algo("SELL", "TAKE_PROFIT_MARKET", "66000", closePosition="true", clientAlgoId="target")
        self.simulator.set_price("BTCUSDT", "61500")
        desk.order("BUY", "MARKET", "0.020")
        desk.order("SELL", "MARKET", "0.005", reduceOnly="true")
        self.poor.ask("POST", "/fapi/v1/leverage", symbol="ETHUSDT", leverage="50")
        self.poor.order("BUY", "MARKET", "10", symbol="ETHUSDT")
        self.simulator.set_price("ETHUSDT", "2300", gap=True)
        desk.algo("SELL", "STOP_MARKET", "61000", quantity="0.010", clientAlgoId="naked", reduceOnly="true")
        desk.order("SELL", "MARKET", "0.015", reduceOnly="true")
        self.simulator.set_price("BTCUSDT", "60500")
        desk.order("BUY", "MARKET", "0.010")
        self.events = desk.events()
        self.poor_events = self.poor.events()

    def event(self, name: str, status: str = "", **fields: Any) -> Any:
        """The first user event of this name and status."""
        for event in [*self.events, *self.poor_events]:
            body = event.get("o", {})
            if (
                event["e"] == name
                and (not status or body.get("X") == status)
                and fields.items() <= body.items()
            ):
                return event
        raise AssertionError(f"no {name} {status} {fields} was sent")

    def stream(self, name: str) -> Any:
        """The first event of a market stream, now."""
        trades = [("BTCUSDT", row) for row in self.simulator.ex.market("BTCUSDT").recent_trades]
        happened = Happened(self.clock(), {"BTCUSDT"}, trades, new_second=True)
        (first, *_) = MarketEvents(self.simulator).of(name, happened)
        return first
