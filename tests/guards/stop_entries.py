"""Guards of entries that wait for a trigger."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_stop_entries.py"
PLACED: Final = "tests/unit/orders/placement/test_stop_entries.py"
UPDATES: Final = "orders/domain/leg_updates.py"
SWEEP: Final = "worker/sweep.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a triggered entry is cancelled by its child's number",
        "P3",
        "the limit order of a stop entry stays on the book after its cancel, and fills later",
        (Removal("orders/placement/begin.py", "ref = replace(ref, child=leg.order_id)", "pass"),),
        (f"{PLACED}::test_cancel_after_the_trigger_takes_the_limit_order_off_the_book",),
    ),
    Guard(
        "a finished entry is as its child is",
        "P6",
        "a stop entry whose limit order was cancelled counts as filled whole, or its part fill as all of it",
        (
            Removal(
                UPDATES,
                "if leg.opens and certain and view.state is OrderState.FINISHED and view.child_state is None:",
                "if False:",
            ),
            Removal(
                UPDATES,
                "return (LegState.FILLED, False) if filled else (LegState.TRIGGERED, True)",
                "return (LegState.FILLED, False)",
            ),
        ),
        (f"{DECIDED}::test_that_it_has_finished_says_neither_that_it_filled_nor_that_it_did_not",),
    ),
    Guard(
        "an entry watches what its stop watches",
        "P4",
        "a wick of the last price triggers the entry, and its stop is refused as passed",
        (
            Removal(
                "orders/domain/snapshot.py",
                "ENTRY_WORKING_TYPE = WorkingType.MARK_PRICE",
                "ENTRY_WORKING_TYPE = WorkingType.CONTRACT_PRICE",
            ),
        ),
        (f"{DECIDED}::test_it_watches_what_its_stop_watches",),
    ),
    Guard(
        "a triggered entry at market is looked up",
        "P4",
        "the fill of a stop entry whose events were lost is not known before the next sweep",
        (
            Removal(
                "orders/placement/ingest.py",
                "return leg.type == OrderType.STOP_MARKET or leg.trio.time_in_force in NEVER_RESTS",
                "return leg.trio.time_in_force in NEVER_RESTS",
            ),
        ),
        (f"{PLACED}::test_a_child_at_market_is_looked_up_when_its_fill_is_not_told",),
    ),
    Guard(
        "the order born at a trigger is no stranger",
        "P6",
        "a trio's own entry stands in its slot as somebody else's order, and it is looked up in each sweep",
        (
            Removal(
                SWEEP,
                "return [order for order in strange if (order.symbol, order.order_id) not in born]",
                "return strange",
            ),
        ),
        (f"{PLACED}::test_a_sweep_knows_the_order_born_at_the_trigger",),
    ),
    Guard(
        "margin is promised until the trigger",
        "P8",
        "a second trio counts on the margin that a waiting stop entry needs, and one of them is refused at its trigger",
        (
            Removal(
                "orders/queueing/surroundings.py",
                "OR trio.state = 'WORKING' AND trio.entry_type IN ('STOP_MARKET', 'STOP')",
                "",
            ),
        ),
        (f"{PLACED}::test_margin_that_waits_for_its_trigger_is_promised",),
    ),
    Guard(
        "margin is promised no longer than until the trigger",
        "P8",
        "while the limit order of a stop entry rests, its margin counts twice, and a trio that the account can pay for is refused",
        (Removal("orders/queueing/surroundings.py", " AND entry.triggered_ts IS NULL", ""),),
        (f"{PLACED}::test_margin_is_not_promised_any_more_once_the_entry_rests_as_a_limit_order",),
    ),
    Guard(
        "an entry that is stuck at its trigger is put to a person",
        "P4",
        "an entry of which no order was born waits for ever, may fill at any time, and nobody knows",
        (Removal("orders/domain/decision/place.py", "    entry_stuck,\n", ""),),
        (f"{PLACED}::test_an_entry_stuck_at_its_trigger_is_put_to_a_person",),
    ),
    Guard(
        "only a limit order that was born is taken for one that rests",
        "P4",
        "the cancels of an entry that is stuck at its trigger go out for ever, and no person is asked",
        (Removal("orders/domain/decision/unwind.py", " and leg.child_known:", ":"),),
        (f"{DECIDED}::test_one_without_a_child_whose_cancels_take_no_effect_is_put_to_a_person",),
    ),
    Guard(
        "room for the entry that waits",
        "P4",
        "stop entries take the places that other trios' stops are to have",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "WHEN trio.entry_type IN ('STOP_MARKET', 'STOP') THEN 1 ELSE 0 END",
                "WHEN trio.entry_type IN ('STOP_MARKET', 'STOP') THEN 0 ELSE 0 END",
            ),
        ),
        (f"{PLACED}::test_it_keeps_room_for_three_conditional_orders",),
    ),
)
