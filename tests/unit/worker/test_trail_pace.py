"""Sixty stops follow the price on one account: within a third of its orders, and the nearest never waits."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from exchange.rate_limits import Limits
from exchange.rate_meter import moves_for
from worker.trail_pace import EVERY_SECONDS, ORDERS_A_MOVE, MovePace, every_seconds

LIMITS = Limits()
THIRD = moves_for(LIMITS)
TRAILS = 60


@pytest.mark.parametrize("seed", range(4))
def test_sixty_stops_that_all_want_to_move_stay_within_a_third(seed: int) -> None:
    rng, pace = random.Random(seed), MovePace()
    moved_at: dict[int, float] = {}
    moves: list[tuple[float, int]] = []
    nearness = {trail: rng.random() for trail in range(TRAILS)}
    nearest_waited = 0.0
    nearest_since: tuple[int, float] = (-1, 0.0)
    for tick in range(4 * 300):  # five minutes, four looks a second; every stop could move at every look
        now = tick / 4
        trail = rng.randrange(TRAILS)
        nearness[trail] = max(0.001, nearness[trail] * rng.uniform(0.7, 1.4))
        order = sorted(nearness, key=lambda trail: nearness[trail])
        for rank, trail in enumerate(order):
            if pace.may_move(now, is_nearest=rank == 0, last=moved_at.get(trail), trails=TRAILS, moves=THIRD):
                pace.note(now)
                moved_at[trail] = now
                moves.append((now, trail))
        if nearest_since[0] != order[0]:
            nearest_since = (order[0], now)
        waited = now - max(nearest_since[1], moved_at.get(order[0], nearest_since[1]))
        nearest_waited = max(nearest_waited, waited)

    # The nearest waits for nothing but its own pause
    assert nearest_waited <= EVERY_SECONDS
    # And all of them get their turn, within the windows
    assert {trail for _, trail in moves} == set(range(TRAILS))
    for window, limit in ((10, LIMITS.orders_10s), (60, LIMITS.orders_1m)):
        busiest = max(sum(1 for at, _ in moves if start < at <= start + window) for start, _ in moves)
        assert ORDERS_A_MOVE * busiest <= limit / 3
    longest = max(
        later - sooner
        for trail in range(TRAILS)
        for sooner, later in pairwise(at for at, moved in moves if moved == trail)
    )
    assert longest <= 2 * every_seconds(TRAILS, THIRD)


def test_a_few_stops_move_every_other_second() -> None:
    assert every_seconds(3, THIRD) == EVERY_SECONDS
    pace = MovePace()
    assert pace.may_move(0.0, is_nearest=False, last=None, trails=1, moves=THIRD)
    pace.note(0.0)
    assert not pace.may_move(1.9, is_nearest=True, last=0.0, trails=1, moves=THIRD)
    assert pace.may_move(2.0, is_nearest=True, last=0.0, trails=1, moves=THIRD)


def test_a_stop_that_has_moved_for_hours_moves_more_seldom() -> None:
    pace = MovePace()
    said = {"is_nearest": True, "trails": 1, "moves": THIRD}
    assert pace.may_move(2.0, last=0.0, orders=39, **said)  # type: ignore[arg-type]
    assert not pace.may_move(21.9, last=0.0, orders=400, **said)  # type: ignore[arg-type]
    assert pace.may_move(22.0, last=0.0, orders=400, **said)  # type: ignore[arg-type]


def test_what_others_use_up_leaves_a_quarter_to_the_nearest() -> None:
    pace = MovePace()
    while pace.may_move(0.0, is_nearest=False, last=None, trails=TRAILS, moves=THIRD):
        pace.note(0.0)
    assert len(pace.moved) * ORDERS_A_MOVE in range(74, 76)  # three quarters of a hundred
    assert pace.may_move(0.0, is_nearest=True, last=None, trails=TRAILS, moves=THIRD)
    assert not pace.may_move(9.9, is_nearest=False, last=None, trails=TRAILS, moves=THIRD)
    assert pace.may_move(10.1, is_nearest=False, last=None, trails=TRAILS, moves=THIRD)


def test_a_move_that_was_not_made_is_not_counted() -> None:
    pace = MovePace()
    pace.note(1.0)
    pace.take_back(1.0)
    pace.take_back(1.0)
    assert not pace.moved
