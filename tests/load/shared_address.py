"""Many accounts on one address, idle and active: within the exchange's limits, whatever happens to Valkey."""

from __future__ import annotations

import argparse
import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from exchange.errors import ExchangeUnavailable
from exchange.rate_limits import Cost, Priority
from tests.load.house import House, Row, housed, now_ms, say, until
from tests.load.table import Table, spread

if TYPE_CHECKING:
    from orders.models import TrioOrder
    from tests.load.desk import Desk

IDLE_WEIGHT: Final = 20.0  # a minute
TEN_TRIOS_WEIGHT: Final = 120.0
WHOLE_WEIGHT: Final = 1200.0  # at forty accounts
SLACK_MS: Final = 1000  # of a sweep that takes its time
BUDGET_MS: Final = 50
STARVED: Final = 0.9  # of the limit: pollers get nothing any more
SWEEP: Final = "/fapi/v3/positionRisk"  # whole, once in each sweep


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--accounts", type=int, default=40)
    parser.add_argument("--idle", type=int, default=20, help="so many of them without trios")
    parser.add_argument("--trios", type=int, default=200, help="open on the others")
    parser.add_argument("--weight", type=int, default=2400, help="the limit of the address")
    parser.add_argument("--orders-10s", type=int, default=300, help="the limit of an account")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--runworkers", type=int, default=4)
    parser.add_argument("--rqworkers", type=int, default=4)
    parser.add_argument(
        "--valkey", choices=("well", "kill", "flush", "pause"), default="well", help="what happens to it"
    )
    parser.add_argument(
        "--fills", type=int, default=5, help="fills to cover while entries fill the order window"
    )
    parser.add_argument("--entries", type=int, default=320, help="entries queued on one account meanwhile")


def run(options: argparse.Namespace, folder: Path) -> Table:
    with housed(folder) as house:
        return _run(options, house)


