"""Guards around the mechanism: who watches, what the sweep and the prices find, what is never switched off."""

from __future__ import annotations

from typing import Final

from tests.guards.guard import Guard, Removal

STORY: Final = "tests/unit/orders/test_guards.py"
WATCHING: Final = "tests/unit/worker/test_watching.py"
PRICES: Final = "tests/unit/worker/test_prices.py"

GUARDS: Final[tuple[Guard, ...]] = (
    Guard(
        "one watch per account",
        "P5, P6",
        "two processes sweep one account at once, and its stream is cut each time the other connects",
        (
            Removal(
                "worker/watching.py",
                "Watch.objects.filter(Q(beat=None) | Q(beat__lt=stale), account_id=account_id)",
                "Watch.objects.filter(account_id=account_id)",
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
                "worker/watching.py",
                "Q(beat=None) | Q(beat__lt=stale), account_id",
                "Q(beat=None), account_id",
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
                "worker/watching.py",
                'was taken over", account_id)\n                self._drop(account_id)',
                'was taken over", account_id)',
            ),
        ),
        (f"{WATCHING}::test_a_watch_is_held_by_one_and_taken_over_when_its_beat_is_stale",),
    ),
    Guard(
        "a sweep after every connect",
        "P6",
        "what happened while the stream was gone is found with the next round only",
        (
            Removal(
                "worker/watching.py",
                "                self.swept.clear()\n                self._missed()\n",
                "                self.swept.clear()\n",
            ),
        ),
        (
            "tests/unit/worker/test_hostile_worker.py"
            "::test_a_stream_that_connects_during_a_sweep_is_followed_by_another",
        ),
    ),
    Guard(
        "what lives is watched on any account",
        "P4, P10",
        "switching an account off leaves its open positions unwatched",
        (Removal("worker/watching.py", "Q(is_active=True) | Q(pk__in=living)", "Q(is_active=True)"),),
        (f"{STORY}::test_an_account_that_was_switched_off_is_watched_while_a_trio_lives",),
    ),
    Guard(
        "orders that vanish are missed",
        "P4, P6",
        "a stop that the exchange forgot is believed to rest",
        (Removal("worker/sweep.py", "    woken |= set(_missing_orders(account, orders, at=at))\n", ""),),
        (f"{STORY}::test_a_stop_the_exchange_forgot_is_placed_anew",),
    ),
    Guard(
        "the sweep finds what the stream hides",
        "P6",
        "a fill that no event told stays unknown",
        (
            Removal(
                "worker/sweep.py",
                "woken.add(position_fact(account.pk, view, as_of=at, from_event=False, strangers=found))",
                "pass",
            ),
            Removal("worker/sweep.py", "    woken |= set(_missing_orders(account, orders, at=at))\n", ""),
        ),
        ("tests/unit/orders/test_placement.py::test_what_a_silent_stream_does_not_tell_the_sweep_does",),
    ),
    Guard(
        "a level reached makes an event due",
        "P4",
        "a fill that a silent user stream hides is found with the next sweep only",
        (Removal("worker/prices.py", "        self._have_read(reached, in_ms=EVENT_DUE_MS)\n", ""),),
        (f"{PRICES}::test_a_fill_the_stream_hides_is_found_by_the_price_within_the_bound",),
    ),
    Guard(
        "a silent price stream is read around",
        "P4",
        "with both streams silent a fill is found with the next sweep only",
        (
            Removal(
                "worker/prices.py",
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
                "worker/prices.py",
                "self._have_read((i for i in entries if i.leg_id not in self._entries), in_ms=EVENT_DUE_MS)",
                "pass",
            ),
        ),
        (f"{PRICES}::test_a_fill_before_the_price_was_ever_heard_is_found",),
    ),
    Guard(
        "ids mean something with their symbol only",
        "P2, P6",
        "a person's order on another symbol fills one of ours",
        (
            Removal(
                "orders/facts.py",
                "ids, trio__account_id=account_id, trio__symbol__symbol=view.symbol",
                "ids, trio__account_id=account_id",
            ),
        ),
        (
            "tests/unit/orders/test_hostile.py"
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
