"""Rules that ordinary and conditional orders share: prices, quantities, position sides, symbol states."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import decimal_places
from simulator.engine.errors import refusal
from simulator.engine.market import Market
from simulator.engine.symbol_rules import Rules


def check_price(rules: Rules, price: Decimal, *, trigger: bool = False) -> None:
    """Apply the symbol's price filter to a price or a trigger price. Raises ApiError."""
    if decimal_places(price) > rules.price_precision:
        raise refusal(-1111)
    if price <= 0:
        raise refusal(-4006 if trigger else -4001)
    if price < rules.price_min:
        raise refusal(-4013)
    if price > rules.price_max:
        raise refusal(-4007 if trigger else -4002)
    if rules.tick and price % rules.tick:
        raise refusal(-4014)


def check_quantity(rules: Rules, quantity: Decimal, *, market: bool) -> None:
    """Apply the lot filter for limit or market orders. Raises ApiError."""
    if decimal_places(quantity) > rules.quantity_precision:
        raise refusal(-1111)
    if quantity <= 0:
        raise refusal(-4003)
    if market:
        smallest, largest, step = rules.market_min, rules.market_max, rules.market_step
    else:
        smallest, largest, step = rules.lot_min, rules.lot_max, rules.step
    if quantity < smallest:
        raise refusal(-4004)
    if quantity > largest:
        raise refusal(-4005)
    if step and quantity % step:
        raise refusal(-4023)


def check_band(market: Market, side: str, price: Decimal) -> None:
    """A limit price may not be too far on the aggressive side of the mark price. Raises ApiError."""
    rules = market.rules
    if side == "BUY" and price > market.mark * rules.up:
        raise refusal(-4016, limit=rules.price(market.mark * rules.up))
    if side == "SELL" and price < market.mark * rules.down:
        raise refusal(-4024, limit=rules.price(market.mark * rules.down))


def check_position_side(book: AccountBook, position_side: str) -> None:
    """One-way mode trades BOTH, hedge mode LONG and SHORT. Raises ApiError -4061."""
    if book.account.dual == (position_side == "BOTH"):
        raise refusal(-4061)


def check_trading(market: Market, book: AccountBook, position_side: str, side: str) -> None:
    """Only a TRADING symbol opens positions; one about to settle still closes them. Raises ApiError."""
    status = market.rules.status
    if status == "TRADING":
        return
    if status in ("PRE_SETTLE", "PRE_DELIVERING", "SETTLING"):
        if book.closable(market.rules.symbol, position_side, side):
            return
        raise refusal(-4140)
    raise refusal(-4141 if status in ("CLOSE", "DELIVERED") else -1122)


def is_marketable(market: Market, side: str, price: Decimal) -> bool:
    """Whether an order at this price would trade at once."""
    best = market.best(side)
    return price >= best if side == "BUY" else price <= best
