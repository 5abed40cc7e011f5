"""Funding: every eight hours of the market clock the longs pay the shorts, or the other way round."""

from __future__ import annotations

from typing import Final

from simulator.engine.decimals import EIGHT, MONEY
from simulator.engine.exchange import Exchange
from simulator.engine.ledger import post_income
from simulator.engine.user_events import account_update

FUNDING_MS: Final = 8 * 3_600_000


def fund(ex: Exchange, now: int) -> None:
    """Pay the funding that has become due since the last call; there is none from before the exchange opened."""
    latest = ex.market_ms // FUNDING_MS
    last = ex.counters.setdefault("funding", latest)
    if latest <= last:
        return
    ex.counters["funding"] = latest
    for _, book in sorted(ex.books.items()):
        for position in list(book.held.values()):
            market = ex.market(position.symbol)
            amount = -(position.amount * market.mark * market.funding * (latest - last))
            amount = amount.quantize(EIGHT, context=MONEY)
            if not amount:
                continue
            asset = market.rules.margin_asset
            post_income(ex, book, asset, amount, "FUNDING_FEE", now, symbol=position.symbol)
            account_update(
                ex, book, "FUNDING_FEE", now, assets=(asset,), positions=(position,), change=amount
            )
