"""What was answered survives: an append-only journal of changed records, compacted now and then.

Each line is one answered step: the records it changed, those it removed, the counters, prices and log entries. A line
is written before the answer leaves, so a killed process knows everything it ever said; a torn last line was never
answered and is dropped.
"""

from __future__ import annotations

import fcntl
import json
import os
import typing
from collections import deque
from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

from simulator.engine.account_book import AccountBook
from simulator.engine.exchange import Exchange
from simulator.engine.market import Depth, Market
from simulator.engine.records import Account, Algo, Fill, Income, Order, Position, Record, UncoveredInterval
from simulator.engine.request_log import KEPT, LogEntry
from simulator.facade import Simulator

KINDS: Final[dict[str, type[Any]]] = {
    kind.KIND: kind for kind in (Account, Position, Order, Algo, Fill, Income, UncoveredInterval)
}
LINES_MAX: Final = 100_000
BYTES_MAX: Final = 64 << 20
PRICES_EVERY_MS: Final = 1000


class StateInUse(Exception):
    """Another simulator already works on this directory."""


def _encode(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_encode(item) for item in value]
    return value


def _decoder(hint: Any) -> Callable[[Any], Any] | None:
    if hint is Decimal:
        return Decimal
    if typing.get_origin(hint) is dict and typing.get_args(hint)[1] is Decimal:
        return lambda value: {key: Decimal(item) for key, item in value.items()}
    return None


_DECODERS: Final = {
    name: {f: d for f, hint in typing.get_type_hints(kind).items() if (d := _decoder(hint)) is not None}
    for name, kind in KINDS.items()
}
_NAMES: Final = {name: [f.name for f in fields(kind)] for name, kind in KINDS.items()}


def encode(record: Record) -> dict[str, Any]:
    """A record as plain JSON values."""
    return {name: _encode(getattr(record, name)) for name in _NAMES[record.KIND]}


def decode(kind: str, row: dict[str, Any]) -> Any:
    """A record from plain JSON values; unknown fields of a later version are left out."""
    decoders = _DECODERS[kind]
    known = {name: value for name, value in row.items() if name in _NAMES[kind]}
    return KINDS[kind](
        **{name: decoders[name](value) if name in decoders else value for name, value in known.items()}
    )


class Store:
    """Keeps one simulator's state in one directory."""

    def __init__(self, directory: Path, simulator: Simulator) -> None:
        self.directory = directory
        self.simulator = simulator
        self._lines = 0
        self._bytes = 0
        self._written_at = 0
        self._reversals = 0
        self._depths: dict[str, list[Any]] = {}
        self._prices: dict[str, tuple[Decimal, Decimal, int]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = (directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateInUse(
                f"Another simulator is using {directory}; stop it or choose another --state."
            ) from error
        self._journal_path = directory / "journal.jsonl"
        self._log_path = directory / "requests.jsonl"
        self._load()
        self._journal: IO[bytes] = self._journal_path.open("ab", buffering=0)
        self._log: IO[bytes] = self._log_path.open("ab", buffering=0)
        simulator.ex.persisting = True
        simulator.venue.keep = self.write
        self.compact()

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, by_hand: bool = False) -> None:
        """Write what changed since the last time. Cheap when nothing did."""
        ex, venue = self.simulator.ex, self.simulator.venue
        drifted = ex.moved_symbols and self.simulator.clock() - self._written_at >= PRICES_EVERY_MS
        if ex.dirty or ex.removed or by_hand or drifted:
            line = self._line(list(ex.dirty.values()), ex.removed)
            ex.dirty.clear()
            ex.removed.clear()
            self._journal.write(line)
            self._lines += 1
            self._bytes += len(line)
        fresh = venue.request_log.unsaved
        if fresh:
            text = "".join(
                json.dumps(e.as_dict(), ensure_ascii=False, separators=(",", ":")) + "\n" for e in fresh
            )
            self._log.write(text.encode())
            fresh.clear()
        if self._lines > LINES_MAX or self._bytes > BYTES_MAX:
            self.compact()

    def _line(self, records: list[Record], gone: list[tuple[str, str]]) -> bytes:
        ex = self.simulator.ex
        row: dict[str, Any] = {"n": ex.counters, "ms": ex.market_ms}
        if records:
            row["put"] = [[record.KIND, encode(record)] for record in records]
        if gone:
            row["del"] = gone
        prices = {}
        for symbol, market in ex.markets.items():
            now = (market.last, market.mark, market.trades)
            if self._prices.get(symbol) != now:
                self._prices[symbol] = now
                prices[symbol] = [str(market.last), str(market.mark), market.trades]
        if prices:
            row["px"] = prices
        depths = {name: _depth_row(market) for name, market in ex.markets.items() if not market.depth.growth}
        if depths != self._depths:
            self._depths = depths
            row["depth"] = depths
        reversals = [*self.simulator.venue.cover.reversals, *ex.stray_fills]
        if len(reversals) != self._reversals:
            self._reversals = len(reversals)
            row["rev"] = reversals
        self._written_at = self.simulator.clock()
        return (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n").encode()

    def compact(self) -> None:
        """Replace the journal by one line that says everything."""
        ex = self.simulator.ex
        records: list[Record] = []
        for book in ex.books.values():
            records += [book.account, *book.positions.values(), *book.fills, *book.income]
        records += [*ex.orders.values(), *ex.algos.values(), *self.simulator.venue.cover.intervals]
        self._prices.clear()
        self._reversals, self._depths = 0, {}
        fresh = self._journal_path.with_suffix(".new")
        row = self._line(records, [])
        with fresh.open("wb") as out:
            out.write(row)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self._journal_path)
        self._journal.close()
        self._journal = self._journal_path.open("ab", buffering=0)
        ex.dirty.clear()
        ex.removed.clear()
        self._lines = self._bytes = 0

    def close(self) -> None:
        """Let go of the directory."""
        self.write()
        self._journal.close()
        self._log.close()
        self._lock.close()

    # -- reading --------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        latest: dict[tuple[str, str], Any] = {}
        prices: dict[str, list[Any]] = {}
        ex = self.simulator.ex
        for row in _rows(self._journal_path):
            for kind, record in row.get("put", ()):
                value = decode(kind, record)
                latest[kind, value.key] = value
            for kind, key in row.get("del", ()):
                latest.pop((kind, key), None)
            prices.update(row.get("px", {}))
            if "n" in row:
                ex.counters = row["n"]
                ex.market_ms = row["ms"]
            for symbol, depth in row.get("depth", {}).items():
                if ex.catalogue.find(symbol):
                    ex.market(symbol).depth = _depth_from(depth)
            if "rev" in row:
                ex.stray_fills = row["rev"]
        for symbol, (last, mark, trades) in prices.items():
            if ex.catalogue.find(symbol):
                market = ex.market(symbol)
                market.last, market.mark, market.trades = Decimal(last), Decimal(mark), trades
        _rebuild(self.simulator, list(latest.values()))
        if prices:
            self.simulator.venue.prices.resume(ex, self.simulator.clock())
        request_log = self.simulator.venue.request_log
        log = _rows(self._log_path)
        for row in log[-KEPT:]:
            request_log.add(LogEntry(**row), 0, save=False)
        if len(log) > 2 * KEPT:
            fresh = self._log_path.with_suffix(".new")
            fresh.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in log[-KEPT:]))
            fresh.replace(self._log_path)


