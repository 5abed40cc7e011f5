"""Guards around the mechanism: who watches, what the sweep and the prices find, what is never switched off."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

STORY: Final = "tests/unit/orders/placement/test_guards.py"
DECIDE: Final = "tests/unit/orders/domain/test_guards.py"
HOSTILE: Final = "tests/unit/orders/placement/test_hostile.py"
WORKER: Final = "tests/unit/worker/test_hostile_worker.py"
WATCHING: Final = "tests/unit/worker/test_watch_manager.py"
ACCOUNT_WATCH: Final = "tests/unit/worker/test_account_watch.py"
SHARING: Final = "tests/unit/worker/test_watch_sharing.py"
SWEEP: Final = "tests/unit/worker/test_sweep.py"
PRICES: Final = "tests/unit/worker/test_price_watch.py"

ADMISSION: Final = "tests/unit/orders/placement/test_admission.py"
WITHOUT_ADMISSION: Final = (
    Removal("orders/placement/service.py", "if waits and not admission.may_go:", "if False:"),
    Removal("orders/placement/snapshot_loader.py", 'NOT_ADMITTED.get(admission, "")', '""'),
)

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "one watch per account",
        "P5, P6",
        "two processes sweep one account at once, and its stream is cut each time the other connects",
        (
            Removal(
                "worker/watch_manager.py",
                "AND (beat IS NULL OR beat < clock_timestamp() - %(stale_ms)s * interval '1 millisecond')",
                "AND %(stale_ms)s IS NOT NULL",
            ),
        ),
        (f"{WATCHING}::test_a_watch_is_held_by_one_and_taken_over_when_its_beat_is_stale",),
    ),
    Guard(
        "a silent watcher is replaced",
        "P4",
        "an account whose watcher died is watched by nobody",
        (
            Removal(
                "worker/watch_manager.py",
                "AND (beat IS NULL OR beat < clock_timestamp() - %(stale_ms)s * interval '1 millisecond')",
                "AND (beat IS NULL AND %(stale_ms)s IS NOT NULL)",
            ),
        ),
        (f"{WATCHING}::test_a_watch_is_held_by_one_and_taken_over_when_its_beat_is_stale",),
    ),
    Guard(
        "who was replaced lets go",
        "P5, P6",
        "a process that was paused goes on as the watcher beside its successor",
        (
            Removal(
                "worker/watch_manager.py",
                "not in renewed:\n                self._drop(account_id)\n",
                "not in renewed:\n",
            ),
        ),
        (f"{WATCHING}::test_a_watch_is_held_by_one_and_taken_over_when_its_beat_is_stale",),
    ),
    Guard(
        "only idle accounts change hands",
        "P4",
        "a position is unwatched for a moment because another worker has more room",
        (Removal("worker/watch_manager.py", ' AND NOT {lives("watch.account_id")}', ""),),
        (f"{SHARING}::test_where_a_trio_lives_nothing_changes_hands",),
    ),
    Guard(
        "one account at a time is on its way",
        "P6",
        "a worker that starts has another drop half of its accounts at once",
        (
            Removal(
                "worker/watch_sharing.py",
                "return not standing.free and self._clock()",
                "return self._clock()",
            ),
        ),
        (f"{SHARING}::test_a_newcomer_gets_its_share_one_account_at_a_time",),
    ),
    Guard(
        "what is left lying is taken beyond the share",
        "P4, P6",
        "accounts are left to a worker that lives and takes nothing",
        (Removal("worker/watch_sharing.py", "taken = (ours + left)", "taken = ours"),),
        (
            f"{SHARING}::test_what_another_leaves_lying_is_taken_beyond_the_share",
            f"{SHARING}::test_a_living_trio_is_left_to_others_for_a_shorter_moment",
        ),
    ),
    Guard(
        "the dead have no share",
        "P4, P6",
        "the accounts of a dead worker wait until nobody with room has taken them",
        (
            Removal(
                "worker/watch_sharing.py",
                "WHERE shares AND beat >= clock_timestamp() - %(stale_ms)s",
                "WHERE shares AND %(stale_ms)s IS NOT NULL) + 0 * (SELECT count(*) FROM known WHERE now() < now() - %(stale_ms)s",
            ),
        ),
        (f"{SHARING}::test_the_dead_have_no_share",),
    ),
    Guard(
        "what comes back is kept",
        "P6",
        "an account goes back and forth between two workers of which one cannot reach it",
        (Removal("worker/watch_sharing.py", "self._give_at = now + KEEP_SECONDS", "pass"),),
        (f"{SHARING}::test_what_comes_back_is_kept",),
    ),
    Guard(
        "who reaches nothing takes no more",
        "P4, P6",
        "a worker without a network gets its share of accounts, and loses them again",
        (
            Removal(
                "worker/watch_sharing.py",
                "room = standing.share - held if well else 0",
                "room = standing.share - held",
            ),
        ),
        (f"{SHARING}::test_who_does_not_reach_its_accounts_leaves_others_theirs",),
    ),
    Guard(
        "a sweep after every connect",
        "P6",
        "what happened while the stream was gone is found with the next round only",
        (
            Removal(
                "worker/account_watch.py",
                "        self.swept.clear()\n        self._note_gap()\n",
                "        self.swept.clear()\n",
            ),
        ),
        (f"{ACCOUNT_WATCH}::test_after_a_reconnect_everything_is_read_again",),
    ),
    Guard(
        "what lives is watched on any account",
        "P4, P10",
        "switching an account off leaves its open positions unwatched",
        (
            Removal(
                "worker/watch_sharing.py",
                "(account.is_active OR {lives('account.id')})",
                "account.is_active",
            ),
        ),
        (f"{STORY}::test_an_account_that_was_switched_off_is_watched_while_a_trio_lives",),
    ),
    Guard(
        "what was not listed is not missing",
        "P6",
        "a sweep of one symbol takes the orders of all others for gone",
        (Removal("worker/sweep.py", "legs = legs.filter(trio__symbol__symbol__in=symbols)", "pass"),),
        (f"{SWEEP}::test_a_sweep_of_some_symbols_says_nothing_about_the_others",),
    ),
    Guard(
        "strangers are dated where they were listed",
        "P6",
        "a slot counts as free of strangers though nobody looked",
        (Removal("worker/sweep.py", "CASE WHEN symbol = ANY (%(listed)s) THEN", "CASE WHEN true THEN"),),
        (f"{SWEEP}::test_a_flat_slot_that_was_not_listed_is_dated_by_its_position_alone",),
    ),
    Guard(
        "intervals stretch together",
        "P9",
        "forty accounts use more than half of the address's limit for being watched",
        (Removal("orders/domain/sweep_schedule.py", "stretch = max(1.0, needed / room)", "stretch = 1.0"),),
        ("tests/unit/orders/domain/test_sweep_schedule.py::test_any_mix_stays_within_half_of_the_limit",),
    ),
    Guard(
        "a dead key waits for all processes",
        "P9",
        "each process tries a key anew that another has just found refused",
        (
            Removal(
                "worker/watch_sharing.py",
                "coalesce(watch.retry_at > clock_timestamp()",
                "coalesce(false AND watch.retry_at > clock_timestamp()",
            ),
            Removal(
                "worker/watch_manager.py",
                "AND (retry_at IS NULL OR retry_at <= clock_timestamp() OR mended)",
                "",
            ),
        ),
        (f"{WATCHING}::test_a_dead_key_is_tried_ever_more_rarely_by_all_processes_together",),
    ),
    Guard(
        "a wait that is asked for is kept",
        "P9",
        "a sweep is repeated into a ban, which makes it longer",
        (Removal("worker/account_watch.py", "pause = asked + spread", "pass"),),
        (f"{ACCOUNT_WATCH}::test_a_wait_that_was_asked_for_is_kept_and_the_watch_too",),
    ),
    Guard(
        "orders that vanish are missed",
        "P4, P6",
        "a stop that the exchange forgot is believed to rest",
        (
            Removal(
                "worker/sweep.py", "    woken |= set(_missing_orders(account, orders, symbols, at=at))\n", ""
            ),
        ),
        (f"{STORY}::test_a_stop_the_exchange_forgot_is_placed_anew",),
    ),
    Guard(
        "the sweep finds what the stream hides",
        "P6",
        "a fill that no event told stays unknown",
        (
            Removal(
                "worker/sweep.py",
                "woken.add(record_position(account.pk, view, as_of=at, from_event=False, strangers=found))",
                "pass",
            ),
            Removal(
                "worker/sweep.py", "    woken |= set(_missing_orders(account, orders, symbols, at=at))\n", ""
            ),
        ),
        (
            "tests/unit/orders/placement/test_placement.py::test_what_a_silent_stream_does_not_tell_the_sweep_does",
        ),
    ),
    Guard(
        "old news answers no look-up",
        "P4",
        "a report that says nothing new cancels the look-up that a price called for, and a fill that was not told goes unseen",
        (
            Removal(
                "orders/placement/ingest.py",
                "    elif changed or certain:  # a report",
                "    else:  # a report",
            ),
        ),
        (f"{PRICES}::test_old_news_does_not_save_the_read",),
    ),
    Guard(
        "a level reached during a look-up has the order looked up again",
        "P4",
        "an answer from before the fill counts as one from after it",
        (
            Removal(
                "orders/placement/finish.py",
                "            leg.look_at = called_for\n",
                "            pass\n",
            ),
        ),
        (f"{PRICES}::test_a_level_reached_while_the_order_is_being_read_has_it_read_again",),
    ),
    Guard(
        "a level reached makes an event due",
        "P4",
        "a fill that a silent user stream hides is found with the next sweep only",
        (
            Removal(
                "worker/price_watch.py",
                "        self._schedule_reads(self._newly_reached(event), in_ms=EVENT_DUE_MS)\n",
                "",
            ),
        ),
        (f"{PRICES}::test_a_fill_the_stream_hides_is_found_by_the_price_within_the_bound",),
    ),
    Guard(
        "prices that pile up are acted on once",
        "P4",
        "on a busy machine a fill that the stream hides waits behind thousands of prices",
        (
            Removal(
                "worker/price_watch.py",
                "            if work in self._queued:\n                return\n",
                "",
            ),
        ),
        (f"{PRICES}::test_what_is_watched_is_read_however_many_prices_wait_to_be_acted_on",),
    ),
    Guard(
        "a silent price stream is read around",
        "P4",
        "with both streams silent a fill is found with the next sweep only",
        (
            Removal(
                "worker/price_watch.py",
                "if watching and now - self._heard_at > SILENCE_SECONDS and",
                "if not watching and",
            ),
        ),
        (f"{PRICES}::test_a_silent_price_stream_has_the_orders_read_each_second",),
    ),
    Guard(
        "fills before the first price are asked for",
        "P4",
        "an entry that trades before its price is heard waits for the next sweep",
        (
            Removal(
                "worker/price_watch.py",
                "self._schedule_reads(fresh, in_ms=FIRST_READ_MS)",
                "pass",
            ),
        ),
        (f"{PRICES}::test_a_fill_before_the_price_was_ever_heard_is_found",),
    ),
    Guard(
        "fills between the first read and the first price are asked for",
        "P4",
        "an entry that trades between its one read and the first price of its symbol waits for the next sweep",
        (
            Removal(
                "worker/price_watch.py",
                "self._schedule_reads(self._entries_unheard(event), in_ms=0)",
                "pass",
            ),
        ),
        (f"{PRICES}::test_a_fill_between_that_read_and_the_first_price_is_found",),
    ),
    Guard(
        "an order that never rests is read",
        "P4",
        "a market entry acknowledged before it filled is covered with the next event, or the next sweep",
        (
            Removal(
                "orders/placement/ingest.py", "if after.state.is_live and _ends_at_once(leg):", "if False:"
            ),
        ),
        (f"{HOSTILE}::test_a_market_entry_answered_as_new_is_read_when_the_stream_is_silent",),
    ),
    Guard(
        "news of one symbol waits for no other",
        "P4",
        "a row that a hanging process holds keeps the fills of all symbols from being heard",
        (
            Removal(
                "worker/account_watch.py",
                "facts.submit((self.account.pk, symbol),",
                "facts.submit(self.account.pk,",
            ),
        ),
        (f"{WORKER}::test_a_row_that_a_hanging_process_holds_delays_no_other_symbols_news",),
    ),
    Guard(
        "who cannot reach an account lets go of it",
        "P4, P5",
        "a process whose network is down keeps an account that others could watch",
        (Removal("worker/watch_manager.py", "            if watch.is_stale:", "            if False:"),),
        (f"{WATCHING}::test_a_process_that_cannot_reach_an_account_releases_it",),
    ),
    Guard(
        "exits into an outage grow apart",
        "P9",
        "an exchange that is down is asked to close hundreds of times, and bans us",
        (
            Removal(
                "orders/placement/begin.py",
                "self._next_exit_at() if plan.role is Role.EXIT else None",
                "None",
            ),
        ),
        (f"{STORY}::test_exits_that_come_to_nothing_follow_each_other_ever_more_slowly",),
    ),
    Guard(
        "cancels into an outage keep their distance",
        "P9",
        "an exchange that is down is asked to cancel as fast as it answers",
        (Removal("orders/placement/finish.py", "Verdict.UNKNOWN: BACK_OFF_MS,", "Verdict.UNKNOWN: 10,"),),
        (f"{HOSTILE}::test_cancels_into_an_outage_do_not_run_hot",),
    ),
    Guard(
        "stops that die young are replaced with pauses",
        "P9",
        "a stop the exchange ends at once is placed a hundred times a second",
        (
            Removal(
                "orders/domain/decision/cover.py",
                "pause = vain_pause_ms(trio, Role.STOP_LOSS)",
                "pause = 0",
            ),
        ),
        (f"{DECIDE}::test_stops_that_keep_dying_young_are_replaced_with_growing_pauses",),
    ),
    Guard(
        "no queue, no new risk",
        "P5, P10",
        "a trio begins although nobody could be rung",
        WITHOUT_ADMISSION,
        (f"{STORY}::test_without_a_queue_nothing_new_begins_and_what_lives_goes_on",),
    ),
    Guard(
        "no room in the air, no new risk",
        "P4",
        "more entries go than can be covered in time",
        WITHOUT_ADMISSION,
        (f"{STORY}::test_without_room_in_the_air_a_queued_trio_costs_nothing",),
    ),
    Guard(
        "an entry waits for room after its legs rest",
        "P4",
        "a process that died before its entry comes back into an air that is full",
        (WITHOUT_ADMISSION[1],),
        (f"{STORY}::test_without_room_in_the_air_an_entry_behind_its_legs_waits",),
    ),
    Guard(
        "only so many in the air",
        "P4",
        "any number of entries goes at once",
        (
            Removal(
                "orders/placement/admission.py",
                "elseif held_up or total >= room or mine >= each then",
                "elseif held_up then",
            ),
        ),
        (f"{ADMISSION}::test_only_so_many_are_admitted_and_each_account_its_part",),
    ),
    Guard(
        "overdue cover holds up all entries",
        "P4",
        "entries go while something waits for its stop",
        (
            Removal(
                "orders/placement/admission.py",
                "elseif held_up or total >= room or mine >= each then",
                "elseif total >= room or mine >= each then",
            ),
        ),
        (f"{ADMISSION}::test_nobody_is_admitted_while_something_in_the_air_is_overdue",),
    ),
    Guard(
        "late cover leaves less room",
        "P4",
        "a slow machine goes on with more entries than it can cover",
        (
            Removal(
                "orders/placement/admission.py",
                "limit = math.max(1, math.floor(limit / 2))",
                "limit = math.floor(limit)",
            ),
        ),
        (f"{ADMISSION}::test_late_cover_halves_once_for_all_that_was_sent_before",),
    ),
    Guard(
        "ids mean something with their symbol only",
        "P2, P6",
        "a person's order on another symbol fills one of ours",
        (
            Removal(
                "orders/placement/ingest.py",
                "ids, trio__account_id=account_id, trio__symbol__symbol=view.symbol",
                "ids, trio__account_id=account_id",
            ),
        ),
        (
            "tests/unit/orders/placement/test_hostile.py"
            "::test_a_persons_order_with_the_same_number_on_another_symbol_is_not_ours",
        ),
    ),
    Guard(
        "keys that may withdraw are refused",
        "P7",
        "a stolen key empties the account",
        (
            Removal(
                "accounts/probe.py", "if permissions is not None and permissions.withdrawals:", "if False:"
            ),
        ),
        ("tests/unit/accounts/test_services.py::test_a_key_that_may_withdraw_is_refused",),
    ),
)
