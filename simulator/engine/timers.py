"""What time alone brings about: delayed triggers, countdowns, expiry."""

from __future__ import annotations

from simulator.engine.exchange import Exchange
from simulator.engine.order_lifecycle import algo_end, end
from simulator.engine.triggering import give_birth


def due(ex: Exchange, now: int) -> None:
    """What time alone brings: delayed triggers go on, orders past their goodTillDate expire."""
    for algo in list(ex.delayed.values()):
        if not algo.stuck and now >= algo.trigger_time + ex.profile.trigger_delay_ms:
            give_birth(ex, ex.book(algo.account), algo, ex.market(algo.symbol), now)
    for (account, symbol), moment in list(ex.countdowns.items()):
        if moment <= now:
            del ex.countdowns[account, symbol]
            for order in list(ex.book(account).open_orders.values()):
                if order.symbol == symbol:
                    end(ex, ex.book(account), order, "CANCELED", now)
    if ex.expiring and now >= ex.expiring:
        ex.expiring = 0
        for book in ex.books.values():
            for order in list(book.open_orders.values()):
                if order.good_till and order.good_till <= now:
                    end(ex, book, order, "CANCELED", now)
                elif order.good_till:
                    ex.expire_at(order.good_till)
            for algo in list(book.open_algos.values()):
                if algo.status == "NEW" and algo.good_till:
                    if algo.good_till <= now:
                        algo_end(ex, book, algo, "EXPIRED", now)
                    else:
                        ex.expire_at(algo.good_till)
