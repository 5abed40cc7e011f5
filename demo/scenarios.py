"""Eight trios and how each must end. Prices are relative to the price at which the scenario begins."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Literal

from orders.domain.rounding import quantity_up, to_grid
from orders.models import Symbol

D = Decimal
ONE_WAY, HEDGE = "demo", "demo hedge"
NOTIONAL = D(600)  # of each trio, in USDT


@dataclass(frozen=True, slots=True)
class Scenario:
    """One trio: what it is, and the end it must reach. ``operator`` is what an operator does once it rests."""

    name: str
    account: str
    symbol: str
    side: str
    stop: Decimal
    target: Decimal
    state: str
    result: str = ""
    limit: Decimal | None = None
    protection: str = "PRE_ARMED"
    operator: Literal["", "cancel", "close"] = ""

    def fields(self, symbol: Symbol, price: Decimal) -> dict[str, object]:
        """Return the trio's prices and quantity, in whole ticks and steps."""
        tick, step = symbol.tick_size or D("0.1"), symbol.step_size or D("0.001")

        def level(share: Decimal) -> Decimal:
            rounding = ROUND_FLOOR if share < 0 else ROUND_CEILING
            return to_grid(price * (1 + share), tick, rounding)

        fields: dict[str, object] = {
            "quantity": quantity_up(NOTIONAL / price, step=step),
            "stop_loss": level(self.stop),
            "take_profit": level(self.target),
            "protection": self.protection,
        }
        if self.limit is not None:
            fields |= {"entry_type": "LIMIT", "price": level(self.limit), "time_in_force": "GTC"}
        return fields


ON_FILL = "ON_FIRST_FILL"
# fmt: off
SCENARIOS = (
    Scenario("long takes profit", ONE_WAY, "ADAUSDT", "BUY", D("-0.010"), D("0.006"), "CLOSED", "TAKE_PROFIT"),
    Scenario("short stops out", HEDGE, "ADAUSDT", "SELL", D("0.005"), D("-0.015"), "CLOSED", "STOP_LOSS", protection=ON_FILL),
    Scenario("long limit fills on the dip and takes profit", ONE_WAY, "XRPUSDT", "BUY", D("-0.015"), D("0.008"),
          "CLOSED", "TAKE_PROFIT", limit=D("-0.002")),
    Scenario("short limit fills on the rise and stops out", HEDGE, "XRPUSDT", "SELL", D("0.008"), D("-0.015"),
          "CLOSED", "STOP_LOSS", limit=D("0.002"), protection=ON_FILL),
    Scenario("long limit cancelled before it fills", ONE_WAY, "BTCUSDT", "BUY", D("-0.080"), D("0.020"),
          "CANCELLED", limit=D("-0.040"), operator="cancel"),
    Scenario("long closed by the operator", HEDGE, "BTCUSDT", "BUY", D("-0.030"), D("0.030"), "CLOSED", "MANUAL", operator="close"),
    Scenario("stop-loss refused after the fill, rolled back", ONE_WAY, "ETHUSDT", "BUY", D("-0.030"), D("0.030"),
          "ROLLED_BACK", protection=ON_FILL),
    Scenario("stop-loss refused before the entry, market never touched", HEDGE, "ETHUSDT", "SELL", D("0.030"), D("-0.030"),
          "ROLLED_BACK"),
)
# fmt: on
STOPS_REFUSED_ON = "ETHUSDT"
