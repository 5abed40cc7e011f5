"""Guards of entry ladders."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

DECIDED: Final = "tests/unit/orders/domain/test_ladder.py"
PLACED: Final = "tests/unit/orders/placement/test_ladder.py"
CONDITIONS: Final = "orders/domain/decision/conditions.py"
RUNGS: Final = "orders/domain/decision/rungs.py"
TRANSITIONS: Final = "orders/domain/decision/transitions.py"
COVER: Final = "orders/domain/decision/cover.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a rung has an id of its own place",
        "P2",
        "two rungs go out under one id, or one rung under two",
        (
            Removal(
                "orders/domain/decision/order_plans.py",
                "client_id=client_ids.client_id(trio.stem, Role.RUNG, number),",
                "client_id=client_id(trio, Role.RUNG),",
            ),
        ),
        (f"{DECIDED}::test_all_rungs_go_out_together_each_under_its_own_id",),
    ),
    Guard(
        "only the rungs that never reached the book go out again",
        "P2",
        "a rung that rests is sent a second time beside one that was throttled",
        (
            Removal(
                "orders/domain/decision/order_plans.py",
                "if leg is None or (leg.state is LegState.PLANNED and not (now and must_wait(trio, leg))):",
                "if True:",
            ),
        ),
        (f"{DECIDED}::test_what_of_it_never_reached_the_book_goes_out_again_alone",),
    ),
    Guard(
        "a ladder stands whole or is taken back",
        "P3",
        "one rung is refused, and the others rest as a trio that nobody asked for",
        (
            Removal(
                TRANSITIONS,
                "return next((leg for leg in trio.rungs if leg.state is LegState.REJECTED), None)",
                "return trio.entry if trio.entry is not None and trio.entry.state is LegState.REJECTED else None",
            ),
        ),
        (f"{DECIDED}::test_a_rung_that_is_not_there_takes_the_others_back",),
    ),
    Guard(
        "what fills while a ladder is taken back stays",
        "P4",
        "a rung that fills is sold at once, at a loss, because another one was refused",
        (
            Removal(
                TRANSITIONS,
                "return Implied(Transition.WITHDRAW if trio.spec.rungs else Transition.LEG_REFUSED, cause, reason)",
                "return Implied(Transition.LEG_REFUSED, cause, reason)",
            ),
        ),
        (f"{DECIDED}::test_a_rung_that_is_not_there_takes_the_others_back",),
    ),
    Guard(
        "a ladder waits for the fate of every rung",
        "P3",
        "a trio counts as placed while one of its rungs is in doubt",
        (Removal(TRANSITIONS, " and not any(leg.pending for leg in rungs):", ":"),),
        (f"{DECIDED}::test_it_rests_once_every_rung_does",),
    ),
    Guard(
        "one rung that is gone does not end the others",
        "P3",
        "a person cancels one rung in the app, and the whole ladder is taken back",
        (
            Removal(
                TRANSITIONS,
                "if not trio.rungs or not all(leg.state.is_final for leg in trio.rungs):",
                "if not trio.rungs:",
            ),
        ),
        (f"{DECIDED}::test_one_that_rested_and_is_gone_leaves_the_others",),
    ),
    Guard(
        "rungs in doubt are looked up beside a position",
        "P2",
        "a rung whose answer was lost stays in doubt once another one has filled",
        (
            Removal(
                COVER,
                "    return soonest(awaited(trio, leg) for leg in trio.rungs if leg.pending)\n\n\ndef rungs_sent_again",
                "    return None\n\n\ndef rungs_sent_again",
            ),
        ),
        (f"{DECIDED}::test_every_rung_in_doubt_is_looked_up_beside_a_position",),
    ),
    Guard(
        "a rung is not sent long after it was meant",
        "P11",
        "a rung that was throttled goes out minutes later, at a price of then",
        (
            Removal(
                RUNGS,
                "if not trio.spec.rungs or over or trio.refusal or entry_withdraws(trio):",
                "if not trio.spec.rungs or trio.refusal or entry_withdraws(trio):",
            ),
        ),
        (f"{DECIDED}::test_a_rung_never_sent_has_ended_at_its_time",),
    ),
    Guard(
        "a rung asks for new risk once more",
        "P8",
        "a rung that was throttled goes out although a switch forbids new risk meanwhile",
        (
            Removal(
                RUNGS,
                "if not trio.spec.rungs or over or trio.refusal or entry_withdraws(trio):",
                "if not trio.spec.rungs or over or entry_withdraws(trio):",
            ),
        ),
        (f"{DECIDED}::test_a_rung_that_never_reached_the_book_goes_beside_a_position_until_its_time",),
    ),
    Guard(
        "no rung opens anything after profit was taken",
        "P8",
        "the price falls back after a part target, and the ladder buys again under a stop that followed it",
        (
            Removal(
                RUNGS,
                "return trio.cause is not None or any(leg.executed for leg in trio.every(Role.PART_TARGET))",
                "return trio.cause is not None",
            ),
        ),
        (f"{DECIDED}::test_a_part_target_that_has_executed_ends_the_ladder",),
    ),
    Guard(
        "all rungs are withdrawn",
        "P3",
        "a cancelled trio keeps a rung on the book, which fills later",
        (
            Removal(
                COVER,
                "return cleared(trio, trio.rungs) if entry_withdraws(trio) else None",
                "return cleared(trio, trio.rungs[:1]) if entry_withdraws(trio) else None",
            ),
        ),
        (f"{DECIDED}::test_a_part_target_that_has_executed_ends_the_ladder",),
    ),
    Guard(
        "flat is verified after the last rung",
        "P3",
        "a rung that filled while the position went is left behind when the trio ends",
        (
            Removal(
                "orders/domain/enums.py",
                "OPENING: Final = (Role.ENTRY, Role.ADD, Role.RUNG)",
                "OPENING: Final = (Role.ENTRY, Role.ADD)",
            ),
        ),
        (f"{DECIDED}::test_after_the_stop_nothing_rests_that_could_open_again",),
    ),
    Guard(
        "a stop is asked for all that rungs may bring",
        "P4",
        "a stop at another level stands for the first rung alone while others rest",
        (
            Removal(
                "orders/domain/decision/amendments.py",
                "return sum((most_of(trio, leg) for leg in sent), ZERO)",
                "return most_of(trio, trio.entry)",
            ),
        ),
        (f"{DECIDED}::test_what_may_still_come_is_all_that_rests",),
    ),
    Guard(
        "what rungs fill is nobody else's",
        "P6",
        "a second rung that fills is taken for a position that a person made larger",
        (
            Removal(
                CONDITIONS,
                "(most_of(trio, leg) - leg.filled for leg in sent if not leg.state.is_final), Decimal(0)",
                "(most_of(trio, leg) - leg.filled for leg in sent[:1] if not leg.state.is_final), Decimal(0)",
            ),
        ),
        (f"{DECIDED}::test_a_position_that_rungs_can_have_made_is_nobody_elses",),
    ),
    Guard(
        "a rung too small is refused before anything is sent",
        "P3",
        "the exchange takes the large rungs and refuses the small one",
        (
            Removal(
                "orders/domain/ladder.py",
                "if quantity < (smallest := smallest_rung(rung, rules)):",
                "if (smallest := smallest_rung(rung, rules)) < 0:",
            ),
        ),
        (f"{DECIDED}::test_a_rung_too_small_is_named_with_the_least_quantity_that_would_do",),
    ),
    Guard(
        "limits take each rung at its own price",
        "P8",
        "a short ladder is worth more than its first rung says, and passes a limit that it breaks",
        (
            Removal(
                "orders/domain/limits.py",
                "if self.worst is not None:",
                "if False:",
            ),
        ),
        (f"{DECIDED}::test_a_ladders_worth_is_that_of_its_rungs",),
    ),
    Guard(
        "a ladder is left out of files",
        "P2",
        "a ladder is exported as one order for all of it at its first price, and placed so when the file is read",
        (Removal("signals/files.py", "TrioOrder.objects.filter(rungs=[])", "TrioOrder.objects"),),
        (
            "tests/unit/signals/test_files.py"
            "::test_a_ladder_is_left_out_of_a_file_which_has_no_columns_for_its_rungs",
        ),
    ),
    Guard(
        "resting rungs are watched by price",
        "P4",
        "a fill of a rung that a silent stream hides is not known before the next sweep",
        (
            Removal(
                "worker/price_levels.py",
                "AND leg.role IN ('ENTRY', 'RUNG', 'STOP_LOSS',",
                "AND leg.role IN ('ENTRY', 'STOP_LOSS',",
            ),
        ),
        (f"{PLACED}::test_what_a_silent_stream_hides_of_a_rung_is_found_by_its_price",),
    ),
    Guard(
        "what a ladder holds counts for others at its own prices",
        "P8",
        "a short ladder that rests is counted at its first price, so that others open more than is allowed",
        (
            Removal(
                "orders/limits.py",
                "            WHEN trio.rungs <> '[]' THEN (",
                "            WHEN false THEN (",
            ),
        ),
        (f"{PLACED}::test_what_a_resting_ladder_holds_counts_for_the_next_trio",),
    ),
    Guard(
        "a resting rung is read while another is still to be placed",
        "P4",
        "a rung fills unheard while another one is in doubt, and nothing covers it before the next sweep",
        (
            Removal(
                "orders/domain/decision/place.py",
                "        awaited(trio, leg) if leg.pending else look_up_if_due(trio, leg)\n        for leg in trio.rungs\n",
                "        awaited(trio, leg) if leg.pending else None\n        for leg in trio.rungs\n",
            ),
        ),
        (f"{DECIDED}::test_a_rung_whose_price_was_reached_is_read_while_another_is_still_to_be_placed",),
    ),
    Guard(
        "a resting rung is read before another one goes out",
        "P4",
        "a rung that is refused as busy again and again keeps another one's fill from being read",
        (
            Removal(
                "orders/domain/decision/place.py", "    rungs_read,\n    entry_is_out,", "    entry_is_out,"
            ),
        ),
        (f"{DECIDED}::test_a_rung_whose_price_was_reached_is_read_while_another_is_still_to_be_placed",),
    ),
    Guard(
        "of a late rung only what it filled is closed",
        "P3",
        "what a person closed of a ladder is sold once more, out of a position that is somebody else's",
        (
            Removal(
                CONDITIONS,
                "min(trio.ours, late - sum((leg.filled for leg in exits), Decimal(0)))",
                "trio.ours if late else Decimal(0)",
            ),
        ),
        (f"{DECIDED}::test_only_what_a_late_rung_filled_is_closed_whatever_became_of_the_others",),
    ),
    Guard(
        "what was known at the end is not late",
        "P3",
        "a rung that came back while its trio was open is sold after the end, out of somebody else's position",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "    return tuple(replace(leg, settled=filled.get(leg.client_id, ZERO)) for leg in legs)",
                "    return legs",
            ),
        ),
        (f"{PLACED}::test_a_rung_that_came_back_while_its_trio_lived_opens_nothing_after_the_end",),
    ),
    Guard(
        "no rung goes out while a position is left unprotected",
        "P4",
        "a rung fills while a person has the position without a stop",
        (
            Removal(
                COVER,
                "    if left_unprotected(trio):\n        return Rest(",
                "    if False:\n        return Rest(",
            ),
        ),
        (f"{DECIDED}::test_no_rung_goes_out_while_a_person_has_the_position_left_unprotected",),
    ),
    Guard(
        "each order that turns up late gets an exit of its own",
        "P4",
        "a second rung turns up late, and the exit of the first one is taken for its own: nobody closes it",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "    if trio.ended_at is not None and exit_order.submitted_at < trio.ended_at:\n",
                "    if False:\n",
            ),
        ),
        (f"{DECIDED}::test_each_order_that_turns_up_late_gets_an_exit_of_its_own",),
    ),
)
