"""An order's life: it is added, filled in parts, ended. Every order enters and leaves the books here."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from simulator.engine import user_events
from simulator.engine.account_book import AccountBook
from simulator.engine.decimals import EIGHT, MONEY, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.ledger import apply_trade, post_income
from simulator.engine.market import Market
from simulator.engine.records import Algo, Fill, Order, Position, Slot, is_hedge_exit
from simulator.engine.retention import forget_ended

BURNT: Final = "BNB"
BURNT_SHARE: Final = Decimal("0.9")


def add_order(ex: Exchange, book: AccountBook, order: Order, now: int) -> None:
    """Enter an open order into the books and report NEW."""
    ex.orders[order.id] = order
    book.open_orders[order.id] = order
    book.open_order_ids[order.client_id] = order.id
    book.last_order_ids[order.client_id] = order.id
    book.count_resting(order)
    ex.mark_changed(order)
    user_events.order_update(ex, order, "NEW", now)


def resize_order(book: AccountBook, order: Order, quantity: Decimal, price: Decimal) -> None:
    """Change the quantity and price of an open order."""
    book.uncount_resting(order)
    order.quantity, order.price = quantity, price
    book.count_resting(order)


# -- fills ----------------------------------------------------------------------------------------------------


def fill(
    ex: Exchange, book: AccountBook, order: Order, quantity: Decimal, price: Decimal, now: int, *,
    maker: bool, liquidation: bool = False,
) -> None:  # fmt: skip
    """Execute part of an order, with all that follows: position, wallet, records and events."""
    market = ex.market(order.symbol)
    position = book.position(order.symbol, order.position_side)
    size_before = abs(position.amount)
    _execute(book, order, quantity, price, now)
    realized = apply_trade(ex, book, position, quantity if order.side == "BUY" else -quantity, price, now)
    if abs(position.amount) > size_before:
        _note_stray_fill(ex, order, position, now)
    public_trade = market.record_trade(price, quantity, (order.side == "SELL") != maker, now)
    done = _record_fill(ex, book, market, order, quantity, price, realized, maker, now)
    _post_fill(ex, book, done)
    if order.status == "FILLED" and order.algo_id in ex.algos and ex.profile.finished_first:
        end_algo(ex, book, ex.algos[order.algo_id], "FINISHED", now)
    _report_fill(ex, book, order, done, position, now, liquidation=liquidation)
    market.record_price(ex.market_ms or now, quantity)
    ex.public_trades.append((order.symbol, public_trade))
    ex.moved_symbols.add(order.symbol)
    if order.status == "FILLED":
        _close(ex, book, order, now)
    elif order.only_reduces:
        ex.cover_changed.add(order.slot)


def _execute(book: AccountBook, order: Order, quantity: Decimal, price: Decimal, now: int) -> None:
    book.uncount_resting(order)
    order.executed += quantity
    order.quote += quantity * price
    order.status = "FILLED" if order.executed >= order.quantity else "PARTIALLY_FILLED"
    order.updated = now
    if order.status != "FILLED":
        book.count_resting(order)


def _note_stray_fill(ex: Exchange, order: Order, position: Position, now: int) -> None:
    """Remember an exit or a leg, by its client id, that made a position larger: nobody wanted that."""
    _, _, role = order.client_id.rpartition("-")
    if role[:1] in ("s", "p", "x") and role[1:].isdigit():
        ex.stray_fills.append(
            {"account": order.account, "symbol": order.symbol, "side": order.position_side, "ms": now,
             "client_id": order.client_id, "amount": format(position.amount, "f")}
        )  # fmt: skip


def _record_fill(
    ex: Exchange, book: AccountBook, market: Market, order: Order, quantity: Decimal, price: Decimal,
    realized: Decimal, maker: bool, now: int,
) -> Fill:  # fmt: skip
    rate = book.account.maker if maker else book.account.taker
    commission, burnt = _fee(ex, book, quantity * price * rate)
    done = Fill(
        market.trades, order.account, order.symbol, order.id, order.client_id, order.side, order.position_side, price,
        quantity, realized, commission, market.rules.margin_asset, maker, now, burnt,
    )  # fmt: skip
    book.fills.append(done)
    ex.mark_changed(done)
    ex.mark_changed(order)
    return done


def _fee(ex: Exchange, book: AccountBook, due: Decimal) -> tuple[Decimal, str]:
    """Return a fee, and BNB if it is paid in that: a tenth off, where there is a price for it and enough of it."""
    market = ex.markets.get(BURNT + "USDT") if book.account.fee_burn else None
    if market is not None and market.mark:
        in_bnb = (due * BURNT_SHARE / market.mark).quantize(EIGHT, context=MONEY)
        if book.account.wallets.get(BURNT, ZERO) >= in_bnb:
            return in_bnb, BURNT
    return due.quantize(EIGHT, context=MONEY), ""


def _post_fill(ex: Exchange, book: AccountBook, done: Fill) -> None:
    """Post the profit and the commission of a fill to the wallet."""
    lines = (("REALIZED_PNL", done.realized, done.asset), ("COMMISSION", -done.commission, done.fee_asset))
    for kind, amount, asset in lines:
        if amount:
            post_income(ex, book, asset, amount, kind, done.time, symbol=done.symbol, trade=str(done.id))


def _report_fill(
    ex: Exchange, book: AccountBook, order: Order, done: Fill, position: Position, now: int, *, liquidation: bool
) -> None:  # fmt: skip
    user_events.trade_lite(ex, order, done, now)
    assets = tuple(dict.fromkeys((done.asset, done.fee_asset)))
    user_events.account_update(ex, book, "ORDER", now, assets=assets, positions=(position,))
    what, reason = ("CALCULATED", 5) if liquidation else ("TRADE", 0)
    user_events.order_update(ex, order, what, now, fill=done, reason=reason)


# -- ends -----------------------------------------------------------------------------------------------------


def end_order(
    ex: Exchange, book: AccountBook, order: Order, status: str, now: int, *, reason: int = 0
) -> None:
    """End an open order without a further fill: CANCELED or EXPIRED."""
    book.uncount_resting(order)
    order.status = status
    order.updated = now
    ex.mark_changed(order)
    user_events.order_update(ex, order, status, now, reason=reason)
    _close(ex, book, order, now)


def _close(ex: Exchange, book: AccountBook, order: Order, now: int) -> None:
    """Take an ended order out of everything that is open, and its parent with it."""
    book.open_orders.pop(order.id, None)
    if book.open_order_ids.get(order.client_id) == order.id:
        del book.open_order_ids[order.client_id]
    if order.price:
        ex.market(order.symbol).remove_resting(order)
    (book.filled_orders if order.executed else book.unfilled_orders).append(order.id)
    if order.algo_id and (algo := ex.algos.get(order.algo_id)):
        ex.cover_changed.add(order.slot)
        if algo.status == "TRIGGERED":
            end_algo(ex, book, algo, "FINISHED", now)
    forget_ended(ex, book, now)


def end_algo(ex: Exchange, book: AccountBook, algo: Algo, status: str, now: int, *, reason: str = "") -> None:
    """Bring a conditional order to a final status and report it."""
    ex.market(algo.symbol).remove_waiting(algo)
    ex.triggering.pop(algo.id, None)
    algo.status, algo.updated = status, now
    if reason:
        algo.reason = reason
    book.open_algos.pop(algo.id, None)
    if book.open_algo_ids.get(algo.client_id) == algo.id:
        del book.open_algo_ids[algo.client_id]
    (book.triggered_algos if algo.child else book.untriggered_algos).append(algo.id)
    ex.cover_changed.add(algo.slot)
    ex.mark_changed(algo)
    user_events.algo_update(ex, algo, now)
    forget_ended(ex, book, now)


def expire_exits_without_position(ex: Exchange, now: int) -> None:
    """After fills: expire the exit orders of every slot whose position is gone or has changed side."""
    while ex.flattened:
        slot = ex.flattened.pop()
        book = ex.book(slot[0])
        _expire_closing_algos(ex, book, slot, now)
        _expire_exit_orders(ex, book, slot, now)


def _expire_closing_algos(ex: Exchange, book: AccountBook, slot: Slot, now: int) -> None:
    _, symbol, position_side = slot
    for algo in list(book.open_algos.values()):
        waits_to_close = algo.close_position and algo.slot == slot and algo.status == "NEW"
        if waits_to_close and not book.closable(symbol, position_side, algo.side):
            end_algo(ex, book, algo, "EXPIRED", now)


def _expire_exit_orders(ex: Exchange, book: AccountBook, slot: Slot, now: int) -> None:
    _, symbol, position_side = slot
    for order in list(book.open_orders.values()):
        if order.slot != slot:
            continue
        exits = order.reduce_only or is_hedge_exit(position_side, order.side)
        if exits and not book.closable(symbol, position_side, order.side):
            end_order(ex, book, order, "EXPIRED", now, reason=4)
