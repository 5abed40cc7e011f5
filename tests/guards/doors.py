"""Guards at the doors: who may do what, by page, queue or command, and what an attempt is told."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

JOBS: Final = "tests/unit/worker/test_rq_worker.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "only our own jobs run",
        "P7",
        "whoever can write into the queue runs anything beside the master key",
        (
            Removal(
                "worker/rq_worker.py",
                "found = None if self.instance else jobs.LISTED.get(str(self.func_name))",
                "found = super().func",
            ),
        ),
        (f"{JOBS}::test_nothing_but_our_own_jobs_is_run",),
    ),
    Guard(
        "a job brings no callbacks",
        "P7",
        "a job of ours with a callback runs anything after it",
        (
            Removal(
                "worker/rq_worker.py",
                "        self._success_callback_name = self._failure_callback_name = self._stopped_callback_name = None\n",
                "",
            ),
        ),
        (f"{JOBS}::test_nothing_around_a_job_of_ours_is_run",),
    ),
)
