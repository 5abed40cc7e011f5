"""Remove every guard in turn, each in a copy of the working tree, and show which test notices.

Ends with 0 when each removal is caught, with 1 when one survives, says nothing, or is not where it was.
"""

from __future__ import annotations

import argparse
import importlib
import os
import queue
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.guards.guard import Guard
from tests.guards.guards import GUARDS
from tests.guards.page import PAGE, page
from tests.guards.removing import CHECKOUT, SECONDS_MAX, Copy, Ending, Finding, Judged, judge, tracked

AT_ONCE = 25  # tests in one run
SECONDS_EACH = 30.0  # with every guard in place, on a machine with other work too


def main() -> int:
    """Run; say what survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="this guard alone; may be repeated")
    parser.add_argument("--list", action="store_true", help="name the guards and where they are; remove none")
    parser.add_argument("--page", action="store_true", help=f"write {PAGE} anew; remove none")
    parser.add_argument("--lanes", type=int, default=2, help="how many at a time (default 2)")
    parser.add_argument("--from", dest="source", default="", help="a module with a GUARDS of its own")
    options = parser.parse_args()
    guards: list[Guard] = list(importlib.import_module(options.source).GUARDS if options.source else GUARDS)
    unknown = set(options.only) - {guard.name for guard in guards}
    if unknown:
        parser.error(f"no guard is called {', '.join(sorted(unknown))}; --list names them")
    guards = [guard for guard in guards if not options.only or guard.name in options.only]
    if options.list:
        for guard in guards:
            print(f"{guard.name}: {', '.join(guard.files)}")
        return 0
    if options.page:
        (CHECKOUT / PAGE).write_text(page(guards))
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _remove(guards, lanes=max(1, min(options.lanes, len(guards))))
    except KeyboardInterrupt:
        return 130


def _remove(guards: list[Guard], *, lanes: int) -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="guards-") as folder:
        os.environ["TRIO_RUN_DIR"] = run = str(Path(folder) / "run")
        from local_servers import manager

        files = tracked()
        copies: queue.Queue[Copy] = queue.Queue()
        for number in range(lanes):
            copy = Copy(Path(folder) / f"lane-{number}", Path(run))
            copy.take(files)
            copies.put(copy)
        manager.ensure()  # and this process uses them, so they stay from one removal to the next
        try:
            with ThreadPoolExecutor(lanes) as pool:
                intact = _intact(guards, copies, pool)
                print(
                    f"{len(intact)} tests with every guard in place, {time.monotonic() - began:.0f} s",
                    flush=True,
                )

                def one(guard: Guard) -> Judged:
                    copy = copies.get()
                    try:
                        judged = judge(guard, copy, intact)
                    finally:
                        copies.put(copy)
                    print(judged, flush=True)
                    return judged

                try:
                    found = list(pool.map(one, guards))
                except KeyboardInterrupt:
                    pool.shutdown(wait=False, cancel_futures=True)  # those under way put back what they took
                    raise
        finally:
            manager.stop()
    print(f"{len(found)} guards removed in turn, {time.monotonic() - began:.0f} s", flush=True)
    return told(found)


def told(found: list[Judged]) -> int:
    """Say how many removals were caught and which were not; return the exit code."""
    missed = [judged for judged in found if judged.finding is not Finding.CAUGHT]
    print(f"{len(found) - len(missed)} of {len(found)} removals caught", flush=True)
    for judged in missed:
        print(f"not caught: {judged.guard.name}", file=sys.stderr)
    return 1 if missed or not found else 0


def _intact(
    guards: list[Guard], copies: queue.Queue[Copy], pool: ThreadPoolExecutor
) -> dict[str, list[Ending]]:
    """Run every named test with all guards in place, each once; what fails is given a second chance alone."""
    tests = sorted({test for guard in guards for test in guard.tests})

    def some(part: list[str]) -> dict[str, list[Ending]]:
        copy = copies.get()
        try:
            return copy.endings(part, seconds=SECONDS_MAX + SECONDS_EACH * len(part)) if part else {}
        finally:
            copies.put(copy)

    found: dict[str, list[Ending]] = {}
    # A run that lasts too long says nothing of any of its tests, so none is large.
    for endings in pool.map(
        some, [tests[first : first + AT_ONCE] for first in range(0, len(tests), AT_ONCE)]
    ):
        found |= endings
    for test in tests:
        if not all(ending.passed for ending in found.get(test, [Ending("collect")])):
            found |= some([test])
    return {test: found.get(test, []) for test in tests}


if __name__ == "__main__":
    sys.exit(main())
