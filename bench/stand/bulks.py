"""A bulk of market trios, placed by us or by a plain loop, and what the exchange's log says of it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from bench.reporting.figures import short
from bench.stand import processes
from bench.stand.exchange_log import Arrived, Followed, Slot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accounts.models import ExchangeAccount
    from orders.models import TrioOrder
    from tests.load.desk import Desk
    from tests.load.house import House

ROOT: Final = Path(__file__).resolve().parents[2]
CONTRACT_PYTHON: Final = ROOT / ".tool" / "contract" / "bin" / "python"
WEIGHT: Final = 6000  # a minute, as the demo host allows
LOOP_SECONDS_MAX: Final = 300
WATCHED_SECONDS: Final = (
    240  # until every account has a stream and was swept: on a machine with other work too
)
PATIENCE_SECONDS: Final = 30  # and a second for each trio
QUIET_SECONDS: Final = 0.5  # until what the exchange reports has been taken in, which is part of the cost


@dataclass(frozen=True, slots=True)
class Bulk:
    """What came of one bulk."""

    who: str
    wanted: int
    began: int  # the click, or the loop's first call
    arrived: Arrived
    cost: Mapping[str, float]  # ms of processor time a trio, by part

    @property
    def good(self) -> bool:
        """Whether every trio was opened, with stop and target."""
        return len(self.arrived.trios) == self.wanted and self.arrived.complete is not None

    @property
    def per_second(self) -> float | None:
        """Trios a second, from the click to the last order; none when one is missing."""
        ends = self.arrived.complete
        return self.wanted * 1000 / max(1, ends - self.began) if self.good and ends else None

    @property
    def covered_ms(self) -> int | None:
        """From the click until the last stop was there."""
        ends = self.arrived.covered
        return ends - self.began if self.good and ends else None


@contextmanager
def house_and_desk(
    accounts: int, *, settings: Mapping[str, str] | None = None, orders_10s: int = 300
) -> Iterator[tuple[House, Desk]]:
    """Set up servers, exchange and accounts of our own, without workers; take them down afterwards."""
    from tests.load.house import housed

    with TemporaryDirectory(prefix="bench-") as folder, housed(Path(folder), settings) as house:
        from tests.load.desk import Desk

        yield house, Desk(house, accounts, weight=WEIGHT, orders_10s=orders_10s)


def latency(house: House, ms: int) -> None:
    """Let the exchange's answers and events leave so late."""
    house.venue.ask("POST", "/sim/latency", {"ms": ms})


def drafts(desk: Desk, accounts: Sequence[ExchangeAccount], count: int, first_symbol: int) -> list[TrioOrder]:
    """Write so many drafts, an account after the other, from this symbol on."""
    return [
        desk.draft(accounts[number % len(accounts)], desk.symbols[first_symbol + number // len(accounts)])
        for number in range(count)
    ]


def place(house: House, desk: Desk, trios: Sequence[TrioOrder]) -> Bulk:
    """Place these drafts as one set, as a click on a selection does, and wait until all are open, with stop and target."""
    from tests.load.house import now_ms, say

    followed = Followed(house.log_path)
    before, began = house.processor_seconds(), now_ms()
    desk.queue_all(trios)
    followed.wait(slots_of(trios), seconds=PATIENCE_SECONDS + len(trios))
    time.sleep(QUIET_SECONDS)
    cost = processes.each(before, house.processor_seconds(), len(trios))
    names = {trio.account.name for trio in trios}
    rows = [row for row in house.rows(began) if row["account"] in names]
    bulk = Bulk("trio back office", len(trios), began, Arrived.of(rows), cost)
    say(f"{bulk.wanted} trios: {short(bulk.per_second)} trios/s")
    return bulk


def slots_of(trios: Iterable[TrioOrder]) -> set[Slot]:
    """Return where these open."""
    return {(trio.account.name, trio.symbol.symbol) for trio in trios}


@dataclass(frozen=True, slots=True)
class Loop:
    """A plain loop over somebody's library."""

    name: str
    module: str
    python: Path

    @property
    def installed(self) -> bool:
        return self.python.exists()

    def place(self, house: House, desk: Desk, accounts: int, count: int, first_symbol: int = 0) -> Bulk:
        """Have it place so many trios on accounts of its own. Raises CalledProcessError."""
        opened = _opened(house, self.name, accounts)
        wanted = [
            {
                "symbol": symbol.symbol,
                "quantity": format(levels["quantity"], "f"),
                "stop": format(levels["stop_loss"], "f"),
                "target": format(levels["take_profit"], "f"),
            }
            for symbol in (desk.symbols[first_symbol + number // accounts] for number in range(count))
            for levels in (desk.levels(symbol),)
        ]
        told = json.dumps({"url": house.venue.url, "accounts": opened, "trios": wanted})
        done = subprocess.run(
            [str(self.python), "-m", self.module],
            cwd=ROOT,
            input=told,
            stdout=subprocess.PIPE,
            text=True,
            timeout=LOOP_SECONDS_MAX,
            check=True,
        )
        found: dict[str, Any] = json.loads(done.stdout)
        names = {one["name"] for one in opened}
        rows = [row for row in house.rows(found["began"]) if row["account"] in names]
        cost = {"queueing": found["processor"] * 1000 / count}
        return Bulk(found["library"], count, found["began"], Arrived.of(rows), cost)


LOOPS: Final = (
    Loop("official library", "bench.rivals.official", Path(sys.executable)),
    Loop("ccxt", "bench.rivals.with_ccxt", CONTRACT_PYTHON),
    Loop("python-binance", "bench.rivals.with_python_binance", CONTRACT_PYTHON),
)


def _opened(house: House, name: str, count: int) -> list[dict[str, str]]:
    """Open accounts that nobody else trades on."""
    made = []
    for _ in range(count):
        one = {
            "name": f"{name}-{secrets.token_hex(4)}",
            "key": secrets.token_hex(32),
            "secret": secrets.token_hex(32),
        }
        body = {
            "name": one["name"],
            "balance": "1000000",
            "api_key": one["key"],
            "api_secret": one["secret"],
        }
        house.venue.ask("POST", "/sim/accounts", body)
        made.append(one)
    return made
