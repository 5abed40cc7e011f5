"""One trio at a time: ``python -m bench.alone [--trios 40]``.

Each market trio is placed once the one before it is open and covered: half by *Place* on its page (the click is the moment its POST
leaves, the web is gunicorn as in production, with session, permissions and the admin's history), half by the verb that the page, the
commands and scripts call. Click → first order ends when the exchange carries out the entry. With latency a click cannot
be faster than the one reading of the account that its check makes. Two runworkers, two rqworkers, four accounts.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import json
import sys
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from bench.reporting.figures import percentile
from bench.reporting.present import present
from bench.reporting.report import Cell, Panel, Report, Sheet, Target
from bench.stand.bulks import WATCHED_SECONDS, house_and_desk, latency
from bench.stand.exchange_log import Arrived, Followed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orders.models import TrioOrder
    from tests.load.desk import Desk
    from tests.load.house import House

LATENCIES: Final = (0, 50)
ACCOUNTS: Final = 4
WARM_UP: Final = 4
SECONDS_MAX: Final = 20.0  # for one trio
QUIET_SECONDS: Final = 0.2  # until what the exchange reports of the last one has been taken in
PAGE, VERB = "page", "verb"
Clicks = dict[tuple[int, str], list["Click"]]


class Click:
    """One placing: when it was asked for, and where its trio was to open."""

    def __init__(self, trio: TrioOrder) -> None:
        self.at = 0.0  # ms
        self.slot = (trio.account.name, trio.symbol.symbol)
        self.gap: int | None = None
        self.to_order: float | None = None

    def note(self, arrived: Arrived) -> None:
        placed = arrived.trios.get(self.slot)
        if placed is not None:
            self.gap, self.to_order = placed.fill_to_stop, max(0.0, placed.entry - self.at)


class Web:
    """Presses *Place* on a draft's page, over a connection that stays open as a browser's does."""

    def __init__(self, port: int, session: str) -> None:
        self._port = port
        token = "b" * 32
        self._token = token
        self._headers = {
            "Cookie": f"sessionid={session}; csrftoken={token}",
            "Content-Type": "application/x-www-form-urlencoded",
        }

    def up(self) -> bool:
        try:
            return self._ask("GET", "/healthz") == 200
        except OSError:
            return False

    def place(self, trio: TrioOrder, click: Click) -> None:
        from orders.specs import spec_shown

        sent = {
            "_form_submitted": "True",
            "csrfmiddlewaretoken": self._token,
            "seen": json.dumps(spec_shown(trio)),
        }
        body = urlencode(sent)
        click.at = time.time() * 1000
        status = self._ask("POST", f"/admin/orders/trioorder/{trio.pk}/place/", body)
        if status != 302:
            raise RuntimeError(f"The page answered {status}.")

    def _ask(self, method: str, path: str, body: str | None = None) -> int:
        link = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            link.request(method, path, body, self._headers)
            answer = link.getresponse()
            answer.read()
            return answer.status
        finally:
            link.close()


def by_verb(trio: TrioOrder, click: Click) -> None:
    from orders import services

    click.at = time.time() * 1000
    services.trio_queue(trio_id=trio.pk, by="bench")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--trios", type=int, default=40, help="at each latency, by each way")


def measure(options: argparse.Namespace) -> Report:
    from tests.load.web import free_port, operator_session

    port = free_port()
    with house_and_desk(ACCOUNTS, settings={"WEB_PORT": str(port)}) as (house, desk):
        from tests.load.house import now_ms, until

        house.start_web()
        house.start_workers(2, 2)
        web = Web(port, operator_session())
        desk.watched(seconds=WATCHED_SECONDS)
        until(web.up, seconds=60, what="the web up")
        ways: dict[str, Callable[[TrioOrder, Click], None]] = {PAGE: web.place, VERB: by_verb}
        began, numbers = now_ms(), itertools.count()
        clicks: Clicks = defaultdict(list)
        for ms in LATENCIES:
            latency(house, ms)
            for name, way in ways.items():
                _one_by_one(house, desk, way, WARM_UP, numbers)
                clicks[ms, name] = _one_by_one(house, desk, way, options.trios, numbers)
        arrived = Arrived.of(house.rows(began))
    for each in clicks.values():
        for click in each:
            click.note(arrived)
    return report_of(
        {
            key: (
                [c.gap for c in each if c.gap is not None],
                [c.to_order for c in each if c.to_order is not None],
            )
            for key, each in clicks.items()
        },
        options.trios,
    )


def _one_by_one(
    house: House, desk: Desk, way: Callable[[TrioOrder, Click], None], count: int, numbers: Iterator[int]
) -> list[Click]:
    found = []
    for _ in range(count):
        number = next(numbers)
        trio = desk.draft(desk.accounts[number % ACCOUNTS], desk.symbols[number // ACCOUNTS])
        click = Click(trio)
        followed = Followed(house.log_path)
        way(trio, click)
        followed.wait([click.slot], seconds=SECONDS_MAX)
        time.sleep(QUIET_SECONDS)
        found.append(click)
    return found


# --- what it comes to -------------------------------------------------------------------------------------------


def report_of(found: Mapping[tuple[int, str], tuple[Sequence[float], Sequence[float]]], trios: int) -> Report:
    """Say what these waits come to."""
    report = Report("alone", "One at a time", (__doc__ or "").partition("\n\n")[2].strip())
    rows: list[list[Cell]] = []
    for (ms, way), (gaps, waits) in found.items():
        row: list[Cell] = [f"{ms} ms, by {way}", f"{len(gaps)} of {trios}"]
        for values, percents in ((waits, (50, 99)), (gaps, (50, 99, 100))):
            row += [percentile(values, percent) if values else None for percent in percents]
        rows.append(row)
    columns = [
        "latency, way",
        "trios",
        "click → first order p50, ms",
        "p99",
        "fill → stop p50, ms",
        "p99",
        "most",
    ]
    report.sheets.append(Sheet("Waits", columns, rows))
    for ms in sorted({ms for ms, _ in found}):
        gaps = [gap for (at, _), (each, _) in found.items() if at == ms for gap in each]
        whole = len(gaps) == sum(trios for at, _ in found if at == ms)  # one without its stop is no figure
        report.targets += [
            Target(
                f"fill → stop p50 alone at {ms} ms", percentile(gaps, 50) if whole else None, ms + 6, "ms"
            ),
            Target(
                f"fill → stop p99 alone at {ms} ms", percentile(gaps, 99) if whole else None, ms + 20, "ms"
            ),
        ]
        waits = found[ms, PAGE][1]
        report.targets.append(
            Target(
                f"click → first order p50 by page at {ms} ms",
                percentile(waits, 50) if waits else None,
                15,
                "ms",
            )
        )
    ticks = [f"{ms} ms, {way}" for ms, way in found]
    report.panels = [
        Panel(
            title, "ms", ticks,
            {
                name: [percentile(pair[at], percent) if pair[at] else None for pair in found.values()]
                for name, percent in (("p50", 50), ("p99", 99))
            },
        )
        for title, at in (("fill → stop, ON_FIRST_FILL", 0), ("click → first order", 1))
    ]  # fmt: skip
    return report


if __name__ == "__main__":
    sys.exit(present("alone", __doc__ or "", measure, arguments))
