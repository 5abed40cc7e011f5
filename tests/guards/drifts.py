"""Guards of what is done when somebody acts on the exchange beside us."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DRIFTS: Final = "orders/domain/decision/drifts.py"
POLICY: Final = "orders/domain/drift.py"
STORIES: Final = "tests/unit/orders/placement/test_drift.py"
DECIDED: Final = "tests/unit/orders/domain/test_drift.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "only what is safe can be chosen",
        "P4",
        "a row that somebody wrote by hand has a drift answered in a way that leaves the position without its stop",
        (
            Removal(
                POLICY,
                "            if (said := row.get(drift.field)) and said in drift.responses:",
                "            if said := row.get(drift.field):",
            ),
        ),
        (f"{STORIES}::test_every_drift_has_a_safe_response_first_and_says_what_each_does",),
    ),
    Guard(
        "a choice that a drift does not have is refused",
        "P4",
        "a script chooses to leave a cancelled stop cancelled, and reads nothing that says no",
        (
            Removal(
                "orders/drift.py", "    if response and response not in drift.responses:", "    if False:"
            ),
        ),
        (f"{STORIES}::test_what_is_not_safe_cannot_be_chosen",),
    ),
    Guard(
        "a stop that we took back was not cancelled by somebody else",
        "P3",
        "a policy that closes when somebody cancels the stop closes a trio whose own cancel was answered late",
        (
            Removal(
                DRIFTS,
                "last.state is LegState.CANCELLED and not last.cancel_at",
                "last.state is LegState.CANCELLED",
            ),
        ),
        (f"{DECIDED}::test_a_stop_that_we_took_back_is_nobodys_cancel",),
    ),
    Guard(
        "a stop that is on its way stands against a close",
        "P3",
        "a policy closes a position whose next stop is being placed or rests already",
        (
            Removal(
                DRIFTS,
                "leg.live or leg.pending or leg.state is LegState.PLANNED for leg in stops",
                "False for leg in stops",
            ),
        ),
        (f"{DECIDED}::test_a_stop_that_rests_or_is_on_its_way_speaks_against_a_cancel",),
    ),
    Guard(
        "less than ours is believed when nothing of ours can have done it",
        "P3",
        "a part target executes, the position is reported before its fill, and a policy closes what is left",
        (
            Removal(
                DRIFTS,
                "    if any(_may_have_executed(leg) for leg in trio.legs if not leg.role.opens):",
                "    if False:",
            ),
        ),
        (f"{DECIDED}::test_less_than_ours_is_believed_when_nothing_of_ours_can_have_done_it",),
    ),
    Guard(
        "less than ours is believed late",
        "P3",
        "a fill is reported a moment after the position that it left, and a policy closes what is left",
        (
            Removal(
                DRIFTS,
                "    over = slot.as_of + SETTLED_MS - trio.now_ts\n    return Rest(trio.now + over) if over > 0 else None",
                "    return None",
            ),
        ),
        (f"{DECIDED}::test_less_than_ours_is_believed_late",),
    ),
    Guard(
        "what a person answered is not closed by a policy",
        "P8",
        "a person leaves a larger position as it is, and a policy that is chosen later closes it",
        (
            Removal(
                DRIFTS,
                "    return any(question.same_as(known) for known in trio.answered)",
                "    return False",
            ),
        ),
        (f"{STORIES}::test_what_a_person_answered_is_not_closed_by_a_later_policy",),
    ),
    Guard(
        "left unprotected for the stated time alone",
        "P4",
        "a trio that a person left unprotected for half an hour is left so for good",
        (
            Removal(
                DRIFTS,
                "until is not None and trio.now < until and trio.state",
                "until is not None and trio.state",
            ),
        ),
        (f"{DECIDED}::test_what_a_person_left_unprotected_is_protected_the_moment_the_time_is_over",),
    ),
    Guard(
        "only a stop that somebody cancelled stays away",
        "P4",
        "the exchange forgets the stop of a trio that may be left unprotected, and nothing takes its place",
        (
            Removal(
                DRIFTS,
                "    return stands and stop_cancelled_outside(trio)",
                "    return stands",
            ),
        ),
        (f"{DECIDED}::test_a_stop_that_goes_in_another_way_is_placed_again_at_once",),
    ),
    Guard(
        "a gap that was wanted counts from its end",
        "P3",
        "the stop that goes out at the end of the stated time has no time to be acknowledged, and the position is closed",
        (
            Removal(
                DRIFTS,
                "    if (known is None or wanted) and is_uncovered(trio):",
                "    if known is None and is_uncovered(trio):",
            ),
        ),
        (f"{DECIDED}::test_what_a_person_left_unprotected_is_protected_the_moment_the_time_is_over",),
    ),
    Guard(
        "leaving unprotected is typed",
        "P10",
        "a click, or a script with a wrong number, leaves a trio without its stop",
        (
            Removal(
                "orders/drift.py",
                "    if typed.strip().lower() != unprotected_words(trio_id):",
                "    if False:",
            ),
        ),
        (
            "tests/unit/orders/placement/test_unprotected.py::test_only_a_person_who_types_it_for_at_most_a_day_leaves_it_unprotected",
        ),
    ),
    Guard(
        "a reversed position is adopted once",
        "P2",
        "two processes answer for the policy, and the question stays or a second trio is made",
        (
            Removal(
                "orders/drift.py",
                "            question_over(trio, at=now, answered=True)\n",
                "",
            ),
        ),
        (f"{STORIES}::test_a_reversed_position_is_adopted_by_the_policy",),
    ),
    Guard(
        "what a change in doubt has filled is nobody else's",
        "P6",
        "an entry fills to a quantity whose answer was lost, and the drift policy closes its own position",
        (
            Removal(
                "orders/domain/decision/conditions.py",
                "most_of(trio, leg) - leg.filled",
                "leg.quantity - leg.filled",
            ),
        ),
        (f"{DECIDED}::test_what_a_change_of_the_entry_in_doubt_may_have_filled_is_nobody_elses",),
    ),
)
