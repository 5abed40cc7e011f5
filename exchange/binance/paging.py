"""Whole histories from an exchange that shows a week, and a thousand rows, at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from exchange.binance.mapping.fields import integer
from exchange.types import IncomeView, OrderView, TradeView

WINDOW_MS: Final = 7 * 24 * 3600 * 1000 - 1  # no list looks further than a week at once
PAGE_MAX: Final = 1000
INCOME_KINDS: Final = (
    "REALIZED_PNL",
    "COMMISSION",
    "FUNDING_FEE",
    "SPECIAL_FUNDING_FEE",
    "INSURANCE_CLEAR",
    "TRANSFER",
)
Frame = dict[str, str]  # the parameters that say which part of a list is wanted


def time_frames(since: int, until: int) -> Iterator[Frame]:
    """Cut a span of time into windows that the exchange takes."""
    start = since
    while start <= until:
        end = min(start + WINDOW_MS, until)
        yield {"startTime": str(start), "endTime": str(end)}
        start = end + 1


def all_orders(
    fetch: Callable[[Frame], Sequence[OrderView]], *, since: int, until: int, created: str
) -> list[OrderView]:
    """Read every order from ``since`` on. ``created``: the field of a row that holds when it was born."""
    found: dict[int | None, OrderView] = {}
    for frame in time_frames(since, until):
        start = int(frame["startTime"])
        while True:
            page = fetch({**frame, "startTime": str(start), "limit": str(PAGE_MAX)})
            fresh = {exchange_id(order): order for order in page if exchange_id(order) not in found}
            found |= fresh
            if len(page) < PAGE_MAX or not fresh:
                break
            start = max(start, *(integer(order.raw, created, fallback=0) for order in page))
    return list(found.values())


def all_trades(fetch: Callable[[Frame], Sequence[TradeView]], frames: Iterable[Frame]) -> list[TradeView]:
    """Read the executions of each frame; what follows a full page is read by id, to the newest."""
    found: dict[int, TradeView] = {}
    for frame in frames:
        page = fetch({**frame, "limit": str(PAGE_MAX)})
        found |= {trade.trade_id: trade for trade in page}
        if len(page) == PAGE_MAX:
            found |= _trades_after(fetch, max(trade.trade_id for trade in page))
            break
    return list(found.values())


def _trades_after(fetch: Callable[[Frame], Sequence[TradeView]], newest: int) -> dict[int, TradeView]:
    # Not by time: a thousand fills may share one millisecond.
    found: dict[int, TradeView] = {}
    while True:
        page = fetch({"fromId": str(newest + 1), "limit": str(PAGE_MAX)})
        found |= {trade.trade_id: trade for trade in page}
        if len(page) < PAGE_MAX:
            return found
        newest = max(trade.trade_id for trade in page)


def all_income(fetch: Callable[[Frame], Sequence[IncomeView]], *, since: int, until: int) -> list[IncomeView]:
    """Read every line of income from ``since`` on, oldest first. There is no page to ask for, so time is narrowed."""
    found: dict[tuple[int, str, str, str], IncomeView] = {}
    for frame in time_frames(since, until):
        start, end = int(frame["startTime"]), int(frame["endTime"])
        while start <= end:
            page = fetch({**frame, "startTime": str(start), "limit": str(PAGE_MAX)})
            found |= {line.key: line for line in page}
            if len(page) < PAGE_MAX:
                break
            newest = max(line.time for line in page)
            if newest <= start:  # more than a page in one millisecond: each kind by itself
                found |= {line.key: line for line in _income_of(fetch, start, {line.kind for line in page})}
                newest = start + 1
            start = newest
    return sorted(found.values(), key=lambda line: (line.time, line.tran_id, line.kind, line.symbol))


def _income_of(
    fetch: Callable[[Frame], Sequence[IncomeView]], moment: int, seen: Iterable[str]
) -> Iterator[IncomeView]:
    at = {"startTime": str(moment), "endTime": str(moment), "limit": str(PAGE_MAX)}
    for kind in sorted({*seen, *INCOME_KINDS}):
        yield from fetch({**at, "incomeType": kind})


def exchange_id(order: OrderView) -> int | None:
    return order.algo_id if order.conditional else order.order_id
