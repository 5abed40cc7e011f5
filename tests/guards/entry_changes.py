"""Guards of an entry that is changed while it rests, and of levels that move before it has ended."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_entry_changes.py"
MOVES_DECIDED: Final = "tests/unit/orders/domain/test_moves.py"
CHANGED: Final = "tests/unit/orders/placement/test_change_entry.py"
AMENDMENTS: Final = "orders/domain/decision/amendments.py"
CHANGES: Final = "orders/domain/decision/entry_changes.py"
MOVES: Final = "orders/domain/decision/moves.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a stop stands before more may fill",
        "P4",
        "an entry is made larger, and what fills more is covered by nothing",
        (
            Removal(
                CHANGES,
                "waits = _held_back(trio, change) or _stop_ready(trio, change)",
                "waits = _held_back(trio, change)",
            ),
        ),
        (
            f"{DECIDED}::test_a_larger_entry_goes_out_after_its_stop_is_acknowledged",
            f"{DECIDED}::test_what_fills_already_is_covered_by_a_stop_that_grows_before_more_may_fill",
        ),
    ),
    Guard(
        "a change in doubt is read back",
        "P2",
        "a change whose answer was lost is sent a second time",
        (
            Removal(
                AMENDMENTS,
                "return not (entry.looks == 0 and (entry.looked_ts or 0) > asked.certain_ts)",
                "return False",
            ),
        ),
        (f"{DECIDED}::test_a_request_in_doubt_is_read_back_and_not_repeated",),
    ),
    Guard(
        "a change is sent again only when it is certain",
        "P2",
        "a look-up before the end of its window counts as proof, and the request executes after it",
        (Removal(AMENDMENTS, "> asked.certain_ts", "> asked.asked_ts"),),
        (f"{DECIDED}::test_only_what_certainly_was_not_executed_goes_out_again",),
    ),
    Guard(
        "no stop leaves while a change is open",
        "P4",
        "the stop for the larger entry is taken back although the change executes after all",
        (
            Removal(
                CHANGES,
                "if trio.change is not None or trio.moves or amend_open(trio.entry):",
                "if trio.moves:",
            ),
        ),
        (f"{DECIDED}::test_a_stop_never_leaves_while_the_fate_of_the_request_is_open",),
    ),
    Guard(
        "a stop refused for a wish says nothing of the position",
        "P3",
        "a stop that was refused for a larger entry closes the position at market when it fills later",
        (
            Removal(
                "orders/domain/snapshot.py",
                "return leg.trigger_price == self.level(leg.role) and not refused",
                "return leg.trigger_price == self.level(leg.role)",
            ),
        ),
        (
            f"{DECIDED}::test_a_refused_stop_for_the_larger_entry_ends_the_wish_and_says_nothing_of_the_other_stop",
        ),
    ),
    Guard(
        "limits of a change are checked in begin",
        "P8",
        "a limit that came after the wish is passed over, and the larger entry goes",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "        elif change is not None and slot.placeable:\n",
                "        elif False and change is not None:\n",
            ),
        ),
        (f"{CHANGED}::test_a_limit_refuses_with_rule_value_and_limit_when_asked_and_again_when_it_is_sent",),
    ),
    Guard(
        "a larger entry under way counts",
        "P8",
        "two that grow at once each find the limit free, and exceed it together",
        (
            Removal(
                "orders/limits.py",
                "sum(greatest(trio.amending_notional, trio.quantity * CASE",
                "sum(greatest(0, trio.quantity * CASE",
            ),
        ),
        (f"{CHANGED}::test_while_its_fate_is_open_the_larger_entry_counts_against_the_limit",),
    ),
    Guard(
        "more of an entry is new risk",
        "P8",
        "an entry is made larger on an account that may open nothing",
        (
            Removal(
                "orders/services.py",
                "    new_risk_check(seen, risk_gates.new_risk_refusal(trio) or dry_run)\n",
                "",
            ),
        ),
        (f"{CHANGED}::test_more_is_new_risk_and_less_at_the_same_price_always_passes",),
    ),
    Guard(
        "no bridge while the entry fills",
        "P4",
        "a stop is moved over a bridge that the exchange cut to the position, and what fills meanwhile is covered by nothing",
        (Removal(MOVES, "    return rests(trio) and bool(_whole(trio, role))\n", "    return False\n"),),
        (f"{MOVES_DECIDED}::test_while_the_entry_fills_a_stop_for_the_whole_position_is_not_bridged",),
    ),
    Guard(
        "an old stop leaves when all that may fill is covered",
        "P4",
        "the old stop is cancelled under one that is too small for what still fills",
        (
            Removal(
                MOVES,
                "return now and would_cover(trio, legs, position_to_come(trio))",
                "return now",
            ),
        ),
        (
            f"{MOVES_DECIDED}::test_an_old_stop_stays_until_all_that_may_still_fill_is_covered_and_what_is_missing_joins",
        ),
    ),
    Guard(
        "a stop that waits moves with the whole quantity",
        "P4",
        "the stop at the new level is for what has filled, which is nothing",
        (
            Removal(
                MOVES,
                "return trio.position if role is Role.TAKE_PROFIT else position_to_come(trio)",
                "return trio.position",
            ),
        ),
        (f"{MOVES_DECIDED}::test_a_stop_that_waits_for_the_entry_is_followed_in_its_own_form",),
    ),
)
