"""Guards of a turn's reads and writes, and of news that shares one."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

NEWS: Final = "tests/unit/orders/placement/test_news.py"
DUE_POLL: Final = "tests/unit/worker/test_due_poll.py"
BANS: Final = "tests/unit/orders/placement/test_bans.py"
DECIDE: Final = "tests/unit/orders/domain/test_decide.py"
WRITES: Final = "tests/unit/infrastructure/test_writes.py"
SWEEPS: Final = "tests/unit/worker/test_sweep.py"
CANNOT_DECIDE: Final = Removal(
    "orders/placement/service.py",
    "            inbox.set_down()\n            return Rest(None)\n        turn =",
    "            return Rest(None)\n        turn =",
)

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "an execution is news until it is booked",
        "P6",
        "the answer showed the fill first, and the execution with its price and fee is never booked",
        (
            Removal(
                "orders/placement/news.py",
                "if known and (booked or event.trade is None):",
                "if known:",
            ),
        ),
        (f"{NEWS}::test_what_the_answer_said_already_is_no_news_and_costs_no_read",),
    ),
    Guard(
        "what an answer has told does not hide what comes after",
        "P4, P6",
        "a stop that is cancelled outside counts as resting, because its answer said so a moment ago",
        (
            Removal(
                "orders/placement/news.py",
                "if told is not None and _says_nothing_new(told, event.order):",
                "if told is not None:",
            ),
        ),
        (f"{NEWS}::test_what_the_answer_said_already_is_no_news_and_costs_no_read",),
    ),
    Guard(
        "what is known keeps its age",
        "P5, P6",
        "an order's youngest report is left out, and its absence is believed from the one before",
        (
            Removal(
                "orders/placement/news.py",
                "return not look and younger_ms <= SAME_MS and",
                "return not look and",
            ),
        ),
        (f"{NEWS}::test_what_the_answer_said_already_is_no_news_and_costs_no_read",),
    ),
    Guard(
        "news of a trio that cannot be decided about is recorded",
        "P6",
        "a fill is heard while the key cannot be read, and forgotten",
        (CANNOT_DECIDE,),
        (f"{NEWS}::test_news_of_a_trio_that_cannot_be_decided_about_is_recorded_all_the_same",),
    ),
    Guard(
        "a failed decision keeps the news",
        "P6, P7",
        "deciding raises, its transaction is undone, and the fill it was about with it",
        (
            Removal(
                "orders/placement/service.py",
                "        for piece in inbox.take():\n            take_in(rows, piece)\n",
                "",
            ),
        ),
        (f"{NEWS}::test_news_is_kept_when_deciding_fails",),
    ),
    Guard(
        "a piece of news fails alone",
        "P6, P7",
        "one event that is not understood takes the fill beside it along",
        (
            Removal(
                "worker/due_poll.py",
                'the poll tries again", trio_id)\n            inbox.set_down()\n',
                'the poll tries again", trio_id)\n',
            ),
        ),
        (f"{NEWS}::test_a_piece_that_cannot_be_recorded_fails_alone",),
    ),
    Guard(
        "news interrupts who waits for an answer",
        "P4",
        "a fill waits until the answer to another request is there",
        (
            Removal(
                "orders/placement/service.py",
                "awaited: set[Future[Any]] = {*asked, inbox.bell}",
                "awaited: set[Future[Any]] = {*asked}",
            ),
        ),
        (f"{NEWS}::test_news_interrupts_a_turn_that_waits_for_an_answer",),
    ),
    Guard(
        "what may wait does not wait for long",
        "P6",
        "an execution that an answer has told is booked when another answer comes, or never while that is lost",
        (
            Removal(
                "worker/due_poll.py",
                "                self._inboxes[trio_id].ring()\n",
                "                pass\n",
            ),
        ),
        (f"{DUE_POLL}::test_what_an_answer_has_told_waits_for_other_answers_but_not_for_long",),
    ),
    Guard(
        "only what is known may wait",
        "P4",
        "a fill that no answer has told waits for answers to other requests",
        (Removal("orders/placement/news.py", "event, may_wait=known)", "event, may_wait=True)"),),
        (f"{NEWS}::test_what_the_answer_said_already_is_no_news_and_costs_no_read",),
    ),
    Guard(
        "a position that waits for its execution is recorded when the worker stops",
        "P6",
        "what was reported last before a worker stopped is known only after a sweep",
        (
            Removal(
                "worker/due_poll.py",
                "        for trio_id in held:\n            self.submit(trio_id)\n",
                "",
            ),
        ),
        (f"{DUE_POLL}::test_a_position_that_waits_when_the_worker_stops_is_not_lost",),
    ),
    Guard(
        "news of a transaction that was undone is taken again",
        "P6",
        "deciding raises, and the fill it was about is recorded by nobody",
        (
            Removal(
                "orders/placement/inbox.py",
                "            self._taken += self._waiting\n            self._waiting = []\n            if",
                "            self._taken = self._waiting\n            self._waiting = []\n            if",
            ),
        ),
        (f"{NEWS}::test_news_is_kept_when_deciding_fails",),
    ),
    Guard(
        "what has begun is passed by nobody",
        "P3",
        "an armed stop rests alone while new trios take the room its entry waits for",
        (
            Removal(
                "orders/placement/service.py",
                "        return Admission.IN_AIR if standing.is_armed and found is Admission.FULL else found\n",
                "        return found\n",
            ),
        ),
        (f"{BANS}::test_an_armed_trio_whose_entry_was_held_back_is_passed_by_nobody",),
    ),
    Guard(
        "legs do not rest alone for long",
        "P3",
        "an armed stop rests for a minute before an entry that cannot be sent",
        (Removal("orders/domain/decision/transitions.py", "    entry_waits_too_long,\n", ""),),
        (f"{DECIDE}::test_armed_legs_do_not_rest_for_long_before_an_entry_that_cannot_be_sent",),
    ),
    Guard(
        "what was written is sent before anything reads",
        "P1, P2",
        "a rule reads the rows as they were before what this very transaction wrote",
        (
            Removal(
                "infrastructure/writes.py",
                "        send_gathered()\n        return execute(*call)\n",
                "        return execute(*call)\n",
            ),
        ),
        (f"{WRITES}::test_whoever_reads_inside_sees_what_was_written_before",),
    ),
    Guard(
        "a row that is gone is no silence",
        "P2",
        "an update that met no row counts as done",
        (Removal("infrastructure/writes.py", "if written != expected:", "if False:"),),
        (f"{WRITES}::test_a_row_that_is_gone_is_no_silence",),
    ),
    Guard(
        "a forgotten plan is no reason to fail",
        "P4",
        "behind a pooler no trio is decided about, and no stop is sent",
        (
            Removal(
                "infrastructure/transactions.py",
                "if not (unplanned(error) or isinstance(error, (OperationalError, InterfaceError))):",
                "if not isinstance(error, (OperationalError, InterfaceError)):",
            ),
        ),
        (
            "tests/unit/infrastructure/test_planned.py::test_a_transaction_that_meets_a_forgotten_statement_is_done_again",
        ),
    ),
    Guard(
        "only the same quantity is still held",
        "P4, P6",
        "a sweep finds that a person changed a position, and only its age is recorded",
        (Removal("worker/sweep.py", "AND known.quantity = listed.quantity AND", "AND"),),
        (f"{SWEEPS}::test_a_position_that_has_changed_wakes_its_trio_and_one_that_has_not_grows_younger",),
    ),
)
