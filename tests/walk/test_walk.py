"""The walk itself: no promise is broken in any world reached, and every row of the pages was reached.

``WALK`` widens it: ``WALK=roam`` visits the whole bound at random for longer (from ``WALK_SEED``), ``WALK=2``
searches two faults or acts together, up to ``WALK_WORLDS`` worlds for each kind and bound. What each bound is, and what
it came to, is printed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from orders.domain.decision import conditions, cover, decide, lookups, order_plans, place, transitions, unwind
from orders.domain.decision.steps import Rest, Step, Submit
from orders.domain.enums import Form, Role
from orders.domain.snapshot import TrioSnapshot
from tests.walk import rows
from tests.walk.settings import drifting, ladders, living, settings, variants
from tests.walk.walker import Walk, roam, walk
from tests.walk.world import Bound, Setting

WIDER = os.environ.get("WALK", "")
SEED = int(os.environ.get("WALK_SEED", "1"))
WORLDS = int(os.environ.get("WALK_WORLDS", "1000000"))
UNCAPPED = 50_000_000
SNAPSHOTS_MIN = 10_000
# Changes of a resting entry, and other people's orders beside an adopted position, have no rules in this exchange yet.
NOT_WALKED = {"Amend", "CancelForeign", "ConfirmForeign"}

# Searched whole: every fill and every move of the price; and what is under way overtaking each other.
MARKET_MOVES = Bound(fills=3, faults=0, acts=0, moves=1)
RACES = Bound(fills=1, faults=0, acts=0, moves=1, races=1)
# Searched whole: one fault or one act of a person, anywhere.
ONE_TROUBLE = Bound(fills=2, faults=1, acts=1, moves=0, trouble=1)
# Searched whole for one kind each: what a person wants, and a price that moves, meeting a fault.
WISH_AND_FAULT = Bound(fills=1, faults=1, acts=1, moves=0, trouble=2)
MOVE_AND_FAULT = Bound(fills=1, faults=1, acts=0, moves=1, trouble=1)
# What a person changes on an open trio, and part targets, while the price moves; searched whole.
LIVING = Bound(fills=1, faults=0, acts=1, moves=1, trouble=1)
LIVING_APART = {"moved ONE_WAY", "changed in size HEDGE", "part target ONE_WAY"}
# The bound of docs/explanation/how-we-know.md and more, too large to be searched: visited at random.
WHOLE = Bound(fills=3, faults=2, acts=2, moves=2, races=2, trouble=4)
# Where the position mode makes little difference, one of the two is walked further than the other.
APART = {
    "MARKET ON_FIRST_FILL ONE_WAY",
    "MARKET PRE_ARMED HEDGE",
    "LIMIT ON_FIRST_FILL ONE_WAY",
    "LIMIT PRE_ARMED HEDGE",
}
PATHS = 5000 if WIDER == "roam" else 100
# With WALK=2: one of them while the price moves, and any two of them.
WIDE = (
    Bound(fills=1, faults=1, acts=1, moves=1, trouble=1),
    Bound(fills=1, faults=2, acts=2, moves=0, trouble=2),
    Bound(fills=3, faults=2, acts=2, moves=1, trouble=2),
)


def searches() -> Iterator[Walk]:
    for setting in settings(MARKET_MOVES):
        bound = MARKET_MOVES if setting.name in APART else replace(MARKET_MOVES, fills=1)
        yield walk(replace(setting, bound=bound), worlds_max=UNCAPPED)
    for setting in settings(RACES):
        if setting.name in APART:
            yield walk(setting, worlds_max=UNCAPPED)
    for setting in settings(ONE_TROUBLE):
        bound = ONE_TROUBLE if setting.name in APART else replace(ONE_TROUBLE, fills=1)
        yield walk(replace(setting, bound=bound), worlds_max=UNCAPPED)
    for setting in variants(replace(ONE_TROUBLE, fills=1)):
        yield walk(setting, worlds_max=UNCAPPED)
    for setting in drifting(replace(ONE_TROUBLE, fills=1)):
        yield walk(setting, worlds_max=UNCAPPED)
    for setting in ladders(replace(ONE_TROUBLE, fills=1)):
        yield walk(setting, worlds_max=UNCAPPED)
    for setting in ladders(WHOLE):
        yield roam(setting, seed=SEED, paths=PATHS)
    for setting in living(LIVING):
        if setting.name in LIVING_APART:
            yield walk(setting, worlds_max=UNCAPPED)
    for setting in living(WHOLE):
        yield roam(setting, seed=SEED, paths=PATHS)
    for setting in settings(WISH_AND_FAULT):
        if setting.name == "MARKET PRE_ARMED ONE_WAY":
            yield walk(setting, worlds_max=UNCAPPED)
    for setting in settings(MOVE_AND_FAULT):
        if setting.name == "MARKET ON_FIRST_FILL ONE_WAY":
            yield walk(setting, worlds_max=UNCAPPED)
    for setting in settings(WHOLE):
        yield roam(setting, seed=SEED, paths=PATHS)
    if WIDER == "2":
        for setting in living(WISH_AND_FAULT):
            yield walk(setting, worlds_max=WORLDS)
        for bound in WIDE:
            for setting in settings(bound):
                yield walk(setting, worlds_max=WORLDS)


def test_no_promise_is_broken_wherever_the_walk_goes() -> None:
    # Given nothing walked yet
    rows.forget()

    # When every kind of trio is walked within its bound
    walks = []
    for result in searches():
        walks.append(result)
        print(_line(result))
        # Then no world breaks a promise, and from each a fair exchange leads to a good end
        if result.failures:
            pytest.fail("\n\n".join(result.failures), pytrace=False)

    # And the walk went everywhere: every step, every transition, every row of refusals and losses
    _report(walks)
    assert {kind.__name__ for kind in Step.__args__} - NOT_WALKED == set(rows.STEPS)
    assert [name for name in rows.ROWS if not rows.FOUND[name]] == []
    assert len(rows.SNAPSHOTS) >= SNAPSHOTS_MIN


# --- the walk can fail ------------------------------------------------------------------------


def _never(*_: Any, **__: Any) -> None:
    return None


def _sent_again(trio: TrioSnapshot) -> Step:
    """Send an entry found absent once more: the one thing that is never done."""
    entry = trio.entry
    if entry is not None and entry.pending and entry.looks > 0:
        return Submit((order_plans.entry_plan(trio, None),))
    return PLACE(trio)


def _waits(trio: TrioSnapshot) -> Step:
    """Wait for the proof about a stop in doubt, as for a target."""
    stop = trio.newest(Role.STOP_LOSS)
    return lookups.awaited(trio, stop) if stop is not None and stop.pending else COVER(trio)


PLACE, COVER = place.place, cover.cover
ROOMS = (lookups, place, cover, unwind, transitions, conditions, decide)
GUARDS: dict[str, tuple[str, Callable[..., Any]]] = {
    "the deadline of cover": ("cover_deadline_ts", lambda trio: trio.now_ts + 10**9),
    "no resend of an entry in doubt": ("place", _sent_again),
    "cover at all": ("cover", lambda trio: Rest(None)),
    "the look at a request in doubt": ("awaited", lambda trio, leg, **_: Rest(trio.now + 10**6)),
    "a second stop beside one in doubt": ("cover", _waits),
    "the other form of a refused stop": ("_stop_form", lambda trio: Form.CLOSE_POSITION),
    "withdrawing without the armed stop": ("armed_stop_gone", _never),
    "orders that turn up late": ("late_leg_matters", lambda trio, leg: False),
    "cleaning up": ("cleared", _never),
    "the second look at a flat slot": ("_flat_is_uncertain", lambda trio: True),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_the_walk_notices_a_missing_guard(guard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a core from which one guard was taken
    name, without = GUARDS[guard]
    for room in ROOMS:
        if hasattr(room, name):
            monkeypatch.setattr(room, name, without)

    # When trios are walked, then a promise is seen broken
    bound = Bound(fills=1, faults=1, acts=1, moves=0, trouble=1)
    found = (walk(setting, worlds_max=UNCAPPED).failures for setting in settings(bound))
    assert next((failures for failures in found if failures), None)


# --- what it came to --------------------------------------------------------------------------


def _line(result: Walk) -> str:
    setting: Setting = result.setting
    how = "searched whole" if result.complete else "visited"
    return (
        f"{setting.name} ({setting.bound.words}): {how}, {result.worlds} worlds, {result.moves} moves, "
        f"{result.seconds:.1f} s; longest gap {result.longest_undisturbed} ms undisturbed, "
        f"{result.longest_naked} ms at all"
    )


def _report(walks: list[Walk]) -> None:
    worlds, moves, seconds = (
        sum(getattr(result, name) for result in walks) for name in ("worlds", "moves", "seconds")
    )
    print(
        f"{len(walks)} walks: {worlds} worlds, {moves} moves, {len(rows.SNAPSHOTS)} canonical snapshots, "
        f"{seconds:.0f} s"
    )
    print("steps: " + ", ".join(f"{name} {count}" for name, count in sorted(rows.STEPS.items())))
    for name in rows.ROWS:
        print(f"{rows.FOUND[name]:7d}  {name}")
