"""A short soak in every run, what its judge must be able to see, and what a seed fixes."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.crash.verdict import Claim
from tests.soak import verdict
from tests.soak.plan import (
    ABSENCES,
    ABSENT,
    CARRIER,
    EACH_KIND,
    KILL,
    KILLS,
    KINDS,
    WATCHER,
    deaths,
    floor,
    meets,
    trio,
    trios,
)
from tests.soak.verdict import Trouble, judge_all, more_ms

D = Decimal
ROOT = Path(__file__).resolve().parent.parent.parent
MINE = {"account": "soak-0", "symbol": "BTCUSDT"}


def claim(number: int = 1, **changes: Any) -> Claim:
    words: dict[str, Any] = {
        "account": "soak-0",
        "symbol": "BTCUSDT",
        "stem": f"ab12-{number}",
        "quantity": D(2),
        "state": "CLOSED",
        "entered": D(2),
        "exited": D(2),
        "over": True,
        "began_ms": number * 10_000,
        "ended_ms": number * 10_000 + 9_000,
    }
    return Claim(**(words | changes))


def records(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the exchange's records of two trios without blemish, one after the other, but for the changes."""
    account = {
        "name": "soak-0",
        "orders": changes.pop("orders", []),
        "algo_orders": changes.pop("algo_orders", []),
    }
    entries = [
        {**MINE, "stem": f"ab12-{number}", "entered": "2", "exited": "2", "orders": 1} for number in (1, 2)
    ]
    entries[0].update(changes.pop("first", {}))
    entries += changes.pop("more", [])
    found: dict[str, Any] = {
        name: [] for name in ("open_positions", "reversed", "uncovered", "uncovered_refused_by_us")
    }
    return {**found, "entries": entries, **changes}, {"accounts": [account]}


def gap(start: int, ms: int, **more: Any) -> dict[str, Any]:
    return {**MINE, "start": start, "ms": ms, "refusals": [], **more}


CLAIMS = [claim(1), claim(2)]


def test_two_lives_without_blemish_are_sound() -> None:
    assert judge_all(CLAIMS, *records(uncovered=[gap(11_000, 2000)])).violations == 0


@pytest.mark.parametrize(
    ("changes", "stem", "what"),
    [
        ({"first": {"exited": "1"}}, "ab12-1", "lost"),
        ({"first": {"entered": "4"}}, "ab12-1", "doubled"),
        ({"first": {"orders": 2}}, "ab12-1", "doubled"),
        ({"reversed": [{**MINE, "ms": 21_000}]}, "ab12-2", "doubled"),
        ({"orders": [{"symbol": "BTCUSDT", "clientOrderId": "ab12-2-e1"}]}, "ab12-2", "lost"),
        ({"algo_orders": [{"symbol": "BTCUSDT", "clientAlgoId": "ab12-1-s1"}]}, "ab12-1", "orphaned"),
        ({"uncovered": [gap(21_000, 2001)]}, "ab12-2", "is_over_bound"),
        ({"uncovered_refused_by_us": [gap(11_000, 4000, refusals=["12000 503"])]}, "ab12-1", "is_over_bound"),
    ],
)
def test_each_blemish_is_seen_and_laid_at_the_right_door(
    changes: dict[str, Any], stem: str, what: str
) -> None:
    ((at_fault, found),) = judge_all(CLAIMS, *records(**changes)).unsound

    assert at_fault.stem == stem
    assert getattr(found, what)


@pytest.mark.parametrize(
    "changes",
    [
        {"open_positions": [{**MINE, "quantity": "1"}]},
        {"more": [{**MINE, "stem": "zz99-7", "entered": "1", "exited": "1", "orders": 1}]},
        {"orders": [{"symbol": "BTCUSDT", "clientOrderId": "zz99-7-e1"}]},
        {"uncovered": [gap(40_000, 10)]},
        {"reversed": [{**MINE, "ms": 40_000}]},
    ],
)
def test_what_belongs_to_no_trio_is_a_violation_too(changes: dict[str, Any]) -> None:
    found = judge_all(CLAIMS, *records(**changes))

    assert found.unsound == []
    assert found.violations == 1


def orphan(client_id: str, ms: int = 8501) -> dict[str, Any]:
    return {"client_id": client_id, "since": 20_000, "ms": ms, "excusable_ms": 8500}


