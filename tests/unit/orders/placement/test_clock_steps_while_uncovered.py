"""The exchange's clock steps while a stop is on its way: the position is covered within the bound all the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from django.conf import settings

from simulator.clock import wall_clock
from simulator.venue.reply import Reply
from tests.builders import Desk, story, the, until

STEPS: Final = [5000, -5000]  # as far as a request may be old, and more than it may be early


def stop_only(call: Callable[..., Reply], step: Callable[[], None], *, before: bool) -> Callable[..., Reply]:
    """Let the clock step once, just before the exchange sees the first stop, or just after it has accepted it."""
    stepped = False

    def handle(method: str, target: str, *rest: Any, **more: Any) -> Reply:
        nonlocal stepped
        ours = method == "POST" and target.startswith("/fapi/v1/algoOrder") and not stepped
        stepped = stepped or ours
        if ours and before:
            step()
        reply = call(method, target, *rest, **more)
        if ours and not before:
            step()
        return reply

    return handle


@pytest.mark.parametrize("step", STEPS, ids=["forward", "back"])
@pytest.mark.parametrize("before", [True, False], ids=["before the stop arrives", "once it is accepted"])
def test_a_step_while_the_stop_is_placed_costs_no_more_than_the_bound(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, step: int, before: bool
) -> None:
    # Given an entry that is about to fill, and a clock that steps with the first stop
    simulator = desk.simulator

    def step_clock() -> None:
        simulator.clock = lambda: wall_clock() + step

    monkeypatch.setattr(simulator, "handle", stop_only(simulator.handle, step_clock, before=before))
    trio = desk.placed(desk.a_trio(protection="ON_FIRST_FILL"))

    # When it has filled
    desk.carry_until(trio, "OPEN", seconds=5)

    def covered() -> bool:
        desk.carry()
        return len(desk.resting) == 2 and not open_gaps(desk)

    until(covered, seconds=5, why=lambda: story(trio))

    # Then its stop rests within the bound, by a clock that does not step
    verdict = simulator.verdict()
    gaps = verdict["uncovered"] + verdict["uncovered_refused_by_us"]
    (gap,) = gaps
    took = gap["ms"] - (step if before else 0)
    print(f"covered after {took} ms")
    assert 0 <= took <= settings.NAKED_LIMIT_MS, story(trio)
    assert the(trio).state == "OPEN", story(trio)
    assert len([e for e in simulator.log if e.client_id.endswith("-e1") and e.method == "POST"]) == 1
    assert not trio.events.filter(kind="question").exists(), story(trio)


def open_gaps(desk: Desk) -> list[dict[str, Any]]:
    return [gap for gap in desk.simulator.verdict()["uncovered"] if not gap["end"]]
