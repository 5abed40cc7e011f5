"""A ban of the address while two trios are without their stop: silence until its end, then cover at once."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.load.house import House, Row, housed, now_ms, say, until
from tests.load.table import Table, spread

if TYPE_CHECKING:
    from orders.models import TrioOrder
    from tests.load.desk import Desk

MEETS: Final = ("trio", "start-up", "page", "check_accounts", "sync_symbols")
KNOWN_MS: Final = 100  # after its first refusal everybody knows
ASKED_MS: Final = 1000
COVER_MS: Final = 250
ROUND_TRIP_MS: Final = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--meets", choices=MEETS, default="trio", help="who learns of it")
    parser.add_argument("--seconds", type=int, default=60, help="how long the ban lasts")
    parser.add_argument(
        "--tells", choices=("both", "header", "text"), default="both", help="where its end is told"
    )
    parser.add_argument("--covered", type=int, default=10)
    parser.add_argument("--uncovered", type=int, default=2)
    parser.add_argument("--runworkers", type=int, default=2)
    parser.add_argument("--rqworkers", type=int, default=2)
    parser.add_argument("--weight", type=int, default=6000)


def run(options: argparse.Namespace, folder: Path) -> Table:
    with housed(folder) as house:
        return _run(options, house)


def _run(options: argparse.Namespace, house: House) -> Table:
    from orders.models import TrioOrder
    from tests.load.desk import Desk

    desk = Desk(house, 2, weight=options.weight)
    house.start_workers(options.runworkers, options.rqworkers)
    desk.watched()
    total = options.covered + options.uncovered
    trios = [desk.draft(desk.accounts[n % 2], desk.symbols[n // 2]) for n in range(total)]
    for trio in trios:
        desk.queue(trio)
    trios = desk.settled(trios)
    naked = trios[: options.uncovered]
    say(f"{len(trios)} trios open")

    ban: Row = house.venue.ask("POST", "/sim/ban", {"seconds": options.seconds, "tells": options.tells})
    since = ban["ms"]
    if options.meets not in ("trio", "start-up"):
        _meet(options, house, desk)
    for trio in naked:
        house.venue.ask(
            "POST", "/sim/expire", {"client_id": desk.stop_of(trio), "account": trio.account.name}
        )
    uncovered_at = now_ms()
    asked = _asked(naked, seconds=min(options.seconds, 10))
    say(f"banned; questions after {asked - uncovered_at if asked else None} ms")
    restarted = _start_anew(options, house) if options.meets == "start-up" else 0
    time.sleep(max(0, ban["until"] - now_ms()) / 1000)
    try:
        until(lambda: not _open_gaps(house), seconds=15, what="every position covered")
    except TimeoutError as error:
        say(str(error))
    house.stop_workers()

    ends = house.venue.ask("GET", "/sim/limits")["addresses"]["127.0.0.1"]["banned_until"]
    rows = house.rows(since)
    refused = [row for row in rows if row["status"] == 418]
    # Those who start anew, with nothing to know it from, learn it anew.
    late = _late([row for row in refused if not restarted or row["ms"] < restarted])
    late += _late([row for row in refused if restarted and row["ms"] >= restarted])
    covered = _covered_after(rows, desk, naked, ban["until"])
    table = Table(
        f"ban of {options.seconds} s met by {options.meets}, told in {options.tells}; {options.uncovered} trios uncovered"
    )
    table.figure(
        "requests that learned of it", dict(Counter(row["path"] for row in refused if row not in late))
    )
    table.holds(
        "requests during it",
        f"{len(late)} {dict(Counter(row['path'] for row in late).most_common(4))}",
        not late,
    )
    table.holds("the ban was not lengthened", f"{ends - ban['until']} ms", ends == ban["until"])
    table.holds(
        f"questions asked within {ASKED_MS} ms",
        f"{asked - uncovered_at} ms" if asked else "never",
        bool(asked) and asked - uncovered_at <= ASKED_MS,
    )
    limit = COVER_MS + ROUND_TRIP_MS
    table.holds(
        f"covered within {limit} ms of its end",
        spread(covered),
        len(covered) == len(naked) and max(covered, default=0) <= limit,
    )
    states = Counter(TrioOrder.objects.filter(pk__in=[t.pk for t in trios]).values_list("state", flat=True))
    table.holds("every trio still open", dict(states), states["OPEN"] == len(trios))
    return table


def _late(refused: list[Row]) -> list[Row]:
    """What was sent although the first refusal had been heard."""
    learned = min((row["ms"] for row in refused), default=0)
    return [row for row in refused if row["ms"] > learned + KNOWN_MS]


def _start_anew(options: argparse.Namespace, house: House) -> int:
    """Replace every worker during the ban, on a machine that knows nothing of it."""
    house.stop_workers()
    house.valkey().flushdb()
    restarted = now_ms()
    house.start_workers(options.runworkers, options.rqworkers)
    return restarted


def _meet(options: argparse.Namespace, house: House, desk: Desk) -> None:
    """Let somebody else than a trio be the first to learn of it."""
    from orders import services
    from orders.domain.errors import TrioRefused

    match options.meets:
        case "page":
            draft = desk.draft(desk.accounts[0], desk.symbols[-1])
            try:
                services.market_read(draft.account, draft.symbol)
            except TrioRefused as told:
                say(f"the page says: {told}")
        case "check_accounts":
            say(house.command("check_accounts").stdout.strip()[:300])
        case "sync_symbols":
            say(house.command("sync_symbols", "--environment", "PAPER").stderr.strip()[:300])
    time.sleep(2)


def _asked(trios: list[TrioOrder], seconds: float) -> int:
    """When each of them asked a person; 0: not so soon."""
    from orders.models import TrioOrder

    wanted = [trio.pk for trio in trios]
    try:
        until(
            lambda: TrioOrder.objects.filter(pk__in=wanted).exclude(question_kind="").count() == len(wanted),
            seconds=seconds,
            what="a question about each",
            pause=0.02,
        )
    except TimeoutError:
        return 0
    return now_ms()


def _open_gaps(house: House) -> list[Row]:
    verdict = house.verdict()
    return [gap for gap in verdict["uncovered"] + verdict["uncovered_refused_by_us"] if not gap["end"]]


def _covered_after(rows: list[Row], desk: Desk, trios: list[TrioOrder], ends: int) -> list[int]:
    """How long after the ban's end the stop of each arrived, or what else took it out of danger."""
    found = []
    for trio in trios:
        stem = desk.stem(trio)
        times = [
            row["ms"] - ends
            for row in rows
            if row["client_id"].startswith((f"{stem}-s", f"{stem}-x"))
            and row["method"] == "POST"
            and row["effect"] == "executed"
            and row["ms"] >= ends
        ]
        found += [min(times)] if times else []
    return found
