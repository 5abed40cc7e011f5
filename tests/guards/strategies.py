"""Guards round strategies: the open bar is never used, a bar is acted on once, and what one of them may reach."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

BARS: Final = "tests/unit/signals/domain/test_bars.py"
PROCESS: Final = "tests/unit/signals/strategies/test_process.py"
LOOP: Final = "tests/unit/worker/test_strategy_loop.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "a bar of the stream is closed when the stream says so",
        "P11",
        "a strategy trades on a price in the middle of a bar, which its close contradicts",
        (
            Removal(
                "signals/domain/bars.py",
                "        if kline.open_time == self.since and kline.closed:\n",
                "        if kline.open_time == self.since:\n",
            ),
        ),
        (f"{BARS}::test_the_open_bar_is_never_used_though_the_stream_stalls_inside_it",),
    ),
    Guard(
        "a bar that was read is closed when its end is past",
        "P11",
        "after a gap the bar that is still open is taken for a closed one",
        (
            Removal(
                "signals/domain/bars.py",
                "            if is_over and (self.since is None",
                "            if (self.since is None",
            ),
        ),
        (f"{BARS}::test_a_bar_that_was_read_is_closed_once_its_end_is_past_on_the_exchanges_clock",),
    ),
    Guard(
        "missed bars are read before what comes after them",
        "P11",
        "a strategy decides with a hole in its history",
        (
            Removal(
                "signals/domain/bars.py",
                "        if self.since is None or kline.open_time > self.since:\n            return True",
                "        if self.since is None:\n            return True",
            ),
        ),
        (f"{BARS}::test_what_was_missed_comes_in_order_and_only_the_newest_may_still_act",),
    ),
    Guard(
        "a decision acts in its bar's window",
        "P11",
        "after a silence the signals of hours ago are placed in one burst",
        (
            Removal(
                "signals/domain/bars.py",
                "    return bar.closed_at + min(bar.length, max_age_ms)\n",
                "    return bar.closed_at + max(bar.length, max_age_ms)\n",
            ),
        ),
        (f"{BARS}::test_a_decision_may_act_until_the_next_close_or_its_age",),
    ),
    Guard(
        "a bar is decided about once",
        "P2",
        "a worker that was paused wakes up and acts on a bar that another one has acted on",
        (
            Removal(
                "signals/strategy_services.py",
                "        if cursor.bar_open_ts >= bar.open_time:\n            return None  # another worker has decided about it\n",
                "",
            ),
        ),
        (f"{LOOP}::test_a_decision_of_one_that_was_paused_meanwhile_is_not_recorded_twice",),
    ),
    Guard(
        "a disabled strategy wants nothing",
        "P10",
        "one that a person or a fault has stopped still opens a trio",
        (
            Removal(
                "signals/strategy_services.py",
                "        if not Strategy.objects.filter(pk=desk.strategy_id, enabled=True).exists():\n            return None\n",
                "",
            ),
        ),
        (f"{LOOP}::test_one_that_was_disabled_while_it_decided_wants_nothing_any_more",),
    ),
    Guard(
        "what closed before it was enabled is not acted on",
        "P11",
        "a strategy that is enabled acts at once on bars of the time when it was off",
        (
            Removal(
                "signals/strategy_services.py",
                "        StrategyBar.objects.filter(strategy=strategy).delete()\n",
                "",
            ),
        ),
        (f"{LOOP}::test_one_that_is_disabled_decides_no_more_and_begins_anew_when_enabled",),
    ),
    Guard(
        "a strategy's environment is empty",
        "P7",
        "somebody's code reads keys from the environment of the worker",
        (Removal("signals/strategies/process.py", "            env={},\n", "            env=None,\n"),),
        (f"{PROCESS}::test_it_finds_no_environment_no_descriptor_and_cannot_write",),
    ),
    Guard(
        "a strategy ends with all it started",
        "P5",
        "what a strategy has started lives on without anybody who knows of it",
        (
            Removal(
                "signals/strategies/process.py",
                "            os.killpg(self._process.pid, signal.SIGKILL)\n",
                "            os.kill(self._process.pid, signal.SIGKILL)\n",
            ),
        ),
        (f"{PROCESS}::test_one_that_does_what_none_may_is_ended_with_all_it_started",),
    ),
)
