"""The rules of one symbol, read from a real exchangeInfo."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from simulator.engine.decimals import ZERO, decimal_places


@dataclass(frozen=True, slots=True)
class Bracket:
    """One leverage bracket: up to ``cap`` of notional, this leverage and maintenance margin ratio apply."""

    leverage: int
    cap: Decimal
    floor: Decimal
    ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class Rules:
    """What an order on this symbol must comply with, and how its numbers are formatted."""

    symbol: str
    status: str
    margin_asset: str
    price_precision: int
    quantity_precision: int
    tick: Decimal
    price_min: Decimal
    price_max: Decimal
    step: Decimal
    lot_min: Decimal
    lot_max: Decimal
    market_step: Decimal
    market_min: Decimal
    market_max: Decimal
    orders_max: int
    notional_min: Decimal
    up: Decimal
    down: Decimal
    protect: Decimal
    bound: Decimal
    liquidation_fee: Decimal
    price_unit: Decimal
    quantity_unit: Decimal
    average_unit: Decimal
    brackets: tuple[Bracket, ...]

    def price(self, value: Decimal) -> str:
        """Format a price with this symbol's decimals."""
        return format(value.quantize(self.price_unit), "f")

    def quantity(self, value: Decimal) -> str:
        return format(value.quantize(self.quantity_unit), "f")

    def average(self, value: Decimal) -> str:
        return format(value.quantize(self.average_unit), "f")

    def bracket(self, notional: Decimal) -> Bracket:
        for bracket in self.brackets:
            if notional <= bracket.cap:
                return bracket
        return self.brackets[-1]

    def cap_at(self, leverage: int) -> Decimal:
        """The largest notional allowed at this leverage."""
        caps = [b.cap for b in self.brackets if b.leverage >= leverage]
        return max(caps) if caps else ZERO


def _unit(digits: int) -> Decimal:
    return Decimal(1).scaleb(-digits)


def rules_from(raw: dict[str, Any], brackets: tuple[Bracket, ...]) -> Rules:
    """Read one symbol of exchangeInfo."""
    filters = {f["filterType"]: f for f in raw["filters"]}
    price, lot = filters["PRICE_FILTER"], filters["LOT_SIZE"]
    market = filters.get("MARKET_LOT_SIZE", lot)
    percent = filters.get("PERCENT_PRICE", {})
    tick, step = Decimal(price["tickSize"]), Decimal(lot["stepSize"])
    return Rules(
        symbol=raw["symbol"],
        status=raw["status"],
        margin_asset=raw["marginAsset"],
        price_precision=raw["pricePrecision"],
        quantity_precision=raw["quantityPrecision"],
        tick=tick,
        price_min=Decimal(price["minPrice"]),
        price_max=Decimal(price["maxPrice"]),
        step=step,
        lot_min=Decimal(lot["minQty"]),
        lot_max=Decimal(lot["maxQty"]),
        market_step=Decimal(market["stepSize"]),
        market_min=Decimal(market["minQty"]),
        market_max=Decimal(market["maxQty"]),
        orders_max=int(filters.get("MAX_NUM_ORDERS", {}).get("limit", 200)),
        notional_min=Decimal(filters.get("MIN_NOTIONAL", {}).get("notional", "5")),
        up=Decimal(percent.get("multiplierUp", "1.1")),
        down=Decimal(percent.get("multiplierDown", "0.9")),
        protect=Decimal(raw.get("triggerProtect", "0.05")),
        bound=Decimal(raw.get("marketTakeBound", "0.05")),
        liquidation_fee=Decimal(raw.get("liquidationFee", "0.0125")),
        price_unit=_unit(decimal_places(tick)),
        quantity_unit=_unit(decimal_places(step)),
        average_unit=_unit(max(5, decimal_places(tick) + 1)),
        brackets=brackets,
    )
