"""Guards of a turn's reads and writes, and of news that shares one."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

NEWS: Final = "tests/unit/orders/placement/test_news.py"
WRITES: Final = "tests/unit/infrastructure/test_writes.py"
SWEEPS: Final = "tests/unit/worker/test_sweep.py"
CANNOT_DECIDE: Final = Removal(
    "orders/placement/service.py",
    "            _set_down(news)\n            return Rest(None)\n        turn =",
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
                "if (booked or event.trade is None) and _is_known(leg, event.order):",
                "if _is_known(leg, event.order):",
            ),
        ),
        (f"{NEWS}::test_what_the_answer_said_already_is_no_news_and_costs_one_read",),
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
        (f"{NEWS}::test_what_the_answer_said_already_is_no_news_and_costs_one_read",),
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
                "        for piece in news:\n            take_in(rows, piece)\n",
                "",
            ),
        ),
        (f"{NEWS}::test_news_is_kept_when_deciding_fails",),
    ),
    Guard(
        "a piece of news fails alone",
        "P6, P7",
        "one event that is not understood takes the fill beside it along",
        (Removal("worker/due_poll.py", "            _take_in_each(told)\n", ""),),
        (f"{NEWS}::test_a_piece_that_cannot_be_recorded_fails_alone",),
    ),
    Guard(
        "news waits only with a turn that has not begun",
        "P4",
        "a fill waits until the answer to another request is there",
        (
            Removal(
                "worker/due_poll.py",
                "            if trio_id in self._busy:\n                return False\n",
                "            if trio_id in self._busy:\n                return True\n",
            ),
        ),
        (f"{NEWS}::test_news_waits_with_the_turn_that_has_not_begun_and_not_with_one_that_has",),
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