def test_an_orphan_that_was_cleared_away_late_is_one_all_the_same() -> None:
    ((at_fault, _),) = judge_all(CLAIMS, *records(), orphans=[orphan("ab12-2-p1")]).unsound
    assert at_fault.stem == "ab12-2"
    assert judge_all(CLAIMS, *records(), orphans=[orphan("zz99-7-p1")]).violations == 1


def test_an_orphan_is_excused_for_as_long_as_nothing_could_be_sent() -> None:
    bans = [Trouble(start, start + 1000, watching=False, barred=True) for start in (25_000, 25_400, 28_000)]
    death = Trouble(24_000, 24_000, watching=True)

    def violations(ms: int) -> int:
        found = judge_all(CLAIMS, *records(), orphans=[orphan("ab12-2-p1", ms)], troubles=[*bans, death])
        return found.violations

    assert violations(8500 + 1400 + 1000) == 0
    assert violations(8500 + 1400 + 1001) == 1


def test_a_trio_without_an_end_is_lost() -> None:
    living = claim(2, over=False, state="OPEN")
    assert judge_all([claim(1), living], *records()).violations == 1


def test_a_death_allows_a_takeover_and_nothing_more() -> None:
    watcher = Trouble(12_000, 12_000, watching=True)
    carrier = Trouble(12_500, 12_800, watching=False)

    def violations(ms: int, *troubles: Trouble) -> int:
        return judge_all(CLAIMS, *records(uncovered=[gap(12_000, ms)]), troubles=troubles).violations

    assert violations(3500, watcher) == 0
    assert violations(3501, watcher) == 1
    assert violations(2000, carrier) == 0
    assert violations(2001, carrier) == 1
    assert violations(4100, watcher, carrier) == 0
    assert violations(4101, watcher, carrier) == 1
    assert more_ms([watcher], 14_000, 15_000) == 0


def test_a_fault_counts_when_the_exchange_says_that_it_struck() -> None:
    log = [
        {
            "client_id": "ab12-1-e1",
            "fault": "#7 lose_answer",
            "ms": 1,
            "method": "POST",
            "effect": "lost_answer",
        },
        {"client_id": "ab12-1-s1", "fault": "", "ms": 2, "method": "POST", "effect": "executed"},
    ]
    found = judge_all(CLAIMS, *records(), log=log)
    assert (found.fired, found.requests) == (Counter({7: 1}), 2)


def test_the_judge_knows_nothing_of_the_product() -> None:
    tree = ast.parse(Path(verdict.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any(isinstance(node, ast.Import) for node in ast.walk(tree))
    assert imported == {"__future__", "collections", "collections.abc", "dataclasses", "functools", "typing",
                        "tests.crash.verdict"}  # fmt: skip


def test_a_seed_fixes_its_trios_and_its_deaths() -> None:
    assert trios(7, 300) == trios(7, 300) != trios(8, 300)
    assert trios(7, 300)[143] == trio(7, 143)
    assert deaths(7, 900) == deaths(7, 900) != deaths(8, 900)


def test_the_plan_holds_more_than_the_floors_ask_for() -> None:
    planned = trios(1, 5000)
    faults = Counter(one.fault for one in planned)

    assert min(faults[kind] for kind in KINDS) >= 75  # 50 have to strike
    assert sum(faults[kind] for kind in ABSENT) >= 300  # 100 absences have to be proved
    assert all(meets(one.fault, one.life, one.protection) for one in planned)
    kills = Counter(death.whom for death in deaths(1, 5000) if death.what == KILL)
    assert min(kills[WATCHER], kills[CARRIER]) >= 20
    assert [floor(least, 5000) for least in (EACH_KIND, KILLS, ABSENCES)] == [50, 20, 100]
    assert [floor(least, 150) for least in (EACH_KIND, KILLS, ABSENCES)] == [1, 1, 3]


def test_two_trios_side_by_side_share_no_price() -> None:
    places = [(one.account, one.symbol) for one in trios(1, 96)]
    assert len(set(places)) == 96


@pytest.mark.slow
def test_eighty_trios_are_soaked() -> None:
    # The bound itself is for `make soak`, which has the machine to itself: here half a suite runs beside it.
    words = [sys.executable, "-m", "tests.soak", "--seeds", "1", "--trios", "80", "--slack", "3000"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=400)

    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "0 lost, 0 doubled, 0 orphaned, 0 over the bound, 0 beside every trio" in done.stdout
