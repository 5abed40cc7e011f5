"""What time alone brings about: delayed triggers, countdowns, expiry."""

from __future__ import annotations

from simulator.engine.account_book import AccountBook
from simulator.engine.exchange import Exchange
from simulator.engine.order_lifecycle import end_algo, end_order
from simulator.engine.triggering import place_child


def run_timers(ex: Exchange, now: int) -> None:
    """Do everything that is due by this time."""
    if ex.triggering:
        _place_delayed_children(ex, now)
    if ex.countdowns:
        _cancel_by_countdown(ex, now)
    if ex.next_expiry and now >= ex.next_expiry:
        ex.next_expiry = 0
        for book in ex.books.values():
            _expire_orders(ex, book, now)
            _expire_algos(ex, book, now)


def _place_delayed_children(ex: Exchange, now: int) -> None:
    for algo in list(ex.triggering.values()):
        if not algo.stuck and now >= algo.trigger_time + ex.profile.trigger_delay_ms:
            place_child(ex, ex.book(algo.account), algo, ex.market(algo.symbol), now)


def _cancel_by_countdown(ex: Exchange, now: int) -> None:
    """The dead man's switch of ``countdownCancelAll``: nobody renewed it in time."""
    for (account, symbol), moment in list(ex.countdowns.items()):
        if moment > now:
            continue
        del ex.countdowns[account, symbol]
        book = ex.book(account)
        for order in list(book.open_orders.values()):
            if order.symbol == symbol:
                end_order(ex, book, order, "CANCELED", now)


def _expire_orders(ex: Exchange, book: AccountBook, now: int) -> None:
    for order in list(book.open_orders.values()):
        if order.good_till and order.good_till <= now:
            end_order(ex, book, order, "CANCELED", now)
        elif order.good_till:
            ex.schedule_expiry(order.good_till)


def _expire_algos(ex: Exchange, book: AccountBook, now: int) -> None:
    for algo in list(book.open_algos.values()):
        if algo.status != "NEW" or not algo.good_till:
            continue
        if algo.good_till <= now:
            end_algo(ex, book, algo, "EXPIRED", now)
        else:
            ex.schedule_expiry(algo.good_till)
