"""Guards of the one mechanism: rows, transactions, claims, wake-ups."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

STORY: Final = "tests/unit/orders/placement/test_guards.py"
HOSTILE: Final = "tests/unit/orders/placement/test_hostile.py"
PLACEMENT: Final = "tests/unit/orders/placement/test_placement.py"
PROMISES: Final = "tests/unit/orders/placement/test_promises.py"

LOCKED: Final = "WHERE id = %s FOR UPDATE; "  # the row of the trio that is decided about
UNLOCKED: Final = "WHERE id = %s; "
GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "the row lock",
        "P2, P5",
        "two processes decide about one trio at once, and both act",
        (Removal("orders/trio_lock.py", LOCKED, UNLOCKED),),
        (f"{HOSTILE}::test_a_decision_that_waited_for_the_row_sees_what_changed_the_slot_meanwhile",),
    ),
    Guard(
        "facts read after the lock",
        "P4, P5",
        "who waited for the row decides from the slot as it was before the wait",
        (
            Removal("orders/trio_lock.py", LOCKED, UNLOCKED),
            Removal("orders/trio_lock.py", "read=read,", 'read=f"{read} FOR UPDATE OF trio",'),
        ),
        (f"{HOSTILE}::test_a_decision_that_waited_for_the_row_sees_what_changed_the_slot_meanwhile",),
    ),
    Guard(
        "id committed first",
        "P1",
        "an order is on the exchange that no row knows of",
        (
            Removal(
                "orders/placement/service.py",
                "            return TurnResult(step, tuple(calls), left=landing(trio, decision, was_in_air=was_in_air))",
                "            wait(perform_all(calls, self._gateway(trio.account_id), None))\n            return TurnResult(step)",
            ),
        ),
        (f"{STORY}::test_nothing_leaves_before_its_row_is_committed",),
    ),
    Guard(
        "no asking inside a transaction",
        "P1",
        "a caller's transaction is rolled back after the order went out, and its row with it",
        (
            Removal("orders/placement/service.py", "        refuse_inside_transaction()\n", ""),
            Removal(
                "infrastructure/transactions.py",
                "with transaction.atomic(durable=True):",
                "with transaction.atomic():",
            ),
        ),
        (f"{PROMISES}::test_p1_nothing_is_asked_inside_a_transaction",),
    ),
    Guard(
        "timestamp fixed in begin",
        "P2, P5",
        "a process that was paused sends an order long after its absence was concluded",
        (
            Removal(
                "orders/placement/perform.py",
                "stamp=call.stamp,",
                'stamp=Stamp(__import__("time").time_ns() // 10**6, call.stamp.recv_window),',
            ),
        ),
        (f"{STORY}::test_a_process_that_wakes_up_too_late_sends_what_the_exchange_refuses",),
    ),
    Guard(
        "an id is begun once",
        "P2",
        "a decision gone wrong sends an order again under an id that was used",
        (
            Removal(
                "orders/placement/begin.py",
                "        if plan.again:\n            leg =",
                "        if Leg.objects.filter(client_id=order.client_id).exists():\n            leg =",
            ),
        ),
        (f"{STORY}::test_an_id_that_was_used_is_never_begun_again",),
    ),
    Guard(
        "idle transactions end",
        "P4, P5",
        "a process that is paused inside a transaction keeps the trio's row for as long as it sleeps",
        (
            Removal(
                "infrastructure/transactions.py",
                "idle_in_transaction_session_timeout = '1s'",
                "idle_in_transaction_session_timeout = '0'",
            ),
        ),
        (f"{HOSTILE}::test_a_process_paused_while_it_takes_in_an_event_does_not_keep_the_trio",),
        raises=("OperationalError",),  # what a person's close meets
    ),
    Guard(
        "locks are waited for a second at most",
        "P4, P5",
        "a row that somebody keeps stops the poll's threads one after the other",
        (Removal("infrastructure/transactions.py", "SET LOCAL lock_timeout = %s;", "SELECT %s;"),),
        (f"{STORY}::test_a_row_that_another_process_keeps_is_not_waited_for_without_end",),
    ),
    Guard(
        "a lost transaction is tried again",
        "P4, P5",
        "an answer that met a cut connection has to be looked up, and cover waits for it",
        (Removal("infrastructure/transactions.py", "TRIES = 5", "TRIES = 1"),),
        (f"{STORY}::test_an_answer_whose_transaction_is_lost_is_written_down_all_the_same",),
        raises=("OperationalError",),  # which the caller meets
    ),
    Guard(
        "begin sets the next look",
        "P4, P5",
        "who dies between begin and finish leaves a trio nobody looks at",
        (
            Removal(
                "orders/placement/begin.py",
                "trio.wake_at = now + timedelta(milliseconds=settings.PROTECT_TIMEOUT_MS)",
                "trio.wake_at = None",
            ),
        ),
        (f"{STORY}::test_who_dies_after_begin_is_noticed_and_what_it_asked_is_looked_up",),
    ),
    Guard(
        "wake-up with every fact",
        "P4, P6",
        "a fill is written down, and nobody acts on it",
        (
            Removal(
                "orders/story.py",
                "SET wake_at = %s, journal_head",
                "SET updated_at = %s, journal_head",
            ),
            Removal("orders/story.py", "SET wake_at = %s WHERE id", "SET updated_at = %s WHERE id"),
        ),
        (f"{PLACEMENT}::test_a_resting_limit_entry_is_covered_when_it_fills[ONE_WAY-ON_FIRST_FILL]",),
    ),
    Guard(
        "wake-up with every wish",
        "P5, P10",
        "a close that was asked for waits for its job, and is lost with the queue",
        (
            Removal(
                "orders/services.py",
                "    trio.wake_at = now\n    trio.save(update_fields=[field,",
                "    trio.save(update_fields=[field,",
            ),
        ),
        (f"{PLACEMENT}::test_close_exits_at_market[ONE_WAY-ON_FIRST_FILL]",),
    ),
    Guard(
        "a rest ends by the clock",
        "P2, P4",
        "what waits for a proof, a deadline or a back-off waits for ever",
        (
            Removal(
                "orders/placement/service.py",
                "trio.wake_at = None if until is None else",
                "trio.wake_at = None if True else",
            ),
        ),
        (
            f"{PLACEMENT}::test_an_entry_that_never_arrived_is_proved_absent_and_never_sent_again[ONE_WAY-ON_FIRST_FILL]",
        ),
    ),
    Guard(
        "placing has threads of its own",
        "P4",
        "entries that hang take every thread, and a fill waits for one",
        (
            Removal(
                "worker/due_poll.py",
                "(self._pool if admitted is None else self._placing).submit(",
                "self._pool.submit(",
            ),
        ),
        ("tests/unit/worker/test_placing_feed.py::test_protection_never_waits_for_a_thread_that_places",),
    ),
    Guard(
        "held rows are skipped",
        "P4, P5",
        "one row that a hanging process keeps stops the poll for all trios",
        (Removal("worker/due_poll.py", "FOR UPDATE SKIP LOCKED", "FOR UPDATE"),),
        (f"{STORY}::test_a_trio_whose_row_is_held_keeps_no_other_from_being_due",),
    ),
    Guard(
        "nobody waits for an entry's answer",
        "P4",
        "an exchange slow to answer keeps a filled entry uncovered",
        (Removal("worker/due_poll.py", "later=partial(self._await_answer, trio_id)", "later=None"),),
        ("tests/unit/worker/test_hostile_worker.py::test_cover_does_not_wait_for_the_entrys_answer",),
    ),
    Guard(
        "a decision that raises is contained",
        "P4, P5",
        "a bug about one trio ends the process that carries all",
        (
            Removal(
                "orders/placement/service.py",
                "            raise Undecided(error) from error",
                "            raise",
            ),
        ),
        (
            f"{PLACEMENT}::test_a_trio_whose_decision_raises_keeps_its_cover_asks_a_person_and_holds_up_no_other",
        ),
        raises=("ZeroDivisionError",),  # the bug itself
    ),
    Guard(
        "a line of the journal needs its head",
        "P1",
        "a line is written that the trio does not know of: the chain forks, and nobody can say who is right",
        (
            Removal(
                "orders/migrations/0005_journal_sealed.py",
                "CREATE CONSTRAINT TRIGGER head_goes_along AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED\n    FOR EACH ROW ",
                "CREATE CONSTRAINT TRIGGER head_goes_along AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED\n    FOR EACH ROW WHEN (false) ",
            ),
        ),
        ("tests/unit/orders/journal/test_journal.py::test_a_line_without_its_head_cannot_be_committed",),
    ),
    Guard(
        "one trio holds a slot",
        "P2, P3",
        "two trios on one side exit and cover each other's position",
        (
            Removal(
                "orders/migrations/0001_initial.py",
                "fields=('slot',), name='slot_held_once'",
                "fields=('slot', 'id'), name='slot_held_once'",
            ),
        ),
        (f"{STORY}::test_two_trios_queued_for_one_slot_at_once_are_one",),
    ),
    Guard(
        "a restored copy stays read-only",
        "P2, P5",
        "two databases act on the same orders",
        (
            Removal(
                "orders/installation.py",
                "if row is None or row.system_identifier ==",
                "if row is None or row.token or row.pk ==",
            ),
        ),
        (f"{PLACEMENT}::test_a_restored_copy_of_the_database_asks_the_exchange_nothing_until_it_is_adopted",),
    ),
)
