"""Guards of positions that are adopted, and of trios that follow others."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_adoption.py"
ADOPTED: Final = "tests/unit/orders/placement/test_adopt.py"
FOLLOWED: Final = "tests/unit/orders/domain/test_reversal.py"
REVERSED: Final = "tests/unit/orders/placement/test_reverse.py"
ADOPTION: Final = "orders/adoption.py"
REVERSAL: Final = "orders/reversal.py"
RULE: Final = "orders/domain/reversal.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a stranger's order leaves after ours stand",
        "P4",
        "a person's own stop is cancelled while ours is not acknowledged",
        (
            Removal(
                "orders/domain/decision/strangers.py",
                "    if not trio.foreign or not _stand(trio):",
                "    if not trio.foreign:",
            ),
        ),
        (f"{DECIDED}::test_nothing_of_a_strangers_is_touched_before_ours_stand",),
    ),
    Guard(
        "only what was named is cancelled",
        "P6",
        "a person's order that nobody named is cancelled with an adoption",
        (
            Removal(
                ADOPTION,
                "cancel=foreign is ForeignOrders.CANCEL and (named is None or order.client_id in named),",
                "cancel=True,",
            ),
        ),
        (f"{ADOPTED}::test_only_the_orders_that_were_named_are_cancelled",),
    ),
    Guard(
        "a stranger's order is gone by the exchange's word",
        "P6",
        "an order whose cancel was lost counts as gone while it rests",
        (
            Removal(
                "orders/placement/finish.py",
                "        if answer.view is not None and answer.view.state.is_final:",
                "        if answer.view is not None:",
            ),
        ),
        (f"{ADOPTED}::test_whatever_a_cancel_is_answered_the_order_goes_and_cover_stays",),
    ),
    Guard(
        "what is adopted is what was confirmed",
        "P8",
        "a position of another size than the person saw becomes a trio",
        (
            Removal(
                ADOPTION,
                "    if quantity is not None and quantity != found.quantity:",
                "    if False and quantity != found.quantity:",
            ),
        ),
        (f"{ADOPTED}::test_a_level_that_cannot_be_is_refused_with_the_nearest_that_can",),
    ),
    Guard(
        "a newer word about the position stops an adoption",
        "P6",
        "a position that has changed since it was read becomes a trio of the old size",
        (Removal(ADOPTION, "    if slot.quantity != found.view.quantity:", "    if False:"),),
        (f"{ADOPTED}::test_a_position_that_changes_in_the_meantime_is_not_adopted",),
    ),
    Guard(
        "an adopted position is not closed for its target",
        "P3",
        "a person's position is closed at market because the exchange refused the take-profit",
        (
            Removal(
                ADOPTION, "target_policy=TargetPolicy.KEEP_STOP,", "target_policy=TargetPolicy.ROLL_BACK,"
            ),
        ),
        (f"{ADOPTED}::test_a_target_that_is_refused_for_good_leaves_the_position_and_its_stop",),
    ),
    Guard(
        "a stop beside a stranger's is for the quantity",
        "P4",
        "the first stop of an adopted position is refused, because a person's has its place",
        (
            Removal(
                "orders/domain/decision/cover.py",
                "    taken = taken or Role.STOP_LOSS in trio.occupied\n",
                "",
            ),
        ),
        (f"{DECIDED}::test_beside_strangers_ours_are_for_the_quantity",),
    ),
    Guard(
        "one trio follows a close",
        "P2",
        "a second process that carries out a reversal opens another position",
        (
            Removal(
                REVERSAL,
                "        if wish.successor is None:\n            wish.successor = _successor",
                "        if True:\n            wish.successor = _successor",
            ),
        ),
        (f"{REVERSED}::test_a_process_that_dies_in_between_is_followed_by_another",),
    ),
    Guard(
        "what follows a close has its time",
        "P11",
        "a trio that was to follow a close at once is opened much later",
        (Removal(RULE, "    if is_overdue:", "    if False:"),),
        (f"{FOLLOWED}::test_past_its_time_or_taken_back_it_never_goes",),
    ),
    Guard(
        "nothing follows a panic",
        "P8",
        "a panic closes a trio, and its reversal opens another",
        (Removal(RULE, "    if first.taken_back:", "    if False:"),),
        (f"{REVERSED}::test_a_person_takes_it_back",),
    ),
    Guard(
        "a trio follows only a close as wished",
        "P8",
        "after a liquidation the other way is opened all the same",
        (
            Removal(
                RULE,
                "    if first.state is not TrioState.CLOSED or first.result not in AS_WISHED:",
                "    if False:",
            ),
        ),
        (f"{FOLLOWED}::test_it_goes_only_after_a_close_as_wished",),
    ),
    Guard(
        "flat by its time",
        "P8",
        "a trio that was to be flat before funding is held through it",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                '    """The moment by which it was to be flat has come."""\n    if trio.flat_ts is not None and',
                '    """The moment by which it was to be flat has come."""\n    if False and trio.flat_ts is not None and',
            ),
        ),
        (
            "tests/unit/orders/domain/test_decide.py::test_a_trio_that_is_to_be_flat_by_a_moment_is_closed_then_and_rests_until_then",
        ),
    ),
)
