"""Guards of what is sent: every order fits the symbol's rules as they are when it goes."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

PURE: Final = "tests/unit/orders/domain/test_fitting.py"
STORY: Final = "tests/unit/orders/placement/test_rules_of_today.py"
MANY: Final = f"{STORY}::test_a_position_above_the_market_maximum_is_closed_in_as_many_exits_as_it_takes"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "an exit fits the market lot",
        "P4",
        "a position above the market maximum is never closed: the same refused exit for ever",
        (
            Removal(
                "orders/domain/decision/order_plans.py",
                "quantity=first_of(quantity, lot_of(trio.rules, kind)),\n        price=limit,",
                "quantity=quantity,\n        price=limit,",
            ),
        ),
        (f"{PURE}::test_a_close_of_more_than_one_order_may_have_goes_out_in_orders_that_fit", MANY),
    ),
    Guard(
        "a rest is left enough to be closed",
        "P4",
        "100.5 is closed as 100, and half a unit is left that nothing can close",
        (
            Removal(
                "orders/domain/fitting.py",
                "missing = max(ZERO, smallest - rest)",
                "missing = ZERO",
            ),
        ),
        (f"{PURE}::test_every_exit_passes_the_filters_and_together_they_are_the_position_less_dust",),
    ),
    Guard(
        "what is below the smallest order is dust",
        "P4",
        "an exit that the exchange must refuse is sent again and again",
        (
            Removal(
                "orders/domain/decision/conditions.py",
                "if trio.position > 0 and not split(trio.position, lot_of(trio.rules, OrderType.MARKET)):",
                "if False:",
            ),
        ),
        (f"{PURE}::test_what_is_below_the_smallest_order_is_dust_and_nothing_is_sent_for_it",),
    ),
    Guard(
        "levels go to today's tick towards safety",
        "P4",
        "a long's stop is moved down and risks more than was meant",
        (
            Removal(
                "orders/domain/fitting.py",
                "(ROUND_CEILING, ROUND_FLOOR) if long else (ROUND_FLOOR, ROUND_CEILING)",
                "(ROUND_FLOOR, ROUND_FLOOR) if long else (ROUND_FLOOR, ROUND_CEILING)",
            ),
        ),
        (f"{PURE}::test_levels_go_to_todays_tick_towards_safety",),
    ),
    Guard(
        "legs are planned on today's tick",
        "P4",
        "after a change of tick both legs are refused, and the fill is closed at once after paying twice",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "spec=fitted(spec_of(trio), filters),",
                "spec=(fitted, spec_of(trio))[1],",
            ),
        ),
        (f"{STORY}::test_legs_are_fitted_to_the_tick_of_the_day_they_go_out",),
    ),
    Guard(
        "rules are read anew when an order was off them",
        "P4",
        "until the next regular read every exit is refused as too large",
        (
            Removal(
                "orders/placement/service.py",
                "if refused := _off_the_rules(answers):",
                "if refused := _off_the_rules(()):",
            ),
        ),
        (MANY,),
    ),
    Guard(
        "rules that were read just before an order was off them are read again",
        "P4",
        "for as long as the last reading counts as new every exit is refused as too large",
        (
            Removal(
                "orders/placement/service.py",
                "asked_since=from_ms(left - context.offset_ms)",
                "asked_since=from_ms(left - context.offset_ms - 2000)",
            ),
        ),
        (f"{STORY}::test_rules_that_were_read_just_before_they_changed_are_read_again",),
    ),
    Guard(
        "an entry that does not fit any more is not sent",
        "P3",
        "an entry goes out whose position could not be closed in full",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if _entry_unsent(trio) and (trouble := entry_misfit(trio.spec, trio.rules)):",
                'if trouble := "":',
            ),
        ),
        (f"{PURE}::test_an_unsent_entry_that_does_not_fit_any_more_is_not_sent",),
    ),
)
