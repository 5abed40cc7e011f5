"""Guards on the way to the exchange's limits: who may use them, and silence during a ban."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

BUDGET: Final = "tests/unit/accounts/test_rate_budget.py"
RISK: Final = "tests/unit/orders/test_limits.py"
BANS: Final = "tests/unit/orders/placement/test_bans.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "limits are checked in begin",
        "P8",
        "a limit that was reached since a trio was queued is passed over, and the entry goes",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "        breach = _breach(trio, rows, slot, now_ts=now_ts)\n",
                "        breach = None\n",
            ),
        ),
        (f"{RISK}::test_a_limit_that_came_after_the_queue_is_kept_to_in_begin",),
    ),
    Guard(
        "the day's loss is all of it",
        "P8",
        "funding eats up what may be lost in a day, and new trades go on",
        (
            Removal(
                "orders/limits.py",
                "            SELECT share.amount FROM orders_income line",
                "            SELECT 0 * share.amount FROM orders_income line",
            ),
        ),
        (f"{RISK}::test_funding_and_a_liquidations_fee_are_part_of_the_days_loss",),
    ),
    Guard(
        "a limit is locked while it is checked",
        "P8",
        "two that begin at once each find the limit free, and exceed it together",
        (Removal("orders/limits.py", '(LOCK if lock else "") + USAGE', "USAGE"),),
        (f"{RISK}::test_one_that_begins_waits_for_the_one_that_is_checked",),
    ),
    Guard(
        "nothing automatic without limits",
        "P8",
        "a strategy or a webhook trades real money on an account that nobody has limited",
        (
            Removal(
                "orders/limits.py",
                "environment == Environment.PAPER or not is_automatic(trio.source)",
                "environment",
            ),
        ),
        (f"{RISK}::test_nothing_automatic_reaches_an_exchange_on_an_account_without_limits",),
    ),
    Guard(
        "a trio that is to leave asks no limit",
        "P10",
        "a cancel waits for a row that somebody holds, and is refused with the trio instead",
        (
            Removal(
                "orders/placement/snapshot_loader.py",
                "    if trio.cancel_wanted_at or trio.close_wanted_at or trio.panic_wanted_at:\n        return False\n",
                "",
            ),
        ),
        (f"{RISK}::test_a_queued_trio_is_cancelled_although_its_limit_is_locked",),
    ),
    Guard(
        "a share of the weight is for what protects alone",
        "P9, P4",
        "sweeps and pages use up the address's minute, and a stop's cancel or look-up is refused",
        (
            Removal(
                "exchange/rate_meter.py",
                "limits.weight_1m * WEIGHT_SHARES[priority] // (100 * parts)",
                "limits.weight_1m // parts",
            ),
        ),
        (f"{BUDGET}::test_what_matters_more_may_use_what_matters_less_may_not",),
    ),
    Guard(
        "entries leave room in the order windows",
        "P9, P4",
        "a burst of entries uses up the account's ten seconds, and their stops are refused",
        (
            Removal(
                "accounts/rate_budget.py",
                "        wanted = wanted + pledge + math.max(0, left)\n",
                "",
            ),
        ),
        (f"{BUDGET}::test_entries_leave_room_for_their_legs_and_for_exits",),
    ),
    Guard(
        "a refusal that says no time is a short one",
        "P4, P9",
        "one answer without Retry-After silences the address for a minute, and a position has no stop meanwhile",
        (Removal("accounts/rate_budget.py", "if usage.is_told or used_up:", "if True:"),),
        (
            f"{BUDGET}::test_refusals_without_a_time_close_for_longer_and_longer_and_several_at_once_are_one",
            f"{BANS}::test_a_stop_refused_for_no_stated_time_is_tried_again_within_the_bound",
        ),
    ),
    Guard(
        "the last moments of a ban are waited out",
        "P9",
        "a stop is sent back for some milliseconds, and its position closed at market",
        (
            Removal(
                "accounts/rate_budget.py",
                "LAST_MOMENTS_MS if priority is Priority.PROTECT else 0",
                "0",
            ),
        ),
        (f"{BUDGET}::test_what_protects_waits_out_the_last_moments_of_a_ban",),
    ),
    Guard(
        "nothing leaves a barred address",
        "P9",
        "every loop goes on asking during a ban, and the exchange makes it longer",
        (
            Removal(
                "accounts/rate_budget.py",
                "        if closure is not None:\n            raise self._closed(closure)\n",
                "",
            ),
            Removal(
                "accounts/rate_budget.py",
                "if closed > now then return {1, closed - now, processes, address['cause']} end\n",
                "",
            ),
        ),
        (f"{BUDGET}::test_a_ban_met_by_one_process_silences_every_process",),
    ),
    Guard(
        "what still waited when a ban was heard of stays here",
        "P9",
        "requests that passed the gate and then waited for a connection arrive during a ban, and the exchange makes it longer",
        (
            Removal(
                "accounts/rate_budget.py",
                "        if (closure := self.closure) is not None:\n            raise self._closed(closure)\n",
                "",
            ),
        ),
        (
            f"{BUDGET}::test_a_request_that_waited_for_its_connection_meets_a_ban_heard_of_meanwhile",
            f"{BUDGET}::test_a_ban_that_another_process_hears_of_stops_what_still_waits_here",
        ),
    ),
    Guard(
        "a connection is opened before the last look at the ban",
        "P9",
        "a request whose connection took a second to open leaves although the address was barred meanwhile",
        (
            Removal(
                "exchange/binance/connections.py",
                "            flight.leave()\n",
                "            flight.sent = True\n",
            ),
        ),
        (
            "tests/unit/exchange/test_connections.py::test_what_is_barred_while_its_connection_opens_does_not_leave",
        ),
    ),
    Guard(
        "a ban outlives Valkey",
        "P9",
        "after Valkey was emptied, a process that starts goes on asking during a ban",
        (
            Removal(
                "accounts/rate_budget.py",
                "        )\n        self._keep_closure()\n",
                "        )\n",
            ),
        ),
        (f"{BUDGET}::test_a_ban_outlives_valkey_and_the_process",),
    ),
    Guard(
        "without Valkey nothing new is opened",
        "P9",
        "processes that cannot see each other's requests use up the order windows together",
        (
            Removal(
                "accounts/rate_budget.py",
                "if cost.orders and priority > Priority.MOVE:  # a stop that follows the price goes on, too",
                "if False:",
            ),
        ),
        (f"{BUDGET}::test_without_valkey_a_process_keeps_to_its_share_and_opens_nothing",),
    ),
    Guard(
        "uncovered during a ban asks at once",
        "P9, P4",
        "a position is naked for minutes, and nobody hears of it",
        (
            Removal(
                "orders/domain/decision/silence.py",
                "if trio.silence is None or not is_uncovered(trio):",
                "if True:",
            ),
        ),
        (f"{BANS}::test_uncovered_during_a_ban_asks_at_once_and_is_covered_at_its_end",),
    ),
    Guard(
        "a stray 429 is forgotten once the exchange serves us",
        "P4",
        "refusals without a time, with answers in between, silence the address for up to a minute, stops included",
        (Removal("accounts/rate_budget.py", "            self._served(now)\n", ""),),
        (f"{BUDGET}::test_a_stray_refusal_long_after_the_last_one_closes_for_a_moment_again",),
    ),
)
