"""The store: an append-only journal of changed records, compacted now and then.

Each line is one step that was answered: the records it changed, those it removed, the counters, the prices. A line is
written before the answer is sent, so a killed process knows everything it ever answered; a torn last line was never
answered and is dropped. Requests go to a file of their own. What signs or opens a stream is in neither: both hold its
hash, and a third file, which only its owner reads, holds what the hash is of.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, Final

from simulator.engine.records import Account, Record
from simulator.engine.request_log import KEPT, LogEntry
from simulator.persistence.codec import decode, decode_depth, encode, encode_depth
from simulator.persistence.restore import restore
from simulator.simulator import Simulator

LINES_MAX: Final = 100_000
BYTES_MAX: Final = 64 << 20
PRICES_EVERY_MS: Final = 1000
HIDDEN_FIELDS: Final = ("secret", "listen_key")
HASHED: Final = "sha256:"


class StateInUse(Exception):
    """Another simulator already works on this directory."""


class Store:
    """Saves the state of one simulator in one directory."""

    def __init__(self, directory: Path, simulator: Simulator) -> None:
        self.directory = directory
        self.simulator = simulator
        self._lines = 0
        self._bytes = 0
        # As last written; what has not changed since is left out of a line.
        self._written_at = 0
        self._reversals = 0
        self._depths: dict[str, list[Any]] = {}
        self._prices: dict[str, tuple[Decimal, Decimal, int]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._lock = _take_lock(directory)
        self._journal_path = directory / "journal.jsonl"
        self._log_path = directory / "requests.jsonl"
        self._secrets_path = directory / "secrets.json"
        self._secrets = _read_secrets(self._secrets_path)  # by their hash
        self._saved_secrets = dict(self._secrets)
        self._load_journal()
        self._load_log()
        self._journal: IO[bytes] = self._journal_path.open("ab", buffering=0)
        self._log: IO[bytes] = self._log_path.open("ab", buffering=0)
        simulator.ex.persisting = True
        simulator.venue.persist = self.write
        self.compact()

    def close(self) -> None:
        """Write what is left and release the directory."""
        self.write()
        self._journal.close()
        self._log.close()
        self._lock.close()

    # -- writing --------------------------------------------------------------------------------------------------

    def write(self, by_hand: bool = False) -> None:
        """Write what changed since the last time. Cheap when nothing did."""
        ex = self.simulator.ex
        prices_due = ex.moved_symbols and self.simulator.clock() - self._written_at >= PRICES_EVERY_MS
        if ex.dirty or ex.removed or by_hand or prices_due:
            line = self._line(ex.dirty.values(), ex.removed)
            ex.dirty.clear()
            ex.removed.clear()
            self._journal.write(line)
            self._lines += 1
            self._bytes += len(line)
        unsaved = self.simulator.venue.request_log.unsaved
        if unsaved:
            self._log.write(b"".join(_json_line(entry.as_dict()) for entry in unsaved))
            unsaved.clear()
        if self._lines > LINES_MAX or self._bytes > BYTES_MAX:
            self.compact()

    def _line(self, records: Iterable[Record], removed: list[tuple[str, str]]) -> bytes:
        ex = self.simulator.ex
        row: dict[str, Any] = {"n": ex.counters, "ms": ex.market_ms}
        if put := [[record.KIND, self._encoded(record)] for record in records]:
            row["put"] = put
            self._save_secrets()
        if removed:
            row["del"] = removed
        if prices := self._changed_prices():
            row["px"] = prices
        # A growing depth is the one a market is opened with.
        depths = {
            name: encode_depth(market.depth) for name, market in ex.markets.items() if not market.depth.growth
        }
        if depths != self._depths:
            row["depth"] = self._depths = depths
        reversals = [*self.simulator.venue.cover.reversals, *ex.stray_fills]
        if len(reversals) != self._reversals:
            self._reversals = len(reversals)
            row["rev"] = reversals
        self._written_at = self.simulator.clock()
        return _json_line(row)

    def _encoded(self, record: Record) -> dict[str, Any]:
        fields = encode(record)
        if isinstance(record, Account):
            for name in HIDDEN_FIELDS:
                if value := fields[name]:
                    fields[name] = HASHED + hashlib.sha256(value.encode()).hexdigest()
                    self._secrets[fields[name]] = value
        return fields

    def _save_secrets(self) -> None:
        """Write them before the line that names their hashes."""
        if self._secrets == self._saved_secrets:
            return
        accounts = [book.account for book in self.simulator.ex.books.values()]
        used = {getattr(account, name) for account in accounts for name in HIDDEN_FIELDS}
        self._secrets = {hashed: value for hashed, value in self._secrets.items() if value in used}
        written = self._secrets_path.with_suffix(".new")
        with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(self._secrets, out)
        written.replace(self._secrets_path)
        self._saved_secrets = dict(self._secrets)

    def _changed_prices(self) -> dict[str, list[Any]]:
        changed = {}
        for symbol, market in self.simulator.ex.markets.items():
            now = (market.last, market.mark, market.trades)
            if self._prices.get(symbol) != now:
                self._prices[symbol] = now
                changed[symbol] = [str(market.last), str(market.mark), market.trades]
        return changed

    def compact(self) -> None:
        """Replace the journal by one line that holds the whole state."""
        ex = self.simulator.ex
        records: list[Record] = []
        for book in ex.books.values():
            records += [book.account, *book.positions.values(), *book.fills, *book.income]
        records += [*ex.orders.values(), *ex.algos.values(), *self.simulator.venue.cover.intervals]
        self._prices.clear()
        self._reversals, self._depths = 0, {}
        compacted = self._journal_path.with_suffix(".new")
        with compacted.open("wb") as out:
            out.write(self._line(records, []))
            out.flush()
            os.fsync(out.fileno())
        compacted.replace(self._journal_path)
        self._journal.close()
        self._journal = self._journal_path.open("ab", buffering=0)
        ex.dirty.clear()
        ex.removed.clear()
        self._lines = self._bytes = 0

    # -- reading --------------------------------------------------------------------------------------------------

    def _load_journal(self) -> None:
        ex, venue = self.simulator.ex, self.simulator.venue
        latest: dict[tuple[str, str], Any] = {}
        prices: dict[str, list[Any]] = {}
        for row in _whole_lines(self._journal_path):
            for kind, fields in row.get("put", ()):
                if kind == Account.KIND:
                    fields |= {
                        n: self._secrets.get(fields[n], fields[n]) for n in HIDDEN_FIELDS if n in fields
                    }
                record = decode(kind, fields)
                latest[kind, record.key] = record
            for kind, key in row.get("del", ()):
                latest.pop((kind, key), None)
            prices.update(row.get("px", {}))
            if "n" in row:
                ex.counters = row["n"]
                ex.market_ms = row["ms"]
            for symbol, depth in row.get("depth", {}).items():
                if ex.catalogue.find(symbol):
                    ex.market(symbol).depth = decode_depth(depth)
            if "rev" in row:
                ex.stray_fills = row["rev"]
        for symbol, (last, mark, trades) in prices.items():
            if ex.catalogue.find(symbol):
                market = ex.market(symbol)
                market.last, market.mark, market.trades = Decimal(last), Decimal(mark), trades
        restore(ex, venue.cover, list(latest.values()))
        if prices:
            venue.prices.resume(ex, self.simulator.clock())

    def _load_log(self) -> None:
        rows = _whole_lines(self._log_path)
        newest = rows[-KEPT:]
        for row in newest:
            self.simulator.venue.request_log.add(LogEntry(**row), save=False)
        if len(rows) > 2 * KEPT:
            shortened = self._log_path.with_suffix(".new")
            shortened.write_bytes(b"".join(map(_json_line, newest)))
            shortened.replace(self._log_path)


def _read_secrets(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _take_lock(directory: Path) -> IO[str]:
    """Lock the directory for this process. Raises StateInUse."""
    lock = (directory / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise StateInUse(
            f"Another simulator is using {directory}; stop it or choose another --state."
        ) from error
    return lock


def _json_line(row: dict[str, Any]) -> bytes:
    return (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file; a torn last one is cut off."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.truncate(path, whole)
    return [json.loads(line) for line in data[:whole].splitlines()]
