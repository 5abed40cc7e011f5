"""An order's life: it is added, filled in parts, ended. Every order enters and leaves the books here."""

from __future__ import annotations

from decimal import Decimal

from simulator.engine import user_events
from simulator.engine.account_book import Book
from simulator.engine.decimals import EIGHT, MONEY, ZERO
from simulator.engine.exchange import Exchange
from simulator.engine.ledger import change, pay
from simulator.engine.records import Algo, Fill, Order
from simulator.engine.retention import retain


def _weigh(book: Book, order: Order, sign: int) -> None:
    """Add or take away what a resting order may open, for the margin sums."""
    if order.reduce_only or order.close_position:
        return
    row = book.resting.setdefault((order.symbol, order.position_side), [ZERO, ZERO, ZERO, ZERO])
    at = 0 if order.side == "BUY" else 1
    row[at] += sign * order.remaining
    row[at + 2] += sign * order.remaining * order.price
    if not row[0] and not row[1]:
        del book.resting[order.symbol, order.position_side]


def enter(ex: Exchange, book: Book, order: Order, now: int) -> None:
    """Take an order into the books as open and tell NEW."""
    ex.orders[order.id] = order
    book.open_orders[order.id] = order
    book.open_ids[order.client_id] = order.id
    book.last_ids[order.client_id] = order.id
    _weigh(book, order, 1)
    ex.touch(order)
    user_events.order_update(ex, order, "NEW", now)


def reweigh(book: Book, order: Order, quantity: Decimal, price: Decimal) -> None:
    """Change the size and price of an open order."""
    _weigh(book, order, -1)
    order.quantity, order.price = quantity, price
    _weigh(book, order, 1)


def fill(
    ex: Exchange, book: Book, order: Order, quantity: Decimal, price: Decimal, maker: bool, now: int,
    *, liquidation: bool = False,
) -> Fill:  # fmt: skip
    """Execute part of an order: position, wallet, ledger, history and events."""
    market = ex.market(order.symbol)
    rules = market.rules
    account = book.account
    position = book.position(order.symbol, order.position_side)
    _weigh(book, order, -1)
    order.executed += quantity
    order.quote += quantity * price
    order.status = "FILLED" if order.executed >= order.quantity else "PARTIALLY_FILLED"
    order.updated = now
    if order.status != "FILLED":
        _weigh(book, order, 1)
    before = abs(position.amount)
    realized = change(ex, book, position, quantity if order.side == "BUY" else -quantity, price, now)
    if abs(position.amount) > before or order.algo_id:
        _note_stray(ex, order, position.amount, before, now)
    rate = account.maker if maker else account.taker
    commission = (quantity * price * rate).quantize(EIGHT, context=MONEY)
    taker_sells = (order.side == "SELL") != maker
    public = market.trade(price, quantity, taker_sells, now)
    trade = market.trades
    done = Fill(
        trade, account.name, order.symbol, order.id, order.client_id, order.side, order.position_side, price, quantity,
        realized, commission, rules.margin_asset, maker, now,
    )  # fmt: skip
    book.fills.append(done)
    ex.touch(done)
    ex.touch(order)
    if realized:
        pay(
            ex, book, rules.margin_asset, realized, "REALIZED_PNL", now, symbol=order.symbol, trade=str(trade)
        )
    if commission:
        pay(
            ex,
            book,
            rules.margin_asset,
            -commission,
            "COMMISSION",
            now,
            symbol=order.symbol,
            trade=str(trade),
        )
    algo = ex.algos.get(order.algo_id) if order.algo_id else None
    if order.status == "FILLED" and algo and ex.profile.finished_first:
        finish(ex, book, algo, now)
    user_events.trade_lite(ex, order, done, now)
    user_events.account_update(ex, book, "ORDER", now, assets=(rules.margin_asset,), positions=(position,))
    user_events.order_update(
        ex, order, "CALCULATED" if liquidation else "TRADE", now, fill=done, reason=5 if liquidation else 0
    )
    market.see(ex.market_ms or now, quantity)
    ex.traded.append((order.symbol, public))
    ex.moved.add(order.symbol)
    if order.status == "FILLED":
        _leave(ex, book, order, now)
    elif order.reduce_only or order.close_position:
        ex.exposed.add((account.name, order.symbol, order.position_side))
    return done


