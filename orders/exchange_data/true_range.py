"""The average true range of a symbol now, read from the exchange."""

from __future__ import annotations

from decimal import Decimal

from accounts.errors import AccountsError
from accounts.gateways import public_exchange
from exchange.errors import ExchangeError
from exchange.types import TIMEFRAMES
from orders.domain.errors import RuleBroken, TrioRefused
from orders.domain.true_range import ATR_BARS, READ_BARS, average_true_range
from orders.exchange_data.clock import exchange_now_ms


def atr_read(environment: str, symbol: str, timeframe: str) -> Decimal:
    """Return the average true range of a symbol's closed bars, over 14 of them; the open bar is not used.

    Raises RuleBroken for a timeframe that the exchange does not have, or for which it has too few bars, and
    TrioRefused when it cannot be asked. To be called with no transaction open.
    """
    if timeframe not in TIMEFRAMES:
        raise RuleBroken(
            "timeframe",
            f"{timeframe or 'Nothing'!s} is not a timeframe: choose one of {', '.join(TIMEFRAMES)}.",
        )
    try:
        now = exchange_now_ms(environment)
        bars = public_exchange(environment).klines(symbol, timeframe, limit=READ_BARS + 1)
    except (ExchangeError, AccountsError) as error:
        raise TrioRefused(
            f"{symbol} could not be asked about ({environment}): {error} Nothing was changed."
        ) from error
    closed = [bar for bar in bars if bar.close_time < now]
    if len(closed) <= ATR_BARS:
        raise RuleBroken(
            "timeframe",
            f"{symbol} has {len(closed)} closed bars of {timeframe}; an average true range takes {ATR_BARS + 1}: take a "
            "shorter timeframe.",
        )
    return average_true_range(closed)