def _rows(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; a torn last one is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)
    return [json.loads(line) for line in data[:whole].splitlines()]


def _depth_row(market: Market) -> list[Any]:
    d = market.depth
    return [str(d.per_level), d.levels, str(d.spacing), str(d.growth), str(d.queue)]


def _depth_from(row: list[Any]) -> Depth:
    return Depth(Decimal(row[0]), row[1], Decimal(row[2]), Decimal(row[3]), Decimal(row[4]))


def _rebuild(simulator: Simulator, records: list[Any]) -> None:
    """Put every record into the indexes the exchange works with."""
    ex, cover = simulator.ex, simulator.venue.cover
    for record in records:
        if isinstance(record, Account):
            ex.register(record)
    for record in records:
        if isinstance(record, Account):
            continue
        if isinstance(record, UncoveredInterval):
            cover.intervals.append(record)
            if not record.end:
                cover.open[record.account, record.symbol, record.side] = record
            continue
        book = ex.books[record.account]
        if isinstance(record, Position):
            book.positions[record.symbol, record.side] = record
            if record.amount:
                book.held[record.symbol, record.side] = record
                ex.market(record.symbol).held[record.account, record.side] = record
                cover.sign[record.account, record.symbol, record.side] = 1 if record.amount > 0 else -1
                ex.cover_changed.add((record.account, record.symbol, record.side))
            elif record.updated:
                cover.flat_since[record.account, record.symbol, record.side] = record.updated
        elif isinstance(record, Fill):
            book.fills.append(record)
        elif isinstance(record, Income):
            book.income.append(record)
    cover.intervals.sort(key=lambda interval: interval.id)
    for order in sorted((r for r in records if isinstance(r, Order)), key=lambda o: o.id):
        _rebuild_order(ex, ex.books[order.account], order)
    for algo in sorted((r for r in records if isinstance(r, Algo)), key=lambda a: a.id):
        _rebuild_algo(ex, ex.books[algo.account], algo)
    for book in ex.books.values():
        for ended in (book.unfilled_orders, book.filled_orders):
            _sort(ended, {i: ex.orders[i].updated for i in ended})
        for done in (book.untriggered_algos, book.triggered_algos):
            _sort(done, {i: ex.algos[i].updated for i in done})


def _sort(ids: deque[int], when: dict[int, int]) -> None:
    """Oldest end first, as retention wants them."""
    ordered = sorted(ids, key=lambda ident: (when[ident], ident))
    ids.clear()
    ids.extend(ordered)


def _rebuild_order(ex: Exchange, book: AccountBook, order: Order) -> None:
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


def _rebuild_algo(ex: Exchange, book: AccountBook, algo: Algo) -> None:
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
