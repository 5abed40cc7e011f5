"""What a strategy's page shows: what it saw last, what it decided and why, what is next, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Count, Sum

from orders.domain.rounding import plain
from orders.exchange_data.clock import from_ms
from orders.models import Fill, TrioOrder
from signals.domain.enums import Origin
from signals.models import Signal, SignalResult, Strategy, StrategyBar, StrategyEvent

ROWS = 10
NOTHING = "–"


@dataclass(frozen=True, slots=True)
class Seen:
    """Where a strategy stands on one symbol."""

    row: StrategyBar
    bar: datetime
    close: str
    next_close: datetime
    decided: str
    reason: str
    figures: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StrategyPage:
    strategy: Strategy
    seen: list[Seen]
    signals: list[Signal]
    outcomes: list[tuple[str, int]]
    trios: list[TrioOrder]
    net: list[tuple[str, str]]
    events: list[StrategyEvent]

    @property
    def last_seen(self) -> str:
        return f"{max(seen.bar for seen in self.seen):%Y-%m-%d %H:%M}" if self.seen else NOTHING

    @property
    def last_signal(self) -> str:
        return (
            f"{self.signals[0].verb} {self.signals[0].side} {self.signals[0].symbol}"
            if self.signals
            else NOTHING
        )


def strategy_page(strategy: Strategy) -> StrategyPage:
    """Read what the page of a strategy shows."""
    made = Signal.objects.filter(origin=Origin.STRATEGY, source=strategy.name)
    source = f"{Origin.STRATEGY.prefix}:{strategy.name}"
    results = SignalResult.objects.filter(signal__in=made)
    outcomes = results.values_list("outcome").annotate(count=Count("pk")).order_by("-count", "outcome")
    return StrategyPage(
        strategy=strategy,
        seen=[_seen(row) for row in strategy.bars.select_related("signal")],
        signals=list(made.prefetch_related("results__account", "results__trio")[:ROWS]),
        outcomes=list(outcomes),
        trios=list(TrioOrder.objects.filter(source=source).select_related("symbol", "account")[:ROWS]),
        net=_net(source),
        events=list(strategy.events.all()[:ROWS]),
    )


def _seen(row: StrategyBar) -> Seen:
    length = row.bar_close_ts - row.bar_open_ts + 1
    signal = row.signal
    return Seen(
        row=row,
        bar=from_ms(row.bar_open_ts),
        close=plain(row.close),
        next_close=from_ms(row.bar_close_ts + 1 + length),
        decided=StrategyBar.Decision(row.decision).label,
        reason=signal.reason if signal else "",
        figures=sorted(signal.figures.items()) if signal else [],
    )


def _net(source: str) -> list[tuple[str, str]]:
    """Return what its trios have realised, less fees, by asset."""
    found: dict[str, Decimal] = {}
    fills: Any = Fill.objects.filter(trio__source=source)
    for asset, realised in fills.values_list("trio__symbol__margin_asset").annotate(sum=Sum("realized_pnl")):
        found[asset] = found.get(asset, Decimal(0)) + (realised or 0)
    for asset, fees in fills.values_list("commission_asset").annotate(sum=Sum("commission")):
        if asset:
            found[asset] = found.get(asset, Decimal(0)) - (fees or 0)
    return [(asset, plain(amount)) for asset, amount in sorted(found.items())]
