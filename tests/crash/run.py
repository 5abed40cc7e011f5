"""The matrix run: lanes live cells side by side; what did not happen is replaced; the exchange judges."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from django.db import connections

from accounts.models import ExchangeAccount
from accounts.services import paper_account_ensure
from orders.exchange_data.symbol_sync import symbols_sync
from orders.models import Symbol, Watch
from tests.crash.cells import MODES, Cell, Pair, all_pairs, pairs, product
from tests.crash.life import Life, Lived
from tests.crash.reaper import EXTRA_MS, Reaper
from tests.crash.stage import Stage
from tests.crash.verdict import NAKED_LIMIT_MS, Judgement, judge

SETTLE_SECONDS = 8.0  # an order that outlives its trio by so long is an orphan
LOOK_SECONDS = 2.0
TRIES = 2
PURSUED_MAX = 9  # so many cells of a mode are lived for a pair of values of which none came about


@dataclass(slots=True)
class Matrix:
    """Everything a run came to."""

    judged: list[tuple[Lived, Judgement]] = field(default_factory=list)
    idle: list[Lived] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    kills: int = 0  # of runworkers, beside the victims
    bound_ms: int = NAKED_LIMIT_MS

    @property
    def unsound(self) -> list[tuple[Lived, Judgement]]:
        return [(lived, found) for lived, found in self.judged if not found.is_sound]


class Run:
    """One run over a list of cells."""

    def __init__(
        self,
        stage: Stage,
        cells: list[Cell],
        *,
        lanes: int,
        tell: Callable[[str], None],
        seconds: float,
        reap: float,
        slack_ms: int = 0,
    ) -> None:
        self.stage, self.wanted, self.lanes, self.tell = stage, len(cells), lanes, tell
        self._reap = reap
        self._queues: dict[str, list[tuple[Cell, int]]] = {mode: [] for mode in MODES}
        for cell in cells:
            self._queues[cell.mode].append((cell, 1))
        self._spare = {mode: _spares(cells, mode) for mode in MODES}
        self._wanted_pairs = {pair for cell in cells for pair in pairs(cell)}
        self._is_a_cover = self._wanted_pairs == all_pairs()
        self._pursued: dict[str, Counter[Pair]] = {mode: Counter() for mode in MODES}
        self._under_way: list[Cell] = []
        self._lock = threading.Lock()
        self._lived: list[Lived] = []
        self._matrix = Matrix(bound_ms=NAKED_LIMIT_MS + slack_ms)
        self._numbers = itertools.count(1)
        self._orphans: set[str] = set()
        self._deadline = time.monotonic() + seconds

    def go(self) -> Matrix:
        began = time.monotonic()
        # Twelve lanes do in a minute what an address may do in ten. Limits are judged elsewhere (tests/load, the soak).
        ample = {"weight_per_minute": 60_000, "orders_per_ten_seconds": 3000, "orders_per_minute": 12_000}
        self.stage.venue.ask("POST", "/sim/limits", ample)
        symbols_sync("PAPER")
        accounts = [
            paper_account_ensure(name=f"lane-{n}", position_mode=MODES[n % 2]) for n in range(self.lanes)
        ]
        self._until_watched(accounts)
        symbols = [
            s
            for s in Symbol.objects.filter(environment="PAPER").order_by("symbol")
            if s.is_trading and s.symbol.endswith("USDT") and _takes_orders(s)
        ]
        self._symbols = itertools.cycle(symbols)
        marks = self.stage.venue.ask("GET", "/fapi/v1/premiumIndex")
        self._prices = {row["symbol"]: Decimal(row["markPrice"]) for row in marks}
        over = threading.Event()
        looker = threading.Thread(target=self._look, args=(over,))
        looker.start()
        reaper = Reaper(self.stage, every=self._reap) if self._reap else None
        with ThreadPoolExecutor(self.lanes) as pool:
            for lane in [pool.submit(self._lane, account) for account in accounts]:
                lane.result()
        if reaper is not None:
            reaper.stop()
            self._matrix.kills, self._matrix.bound_ms = reaper.kills, self._matrix.bound_ms + EXTRA_MS
        time.sleep(SETTLE_SECONDS)
        over.set()
        looker.join()
        verdict = self.stage.venue.ask("GET", "/sim/verdict")
        state = self.stage.venue.ask("GET", "/sim/state")
        for lived in self._lived:
            found = judge(
                lived.claim,
                verdict,
                state,
                log=lived.log,
                orphans=self._orphans,
                bound_ms=self._matrix.bound_ms,
            )
            if lived.happened:
                self._matrix.judged.append((lived, found))
            else:
                self._matrix.idle.append(lived)
                if not found.is_sound:  # what never met its fault must be sound all the same
                    self._matrix.judged.append((lived, found))
        self._matrix.seconds = time.monotonic() - began
        return self._matrix

    def _until_watched(self, accounts: list[ExchangeAccount]) -> None:
        deadline = time.monotonic() + 60
        while True:
            watches = Watch.objects.filter(account__in=accounts, stream_since__isnull=False)
            ready = [w for w in watches if w.swept_at and w.stream_since and w.swept_at >= w.stream_since]
            if len(ready) == len(accounts):
                return
            if time.monotonic() > deadline:
                raise RuntimeError("The runworker does not watch the lanes' accounts; its log says why.")
            time.sleep(0.1)

    def _lane(self, account: ExchangeAccount) -> None:
        since = 0
        try:
            while (job := self._next(account.position_mode)) is not None:
                cell, tries = job
                with self._lock:
                    symbol, number = next(self._symbols), next(self._numbers)
                try:
                    price = self._prices[symbol.symbol]
                    life = Life(self.stage, cell, account, symbol, price=price, number=number, since=since)
                    lived = life.live()
                except Exception as error:
                    self._note_broken(cell, symbol, error)
                    continue
                since = max((row["n"] for row in lived.log), default=since)
                self._keep(lived, tries)
        finally:
            connections.close_all()

    def _next(self, mode: str) -> tuple[Cell, int] | None:
        with self._lock:
            if time.monotonic() > self._deadline:
                return None
            if not self._queues[mode] and self._is_a_cover and (more := self._for_a_pair(mode)) is not None:
                self._queues[mode].append((more, TRIES))
            if not self._queues[mode]:
                return None
            job = self._queues[mode].pop(0)
            self._under_way.append(job[0])
            return job

    def _note_broken(self, cell: Cell, symbol: Symbol, error: Exception) -> None:
        with self._lock:
            self._under_way.remove(cell)
            self._matrix.broken.append(f"{cell} on {symbol.symbol}: {type(error).__name__}: {error}")
            self.tell(self._matrix.broken[-1])
            self._replace(cell.mode)

    def _keep(self, lived: Lived, tries: int) -> None:
        with self._lock:
            self._under_way.remove(lived.cell)
            self._lived.append(lived)
            if not lived.happened:
                if tries < TRIES:
                    self._queues[lived.cell.mode].append((lived.cell, tries + 1))
                else:
                    self._replace(lived.cell.mode)
            done = sum(one.happened for one in self._lived)
            if done % 20 == 0 or not lived.claim.over:
                self.tell(f"{done} of {self.wanted} cells lived, {len(self._lived) - done} did not happen")

    def _replace(self, mode: str) -> None:
        spare = self._for_a_pair(mode)
        if spare is None and self._spare[mode]:
            spare, _ = self._spare[mode].popitem()
        if spare is not None:
            self._queues[mode].append((spare, TRIES))

    def _for_a_pair(self, mode: str) -> Cell | None:
        """Return a spare cell with a pair of values that no life has had yet; none when there is none to be had."""
        coming = self._under_way + [cell for queue in self._queues.values() for cell, _ in queue]
        had = {pair for lived in self._lived if lived.happened for pair in pairs(lived.cell)}
        had.update(pair for cell in coming for pair in pairs(cell))
        pursued = self._pursued[mode]
        for pair in sorted(self._wanted_pairs - had, key=lambda pair: (pursued[pair], pair)):
            if pursued[pair] >= PURSUED_MAX:
                break
            found = next((cell for cell in self._spare[mode] if pair in set(pairs(cell))), None)
            if found is not None:  # none where the pair holds the other mode: its own lanes pursue it
                pursued[pair] += 1
                del self._spare[mode][found]
                return found
        return None

    def _look(self, over: threading.Event) -> None:
        """Ask for orphans all along: one that is cleared away late was an orphan all the same."""
        while not over.wait(LOOK_SECONDS):
            rows: list[dict[str, Any]] = self.stage.venue.ask("GET", "/sim/verdict")["orphans"]
            self._orphans |= {row["client_id"] for row in rows}


def _takes_orders(symbol: Symbol) -> bool:
    """One symbol of the recorded rules may have no ordinary order at all: what a trigger opens there nobody can close."""
    limits = (row.get("limit") for row in symbol.raw["filters"] if row["filterType"] == "MAX_NUM_ORDERS")
    return 0 not in limits


def _spares(cells: list[Cell], mode: str) -> dict[Cell, None]:
    """Cells to put in place of those that did not come about."""
    used = set(cells)
    rest = [cell for cell in product() if cell not in used and cell.mode == mode]
    random.Random(len(cells)).shuffle(rest)
    return dict.fromkeys(rest)
