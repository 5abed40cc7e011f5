"""Guards of placing: what must be so before anything new is sent, and how it is taken back."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

STORY: Final = "tests/unit/orders/placement/test_guards.py"
DECIDE: Final = "tests/unit/orders/domain/test_guards.py"
STEPS: Final = "tests/unit/orders/domain/test_decide.py"
PROMISES: Final = "tests/unit/orders/placement/test_promises.py"
SETS: Final = "tests/unit/orders/queueing/test_sets.py"
CHECK: Final = "orders/queueing/check.py"
QUEUE: Final = "orders/queueing/queue.py"

OVERDUE: Final = "if trio.place_before is not None and trio.now >= trio.place_before:\n"
QUEUED_TOO_LONG: Final = Removal(
    "orders/domain/decision/transitions.py",
    f"    {OVERDUE}        why",
    "    if trio.place_before is None:\n        why",
)
ARMED_TOO_LONG: Final = Removal(
    "orders/domain/decision/transitions.py",
    f"if _entry_unsent(trio) and {OVERDUE.removeprefix('if ')}",
    "if False:\n",
)

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "the entry waits for its armed legs",
        "P3, P4",
        "an entry fills before its stop was accepted",
        (
            Removal(
                "orders/domain/decision/place.py",
                "return awaited(trio, leg) if leg.pending else None",
                "return None",
            ),
        ),
        (f"{STEPS}::test_the_entry_waits_for_a_leg_in_flight",),
    ),
    Guard(
        "a refused armed leg rolls back",
        "P3",
        "the entry goes out although its stop was refused",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if refused := armed_leg_refused(trio):",
                "if (refused := armed_leg_refused(trio)) and False:",
            ),
        ),
        (f"{STEPS}::test_a_refused_armed_stop_rolls_back_and_takes_the_other_leg_off",),
    ),
    Guard(
        "an armed stop that is gone withdraws the entry",
        "P4",
        "a resting entry fills with nothing under it",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if gone := armed_stop_gone(trio):",
                "if gone := None:",
            ),
        ),
        (f"{DECIDE}::test_a_resting_entry_whose_armed_stop_is_gone_is_withdrawn",),
    ),
    Guard(
        "an armed level that is passed withdraws the entry",
        "P4",
        "a resting entry fills below its own stop",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "    if armed_level_passed(trio):\n",
                "    if False:\n",
            ),
        ),
        (f"{DECIDE}::test_a_resting_entry_whose_stop_level_the_market_has_passed_is_withdrawn",),
    ),
    Guard(
        "the entry is taken back before its stop",
        "P4",
        "an entry that is being withdrawn fills after its stop was cancelled",
        (
            Removal(
                "orders/domain/decision/place.py",
                "return cleared(trio, trio.entries)",
                "return cleared(trio, trio.protective_legs)",
            ),
        ),
        (f"{STEPS}::test_cancel_wanted_before_a_fill_takes_the_entry_back_before_its_stop",),
    ),
    Guard(
        "armed legs only reduce",
        "P3",
        "a stop that triggers while the slot is flat opens a position",
        (
            Removal(
                "orders/domain/decision/order_plans.py",
                "reduce_only=not closing and spec.mode is PositionMode.ONE_WAY,",
                "reduce_only=False,",
            ),
        ),
        (f"{STEPS}::test_pre_armed_market_sends_both_legs_before_the_entry",),
    ),
    Guard(
        "room for the legs before an entry",
        "P4",
        "an entry fills whose stop the exchange does not take: the account's conditional orders are used up",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "    if _ready(trio) and (trouble := _legs_trouble(trio)):\n",
                "    if (trouble := _legs_trouble(trio)) and False:\n",
            ),
        ),
        (
            f"{STEPS}::test_a_trio_whose_legs_would_not_fit_is_refused",
            f"{STORY}::test_room_is_kept_for_the_legs_of_trios_that_live_or_were_queued_before",
        ),
    ),
    Guard(
        "no live runworker, no new risk",
        "P4",
        "a trio is placed that nobody would watch",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "return not trio.dry_run and trio.worker_alive and trio.slot.placeable",
                "return not trio.dry_run and trio.slot.placeable",
            ),
            Removal(
                "orders/placement/snapshot_loader.py",
                'why = "" if alive else risk_gates.NO_WORKER',
                'why = ""',
            ),
        ),
        (f"{PROMISES}::test_without_a_live_worker_nothing_is_queued_and_nothing_begins",),
    ),
    Guard(
        "asked again before the entry",
        "P4",
        "the last runworker died while the legs were armed, and the entry goes all the same",
        (
            Removal(
                "orders/domain/decision/place.py",
                "if trio.worker_alive and trio.slot.placeable:",
                "if True:",
            ),
        ),
        (f"{STEPS}::test_armed_legs_wait_for_the_worker_too_and_are_withdrawn_at_the_deadline",),
    ),
    Guard(
        "a position read lately",
        "P6",
        "placing trusts a position read long ago",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "if not why and now_ts - as_of > _book_age_max(watch, rules):",
                "if False:",
            ),
        ),
        (f"{STORY}::test_nothing_begins_on_a_position_that_may_be_wrong[old_position]",),
    ),
    Guard(
        "a living watch",
        "P4, P6",
        "placing begins on an account whose watcher fell silent",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "if watch is None or watch.beat is None or now - watch.beat > takeover:",
                "if watch is None or watch.beat is None:",
            ),
        ),
        (f"{STORY}::test_nothing_begins_on_a_position_that_may_be_wrong[no_watch]",),
    ),
    Guard(
        "an unbroken stream",
        "P4, P6",
        "an entry is sent whose fill no event would tell",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "    if watch.stream_since is None:\n",
                '    if watch.stream_since is None:\n        return ""\n    if False:\n',
            ),
        ),
        (f"{STORY}::test_nothing_begins_on_a_position_that_may_be_wrong[no_stream]",),
    ),
    Guard(
        "swept since the stream connected",
        "P6",
        "what changed while nobody listened is not known when the entry goes",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "if watch.swept_at is None or watch.swept_at < watch.stream_since:",
                "if watch.swept_at is None:",
            ),
        ),
        (f"{STORY}::test_nothing_begins_on_a_position_that_may_be_wrong[not_read_since]",),
    ),
    Guard(
        "a slot that holds a stranger's is refused",
        "P3, P6",
        "a person's own position is covered and exited as if it were ours",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if _ready(trio) and (trouble := slot_trouble(trio)):",
                "if trouble := None:",
            ),
        ),
        (f"{PROMISES}::test_a_stranger_that_came_between_queueing_and_placing_is_refused_too",),
    ),
    Guard(
        "limits and switches asked in begin",
        "P8",
        "a switch thrown after queueing stops nothing",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "    if trio.refusal:\n        return Implied(Transition.REFUSED",
                "    if False:\n        return Implied(Transition.REFUSED",
            ),
            Removal(
                "orders/domain/decision/transitions.py",
                "if _entry_unsent(trio) and trio.refusal:",
                "if False:",
            ),
        ),
        (f"{STEPS}::test_a_queued_trio_may_end_before_anything_was_sent",),
    ),
    Guard(
        "place-before, from the first moment on",
        "P11",
        "an intent fires long after it was meant",
        (QUEUED_TOO_LONG, ARMED_TOO_LONG),
        (f"{PROMISES}::test_p11_a_trio_that_nobody_could_place_in_time_expires_unsent",),
    ),
    Guard(
        "place-before, until the entry's begin",
        "P11",
        "armed legs wait without end, and the entry goes long after it was meant",
        (ARMED_TOO_LONG,),
        (f"{STEPS}::test_armed_legs_wait_for_the_worker_too_and_are_withdrawn_at_the_deadline",),
    ),
    Guard(
        "a dry run sends nothing but its test",
        "P10",
        "DRY_RUN_MODE places an order",
        (Removal("orders/placement/begin.py", "self.exchange.test_request(order) if test else ", ""),),
        (f"{PROMISES}::test_a_dry_run_shows_what_would_be_sent_and_places_nothing",),
    ),
    Guard(
        "a trio is queued once",
        "P2",
        "a double click places twice",
        (
            Removal(CHECK, "if trio.trio_state is not TrioState.DRAFT:", "if False:"),
            Removal(
                QUEUE, "trio.state = next_state(trio.trio_state, Transition.QUEUED)", 'trio.state = "QUEUED"'
            ),
        ),
        ("tests/unit/orders/admin/test_actions.py::test_a_trio_is_never_placed_twice",),
    ),
    Guard(
        "a trio is queued by what stands in the database once its row is locked",
        "P2",
        "two who queue the same drafts at once both say that they did",
        (
            Removal(
                QUEUE,
                "        draft_check(trio, self._seen.get(trio.pk))\n        draft =",
                "        draft =",
            ),
            Removal(
                QUEUE, "trio.state = next_state(trio.trio_state, Transition.QUEUED)", 'trio.state = "QUEUED"'
            ),
            Removal(
                QUEUE,
                "if (trio.updated_at, trio.quantity) != (draft.updated_at, draft.quantity):",
                "if False:",
            ),
        ),
        (f"{SETS}::test_two_sets_at_once_place_each_trio_once",),
    ),
    Guard(
        "a draft that changes while it is checked is not placed",
        "P5",
        "a size that nobody checked against the market is placed",
        (
            Removal(
                QUEUE,
                "if (trio.updated_at, trio.quantity) != (draft.updated_at, draft.quantity):",
                "if False:",
            ),
        ),
        (f"{SETS}::test_a_draft_that_changes_while_it_is_checked_is_not_placed",),
    ),
    Guard(
        "margin is promised from trio to trio of a set",
        "P8",
        "a set is queued whole although the account can pay for half of it, and the exchange refuses the rest",
        (
            Removal(
                QUEUE, "reserved[chosen.purse] = reserved.get(chosen.purse, ZERO) + chosen.margin", "pass"
            ),
        ),
        (f"{SETS}::test_margin_is_promised_from_trio_to_trio",),
    ),
    Guard(
        "an old price of the stream is not believed",
        "P8",
        "a set is checked against where the market was a minute ago",
        (Removal("orders/queueing/surroundings.py", "MARK_AGE_MS = 1500", "MARK_AGE_MS = 10**9"),),
        (f"{SETS}::test_a_price_of_the_stream_is_not_asked_for_unless_it_is_old",),
    ),
    Guard(
        "an entry that is not taken expires",
        "P3",
        "a post-only entry that would have traded is reported as rolled back, as if something were wrong",
        (
            Removal(
                "orders/domain/decision/transitions.py",
                "if entry is None or entry.refusal not in NOT_TAKEN:",
                "if entry is None or True:",
            ),
        ),
        (
            "tests/unit/orders/placement/test_ways_out.py"
            "::test_an_entry_that_does_not_take_as_it_was_told_expires_and_nothing_was_wrong",
        ),
    ),
)
