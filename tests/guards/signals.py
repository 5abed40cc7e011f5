"""Guards on the way from a signal to a trio: once, by whom, on what."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

HOOKS: Final = "tests/unit/signals/test_hooks.py"
POSITIONS: Final = "tests/unit/signals/test_positions.py"
EXECUTION: Final = "tests/unit/worker/test_signal_execution.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a signal's stop entry never enters before the price it names",
        "P8",
        "a trigger between two ticks is rounded toward the market, and the trio enters where nothing was broken",
        (
            Removal(
                "orders/domain/rounding.py",
                "return to_grid(trigger, tick, ROUND_CEILING if side is Side.BUY else ROUND_FLOOR)",
                "return to_grid(trigger, tick, ROUND_FLOOR if side is Side.BUY else ROUND_CEILING)",
            ),
        ),
        (
            "tests/unit/signals/domain/test_sizing.py::test_a_stop_entry_is_sized_from_its_trigger_on_the_tick",
        ),
    ),
    Guard(
        "a replay's bar with trigger and stop counts both",
        "P6",
        "a bar that reached a stop entry and its stop is replayed as if the price had been at the stop before: too good",
        (Removal("replay/market.py", "        if levels.waits_in(candle):\n", "        if False:\n"),),
        ("tests/unit/replay/test_report.py::test_a_bar_that_holds_stop_and_target_counts_the_stop_first",),
    ),
    Guard(
        "a post is acted on once",
        "P2",
        "an alert that is sent again opens a second trio",
        (
            Removal(
                "signals/migrations/0003_hooks.py",
                "'constraints': [models.UniqueConstraint(fields=('source', 'key'), name='post_once')],",
                "",
            ),
            Removal(
                "signals/models/source.py",
                '        constraints = (models.UniqueConstraint(fields=("source", "key"), name="post_once"),)\n',
                "",
            ),
        ),
        (f"{HOOKS}::test_a_repeat_gets_the_first_answer_and_makes_nothing",),
    ),
    Guard(
        "a result is claimed before its trio is made",
        "P2, P5",
        "the job and the poll carry a signal out at once, and each makes a trio",
        (Removal("signals/services.py", "outcome=Outcome.PENDING, trio=None)", "outcome=Outcome.PENDING)"),),
        (f"{EXECUTION}::test_a_claimed_result_is_claimed_by_nobody_else",),
    ),
    Guard(
        "signals are carried out by the executor",
        "P2, P8",
        "a signal is recorded, and nobody makes a trio of it",
        (
            Removal(
                "worker/signal_execution.py",
                "for execution in OrderExecutor(self._account, by=BY).execute(intents):",
                "for execution in OrderExecutor(self._account, by=BY).execute([]):",
            ),
        ),
        (f"{EXECUTION}::test_a_signal_becomes_one_trio_with_its_source_and_deadline",),
    ),
    Guard(
        "a late signal opens nothing",
        "P11",
        "after a stop of the worker old signals are placed in a burst",
        (
            Removal(
                "worker/signal_execution.py",
                "if now >= result.signal.act_before:",
                "if False:",
            ),
        ),
        (f"{EXECUTION}::test_what_is_late_places_nothing",),
    ),
    Guard(
        "a source touches its own trios alone",
        "P8",
        "an alert closes or reverses what a person or another source holds",
        (
            Removal(
                "worker/signal_execution.py",
                "        source=signal.trio_source,\n        holds_slot=True,\n",
                "        holds_slot=True,\n",
            ),
        ),
        (f"{POSITIONS}::test_close_touches_nothing_of_others",),
    ),
    Guard(
        "a signal that came before a trio does not close it",
        "P8",
        "a close that was delayed ends the trio that the next alert opened",
        (
            Removal(
                "worker/signal_execution.py",
                "        Q(queued_at__lte=signal.received_at) | Exists(earlier),\n",
                "",
            ),
        ),
        (f"{POSITIONS}::test_a_close_that_comes_late_closes_nothing_that_was_placed_after_it",),
    ),
    Guard(
        "an exit closes the side that it names",
        "P8",
        "an exit that comes late closes the entry that followed it, on the other side",
        (
            Removal(
                "worker/signal_execution.py",
                'if result.signal.side in ("", trio.side)\n',
                "if True\n",
            ),
        ),
        (f"{POSITIONS}::test_an_exit_that_comes_after_the_entry_that_followed_it_does_not_close_that",),
    ),
    Guard(
        "a source's posts are carried out in the order in which they came",
        "P2, P8",
        "of two workers one finds nothing to close, then the other opens what was to be closed",
        (
            Removal(
                "signals/services.py",
                "found = pending.filter(Exists(asked), signal__status=Status.WAITING)",
                "found = pending.filter(signal__in=signal_ids)",
            ),
        ),
        (f"{POSITIONS}::test_a_close_undoes_an_entry_that_was_posted_before_it_and_not_placed_yet",),
    ),
    Guard(
        "an entry that was overtaken opens nothing",
        "P8",
        "an exit came before its entry, which then stays open though its source is flat",
        (
            Removal(
                "worker/signal_execution.py",
                "    if not (dated := signal.figures.get(TIME)):\n",
                "    if (dated := signal.figures.get(TIME)) is not signal:\n",
            ),
        ),
        (f"{POSITIONS}::test_an_entry_that_comes_after_what_followed_it_opens_nothing",),
    ),
    Guard(
        "a reversal enters once the other is closed",
        "P3",
        "a reversal sends its entry while the position it reverses is still open",
        (
            Removal(
                "worker/signal_execution.py",
                "if TrioOrder.objects.filter(pk__in=[one.pk for one in opposite], holds_slot=True).exists():",
                "if False:",
            ),
        ),
        (f"{POSITIONS}::test_reverse_closes_then_enters_once_it_is_flat",),
    ),
    Guard(
        "a wrong secret lets nobody in",
        "P7",
        "whoever knows a source's name places trios",
        (Removal("signals/hooks.py", "if said and known and any(matches) else", "if said and known else"),),
        (f"{HOOKS}::test_a_wrong_secret_is_answered_like_an_unknown_source_and_stores_nothing",),
    ),
    Guard(
        "an address that is not allowed stays out",
        "P7",
        "a stolen secret is used from anywhere",
        (Removal("signals/hooks.py", " or not _address_allowed(source, arrival.address)", ""),),
        (f"{HOOKS}::test_only_allowed_addresses_come_in_and_a_forged_header_does_not",),
    ),
    Guard(
        "no secret is stored with a post",
        "P7",
        "who may look at posts learns the secret",
        (
            Removal(
                "signals/domain/payload.py",
                'text.replace(secret, "•••").replace(',
                "(text + secret[:0]).replace(",
            ),
        ),
        ("tests/unit/signals/domain/test_posts.py::test_no_secret_is_stored_wherever_it_stood",),
    ),
    Guard(
        "a stale post places nothing",
        "P11",
        "an alert that somebody recorded is played again later",
        (Removal("signals/hooks.py", "> source.window_seconds:", "> 10**12:"),),
        (f"{HOOKS}::test_what_is_refused_is_recorded_with_its_reason_and_places_nothing",),
    ),
    Guard(
        "a size is never raised",
        "P8",
        "a risk too small for the exchange's minimum is taken as the minimum, many times what was asked for",
        (
            Removal(
                "orders/domain/sizing.py",
                "    if quantity < least:\n        raise SizingRefused(\n            SizingProblem.SIZE_TOO_SMALL, quantity=plain(quantity), symbol=grid.symbol, least=plain(least)\n        )\n    return quantity\n",
                "    return max(quantity, least)\n",
            ),
        ),
        ("tests/unit/signals/domain/test_sizing.py::test_what_is_too_small_is_refused_and_never_raised",),
    ),
    Guard(
        "what of a file is confirmed is what was seen",
        "P5",
        "a file or a market that changed meanwhile places what nobody has looked at",
        (Removal("signals/files.py", "if preview.token != token:", "if False:"),),
        ("tests/unit/signals/test_files.py::test_what_is_confirmed_is_what_was_seen",),
    ),
    Guard(
        "a part is taken off once",
        "P2",
        "a process dies after a part was taken off, and the next one closes all of the position for what the post says",
        (
            Removal(
                "worker/signal_execution.py",
                "if (made := services.size_known(_reference(result))) is not None:",
                "if (made := None) is not None:",
            ),
            Removal(
                "orders/services.py",
                "        if size_known(reference) is not None:\n            return\n",
                "",
            ),
        ),
        (f"{POSITIONS}::test_a_part_is_taken_off_once_whoever_carries_it_out_how_often",),
    ),
    Guard(
        "an older close undoes no later entry",
        "P2",
        "of two posts in the wrong order the newer one, an entry, is let go",
        (
            Removal(
                "worker/signal_execution.py",
                'if later.signal.figures.get(TIME, "9") < result.signal.figures.get(TIME, ""):',
                "if False:",
            ),
        ),
        (f"{POSITIONS}::test_a_close_that_is_older_than_an_entry_undoes_nothing_of_it",),
    ),
    Guard(
        "one change of a size waits for the other",
        "P2",
        "a part that was posted while another is taken off is refused, and what should have been closed stays open",
        (
            Removal(
                "worker/signal_execution.py",
                "if verb is not Verb.MOVE and trio.sizes_wanted:",
                "if False:",
            ),
        ),
        (f"{POSITIONS}::test_parts_taken_off_one_after_the_other_wait_for_each_other",),
    ),
    Guard(
        "a reversal that is let go closes what it reverses",
        "P10",
        "a source turns its position and leaves the new one: nothing enters, and the old one stays open at full size",
        (
            Removal(
                "worker/signal_execution.py",
                "if result_superseded(result.pk, by=word, facts=closed_facts(self._make_way(result))):",
                "if result_superseded(result.pk, by=word, facts={}):",
            ),
        ),
        (f"{POSITIONS}::test_a_reversal_that_is_let_go_closes_what_was_placed_just_before_it",),
    ),
    Guard(
        "a reversal that was overtaken closes what it reverses",
        "P10",
        "a close comes before the reversal whose position it closes, and the position from before stays open",
        (
            Removal(
                "worker/signal_execution.py",
                'facts = {"signal": str(word.pk)} | closed_facts(self._make_way(result))',
                'facts = {"signal": str(word.pk)}',
            ),
        ),
        (f"{POSITIONS}::test_a_reversal_that_comes_after_its_close_closes_what_it_reverses",),
    ),
    Guard(
        "a reversal that is too late closes what it reverses",
        "P10",
        "a reversal is looked at a minute late, and the position that its source has left stays open",
        (
            Removal(
                "worker/signal_execution.py",
                "        facts |= closed_facts(self._make_way(result))\n",
                "",
            ),
        ),
        (f"{POSITIONS}::test_a_reversal_that_is_looked_at_too_late_closes_what_it_reverses",),
    ),
    Guard(
        "a reversal that is out of date closes nothing that a later post wants held",
        "P2",
        "of two turns in the wrong order the older one closes what the newer one says is held",
        (
            Removal(
                "worker/signal_execution.py",
                "if not opposite or any(is_other_side(word, signal) for word in posts_that_follow(result)):",
                "if not opposite:",
            ),
        ),
        (f"{POSITIONS}::test_a_reversal_that_is_out_of_date_closes_nothing_that_a_later_post_wants_held",),
    ),
    Guard(
        "a close lets go what waits to be changed",
        "P10",
        "a close waits up to a minute behind a part that waits itself, and an entry that could be withdrawn is sent first",
        (
            Removal(
                "worker/signal_execution.py",
                "{Verb.CLOSE: OPENS | CHANGES, Verb.CANCEL: OPENS}",
                "{Verb.CLOSE: OPENS, Verb.CANCEL: OPENS}",
            ),
        ),
        (f"{POSITIONS}::test_a_close_does_not_wait_for_a_part_that_is_being_taken_off",),
    ),
    Guard(
        "a close or cancel passes what waits",
        "P10",
        "a cancel waits behind a part that waits for an entry, and the entry is sent that was to be withdrawn",
        (
            Removal(
                "worker/signal_execution.py",
                "            if verb in LEAVES:\n",
                "            if verb in LEAVES and matter not in self._waiting:\n",
            ),
        ),
        (f"{POSITIONS}::test_a_cancel_does_not_wait_for_a_change_that_waits",),
    ),
    Guard(
        "of what is being closed nothing is taken off",
        "P2",
        "a part that comes while the close is on its way is refused by the trio instead of having nothing to do",
        (
            Removal(
                "worker/signal_execution.py",
                "own = [trio for trio in own if trio.close_wanted_at is None]",
                "own = list(own)",
            ),
        ),
        (f"{POSITIONS}::test_a_part_that_comes_while_the_close_is_on_its_way_takes_nothing_off",),
    ),
    Guard(
        "a change waits for what is being placed",
        "P2",
        "a part that was posted right after its entry finds nothing to reduce, and all of it stays open",
        (
            Removal(
                "worker/signal_execution.py",
                "if not found and any(trio.trio_state in COMING for trio in own)",
                "if False",
            ),
        ),
        (f"{POSITIONS}::test_a_part_that_is_taken_off_waits_until_its_entry_has_filled",),
    ),
    Guard(
        "one wrong row places nothing",
        "P3",
        "a file that is mended and sent again doubles what was right in it",
        (Removal("signals/files.py", "if not preview.is_sound:", "if False:"),),
        (
            "tests/unit/signals/test_files.py::test_a_wrong_row_places_nothing_and_after_mending_each_is_placed_once",
        ),
        raises=("AssertionError", "AttributeError"),
    ),
)
