"""Guards of levels that move while a position lives."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_moves.py"
MOVED: Final = "tests/unit/orders/placement/test_moves.py"
MOVES: Final = "orders/domain/decision/moves.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a level that went elsewhere is not taken back unseen",
        "P8",
        "a line is dragged, or a level typed, beside a stop that somebody moved nearer meanwhile: it goes back, and more is at risk",
        (Removal("orders/services.py", "        seen_check(stands, role, level, seen)\n", ""),),
        (f"{MOVED}::test_a_level_that_went_elsewhere_since_it_was_shown_is_not_taken_back",),
    ),
    Guard(
        "a level is agreed when its order is acknowledged",
        "P4",
        "the old stop leaves for one that the exchange never took",
        (
            Removal(
                MOVES,
                "if order is not None and order.acknowledged and (order.live or order.executed):",
                "if order is not None:",
            ),
        ),
        (f"{DECIDED}::test_nothing_leaves_while_the_bridge_is_in_doubt",),
    ),
    Guard(
        "an old stop leaves last",
        "P4",
        "what is at the new level covers less than the position, and the old stop is cancelled",
        (
            Removal(
                MOVES,
                "    if old and not _stands(trio, role, _at_level(trio, role)):\n",
                "    if old and False:\n",
            ),
        ),
        (f"{DECIDED}::test_an_old_stop_stays_while_nothing_at_the_agreed_level_covers_all",),
    ),
    Guard(
        "the bridge leaves last",
        "P4",
        "the bridge is cancelled before the order that follows it is acknowledged",
        (
            Removal(
                MOVES,
                "return cleared(trio, bridges) if bridges and _stands(trio, role, whole) else None",
                "return cleared(trio, bridges) if bridges else None",
            ),
            Removal(
                MOVES,
                "    bridge_replaced,\n    bridge_taken_down,\n",
                "    bridge_taken_down,\n    bridge_replaced,\n",
            ),
        ),
        (f"{DECIDED}::test_a_whole_position_stop_follows_the_bridge_which_then_leaves",),
    ),
    Guard(
        "an order for a wish is judged by nobody else",
        "P3",
        "a refused move of the target closes the position at market",
        (
            Removal(
                "orders/domain/snapshot.py",
                "leg for leg in self.every(role) if not leg.for_move or self._is_agreed(leg)",
                "leg for leg in self.every(role)",
            ),
        ),
        (f"{DECIDED}::test_a_target_that_is_refused_at_a_wished_level_neither_exits_nor_asks",),
    ),
    Guard(
        "a stop that risks more is new risk",
        "P8",
        "a stop is moved away from the price on an account that may open nothing",
        (
            Removal(
                "orders/services.py",
                "        if is_looser(stands, role, level) and (refusal := risk_gates.new_risk_refusal(trio)):",
                "        if False and (refusal := risk_gates.new_risk_refusal(trio)):",
            ),
        ),
        (f"{MOVED}::test_a_stop_that_risks_more_is_new_risk_and_one_that_risks_less_always_passes",),
    ),
    Guard(
        "an order for a wish that is over is taken back",
        "P3",
        "a stop at a level that nobody wishes for any more stays on the book",
        (
            Removal(
                MOVES,
                "    return soonest((*wished, *strays, *carried))",
                "    return soonest((*wished, *carried))",
            ),
        ),
        (f"{DECIDED}::test_an_order_for_a_wish_that_is_over_is_taken_back",),
    ),
)
