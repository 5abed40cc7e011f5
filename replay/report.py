"""What came of a replay, in figures: trios, ledger, statistics. Pure; decimals are written as plain text."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
CENTS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Closed:
    """One trio that has ended, or still lives at the end. Money in the quote asset; prices are averages.

    ``planned`` is what its first stop would have lost, fees included. ``ambiguous``: a bar held stop and target, and
    the stop was counted first.
    """

    number: int
    symbol: str
    timeframe: str
    signal_bar: int
    closed_bar: int | None
    side: str
    quantity: Decimal
    entry: Decimal | None
    exit: Decimal | None
    stop: Decimal
    target: Decimal
    state: str
    result: str
    gross: Decimal
    fees: Decimal
    funding: Decimal
    planned: Decimal
    uncovered_ms: int
    ambiguous: bool = False

    @property
    def net(self) -> Decimal:
        return self.gross - self.fees + self.funding

    @property
    def is_trade(self) -> bool:
        """Did it hold anything, and is it over?"""
        return self.entry is not None and self.closed_bar is not None

    @property
    def r(self) -> Decimal | None:
        return (self.net / self.planned).quantize(CENTS) if self.planned else None

    def as_json(self) -> dict[str, Any]:
        return {
            "number": self.number, "symbol": self.symbol, "timeframe": self.timeframe, "signal_bar": self.signal_bar,
            "closed_bar": self.closed_bar, "side": self.side, "quantity": text(self.quantity),
            "entry": text(self.entry), "exit": text(self.exit), "stop": text(self.stop), "target": text(self.target),
            "state": self.state, "result": self.result or None, "gross": text(self.gross), "fees": text(self.fees),
            "funding": text(self.funding), "net": text(self.net), "planned": text(self.planned), "r": text(self.r),
            "uncovered_ms": self.uncovered_ms, "ambiguous": self.ambiguous,
        }  # fmt: skip


def text(number: Decimal | None) -> str | None:
    """Write a number plainly, without zeros that say nothing."""
    if number is None:
        return None
    return format(number.normalize() if number else ZERO, "f")


def statistics(trios: Sequence[Closed]) -> dict[str, Any]:
    """Won: net above zero; lost: below; even: zero. The drawdown's curve begins at zero."""
    nets = [trio.net for trio in trios if trio.is_trade]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    gains, losses = sum(won, ZERO), -sum(lost, ZERO)
    decided = len(won) + len(lost)
    multiples = [trio.r for trio in trios if trio.is_trade and trio.r is not None]
    return {
        "trios": len(nets),
        "won": len(won),
        "lost": len(lost),
        "even": len(nets) - decided,
        "win_rate_percent": _share(len(won), len(nets)),
        "win_rate_without_even_percent": _share(len(won), decided),
        "profit_factor": text((gains / losses).quantize(CENTS)) if losses else None,
        "expectancy": text((sum(nets, ZERO) / len(nets)).quantize(CENTS)) if nets else None,
        "net": text(sum(nets, ZERO)),
        "largest_drawdown": text(drawdown(nets)),
        "average_r": text((sum(multiples, ZERO) / len(multiples)).quantize(CENTS)) if multiples else None,
        "best_r": text(max(multiples, default=None)),
        "worst_r": text(min(multiples, default=None)),
    }


def drawdown(nets: Iterable[Decimal]) -> Decimal:
    """The largest fall from a height that the sum had reached, beginning at zero."""
    height = total = deepest = ZERO
    for net in nets:
        total += net
        height = max(height, total)
        deepest = max(deepest, height - total)
    return deepest


def _share(part: int, whole: int) -> str | None:
    return text((Decimal(part) * 100 / whole).quantize(Decimal("0.01"))) if whole else None


def digest(document: dict[str, Any]) -> str:
    """The hash of what was decided and what came of it; how long it took is no part of it."""
    decided = {name: value for name, value in document.items() if name not in ("took", "hash")}
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
