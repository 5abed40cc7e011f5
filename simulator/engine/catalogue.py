"""Every symbol of this exchange with its rules and its leverage brackets."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from simulator.engine.data_files import bundled_json, read_maybe_gzipped
from simulator.engine.decimals import ZERO
from simulator.engine.profile import Profile
from simulator.engine.symbol_rules import Bracket, Rules, rules_from

# For symbols whose brackets are not known: cautious ones.
DEFAULT_BRACKETS = (
    Bracket(20, Decimal(25000), ZERO, Decimal("0.025"), ZERO),
    Bracket(10, Decimal(100000), Decimal(25000), Decimal("0.05"), Decimal(625)),
    Bracket(5, Decimal(1000000), Decimal(100000), Decimal("0.1"), Decimal(5625)),
    Bracket(1, Decimal(10000000), Decimal(1000000), Decimal("0.5"), Decimal(405625)),
)


class Catalogue:
    """All symbols of this exchange, their rules and their leverage brackets."""

    def __init__(
        self, info: dict[str, Any], bracket_rows: Iterable[dict[str, Any]], profile: Profile
    ) -> None:
        self.info = info
        self._raw = {s["symbol"]: s for s in info["symbols"]}
        self._bracket_rows = {row["symbol"]: row for row in bracket_rows}
        self._rules: dict[str, Rules] = {}
        self._around_time: tuple[bytes, bytes] | None = None  # the document before and after its server time
        self.publish_limits(profile)

    @property
    def names(self) -> list[str]:
        return list(self._raw)

    def is_trading(self, symbol: str) -> bool:
        return bool(self._raw[symbol]["status"] == "TRADING")

    def find(self, symbol: str) -> Rules | None:
        """The rules of a symbol, or nothing when it is unknown."""
        rules = self._rules.get(symbol)
        if rules is None and symbol in self._raw:
            rules = self._rules[symbol] = rules_from(self._raw[symbol], self._brackets_of(symbol))
        return rules

    def set_status(self, symbol: str, status: str) -> None:
        """Let a symbol start or stop trading."""
        self._raw[symbol]["status"] = status
        self._rules.pop(symbol, None)
        self._around_time = None

    def set_filters(self, symbol: str, changes: dict[str, dict[str, str]]) -> None:
        """Change values of a symbol's filters, by filter type. Raises ValueError for one it does not have."""
        filters = [dict(rule) for rule in self._raw[symbol]["filters"]]
        known = {rule["filterType"]: rule for rule in filters}
        for kind, values in changes.items():
            if kind not in known or set(values) - set(known[kind]):
                raise ValueError(f"{symbol} has no filter {kind} with {', '.join(sorted(values))}.")
            known[kind].update(values)
        self._raw[symbol]["filters"] = filters
        self._rules.pop(symbol, None)
        self._around_time = None

    def publish_limits(self, profile: Profile) -> None:
        """Say in exchangeInfo what this profile allows."""
        self.info["rateLimits"] = [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
             "limit": profile.weight_per_minute},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1,
             "limit": profile.orders_per_minute},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
             "limit": profile.orders_per_ten_seconds},
        ]  # fmt: skip
        self._around_time = None

    def document(self, now: int) -> bytes:
        """The body of exchangeInfo."""
        if self._around_time is None:
            text = json.dumps({**self.info, "serverTime": -77}, separators=(",", ":"), ensure_ascii=False)
            head, _, tail = text.partition('"serverTime":-77')
            self._around_time = f'{head}"serverTime":'.encode(), tail.encode()
        return self._around_time[0] + str(now).encode() + self._around_time[1]

    def bracket_row(self, symbol: str) -> dict[str, Any]:
        """The leverage brackets of a symbol as the API shows them."""
        if symbol in self._bracket_rows:
            return self._bracket_rows[symbol]
        rows = [
            {"bracket": n, "initialLeverage": b.leverage, "notionalCap": int(b.cap), "notionalFloor": int(b.floor),
             "maintMarginRatio": json.loads(str(b.ratio)), "cum": json.loads(f"{b.cum}.0")}
            for n, b in enumerate(DEFAULT_BRACKETS, 1)
        ]  # fmt: skip
        return {"symbol": symbol, "brackets": rows}

    def _brackets_of(self, symbol: str) -> tuple[Bracket, ...]:
        if symbol not in self._bracket_rows:
            return DEFAULT_BRACKETS
        return tuple(
            Bracket(
                int(b["initialLeverage"]),
                Decimal(str(b["notionalCap"])),
                Decimal(str(b["notionalFloor"])),
                Decimal(str(b["maintMarginRatio"])),
                Decimal(str(b["cum"])),
            )
            for b in self._bracket_rows[symbol]["brackets"]
        )


def load_catalogue(
    profile: Profile, *, exchange_info: Path | None = None, only: Iterable[str] | None = None
) -> Catalogue:
    """Load the symbol list that comes with the simulator, or one from a file. Raises ValueError."""
    document = _from_file(exchange_info) if exchange_info else bundled_json("exchange_info.json.gz")
    symbols = document["symbols"]
    if only is not None:
        wanted = set(only)
        missing = wanted - {s["symbol"] for s in symbols}
        if missing:
            raise ValueError(f"The symbol list has no {', '.join(sorted(missing))}.")
        symbols = [s for s in symbols if s["symbol"] in wanted]
    if profile.name == "prod" and exchange_info is None:
        real = bundled_json("prod_BTCUSDT.json.gz")
        symbols = [_as_production(real if s["symbol"] == "BTCUSDT" else s) for s in symbols]
    info = {**document, "symbols": [dict(symbol) for symbol in symbols]}
    return Catalogue(info, bundled_json("leverage_brackets.json.gz"), profile)


def _from_file(path: Path) -> dict[str, Any]:
    raw = read_maybe_gzipped(path)
    try:
        document: dict[str, Any] = json.loads(raw)
        document["symbols"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not an exchangeInfo document: it has no list of symbols.") from error
    return document


def _as_production(symbol: dict[str, Any]) -> dict[str, Any]:
    """Production allows 200 open orders a symbol and takes a narrower band; demo is wider."""
    filters = [
        {**rule, "limit": 200} if rule["filterType"] == "MAX_NUM_ORDERS" else rule
        for rule in symbol["filters"]
    ]
    changed = {**symbol, "filters": filters}
    if Decimal(symbol.get("marketTakeBound", "0.05")) > Decimal("0.05"):
        changed["marketTakeBound"] = "0.05"
    return changed
