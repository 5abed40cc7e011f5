"""How often accounts are swept: within the ceilings alone, and within half of the limit together."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orders.domain.sweep_schedule import (
    CLOCK_MS,
    CLOCK_WEIGHT,
    EARLY,
    MINUTE_MS,
    SweepPlan,
    listing,
    plan_sweeps,
    sweep_weight,
)

LIMIT = 2400


def symbols(count: int) -> list[str]:
    return [f"S{number}USDT" for number in range(count)]


def planned(*trios: int, weight_1m: int = LIMIT) -> list[SweepPlan]:
    """Return the plans of accounts that have living trios on so many symbols each."""
    living = {account: symbols(count) for account, count in enumerate(trios)}
    return list(plan_sweeps(living, weight_1m=weight_1m, sweep_ms=15_000, rules_ms=600_000).values())


def total(plans: list[SweepPlan]) -> float:
    return sum(plan.weight_1m for plan in plans) + MINUTE_MS * (CLOCK_WEIGHT / CLOCK_MS + 1 / 600_000)


@pytest.mark.parametrize(
    ("trios", "each_seconds", "listed", "most"),
    [
        pytest.param(0, 60, 0, 20, id="idle: positions each minute, orders each ten"),
        pytest.param(1, 15, 1, 42, id="one trio: its symbol each time"),
        pytest.param(10, 15, 10, 120, id="ten trios: ten symbols, cheaper than all"),
        pytest.param(95, 15, None, 380, id="ninety-five: everything is cheaper"),
    ],
)
def test_one_account_alone(trios: int, each_seconds: int, listed: int | None, most: int) -> None:
    (plan,) = planned(trios)
    assert plan.interval_ms == 1000 * each_seconds
    assert (None if plan.symbols is None else len(plan.symbols)) == listed
    assert total([plan]) <= most
    assert plan.stretch == 1


def test_eight_idle_accounts_cost_what_one_cost_before() -> None:
    plans = planned(*[0] * 8)
    assert total(plans) <= 8 * 20
    assert {plan.interval_ms for plan in plans} == {60_000}


def test_forty_accounts_on_one_address_are_swept_more_rarely() -> None:
    # Given twenty idle accounts and twenty with ten trios each
    plans = planned(*[0] * 20, *[10] * 20)

    # Then all of them together stay within half of the limit, and every interval is longer by one factor
    assert total(plans) <= LIMIT / 2
    idle, active = plans[0], plans[-1]
    assert (active.interval_ms, idle.interval_ms) == (36_000, 143_000)
    assert active.stretch == idle.stretch == pytest.approx(active.interval_ms / 15_000, rel=0.05)
    assert idle.accounts == 40

    # On an address that is allowed 6,000 nothing is stretched
    assert planned(*[0] * 20, *[10] * 20, weight_1m=6000)[-1].interval_ms == 15_000


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.integers(0, 120), min_size=1, max_size=300), st.sampled_from([1200, 2400, 6000]))
def test_any_mix_stays_within_half_of_the_limit(trios: list[int], weight_1m: int) -> None:
    plans = planned(*trios, weight_1m=weight_1m)
    assert total(plans) <= weight_1m / 2
    assert all(EARLY * plan.interval_ms < plan.full_ms for plan in plans)


def test_the_cheaper_way_to_list_is_taken() -> None:
    assert listing(symbols(39)) == frozenset(symbols(39))
    assert listing(symbols(40)) is None
    assert sweep_weight(listing(symbols(39))) < sweep_weight(None) == 85
