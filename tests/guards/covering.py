"""Guards of cover, and of the ways out."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

STORY: Final = "tests/unit/orders/placement/test_guards.py"
DECIDE: Final = "tests/unit/orders/domain/test_guards.py"
UNREADABLE: Final = "tests/unit/orders/placement/test_unreadable.py"
STEPS: Final = "tests/unit/orders/domain/test_decide.py"
HOSTILE: Final = "tests/unit/orders/placement/test_hostile.py"
WAYS_OUT: Final = "tests/unit/orders/placement/test_ways_out.py"
GAPS: Final = "tests/unit/orders/placement/test_uncovered.py"
UNSEEN: Final = f"{GAPS}::test_a_position_that_went_unseen_is_not_counted_after_it_went"
STUCK: Final = f"{WAYS_OUT}::test_a_stop_stuck_at_its_trigger_keeps_the_slot_asks_once_and_is_waited_for_with_growing_pauses"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "cover before everything",
        "P4",
        "a filled entry gets its target, and no stop",
        (
            Removal(
                "orders/domain/decision/decide.py",
                "return cover(trio) if is_uncovered(trio) and not left_unprotected(trio) else hold(trio)",
                "return hold(trio)",
            ),
        ),
        (f"{STEPS}::test_both_legs_go_out_together_on_the_first_fill",),
    ),
    Guard(
        "cover from the position alone",
        "P4",
        "a fill that only the position tells waits for the entry's answer",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if trio.entry_filled > 0 or trio.position > 0:",
                "if trio.entry_filled > 0:",
            ),
        ),
        (f"{STEPS}::test_cover_never_waits_for_the_entrys_answer",),
    ),
    Guard(
        "only an acknowledged stop covers",
        "P4",
        "a stop that may never have arrived counts as cover",
        (
            Removal(
                "orders/domain/coverage.py",
                "or not leg.live or not leg.acknowledged:",
                "or not (leg.live or leg.pending):",
            ),
        ),
        (f"{DECIDE}::test_a_stop_on_its_way_covers_nothing",),
    ),
    Guard(
        "a cancel in flight covers nothing",
        "P4",
        "a stop that is being taken off counts as cover",
        (
            Removal(
                "orders/domain/coverage.py",
                "if leg.cancel in (RequestStatus.IN_FLIGHT, RequestStatus.IN_DOUBT):",
                "if False:",
            ),
        ),
        (f"{STEPS}::test_a_stop_with_a_cancel_in_flight_covers_nothing",),
    ),
    Guard(
        "a stop not shown covers nothing",
        "P4, P6",
        "a stop that the exchange forgot counts as cover for as long as absence takes",
        (Removal("orders/domain/coverage.py", "if leg.look_at is not None and leg.looks > 0:", "if False:"),),
        (f"{DECIDE}::test_a_stop_that_a_due_read_did_not_show_covers_nothing",),
    ),
    Guard(
        "a position that cannot be read holds up no stop",
        "P4",
        "a stop that expired is not replaced, and nothing closed, for as long as positions cannot be read",
        (Removal("orders/domain/decision/cover.py", " or read_in_vain(trio, stop)", ""),),
        (f"{UNREADABLE}::test_a_stop_that_expired_is_placed_anew_although_no_position_can_be_read",),
    ),
    Guard(
        "a position that cannot be read holds up no exit",
        "P4",
        "an exit that was lost is never followed by another, while positions cannot be read",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "if in_doubt and not read_in_vain(trio, newest) else",
                "if in_doubt else",
            ),
        ),
        (
            f"{UNREADABLE}::test_an_exit_that_was_lost_is_followed_by_another_although_no_position_can_be_read",
        ),
    ),
    Guard(
        "a triggered stop covers for the bound at most",
        "P4",
        "a stop stuck at its trigger counts as cover for ever",
        (
            Removal(
                "orders/domain/coverage.py",
                "trio.now_ts - leg.triggered_ts > trio.policies.naked_limit:",
                "False:",
            ),
        ),
        (f"{DECIDE}::test_a_triggered_stop_covers_only_as_long_as_a_fill_may_take",),
    ),
    Guard(
        "the bound leaves the exit its time",
        "P4",
        "a position without cover is given up at the bound itself, and closed after it",
        (
            Removal(
                "orders/domain/decision/conditions.py",
                "uncovered_since_ts(trio) + policies.naked_limit - 500,",
                "uncovered_since_ts(trio) + policies.naked_limit,",
            ),
        ),
        (f"{STEPS}::test_a_stop_that_waits_for_its_window_is_given_up_500_ms_before_the_bound[1500-True]",),
    ),
    Guard(
        "a hedge stop above the position covers nothing",
        "P4",
        "the exchange refuses the stop of a partial fill whole, at its trigger",
        (
            Removal(
                "orders/domain/coverage.py",
                "return open_quantity if open_quantity <= position else ZERO",
                "return open_quantity",
            ),
        ),
        (f"{STEPS}::test_a_hedge_armed_stop_above_the_position_is_joined_by_a_close_position_one",),
    ),
    Guard(
        "a second stop follows one in doubt",
        "P4",
        "a stop that was lost is waited for until its absence is proved",
        (
            Removal(
                "orders/domain/decision/cover.py", "if stop.pending and stop.looks == 0:", "if stop.pending:"
            ),
        ),
        (f"{STEPS}::test_a_stop_in_doubt_is_looked_up_once_then_a_second_stop_is_sent",),
    ),
    Guard(
        "a refused stop is tried in the other form",
        "P4",
        "a position is closed because a stop of one form was in the way",
        (Removal("orders/domain/decision/cover.py", "if Form.CLOSE_POSITION in refused or", "if"),),
        (f"{STEPS}::test_a_stop_refused_after_the_fill_is_tried_once_in_the_other_form",),
    ),
    Guard(
        "refused in both forms is a way out",
        "P3, P4",
        "a position stays that no stop can be had for",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if refused_forms(trio, Role.STOP_LOSS) >= {Form.CLOSE_POSITION, Form.QUANTITY}:",
                "if False:",
            ),
        ),
        (f"{STEPS}::test_a_stop_refused_in_both_forms_rolls_the_trio_back_by_exit",),
    ),
    Guard(
        "a level refused as passed is a way out",
        "P4",
        "a stop the market has passed is sent again and again",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if passed := refused_as_passed(trio):",
                "if passed := None:",
            ),
        ),
        (f"{STEPS}::test_a_level_passed_after_the_fill_means_exit_now",),
    ),
    Guard(
        "a level passed while nothing covers is a way out",
        "P4",
        "a stop is sent for a level the market has left behind",
        (
            Removal(
                "orders/domain/decision/transitions.py", "    if level_passed(trio):\n", "    if False:\n"
            ),
        ),
        (f"{DECIDE}::test_a_level_passed_while_nothing_covers_is_a_reason_to_leave",),
    ),
    Guard(
        "a stop that died at its trigger is a way out",
        "P4",
        "a stop is placed behind a market that has just run through it",
        (
            Removal(
                "orders/domain/decision/transitions.py", "if dead := stop_failed(trio):", "if dead := None:"
            ),
        ),
        (f"{STEPS}::test_a_stop_that_fails_at_its_trigger_exits",),
    ),
    Guard(
        "the deadline",
        "P4",
        "a position that cannot be covered stays open",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if trio.now_ts >= cover_deadline_ts(trio) and stop_attempted(trio):",
                "if False:",
            ),
        ),
        (f"{STEPS}::test_past_the_bound_the_position_is_closed_at_market",),
    ),
    Guard(
        "one attempt is always made",
        "P4",
        "who finds a gap late closes a position that a stop would have covered",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if trio.now_ts >= cover_deadline_ts(trio) and stop_attempted(trio):",
                "if trio.now_ts >= cover_deadline_ts(trio):",
            ),
        ),
        (f"{DECIDE}::test_a_gap_known_for_long_is_still_given_its_one_attempt",),
    ),
    Guard(
        "an order of ours at work has patience",
        "P2, P4",
        "an exit goes out beside a stop that is just filling",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "if leg.state in (LegState.TRIGGERED, LegState.PARTIALLY_FILLED) and over > 0:",
                "if False:",
            ),
        ),
        (f"{STEPS}::test_a_partly_filled_stop_has_patience_to_finish_then_exit_takes_the_rest",),
    ),
    Guard(
        "flat is believed at the second look",
        "P4, P6",
        "a position list that lags has a covered position taken for closed",
        (
            Removal(
                "orders/domain/snapshot.py",
                "            return self.slot.as_of - since >= self.policies.look_again\n",
                "            return True\n",
            ),
        ),
        (f"{STEPS}::test_flat_against_a_known_fill_is_believed_only_at_the_second_look",),
    ),
    Guard(
        "flat just after an event is doubted for longer",
        "P4, P6",
        "a read that lags behind its event ends the cover of a position",
        (
            Removal(
                "orders/placement/ingest.py",
                "lagging = slot.as_of + POSITION_LAG_MS if slot.from_event and not from_event else 0",
                "lagging = 0",
            ),
        ),
        (f"{HOSTILE}::test_a_position_list_that_lags_behind_its_event_is_doubted_for_three_seconds",),
    ),
    Guard(
        "an older position never replaces a newer one",
        "P4, P6",
        "an answer that was long under way hides a position",
        (
            Removal(
                "orders/placement/ingest.py",
                "    if as_of >= slot.as_of:\n        changed",
                "    if True:\n        changed",
            ),
        ),
        (f"{STORY}::test_an_older_position_never_replaces_a_newer_one",),
    ),
    Guard(
        "an end wants a fresh look",
        "P3",
        "a trio ends on a position read before its last fill",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "return trio.slot.as_of < after or not trio.flat_believed",
                "return False",
            ),
        ),
        (f"{STEPS}::test_rolled_back_only_when_flat_and_nothing_of_ours_rests",),
    ),
    Guard(
        "sibling clean-up",
        "P3",
        "a stop stays on the book of a closed trio, and opens a position one day",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "return cleared(trio, tuple(leg for leg in trio.legs if not leg.role.opens))",
                "return None",
            ),
        ),
        (f"{STEPS}::test_a_take_profit_that_filled_closes_the_trio_once_its_stop_is_gone",),
    ),
    Guard(
        "the entry's unfilled part goes with the exit",
        "P3",
        "a position that is being closed grows again",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "    for leg in trio.entries:\n        if leg.live and leg.cancel is RequestStatus.NONE:",
                "    for leg in trio.entries:\n        if False:",
            ),
        ),
        (f"{STEPS}::test_close_wanted_exits_the_whole_slot_and_withdraws_the_rest_of_the_entry",),
    ),
    Guard(
        "cancel never touches cover",
        "P4, P10",
        "cancelling the unfilled part of an entry takes the stop of its filled part off",
        (
            Removal(
                "orders/domain/decision/cover.py",
                "return cleared(trio, trio.rungs) if entry_withdraws(trio) else None",
                "return cleared(trio, trio.legs) if entry_withdraws(trio) else None",
            ),
        ),
        (f"{STEPS}::test_cancel_wanted_withdraws_only_the_rest_and_keeps_cover",),
    ),
    Guard(
        "never opened again",
        "P2, P6",
        "a position that a person closed is covered as if it were there, and never ends",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "return gone and not triggered_leg_at_work(trio)",
                "return False",
            ),
        ),
        (f"{STEPS}::test_a_position_that_a_person_closed_ends_outside_and_is_never_opened_again",),
    ),
    Guard(
        "resized by joining",
        "P4",
        "a hedge target above a partial fill is refused whole at its trigger, or taken off before another rests",
        (
            Removal(
                "orders/domain/decision/cover.py",
                "return None if fits or target.quantity == trio.position else",
                "return None if True else",
            ),
        ),
        (f"{DECIDE}::test_a_hedge_target_above_the_position_is_joined_by_one_that_fits",),
    ),
    Guard(
        "protective requests end before the deadline",
        "P4",
        "a stop that nobody answers is waited for past the bound",
        (Removal("orders/placement/begin.py", "timeout = max(100, min(timeout, left))", "pass"),),
        (f"{STORY}::test_a_protective_request_ends_before_its_deadline",),
    ),
    Guard(
        "protection never queues behind entries",
        "P4",
        "entries that nobody answers take every place a stop needs",
        (Removal("orders/placement/perform.py", "(_entries if slow else _pool)", "(_entries)"),),
        (f"{STORY}::test_what_protects_never_queues_up_behind_entries",),
    ),
    Guard(
        "a refused key ends no protection",
        "P4, P10",
        "a stop is given up because its key was refused for a moment",
        (
            Removal(
                "orders/domain/leg_updates.py",
                "return role.opens or trio in (TrioState.PLACING, TrioState.QUEUED)",
                "return True",
            ),
        ),
        (f"{STORY}::test_a_refused_key_ends_no_protection",),
    ),
    Guard(
        "the holding time",
        "P11",
        "a position outlives the time it was meant for",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if trio.hold_until_ts is not None and trio.now_ts >= trio.hold_until_ts:",
                "if False:",
            ),
        ),
        (f"{WAYS_OUT}::test_a_position_is_closed_when_its_holding_time_is_over",),
    ),
    Guard(
        "a thin book is left at a limit",
        "P4",
        "exits are refused one after the other while the position runs",
        (
            Removal(
                "orders/domain/decision/order_plans.py",
                "    limit = _band_limit(trio)\n",
                "    limit = None\n",
            ),
        ),
        (f"{WAYS_OUT}::test_a_book_too_thin_for_the_market_is_left_at_a_limit_inside_the_band",),
    ),
    Guard(
        "our own targets make way for an exit",
        "P4",
        "a resting reduce-only target uses up what the exit needs",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "    for leg in (*trio.of(Role.TAKE_PROFIT), *trio.of(Role.PART_TARGET)):\n        if leg.live and",
                "    for leg in (*trio.of(Role.TAKE_PROFIT), *trio.of(Role.PART_TARGET)):\n        if not leg.live and",
            ),
        ),
        (f"{WAYS_OUT}::test_targets_that_use_up_the_reduce_only_allowance_go_with_the_next_exit",),
    ),
    Guard(
        "dust stays under its stop",
        "P4, P9",
        "a remainder too small to close is tried again and again, and no person is asked",
        (Removal("orders/domain/decision/unwind.py", "    if not is_dust(trio):\n", "    if True:\n"),),
        (f"{WAYS_OUT}::test_a_remainder_too_small_to_close_stays_under_its_stop_and_a_person_is_asked",),
    ),
    Guard(
        "a stuck leg is put to a person",
        "P4",
        "a trio whose stop hangs at its trigger waits for ever, and nobody knows why the slot is taken",
        (
            Removal(
                "orders/domain/decision/unwind.py",
                "if leg.triggered_ts is None or leg.state is not LegState.TRIGGERED or trio.position > 0:",
                "if True:",
            ),
        ),
        (STUCK,),
    ),
    Guard(
        "a stuck leg is cancelled ever more rarely",
        "P9",
        "a cancel that cannot take effect goes out seven times a second",
        (
            Removal(
                "orders/placement/finish.py",
                "pause = min(pause << min(tries, 10), CANCEL_PAUSE_MAX_MS)",
                "pause = min(pause, tries and CANCEL_PAUSE_MAX_MS)",
            ),
        ),
        (STUCK,),
    ),
    Guard(
        "what did not exist was not uncovered",
        "P4",
        "time is counted as uncovered in which there was no position",
        (
            Removal(
                "orders/placement/finish.py",
                "until_ts=settled.now_ts, gone_ts=gone_ts(settled))",
                "until_ts=settled.now_ts)",
            ),
        ),
        (UNSEEN,),
    ),
    Guard(
        "a slot after the trio's end is not its own",
        "P4",
        "somebody else's position counts as uncovered time of a trio that has ended",
        (
            Removal(
                "orders/placement/finish.py",
                "    if not trio.is_over:  # whatever is in its slot after its end is not its own\n",
                "    if True:\n",
            ),
        ),
        (UNSEEN,),
    ),
    Guard(
        "an open gap is shown up to now",
        "P4",
        "a position that nobody can protect looks as if its gap had ended with the last decision",
        (
            Removal(
                "orders/placement/uncovered.py",
                "if trio.trio_state not in MAY_BE_NAKED:",
                "if True:",
            ),
        ),
        (f"{GAPS}::test_it_grows_while_nobody_decides_and_counts_from_the_exchanges_time_of_the_loss",),
    ),
    Guard(
        "a position that was gone already is named so",
        "P6",
        "a trio that a person closed in silence is reported as one that could not be covered",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if trio.cause not in (Cause.UNCOVERED, Cause.DRIFT) or ours or trio.ours <= 0 or not _gone(trio):",
                "if True:",
            ),
        ),
        (UNSEEN,),
    ),
)
