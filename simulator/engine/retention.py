"""How long ended orders can still be queried."""

from __future__ import annotations

from typing import Final

from simulator.engine.account_book import AccountBook
from simulator.engine.exchange import Exchange

UNFILLED_KEPT_MS: Final = 3 * 86_400_000
FILLED_KEPT_MS: Final = 90 * 86_400_000


def forget_ended(ex: Exchange, book: AccountBook, now: int) -> None:
    """Forget what the real exchange forgets: unfilled after 3 days, the rest after 90; and what exceeds our own bound."""
    kept_max = ex.profile.finished_orders_max
    for ended, kept_ms in ((book.unfilled_orders, UNFILLED_KEPT_MS), (book.filled_orders, FILLED_KEPT_MS)):
        while ended and (len(ended) > kept_max or now - ex.orders[ended[0]].updated > kept_ms):
            _forget_order(ex, book, ended.popleft())
    for ended, kept_ms in (
        (book.untriggered_algos, UNFILLED_KEPT_MS),
        (book.triggered_algos, FILLED_KEPT_MS),
    ):
        while ended and (len(ended) > kept_max or now - ex.algos[ended[0]].updated > kept_ms):
            _forget_algo(ex, book, ended.popleft())


def _forget_order(ex: Exchange, book: AccountBook, order_id: int) -> None:
    order = ex.orders.pop(order_id)
    if book.last_order_ids.get(order.client_id) == order.id:
        del book.last_order_ids[order.client_id]
    ex.amendments.pop(order.id, None)
    ex.mark_removed(order)


def _forget_algo(ex: Exchange, book: AccountBook, algo_id: int) -> None:
    algo = ex.algos.pop(algo_id)
    if book.last_algo_ids.get(algo.client_id) == algo.id:
        del book.last_algo_ids[algo.client_id]
    ex.mark_removed(algo)
