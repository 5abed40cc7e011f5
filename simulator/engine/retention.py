"""How long ended orders can still be queried."""

from __future__ import annotations

from simulator.engine.account_book import Book
from simulator.engine.exchange import Exchange

RETENTION_UNFILLED_MS = 3 * 86_400_000
RETENTION_MS = 90 * 86_400_000


def retain(ex: Exchange, book: Book, now: int) -> None:
    """Let go of what the venue itself forgets: unfilled after 3 days, the rest after 90, and beyond our own bound."""
    most = ex.profile.finished_orders_max
    for closed, kept_ms in (
        (book.unfilled_orders, RETENTION_UNFILLED_MS),
        (book.filled_orders, RETENTION_MS),
    ):
        while closed and (len(closed) > most or now - ex.orders[closed[0]].updated > kept_ms):
            order = ex.orders.pop(closed.popleft())
            if book.last_ids.get(order.client_id) == order.id:
                del book.last_ids[order.client_id]
            ex.amendments.pop(order.id, None)
            ex.forget("order", order.key)
    for done, kept_ms in ((book.idle_algos, RETENTION_UNFILLED_MS), (book.born_algos, RETENTION_MS)):
        while done and (len(done) > most or now - ex.algos[done[0]].updated > kept_ms):
            algo = ex.algos.pop(done.popleft())
            if book.last_algo_ids.get(algo.client_id) == algo.id:
                del book.last_algo_ids[algo.client_id]
            ex.forget("algo", algo.key)
