"""Guards of what is asked of many trios at once."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

RUNS: Final = "tests/unit/orders/test_bulk.py"
BULK: Final = "orders/bulk.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a run that was stopped begins nothing",
        "P8",
        "somebody stops a bulk run, and trios that nobody had touched yet are placed all the same",
        (Removal(BULK, "if run.stopped_at is not None:  # nothing was done with them yet", "if False:"),),
        (f"{RUNS}::test_a_run_that_is_stopped_between_two_statements_begins_nothing",),
    ),
    Guard(
        "what a stopped run has queued is taken back",
        "P8",
        "trios that were queued in the moment of the stop are placed after it",
        (
            Removal(
                BULK,
                "        if run.stopped_at is not None:\n            _waiting_taken_back(run)\n",
                "",
            ),
        ),
        (f"{RUNS}::test_trios_that_were_queued_while_it_was_stopped_are_taken_back",),
    ),
    Guard(
        "stopping leaves alone what is begun",
        "P4",
        "a trio that began while its run was stopped is cancelled by somebody who meant what waits",
        (
            Removal(
                "orders/services.py",
                "        if trio.trio_state is not TrioState.QUEUED:\n            return False\n",
                "",
            ),
        ),
        (f"{RUNS}::test_what_is_begun_when_it_is_to_be_taken_back_is_left_alone",),
    ),
    Guard(
        "what a process had asked that died is not asked again",
        "P5",
        "a close that stands is requested a second time, and the story says so twice",
        (Removal(BULK, "item.tries > 1 and _stands_already(verb, item.trio)", "False"),),
        (f"{RUNS}::test_what_a_process_had_begun_that_died_is_done_by_another_and_asked_once",),
    ),
    Guard(
        "runs that take risk away come first",
        "P10",
        "a bulk close waits for older runs that place",
        (Removal(BULK, "ORDER BY run.verb = 'PLACE', run.id", "ORDER BY run.id"),),
        (f"{RUNS}::test_a_run_that_closes_comes_before_an_older_one_that_places",),
    ),
    Guard(
        "each run has a slice of the time",
        "P10",
        "a run of a thousand trios holds up all others for minutes",
        (Removal("worker/polls.py", "for_seconds=SLICE_SECONDS, ", ""),),
        (f"{RUNS}::test_each_run_has_a_slice_and_then_the_next_its_turn",),
    ),
    Guard(
        "a process that is to end gives back what it has not begun",
        "P5",
        "a worker that is told to end closes one trio after the other first, or leaves them claimed for half a minute",
        (
            Removal(
                BULK, "        if stopping():\n            _give_back(rest[place:])\n            return\n", ""
            ),
        ),
        (f"{RUNS}::test_a_process_that_is_to_end_gives_back_what_it_has_not_begun",),
    ),
    Guard(
        "watches are given back before a bulk run or a signal is waited for",
        "P4",
        "a worker that ends keeps its accounts from others for as long as a set takes to be queued",
        (
            Removal(
                "worker/loop.py",
                "            self.watch_manager.stop()\n",
                "            for poll in self.polls:\n                poll.stop()\n            self.watch_manager.stop()\n",
            ),
        ),
        (f"{RUNS}::test_a_worker_that_ends_gives_its_watches_back_before_it_waits_for_a_run",),
    ),
    Guard(
        "a trio that meets a fault stops no other of its run",
        "P5",
        "one trio whose close meets a fault of ours keeps the nine beside it open, again and again",
        (
            Removal(
                BULK,
                "        except Exception as error:\n            _refuse(item, error)\n",
                "        except (OrdersError, OperationalError) as error:\n            _refuse(item, error)\n",
            ),
        ),
        (f"{RUNS}::test_a_trio_that_meets_a_fault_stops_no_other_and_says_so",),
        raises=("KeyError",),
    ),
    Guard(
        "what fails again and again keeps nothing behind it from its turn",
        "P5",
        "one reversal, reversed position or run that meets a fault each time holds up all that come after it",
        (
            Removal(
                "worker/polls.py",
                '    except Exception:\n        logger.exception("%s could not',
                '    except KeyboardInterrupt:\n        logger.exception("%s could not',
            ),
        ),
        (f"{RUNS}::test_a_run_that_cannot_be_carried_on_keeps_no_other_from_its_turn",),
        raises=("KeyError",),
    ),
)
