"""Guards of positions that change in size while their trio stays open."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

SIZED: Final = "tests/unit/orders/placement/test_parts.py"
PARTS: Final = "orders/domain/decision/parts.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a stop for whatever is left stands before a part goes",
        "P4",
        "a part target executes, and the hedge stop that is larger than what is left counts for nothing",
        (
            Removal(
                PARTS,
                "    if (step := whole_stop_first(trio)) is not None:\n        return step\n    if newest is None:",
                "    if newest is None:",
            ),
        ),
        (f"{SIZED}::test_a_hedge_stop_above_the_position_is_replaced_before_it_matters",),
    ),
    Guard(
        "a stop for whatever it becomes stands before something is added",
        "P4",
        "what is added fills above the quantity of the stop",
        (
            Removal(
                PARTS,
                "if (step := whole_stop_first(trio, adds=wish if wish.role.opens else None)) is not None:",
                "if (step := None) is not None:",
            ),
        ),
        (f"{SIZED}::test_what_is_added_is_covered_the_moment_it_fills",),
    ),
    Guard(
        "no level moves while something is being added",
        "P4",
        "the old stop leaves for a bridge that is smaller than what the position becomes",
        (
            Removal(
                "orders/domain/level_moves.py",
                "    adds = any(wish.role is Role.ADD for wish in trio.sizes)\n",
                "    adds = False\n",
            ),
        ),
        (
            "tests/unit/orders/placement/test_living_cases.py::test_nothing_moves_while_something_is_to_be_added",
        ),
    ),
    Guard(
        "a target that executed is spent",
        "P2",
        "the next sweep finds its place empty and gives it another order, sized on what remains",
        (
            Removal(
                PARTS,
                "    if any(leg.executed and leg.state.is_final for leg in legs):\n        return True\n",
                "",
            ),
        ),
        (f"{SIZED}::test_a_target_that_executed_is_never_placed_again",),
    ),
    Guard(
        "a part leaves its trio open",
        "P3",
        "the first part target closes all of the position",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "out = [leg for leg in trio.legs if not (leg.role.opens or leg.role.is_part) and leg.executed]\n    first",
                "out = [leg for leg in trio.legs if not leg.role.opens and leg.executed]\n    first",
            ),
        ),
        (f"{SIZED}::test_the_last_target_takes_what_the_parts_leave",),
    ),
    Guard(
        "what rests for another share leaves before the next",
        "P2",
        "two orders take the share of one target",
        (
            Removal(
                PARTS, "    if resting:\n        return _resized(", "    if False:\n        return _resized("
            ),
        ),
        (f"{SIZED}::test_a_part_is_taken_off_and_what_is_left_is_divided_anew",),
    ),
    Guard(
        "what is added is checked when it is sent",
        "P8",
        "a limit that was set since is not asked",
        (
            Removal(
                PARTS,
                "    if wish.role.opens and trio.size_refusal:\n",
                "    if False:\n",
            ),
        ),
        (f"{SIZED}::test_what_is_added_meets_the_limits_again_when_it_is_sent",),
    ),
)
