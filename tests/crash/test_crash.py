"""A small part of the matrix in every suite run, and what its judge must be able to see."""

from __future__ import annotations

import ast
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.crash import verdict
from tests.crash.cells import MODES, Cell, all_pairs, cover, pairs, possible, product
from tests.crash.life import Lived
from tests.crash.run import Run
from tests.crash.verdict import Claim, judge

D = Decimal
LOST = "entry: answer lost"
ROOT = Path(__file__).resolve().parent.parent.parent
CLAIM = Claim(
    account="desk",
    symbol="BTCUSDT",
    stem="ab12-1",
    quantity=D(2),
    state="CLOSED",
    entered=D(2),
    exited=D(2),
    over=True,
)


def records(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the exchange's verdict and state after a life without blemish, but for the changes."""
    entries = [
        {
            "account": "desk",
            "symbol": "BTCUSDT",
            "stem": "ab12-1",
            "entered": "2",
            "exited": "2",
            "orders": 1,
        }
    ]
    found: dict[str, Any] = {
        "entries": entries,
        "open_positions": [],
        "reversed": [],
        "uncovered": [],
        "uncovered_refused_by_us": [],
    }
    account = {
        "name": "desk",
        "orders": changes.pop("orders", []),
        "algo_orders": changes.pop("algo_orders", []),
    }
    for name, value in changes.items():
        if name in entries[0]:
            entries[0][name] = value
        else:
            found[name] = value
    return found, {"accounts": [account]}


def gap(ms: int, **more: Any) -> dict[str, Any]:
    return {"account": "desk", "symbol": "BTCUSDT", "start": 1000, "ms": ms, "refusals": [], **more}


def test_a_life_without_blemish_is_sound() -> None:
    assert judge(CLAIM, *records()).is_sound


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"entered": "4"}, "doubled"),
        ({"orders": [], "reversed": [{"account": "desk", "symbol": "BTCUSDT"}]}, "doubled"),
        ({"exited": "1"}, "lost"),
        ({"open_positions": [{"account": "desk", "symbol": "BTCUSDT", "quantity": "1"}]}, "lost"),
        ({"algo_orders": [{"symbol": "BTCUSDT", "clientAlgoId": "ab12-1-s1"}]}, "orphaned"),
        ({"uncovered": [gap(2001)]}, "is_over_bound"),
        ({"uncovered_refused_by_us": [gap(4000, refusals=["1500 503"])]}, "is_over_bound"),
    ],
)
def test_each_blemish_is_seen(changes: dict[str, Any], found: str) -> None:
    judged = judge(CLAIM, *records(**changes))
    assert getattr(judged, found)
    assert not judged.is_sound


def test_an_order_that_was_an_orphan_for_a_while_is_one() -> None:
    assert judge(CLAIM, *records(), orphans={"ab12-1-p1"}).orphaned == ["ab12-1-p1"]


def test_the_judge_knows_nothing_of_the_product() -> None:
    tree = ast.parse(Path(verdict.__file__).read_text())
    imported = {
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "."]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported == {"__future__", "collections.abc", "dataclasses", "decimal", "typing"}


def test_a_cover_holds_every_pair_and_is_told_by_its_seed() -> None:
    chosen = cover(500, seed=1)

    assert len(set(chosen)) == 500
    assert {pair for cell in chosen for pair in pairs(cell)} == all_pairs()
    assert chosen == cover(500, seed=1) != cover(500, seed=2)


def test_a_pair_that_did_not_come_about_is_lived_otherwise() -> None:
    # Given a fault that comes about in one kind of life alone
    def happens(cell: Cell) -> bool:
        return cell.fault != LOST or (cell.protection, cell.mode) == ("ON_FIRST_FILL", "HEDGE")

    # When cells of a cover are lived
    run = Run(stage=None, cells=cover(1000, seed=1), lanes=2, tell=lambda _: None, seconds=600, reap=0)  # type: ignore[arg-type]
    lived = 0
    while jobs := [job for mode in MODES if (job := run._next(mode)) is not None]:
        for cell, tries in jobs:
            lived += 1
            said: dict[str, Any] = {"result": "", "question": "", "seconds": 0, "story": ""}
            run._keep(Lived(cell, CLAIM, hit=True, fired=happens(cell), **said), tries)

    # Then each pair that can come about did, in not many more cells than were wanted; the others were given up
    had = {pair for one in run._lived if one.happened for pair in pairs(one.cell)}
    assert had == {pair for cell in product() if happens(cell) for pair in pairs(cell)}
    assert len(all_pairs() - had) == 2
    assert 1000 <= sum(one.happened for one in run._lived) <= lived < 1340


def test_what_cannot_come_about_is_not_counted() -> None:
    never = Cell(
        "after begin",
        "entry",
        "SIGKILL",
        "entry: answer lost",
        "MARKET → target",
        "ON_FIRST_FILL",
        "ONE_WAY",
    )
    assert not possible(never)
    assert never not in product()


@pytest.mark.slow
def test_sixty_cells_of_the_matrix_are_sound() -> None:
    # The bound itself is for `make crash`, which has the machine to itself: here half a suite runs beside it.
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.crash",
            "--cells",
            "60",
            "--seed",
            "2",
            "--lanes",
            "12",
            "--slack",
            "2000",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "0 lost, 0 doubled, 0 orphaned" in done.stdout
