"""The account's income history, and the funding rates that part of it was worked out from."""

from __future__ import annotations

from exchange.binance.mapping.body import as_object
from exchange.binance.mapping.fields import decimal, integer, text, text_or_empty
from exchange.types import FundingRate, IncomeView


def read_income(body: object) -> IncomeView:
    """Read one line. ``symbol`` and ``tradeId`` are empty where it is about none; ``tradeId`` may be a number."""
    line = as_object(body)
    trade = line.get("tradeId")
    return IncomeView(
        kind=text(line, "incomeType"),
        amount=decimal(line, "income"),
        asset=text(line, "asset"),
        time=integer(line, "time"),
        tran_id=integer(line, "tranId"),
        symbol=text_or_empty(line, "symbol"),
        trade_id="" if trade is None else str(trade),
        info=text_or_empty(line, "info"),
    )


def read_funding_rate(body: object) -> FundingRate:
    row = as_object(body)
    return FundingRate(
        symbol=text(row, "symbol"), rate=decimal(row, "fundingRate"), time=integer(row, "fundingTime")
    )