def _note_stray(ex: Exchange, order: Order, after: Decimal, before: Decimal, now: int) -> None:
    """An exit or a leg by its client id that made a position larger: nobody wanted that."""
    _, _, role = order.client_id.rpartition("-")
    if abs(after) > before and role[:1] in ("s", "p", "x") and role[1:].isdigit():
        ex.strays.append(
            {"account": order.account, "symbol": order.symbol, "side": order.position_side, "ms": now,
             "client_id": order.client_id, "amount": format(after, "f")}
        )  # fmt: skip


def end(ex: Exchange, book: Book, order: Order, status: str, now: int, *, reason: int = 0) -> None:
    """End an open order without a further fill: CANCELED or EXPIRED."""
    _weigh(book, order, -1)
    order.status = status
    order.updated = now
    ex.touch(order)
    what = "CANCELED" if status == "CANCELED" else "EXPIRED"
    user_events.order_update(ex, order, what, now, reason=reason)
    _leave(ex, book, order, now)


def _leave(ex: Exchange, book: Book, order: Order, now: int) -> None:
    book.open_orders.pop(order.id, None)
    if book.open_ids.get(order.client_id) == order.id:
        del book.open_ids[order.client_id]
    if order.price:
        ex.market(order.symbol).unrest(order)
    (book.filled_orders if order.executed else book.unfilled_orders).append(order.id)
    if order.algo_id and (algo := ex.algos.get(order.algo_id)):
        ex.exposed.add((book.account.name, order.symbol, order.position_side))
        if algo.status == "TRIGGERED":
            finish(ex, book, algo, now)
    retain(ex, book, now)


def finish(ex: Exchange, book: Book, algo: Algo, now: int) -> None:
    """The child has ended, so the algo order has."""
    algo_end(ex, book, algo, "FINISHED", now)


def algo_end(ex: Exchange, book: Book, algo: Algo, status: str, now: int, *, reason: str = "") -> None:
    """Bring an algo order to a final status and tell it."""
    ex.market(algo.symbol).unwait(algo)
    ex.delayed.pop(algo.id, None)
    algo.status, algo.updated = status, now
    if reason:
        algo.reason = reason
    book.open_algos.pop(algo.id, None)
    if book.open_algo_ids.get(algo.client_id) == algo.id:
        del book.open_algo_ids[algo.client_id]
    (book.born_algos if algo.child else book.idle_algos).append(algo.id)
    ex.exposed.add((book.account.name, algo.symbol, algo.position_side))
    ex.touch(algo)
    user_events.algo_update(ex, algo, now)
    retain(ex, book, now)


def settle(ex: Exchange, now: int) -> None:
    """After fills: closePosition orders of a side that went flat expire, reduce-only limits in excess are displaced."""
    while ex.flattened:
        account, symbol, side = ex.flattened.pop()
        book = ex.book(account)
        amount = book.amount(symbol, side)
        for algo in list(book.open_algos.values()):
            if not (algo.close_position and algo.symbol == symbol and algo.position_side == side):
                continue
            closes = amount and (amount > 0) == (algo.side == "SELL")
            if algo.status == "NEW" and not closes:
                algo_end(ex, book, algo, "EXPIRED", now)
        for order in list(book.open_orders.values()):
            if order.symbol != symbol or order.position_side != side:
                continue
            exits = order.reduce_only or (side != "BOTH" and (order.side == "SELL") == (side == "LONG"))
            if exits and not book.closable(symbol, side, order.side):
                end(ex, book, order, "EXPIRED", now, reason=4)