def _run(options: argparse.Namespace, house: House) -> Table:
    from orders.domain.errors import OrdersError
    from tests.load.desk import Desk

    desk = Desk(house, options.accounts, weight=options.weight, orders_10s=options.orders_10s)
    idle, active = desk.accounts[: options.idle], desk.accounts[options.idle :]
    house.start_workers(options.runworkers, options.rqworkers)
    desk.watched(seconds=300)  # half of a small limit is spent on first sweeps for minutes
    standing = desk.open_trios(active, options.trios // len(active))
    began = now_ms()
    watch = Intervals()
    fills: list[TrioOrder] = []
    budget_waits: list[int] = []
    with watch.noted(desk):
        quiet = options.seconds * 0.6
        time.sleep(quiet / 2)
        hurt_at = now_ms()
        if options.valkey != "well":
            _fill_while_hurt(options, house, desk, seconds=min(20.0, quiet / 4))
        hurt_until = now_ms()
        time.sleep(max(0.0, began / 1000 + quiet - time.time()))
        calm_until = now_ms()
        try:
            with _starved(house, options.weight), _asking(desk.accounts[0].pk, budget_waits):
                fills = _fill_among_entries(options, house, desk)
        except (TimeoutError, RuntimeError, OrdersError) as error:
            say(f"no fills: {error}")
        time.sleep(max(0.0, began / 1000 + options.seconds - time.time()))
    ended = now_ms()

    rows = house.rows(before=ended)
    calm_waits = sorted(_waits(rows, standing, desk))
    rows = [row for row in rows if row["ms"] >= began]
    refused = Counter(row["status"] for row in rows if row["status"] in (418, 429))
    table = Table(
        f"shared-address: {options.accounts} accounts ({options.idle} idle), {len(standing)} open trios, limit "
        f"{options.weight}, {len(house.workers)} processes, {options.seconds} s, Valkey {options.valkey}"
    )
    table.holds("429", refused[429], not refused[429])
    table.holds("418", refused[418], not refused[418])
    calm = [row for row in rows if row["ms"] < calm_until]
    _weights(
        table,
        calm,
        (calm_until - began) / 60_000,
        idle=[a.name for a in idle],
        active=[a.name for a in active],
    )
    late, longest = watch.late(calm, began, calm_until)
    table.holds("sweeps later than their shown interval", f"{late} (longest pause {longest} ms)", not late)
    table.figure("intervals shown", watch.shown())
    usual = calm_waits[len(calm_waits) // 2] if calm_waits else 0
    table.figure("a stop from commit to the exchange, in peace", spread(calm_waits))
    waits = [wait - usual for wait in _waits(rows, fills, desk)]
    covered = len(waits) == options.fills
    table.holds("and how much longer among entries, on this machine", spread(waits), covered)
    table.holds(
        f"a stop's wait for the budget among entries, under {BUDGET_MS} ms",
        spread(budget_waits),
        bool(budget_waits) and max(budget_waits) < BUDGET_MS,
    )
    uncovered = house.verdict()["uncovered"]
    if options.valkey != "well":
        hurt = [gap["ms"] for gap in uncovered if hurt_at <= gap["start"] < hurt_until]
        table.holds("naked while Valkey was hurt", spread(hurt), bool(hurt) and max(hurt) < 2000)
    gaps = [gap["ms"] for gap in uncovered if gap["start"] >= calm_until]
    table.figure("naked meanwhile", spread(gaps))
    counts = [row["orders_10s"] for row in rows if row["orders_10s"]]
    table.figure("most orders of an account in 10 s", f"{max(counts, default=0)} of {options.orders_10s}")
    table.figure(
        "most weight of a minute", f"{max((row['used'] for row in rows), default=0)} of {options.weight}"
    )
    table.holds("workers that ended", house.dead() or 0, not house.dead())
    return table


def _weights(table: Table, rows: list[Row], minutes: float, *, idle: list[str], active: list[str]) -> None:
    """Weight a minute while nothing is placed."""
    by_account: Counter[str] = Counter()
    for row in rows:
        by_account[row["account"]] += row["weight"]
    whole = sum(by_account.values()) / minutes
    table.holds(f"weight a minute, at most {WHOLE_WEIGHT:.0f}", f"{whole:.0f}", whole <= WHOLE_WEIGHT)
    for what, names, ceiling in (("idle", idle, IDLE_WEIGHT), ("active", active, TEN_TRIOS_WEIGHT)):
        if names:
            each = sorted(by_account[name] / minutes for name in names)
            mean = sum(each) / len(each)
            table.holds(
                f"weight a minute of an {what} account, at most {ceiling:.0f}",
                f"mean {mean:.1f}, max {each[-1]:.1f}",
                mean <= ceiling,
            )
    table.figure("of nobody (public)", f"{by_account[''] / minutes:.1f}")
    by_path: Counter[str] = Counter()
    for row in rows:
        by_path[row["path"].removeprefix("/fapi/")] += row["weight"]
    table.figure("by path", {path: round(w / minutes) for path, w in by_path.most_common(6)})


@dataclass
class Intervals:
    """How often each account was to be swept, as shown: by account, (when it was looked, interval)."""

    seen: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def noted(self, desk: Desk) -> Iterator[None]:
        """Look once a second, in a thread of its own."""

        def look(over: threading.Event) -> None:
            while not over.wait(1.0):
                for name, interval in desk.intervals().items():
                    self.seen[name].append((now_ms(), interval))
            desk.close()

        with _meanwhile(look):
            yield

    def shown(self) -> dict[int, int]:
        """The intervals shown at last, and for how many accounts."""
        return dict(sorted(Counter(notes[-1][1] for notes in self.seen.values() if notes).items()))

    def late(self, rows: list[Row], began: int, ended: int) -> tuple[int, int]:
        """How many pauses between sweeps were longer than any interval shown meanwhile, and the longest pause."""
        late = longest = 0
        sweeps: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            if row["path"] == SWEEP and row["status"] == 200 and "symbol" not in row["params"]:
                sweeps[row["account"]].append(row["ms"])
        for name, notes in self.seen.items():
            times = [began, *sweeps[name], ended]
            for before, after in itertools.pairwise(times):
                shown = [interval for ms, interval in notes if before - 2000 <= ms <= after]
                longest = max(longest, after - before)
                late += bool(shown) and after - before > max(shown) + SLACK_MS
        return late, longest


def _fill_while_hurt(options: argparse.Namespace, house: House, desk: Desk, seconds: float) -> None:
    """Fill a few resting entries while Valkey is away, or just after it forgot everything."""
    account = desk.accounts[-1]
    trios = [desk.limited(account, symbol) for symbol in desk.symbols[-options.fills :]]
    for trio in trios:
        desk.queue(trio)
    until(lambda: _resting(trios), seconds=60, what="the entries resting")
    hurting = threading.Thread(target=house.hurt_valkey, args=(options.valkey, seconds))
    hurting.start()
    time.sleep(0.3)
    for trio in trios:
        _fill(house, desk, trio)
    desk.settled(trios)
    hurting.join()


def _fill(house: House, desk: Desk, trio: TrioOrder) -> None:
    body = {
        "client_id": f"{desk.stem(trio)}-e1",
        "quantity": str(trio.quantity),
        "account": trio.account.name,
    }
    house.venue.ask("POST", "/sim/fill", body)


@contextmanager
def _meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Have work go on in a thread of its own until its event is set, which is when the block ends."""
    over = threading.Event()
    worker = threading.Thread(target=work, args=(over,))
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()


@contextmanager
def _starved(house: House, limit: int) -> Iterator[None]:
    """Let somebody else on the address use up what pollers could: it stays at nine tenths of the limit."""

    def use_up(over: threading.Event) -> None:
        with requests.Session() as session:
            session.trust_env = False
            used = 0
            while not over.wait(0.02 if used < limit * STARVED else 0.5):
                # Without a key it is refused, but weighs as much. The cheap one tells when a minute is over.
                path = "/fapi/v1/openOrders" if used < limit * STARVED else "/fapi/v1/time"
                answer = session.get(house.venue.url + path, timeout=5)
                used = int(answer.headers.get("X-MBX-USED-WEIGHT-1M", used))

    with _meanwhile(use_up):
        yield


@contextmanager
def _asking(account: int, waits: list[int]) -> Iterator[None]:
    """Ask the budget five times a second what a stop would, and note how long its answer took; a refusal is a second."""
    from accounts.rate_budget import gate_for

    def ask(over: threading.Event) -> None:
        gate = gate_for("PAPER", str(account))
        while not over.wait(0.2):
            began = time.monotonic()
            try:
                gate.enter(Cost(orders=1), Priority.PROTECT)
            except ExchangeUnavailable as error:
                waits.append(1000 + error.wait_ms)
            else:
                waits.append(round((time.monotonic() - began) * 1000))

    with _meanwhile(ask):
        yield


def _fill_among_entries(options: argparse.Namespace, house: House, desk: Desk) -> list[TrioOrder]:
    """Fill a few resting entries of an account while its own entries use up its order window."""
    account = desk.accounts[0]
    per_account = options.trios // max(1, options.accounts - options.idle)
    symbols = desk.symbols[per_account:]

    fills = [desk.limited(account, symbol) for symbol in symbols[: options.fills]]
    # Entries that end at once leave their slot and the room of their legs; what they used of the window stays used.
    others = [
        desk.limited(account, symbol, time_in_force="IOC")
        for symbol in symbols[options.fills : options.fills + options.entries]
    ]
    for trio in fills:
        desk.queue(trio)
    until(lambda: _resting(fills), seconds=60, what="the entries resting")
    queued = threading.Thread(target=_queue_all, args=(desk, others))
    queued.start()
    for trio in fills:
        time.sleep(2.0)
        _fill(house, desk, trio)
    queued.join()
    say(f"{len(fills)} filled among {len(others)} entries")
    return fills


def _resting(trios: list[TrioOrder]) -> bool:
    from orders.models import TrioOrder

    wanted = [trio.pk for trio in trios]
    return TrioOrder.objects.filter(pk__in=wanted, state="WORKING").count() == len(wanted)


def _queue_all(desk: Desk, trios: list[TrioOrder]) -> None:
    for trio in trios:
        desk.queue(trio)
    desk.close()


def _waits(rows: list[Row], trios: list[TrioOrder], desk: Desk) -> list[int]:
    """How long each first stop took from its commit to the exchange: budget, signing and the wire."""
    from orders.exchange_data.clock import to_ms
    from orders.models import Request

    arrived = {row["client_id"]: row["ms"] for row in rows if row["method"] == "POST"}
    found = []
    for trio in trios:
        stop = f"{desk.stem(trio)}-s1"
        request = Request.objects.filter(trio=trio, leg__client_id=stop).order_by("pk").first()
        if request is not None and stop in arrived:
            found.append(arrived[stop] - to_ms(request.begun_at))
    return found
