"""Guards about outcomes nobody knows: what may go out again, and when absence is believed."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

STORY: Final = "tests/unit/orders/placement/test_guards.py"
DECIDE: Final = "tests/unit/orders/domain/test_guards.py"
STEPS: Final = "tests/unit/orders/domain/test_decide.py"
PLACEMENT: Final = "tests/unit/orders/placement/test_placement.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "unknown is not refused",
        "P2, P4",
        "an entry whose answer got lost is given up, fills, and is covered by nobody",
        (
            Removal(
                "orders/placement/perform.py",
                "return Verdict.REFUSED if isinstance(error, OrderRejected) else Verdict.UNKNOWN",
                "return Verdict.REFUSED",
            ),
        ),
        (f"{PLACEMENT}::test_an_entry_whose_answer_got_lost_is_found_and_covered[ONE_WAY-ON_FIRST_FILL]",),
    ),
    Guard(
        "patience",
        "P2, P9",
        "a request that was just sent is looked up before its answer can be there",
        (
            Removal(
                "orders/domain/decision/lookups.py",
                "else leg.submitted_at + trio.policies.patience",
                "else leg.submitted_at",
            ),
        ),
        (f"{STEPS}::test_an_entry_in_doubt_is_looked_up_after_patience_then_each_second",),
    ),
    Guard(
        "no resend of an absent entry",
        "P2",
        "an entry that was only slow executes twice",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "state=LegState.WRITTEN_OFF, ended_ts=at",
                "state=LegState.PLANNED, ended_ts=at",
            ),
        ),
        (
            f"{PLACEMENT}::test_an_entry_that_never_arrived_is_proved_absent_and_never_sent_again[ONE_WAY-ON_FIRST_FILL]",
        ),
    ),
    Guard(
        "an absent entry rolls back",
        "P3",
        "armed legs stay on the book of a trio without an entry",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "lost = next((leg for leg in trio.rungs if leg.state is LegState.WRITTEN_OFF), None)",
                "lost = None if trio.rungs else trio.entry",
            ),
        ),
        (f"{STEPS}::test_an_entry_found_absent_is_never_sent_again",),
    ),
    Guard(
        "the absence margin",
        "P2",
        "a request that lingers inside the exchange executes after its absence was concluded",
        (
            Removal(
                "orders/placement/finish.py", "    margin = settings.ABSENCE_MARGIN_MS\n", "    margin = 0\n"
            ),
        ),
        (f"{STORY}::test_a_lost_target_is_believed_absent_only_past_its_window_and_the_margin",),
    ),
    Guard(
        "the window before the margin",
        "P2",
        "absence is concluded while the exchange may still accept the request",
        (
            Removal(
                "orders/placement/finish.py",
                "newest.timestamp + newest.recv_window + margin",
                "newest.timestamp + margin",
            ),
        ),
        (f"{STORY}::test_a_lost_target_is_believed_absent_only_past_its_window_and_the_margin",),
    ),
    Guard(
        "the margin after the last sign of life",
        "P2, P6",
        "an order that rests is written off because one look-up lagged",
        (Removal("orders/placement/finish.py", "(leg.seen_ts or 0) + margin", "(leg.seen_ts or 0)"),),
        (f"{STORY}::test_an_acknowledged_stop_is_not_written_off_on_one_look",),
    ),
    Guard(
        "the second witness",
        "P2, P3",
        "an entry that filled is written off because look-ups by id do not show it",
        (
            Removal(
                "orders/placement/perform.py",
                "if view is not None or call.witness_since is None:",
                "if True:",
            ),
            Removal(
                "orders/placement/finish.py",
                "return not Role(leg.role).opens or answer.witnessed",
                "return True",
            ),
        ),
        (f"{STORY}::test_an_entry_that_look_ups_by_id_do_not_show_is_found_in_the_history",),
    ),
    Guard(
        "a refused clock is measured",
        "P4, P5",
        "every request is refused until the next sweep renews the clock",
        (
            Removal(
                "orders/placement/service.py",
                "if any(known.clock_refused for known in answers):",
                "if False:",
            ),
        ),
        (f"{STORY}::test_a_refused_clock_is_measured_before_the_next_request",),
    ),
    Guard(
        "no end while a request is in flight",
        "P2, P3",
        "a trio ends, and an order of it executes afterwards",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "return leg.pending or leg.live or",
                "return leg.live or",
            ),
        ),
        (f"{STEPS}::test_no_end_while_a_request_that_places_is_in_doubt",),
    ),
    Guard(
        "an exit in flight is waited for",
        "P2, P4",
        "exits are sent one after the other without waiting for any",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "in_flight = newest.pending and newest.submit is RequestStatus.IN_FLIGHT",
                "in_flight = False",
            ),
        ),
        (f"{DECIDE}::test_an_exit_in_flight_is_not_sent_again_whatever_the_position_says",),
    ),
    Guard(
        "an exit in doubt is judged by the position",
        "P2, P3",
        "an exit that may have executed is sent again without looking",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "in_doubt = newest.pending and trio.slot.as_of <= newest.submitted_ts",
                "in_doubt = False",
            ),
        ),
        (f"{STEPS}::test_an_exit_in_doubt_is_judged_by_the_position",),
    ),
    Guard(
        "exits only reduce",
        "P2, P3",
        "an exit sent twice opens a position on the other side",
        (
            Removal(
                "orders/domain/decision/order_plans.py",
                "reduce_only=spec.mode is PositionMode.ONE_WAY,\n    )\n    return Plan(Role.EXIT",
                "reduce_only=False,\n    )\n    return Plan(Role.EXIT",
            ),
        ),
        (f"{STEPS}::test_a_stop_refused_in_both_forms_rolls_the_trio_back_by_exit",),
    ),
    Guard(
        "orders that turn up late are tidied",
        "P3, P6",
        "an order that was written off fills, and nobody minds the position",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if any(late_leg_matters(trio, leg) for leg in trio.legs):",
                "if False:",
            ),
        ),
        (f"{STEPS}::test_a_written_off_entry_that_filled_after_all_is_taken_off_once",),
    ),
    Guard(
        "a late exit is resolved, never resent",
        "P2",
        "what turned up late is taken off twice",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "return soonest(awaited(trio, leg) for leg in trio.legs if leg.pending)",
                "return None",
            ),
        ),
        (f"{STEPS}::test_a_written_off_entry_that_filled_after_all_is_taken_off_once",),
    ),
    Guard(
        "written-off ids are watched for a day",
        "P6",
        "an entry believed absent fills in secret and is never found",
        (
            Removal(
                "worker/sweep.py", "        woken |= set(_written_off_orders(account, exchange, at=at))\n", ""
            ),
        ),
        (
            "tests/unit/worker/test_sweep.py::test_a_written_off_entry_that_filled_in_secret_is_found_and_taken_off",
        ),
    ),
    Guard(
        "what was acknowledged is cancelled by id",
        "P3",
        "a look-up that is wrong leaves an order resting after the trio's end",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "return leg.pending or leg.live or (leg.acknowledged and leg.state is LegState.WRITTEN_OFF)",
                "return leg.pending or leg.live",
            ),
        ),
        (
            "tests/unit/orders/domain/test_counterexamples.py"
            "::test_a_resting_entry_proved_gone_does_not_leave_its_trio_working_for_ever",
        ),
    ),
    Guard(
        "a finished order is read, not guessed",
        "P4, P6",
        "a trigger is taken for a failure, or for a fill",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "return (LegState.REJECTED, False) if certain else (LegState.TRIGGERED, True)",
                "return LegState.REJECTED, False",
            ),
        ),
        (f"{DECIDE}::test_a_finished_order_is_neither_filled_nor_failed_until_its_child_is_read",),
    ),
    Guard(
        "no order moves back",
        "P2, P6",
        "an event that arrives late brings a filled order back to life",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "state = shown if came_back or _outranks(shown, leg.state) else leg.state",
                "state = shown",
            ),
        ),
        (f"{DECIDE}::test_a_late_event_moves_no_order_back_and_takes_no_fill_away",),
    ),
    Guard(
        "fills only grow",
        "P4, P6",
        "an event that arrives late takes a known fill away",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "filled=max(leg.filled, view.executed),",
                "filled=view.executed,",
            ),
        ),
        (f"{DECIDE}::test_a_late_event_moves_no_order_back_and_takes_no_fill_away",),
    ),
    Guard(
        "an order that comes back is late",
        "P3, P6",
        "a written-off order that turns up is taken for one that ended",
        (Removal("orders/domain/leg_updates.py", "late=leg.late or came_back,", "late=leg.late,"),),
        (f"{DECIDE}::test_an_order_written_off_that_turns_up_is_late",),
    ),
)
