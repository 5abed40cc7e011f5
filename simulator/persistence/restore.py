"""Putting saved records back into the books and indexes that the exchange works with."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from simulator.engine.account_book import AccountBook
from simulator.engine.cover import CoverHistory
from simulator.engine.exchange import Exchange
from simulator.engine.records import Account, Algo, Fill, Income, Order, Position, UncoveredInterval


def restore(ex: Exchange, cover: CoverHistory, records: list[Any]) -> None:
    """Put every record in its place; accounts first, orders by age."""
    for record in records:
        if isinstance(record, Account):
            ex.register(record)
    for record in records:
        if isinstance(record, UncoveredInterval):
            _restore_interval(cover, record)
        elif isinstance(record, Position):
            _restore_position(ex, cover, record)
        elif isinstance(record, Fill):
            ex.book(record.account).fills.append(record)
        elif isinstance(record, Income):
            ex.book(record.account).income.append(record)
    cover.intervals.sort(key=lambda interval: interval.id)
    for order in sorted((r for r in records if isinstance(r, Order)), key=lambda o: o.id):
        _restore_order(ex, ex.book(order.account), order)
    for algo in sorted((r for r in records if isinstance(r, Algo)), key=lambda a: a.id):
        _restore_algo(ex, ex.book(algo.account), algo)
    for book in ex.books.values():
        for ended in (book.unfilled_orders, book.filled_orders):
            _sort_by_end(ended, ex.orders)
        for ended in (book.untriggered_algos, book.triggered_algos):
            _sort_by_end(ended, ex.algos)


def _restore_interval(cover: CoverHistory, interval: UncoveredInterval) -> None:
    cover.intervals.append(interval)
    if not interval.end:
        cover.open[interval.slot] = interval


def _restore_position(ex: Exchange, cover: CoverHistory, position: Position) -> None:
    book = ex.book(position.account)
    book.positions[position.symbol, position.side] = position
    if position.amount:
        book.held[position.symbol, position.side] = position
        ex.market(position.symbol).held[position.account, position.side] = position
        cover.sign[position.slot] = 1 if position.amount > 0 else -1
        ex.cover_changed.add(position.slot)
    elif position.updated:
        cover.flat_since[position.slot] = position.updated


def _restore_order(ex: Exchange, book: AccountBook, order: Order) -> None:
    ex.orders[order.id] = order
    book.last_order_ids[order.client_id] = order.id
    if not order.is_open:
        (book.filled_orders if order.executed else book.unfilled_orders).append(order.id)
        return
    book.open_orders[order.id] = order
    book.open_order_ids[order.client_id] = order.id
    if order.price:
        ex.market(order.symbol).add_resting(order)
    book.count_resting(order)
    if order.good_till:
        ex.schedule_expiry(order.good_till)


def _restore_algo(ex: Exchange, book: AccountBook, algo: Algo) -> None:
    ex.algos[algo.id] = algo
    book.last_algo_ids[algo.client_id] = algo.id
    if not algo.is_open:
        (book.triggered_algos if algo.child else book.untriggered_algos).append(algo.id)
        return
    book.open_algos[algo.id] = algo
    book.open_algo_ids[algo.client_id] = algo.id
    if algo.status == "NEW":
        ex.market(algo.symbol).add_waiting(algo)
        if algo.good_till:
            ex.schedule_expiry(algo.good_till)
    elif algo.status == "TRIGGERING":
        ex.triggering[algo.id] = algo


def _sort_by_end(ids: deque[int], records: Mapping[int, Order | Algo]) -> None:
    """Those that ended first go first, as retention expects them."""
    ordered = sorted(ids, key=lambda ident: (records[ident].updated, ident))
    ids.clear()
    ids.extend(ordered)
