"""The rules of each symbol, read from a real exchangeInfo."""

from __future__ import annotations

import functools
import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

from simulator.engine.profile import Profile
from simulator.engine.values import ZERO


@dataclass(frozen=True, slots=True)
class Bracket:
    """One step of the leverage ladder."""

    leverage: int
    cap: Decimal
    floor: Decimal
    ratio: Decimal
    cum: Decimal


@dataclass(frozen=True, slots=True)
class Rules:
    """What an order on this symbol must obey."""

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
        """Write a price the way this symbol's prices are written."""
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
        """The largest position value allowed at this leverage."""
        caps = [b.cap for b in self.brackets if b.leverage >= leverage]
        return max(caps) if caps else ZERO


def _unit(digits: int) -> Decimal:
    return Decimal(1).scaleb(-digits)


def _digits(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


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
        price_unit=_unit(_digits(tick)),
        quantity_unit=_unit(_digits(step)),
        average_unit=_unit(max(5, _digits(tick) + 1)),
        brackets=brackets,
    )


# A symbol without a ladder of its own gets a cautious one.
PLAIN_LADDER = (
    Bracket(20, Decimal(25000), ZERO, Decimal("0.025"), ZERO),
    Bracket(10, Decimal(100000), Decimal(25000), Decimal("0.05"), Decimal(625)),
    Bracket(5, Decimal(1000000), Decimal(100000), Decimal("0.1"), Decimal(5625)),
    Bracket(1, Decimal(10000000), Decimal(1000000), Decimal("0.5"), Decimal(405625)),
)


@functools.cache
def shipped(name: str) -> bytes:
    """Read one of the data files that come with the simulator."""
    return gzip.decompress((resources.files("simulator") / "data" / name).read_bytes())


def read_maybe_gzipped(path: Path) -> bytes:
    """Read a file, gzipped or not. Raises ValueError with a sentence when it cannot be read."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}.") from error


class Catalogue:
    """All symbols of this exchange, their rules and their leverage ladders."""

    def __init__(self, info: dict[str, Any], ladders: Iterable[dict[str, Any]], profile: Profile) -> None:
        self.info = info
        limits = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": profile.weight_per_minute},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1,
             "limit": profile.orders_per_minute},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": profile.orders_per_ten_seconds},
        ]  # fmt: skip
        info["rateLimits"] = limits
        self._raw = {s["symbol"]: s for s in info["symbols"]}
        self._ladders = {row["symbol"]: row for row in ladders}
        self._rules: dict[str, Rules] = {}
        self._parts: tuple[bytes, bytes] | None = None

    @property
    def names(self) -> list[str]:
        return list(self._raw)

    def is_trading(self, symbol: str) -> bool:
        return bool(self._raw[symbol]["status"] == "TRADING")

    def find(self, symbol: str) -> Rules | None:
        """The rules of a symbol, or nothing when it is unknown."""
        rules = self._rules.get(symbol)
        if rules is None and symbol in self._raw:
            rules = self._rules[symbol] = rules_from(self._raw[symbol], self._ladder(symbol))
        return rules

    def set_status(self, symbol: str, status: str) -> None:
        """Let a symbol start or stop trading."""
        self._raw[symbol]["status"] = status
        self._rules.pop(symbol, None)
        self._parts = None

    def document(self, now: int) -> bytes:
        """The body of exchangeInfo."""
        if self._parts is None:
            text = json.dumps({**self.info, "serverTime": -77}, separators=(",", ":"), ensure_ascii=False)
            head, _, tail = text.partition('"serverTime":-77')
            self._parts = f'{head}"serverTime":'.encode(), tail.encode()
        return self._parts[0] + str(now).encode() + self._parts[1]

    def ladder_row(self, symbol: str) -> dict[str, Any]:
        """The leverage brackets of a symbol in the API's own shape."""
        if symbol in self._ladders:
            return self._ladders[symbol]
        rows = [
            {"bracket": n, "initialLeverage": b.leverage, "notionalCap": int(b.cap), "notionalFloor": int(b.floor),
             "maintMarginRatio": json.loads(str(b.ratio)), "cum": json.loads(f"{b.cum}.0")}
            for n, b in enumerate(PLAIN_LADDER, 1)
        ]  # fmt: skip
        return {"symbol": symbol, "brackets": rows}

    def _ladder(self, symbol: str) -> tuple[Bracket, ...]:
        if symbol not in self._ladders:
            return PLAIN_LADDER
        return tuple(
            Bracket(
                int(b["initialLeverage"]),
                Decimal(str(b["notionalCap"])),
                Decimal(str(b["notionalFloor"])),
                Decimal(str(b["maintMarginRatio"])),
                Decimal(str(b["cum"])),
            )
            for b in self._ladders[symbol]["brackets"]
        )


def load_catalogue(
    profile: Profile, *, exchange_info: Path | None = None, only: Iterable[str] | None = None
) -> Catalogue:
    """Load the shipped symbol list, or the one in a file. Raises ValueError with a sentence."""
    raw = read_maybe_gzipped(exchange_info) if exchange_info else shipped("exchange_info.json.gz")
    try:
        info = json.loads(raw)
        symbols = info["symbols"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{exchange_info} is not an exchangeInfo document: it has no list of symbols."
        ) from error
    if only is not None:
        wanted = set(only)
        missing = wanted - {s["symbol"] for s in symbols}
        if missing:
            raise ValueError(f"The symbol list has no {', '.join(sorted(missing))}.")
        info["symbols"] = symbols = [s for s in symbols if s["symbol"] in wanted]
    if profile.name == "prod" and exchange_info is None:
        real = json.loads(shipped("prod_BTCUSDT.json.gz"))
        info["symbols"] = [_as_production(real if s["symbol"] == "BTCUSDT" else s) for s in symbols]
    return Catalogue(info, json.loads(shipped("leverage_brackets.json.gz")), profile)


def _as_production(symbol: dict[str, Any]) -> dict[str, Any]:
    """Production allows 200 open orders a symbol and takes a narrower band; demo is wider."""
    for rule in symbol["filters"]:
        if rule["filterType"] == "MAX_NUM_ORDERS":
            rule["limit"] = 200
    if Decimal(symbol.get("marketTakeBound", "0.05")) > Decimal("0.05"):
        symbol["marketTakeBound"] = "0.05"
    return symbol
