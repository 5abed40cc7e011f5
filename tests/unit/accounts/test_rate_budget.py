"""One budget for an address and its accounts, in Valkey; what happens without it; and bans."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import redis
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts import rate_budget
from accounts.models import EgressLimits
from accounts.rate_budget import CLOSE, ENTER, AccountGate, Budget
from exchange.errors import ExchangeUnavailable
from exchange.rate_limits import Cost, Limits, Priority, Usage
from exchange.rate_meter import Meter, limits_for, moves_for
from exchange.refusals import Refusal
from infrastructure import valkey
from tests.builders import until

pytestmark = pytest.mark.django_db
SMALL = Limits(weight_1m=100, orders_10s=20, orders_1m=60)
ORDER = Cost(orders=1)
ENTRY = Cost(orders=1, pledge=2)


@pytest.fixture
def store(settings: Any) -> Iterator[redis.Redis]:
    """Valkey without anything of an earlier test."""
    settings.KEEP_TO_LIMITS = True
    client = redis.Redis.from_url(settings.REDIS_URL)
    _empty(client)
    yield client
    _empty(client)
    rate_budget.forget_budgets()


def _empty(client: redis.Redis) -> None:
    for key in client.scan_iter("rate:*"):
        client.delete(key)


def a_process(egress: str = "here", limits: Limits = SMALL, *, name: str = "p") -> Budget:
    """Return a budget as another process would have it."""
    budget = Budget("PAPER", egress, process=name)
    budget.limits = limits
    return budget


def passes(budget: Budget, cost: Cost, priority: Priority, account: str = "1") -> bool:
    try:
        AccountGate(budget, account).enter(cost, priority)
    except ExchangeUnavailable:
        return False
    return True


def spent(budget: Budget, cost: Cost, priority: Priority, account: str = "1") -> int:
    """Return how often a request passes until it is held back."""
    times = 0
    while times < 1000 and passes(budget, cost, priority, account):
        times += 1
    return times


# --- classes --------------------------------------------------------------------------------------


def test_all_processes_of_an_address_draw_on_one_budget(store: redis.Redis) -> None:
    one, two = a_process(), a_process()

    assert spent(one, Cost(weight=5), Priority.WATCH) == 13  # 65 of 100
    assert spent(two, Cost(weight=5), Priority.WATCH) == 0
    assert spent(a_process("elsewhere"), Cost(weight=5), Priority.WATCH) == 13


def test_what_matters_more_may_use_what_matters_less_may_not(store: redis.Redis) -> None:
    budget = a_process()

    spent_by = {priority: spent(budget, Cost(weight=1), priority) for priority in reversed(Priority)}

    assert spent_by == {
        Priority.PAGE: 55,
        Priority.WATCH: 10,
        Priority.PLACE: 15,
        Priority.MOVE: 5,
        Priority.PROTECT: 12,
    }


def test_moves_take_a_third_of_the_order_windows_and_leave_the_rest(store: redis.Redis) -> None:
    budget = a_process()

    assert spent(budget, ORDER, Priority.MOVE) == SMALL.orders_10s // 3
    assert passes(budget, ORDER, Priority.PLACE)
    assert passes(budget, ORDER, Priority.PROTECT)
    assert not passes(budget, ORDER, Priority.MOVE)


def test_moves_stop_before_what_protects_runs_out_of_room(store: redis.Redis) -> None:
    budget = a_process()
    used = SMALL.orders_10s * 95 // 100
    for _ in range(used):
        assert passes(budget, ORDER, Priority.PROTECT)

    assert not passes(budget, ORDER, Priority.MOVE)
    assert passes(budget, ORDER, Priority.PROTECT)


def test_entries_leave_room_for_their_legs_and_for_exits(store: redis.Redis) -> None:
    budget = a_process()

    entries = spent(budget, ENTRY, Priority.PLACE)

    assert entries == 6  # three orders each: 18 of 20
    assert spent(budget, ORDER, Priority.PROTECT) == 14
    assert spent(budget, ORDER, Priority.PROTECT, account="2") == 20  # order windows are the account's own


def test_pledges_are_kept_until_the_legs_are_sent(store: redis.Redis) -> None:
    budget = a_process()
    assert spent(budget, ENTRY, Priority.PLACE) == 6
    for _ in range(12):
        assert passes(budget, ORDER, Priority.PROTECT)

    assert not passes(budget, ENTRY, Priority.PLACE)  # sent or pledged, it is the same room


def test_what_others_send_from_this_address_counts(store: redis.Redis) -> None:
    budget = a_process()
    assert passes(budget, Cost(weight=5), Priority.WATCH)

    AccountGate(budget, "1").leave(Usage(weight_1m=65))  # five were ours

    assert passes(budget, Cost(weight=1), Priority.WATCH) is False  # the figure rode on this request
    assert passes(a_process(), Cost(weight=1), Priority.WATCH) is False
    assert passes(a_process(), Cost(weight=1), Priority.PLACE) is True


def test_what_others_order_on_this_account_counts(store: redis.Redis) -> None:
    budget = a_process()
    gate = AccountGate(budget, "1")
    assert passes(budget, ORDER, Priority.PROTECT)
    gate.leave(Usage(orders_10s=18, orders_1m=18))

    assert not passes(budget, ENTRY, Priority.PLACE)
    assert spent(budget, ORDER, Priority.PROTECT) == 2


actions = st.lists(
    st.tuples(
        st.integers(0, 70_000),  # ms since the one before
        st.sampled_from(list(Priority)),
        st.integers(0, 40),
        st.booleans(),
        st.integers(0, 2),
        st.sampled_from(["1", "2"]),
        st.one_of(st.none(), st.integers(0, 120)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(actions=actions)
def test_valkey_counts_as_a_process_alone_does(store: redis.Redis, actions: list[Any]) -> None:
    _empty(store)
    script = store.register_script(ENTER.replace("redis.call('TIME')", "{ARGV[16], ARGV[17]}"))
    meter, now = Meter(), 1_795_780_800_000
    for gap, priority, weight, orders, pledge, account, header in actions:
        now += gap
        cost = Cost(weight, int(orders), pledge if orders else 0)
        allowed = limits_for(SMALL, priority)
        figures = (-1, 0) if header is None else (header, 0)
        if header is not None:
            meter.leave(account, Usage(weight_1m=header), now_ms=now)
        moves = moves_for(SMALL)
        own = (moves.orders_10s, moves.orders_1m) if priority is Priority.MOVE else (-1, -1)
        alone = meter.enter(account, cost, allowed, priority, now_ms=now, moves=moves)
        how, wait_ms, _, _ = script(
            keys=["rate:t", f"rate:t:{account}", "rate:t:processes"],
            args=[
                *("p", cost.weight, cost.orders, cost.pledge, int(priority is Priority.PROTECT)),
                *(allowed.weight_1m, allowed.orders_10s, allowed.orders_1m, *figures, -1, -1, 0),
                *own,
                *(now // 1000, now % 1000 * 1000),
            ],
        )
        assert (how, wait_ms) == (
            (0, 0)
            if alone is None
            else ({Refusal.RATE_WEIGHT: 2, Refusal.RATE_ORDERS: 3}[alone.cause], alone.wait_ms)
        )


# --- without Valkey -------------------------------------------------------------------------------


def test_without_valkey_a_process_keeps_to_its_share_and_opens_nothing(
    store: redis.Redis, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    alone = a_process()
    alone.processes = 4

    assert spent(alone, Cost(weight=1), Priority.WATCH) == 65 // 4
    assert passes(alone, ENTRY, Priority.PLACE) is False
    assert passes(alone, ORDER, Priority.PROTECT) is True
    assert spent(alone, ORDER, Priority.MOVE) == SMALL.orders_10s // 3 // 4


def test_without_valkey_what_other_processes_use_is_no_part_of_a_share(
    store: redis.Redis, settings: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    alone = a_process()
    alone.processes = 4
    AccountGate(alone, "1").leave(Usage(weight_1m=70))

    assert spent(alone, Cost(weight=1), Priority.WATCH) == 65 // 4
    AccountGate(alone, "1").leave(Usage(weight_1m=96))
    alone.processes = 1
    assert spent(alone, Cost(weight=1), Priority.PROTECT) == 1  # 97 of 100, whoever used them


def test_each_process_is_counted(store: redis.Redis) -> None:
    processes = [a_process(name=f"p{number}") for number in range(4)]
    assert all(passes(process, Cost(weight=1), Priority.PROTECT) for process in processes)
    assert [process.processes for process in processes] == [1, 2, 3, 4]


def test_a_valkey_that_hangs_costs_what_protects_a_moment_once(store: redis.Redis, settings: Any) -> None:
    import socket

    with socket.socket() as deaf:  # takes connections and says nothing, like a stopped process
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        settings.REDIS_URL = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        budget = a_process()
        started = time.monotonic()
        assert all(passes(budget, ORDER, Priority.PROTECT) for _ in range(5))
        assert time.monotonic() - started < 4 * valkey.PATIENCE_SECONDS  # one connects, and tries once more


def test_an_answer_that_is_late_once_holds_entries_up_for_a_moment_only(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = a_process()
    answering, late = budget._enter, iter([True])

    def enter(*words: Any, **named: Any) -> Any:
        if next(late, False):
            raise redis.TimeoutError("Timeout reading from socket")
        return answering(*words, **named)

    monkeypatch.setattr(budget, "_enter", enter)
    began = time.monotonic()
    with pytest.raises(ExchangeUnavailable) as held:
        AccountGate(budget, "1").enter(ENTRY, Priority.PLACE)

    assert held.value.wait_ms <= 125
    until(lambda: passes(budget, ENTRY, Priority.PLACE))
    assert time.monotonic() - began < rate_budget.AGAIN_SECONDS


def test_several_that_meet_one_late_answer_meet_one_silence(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget, together = a_process(), threading.Barrier(4)
    passes(budget, ORDER, Priority.PROTECT)

    def late(**_: Any) -> Any:
        together.wait(10)
        raise redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr(budget, "_enter", late)
    with ThreadPoolExecutor(4) as pool:
        assert not any(pool.map(lambda _: passes(budget, ENTRY, Priority.PLACE), range(4)))

    assert budget._silent_until - time.monotonic() <= rate_budget.FIRST_AGAIN_SECONDS


def test_after_valkey_was_emptied_the_exchanges_figures_tell_what_is_used(store: redis.Redis) -> None:
    budget = a_process()
    assert spent(budget, Cost(weight=5), Priority.WATCH) == 13
    AccountGate(budget, "1").leave(Usage(weight_1m=65))
    store.flushdb()

    assert not passes(budget, Cost(weight=5), Priority.WATCH)


# --- bans -----------------------------------------------------------------------------------------


def test_a_ban_met_by_one_process_silences_every_process(store: redis.Redis) -> None:
    one, two = a_process(), a_process()
    AccountGate(one, "1").leave(Usage(cause=Refusal.BANNED, closed_ms=60_000))

    for process in (one, two):
        with pytest.raises(ExchangeUnavailable) as barred:
            AccountGate(process, "2").enter(ORDER, Priority.PROTECT)
        assert barred.value.refusal is Refusal.BANNED
        assert 59_000 < barred.value.wait_ms <= 60_000
    assert two.closure is not None


def test_refusals_without_a_time_close_for_longer_and_longer_and_several_at_once_are_one(
    store: redis.Redis,
) -> None:
    budget, vague = a_process(), Usage(cause=Refusal.RATE_WEIGHT, closed_ms=50_000, is_told=False)
    gate = AccountGate(budget, "1")

    assert gate.leave(vague).closed_ms == rate_budget.VAGUE_MS
    assert gate.leave(vague).closed_ms <= rate_budget.VAGUE_MS
    until(lambda: budget.closure is None)
    assert gate.leave(vague).closed_ms == 2 * rate_budget.VAGUE_MS


def test_a_stray_refusal_long_after_the_last_one_closes_for_a_moment_again(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_budget, "SERVED_SECONDS", 0.2)
    budget, vague = a_process(), Usage(cause=Refusal.RATE_WEIGHT, closed_ms=50_000, is_told=False)
    gate = AccountGate(budget, "1")
    for times in (1, 2):
        assert gate.leave(vague).closed_ms == times * rate_budget.VAGUE_MS
        until(lambda: budget.closure is None)

    # What was under way when it closed, and is answered right after, shows nothing
    gate.leave(Usage())
    assert gate.leave(vague).closed_ms == 4 * rate_budget.VAGUE_MS

    # When the exchange serves us for a while
    until(lambda: budget.closure is None)
    until(lambda: gate.leave(Usage()).cause is None and budget._vague == 0)
    assert gate.leave(vague).closed_ms == rate_budget.VAGUE_MS


@pytest.mark.parametrize("said", [{"is_told": True}, {"is_told": False, "weight_1m": 95}])
def test_a_minute_that_is_used_up_is_waited_out(store: redis.Redis, said: dict[str, Any]) -> None:
    usage = Usage(cause=Refusal.RATE_WEIGHT, closed_ms=50_000, **said)
    assert AccountGate(a_process(), "1").leave(usage).closed_ms == 50_000


def confirmed(budget: Budget, *, waited: float) -> bool:
    """May a request leave whose first byte is ready so many seconds after it has passed the gate?"""
    try:
        AccountGate(budget, "1").confirm(time.monotonic() - waited)
    except ExchangeUnavailable:
        return False
    return True


def test_a_request_that_waited_for_its_connection_meets_a_ban_heard_of_meanwhile(store: redis.Redis) -> None:
    budget = a_process()
    assert passes(budget, ORDER, Priority.PROTECT)
    assert confirmed(budget, waited=0)
    AccountGate(budget, "1").leave(Usage(cause=Refusal.BANNED, closed_ms=60_000))

    assert not confirmed(budget, waited=0)


def test_a_ban_that_another_process_hears_of_stops_what_still_waits_here(store: redis.Redis) -> None:
    one, two = a_process(), a_process()
    assert passes(two, ORDER, Priority.PROTECT)
    AccountGate(one, "1").leave(Usage(cause=Refusal.BANNED, closed_ms=60_000))

    assert not confirmed(two, waited=rate_budget.WAITED_SECONDS)
    assert two.closure is not None


def test_a_last_look_at_a_silent_valkey_holds_nothing_up(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = a_process()

    def late(**_: Any) -> Any:
        raise redis.TimeoutError("Timeout reading from socket")

    monkeypatch.setattr(budget, "_closed_elsewhere", late)
    assert confirmed(budget, waited=1)
    assert budget._silent_until > time.monotonic()


def test_a_ban_outlives_valkey_and_the_process(store: redis.Redis) -> None:
    AccountGate(a_process(), "1").leave(Usage(cause=Refusal.BANNED, closed_ms=60_000))
    store.flushdb()

    assert not passes(a_process(), ORDER, Priority.PROTECT)


def test_nobody_leaves_before_it_is_known_whether_the_address_is_barred(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a process that starts during a ban, and two of its threads with a first request at once
    loading, known = threading.Event(), threading.Event()
    budget = a_process()

    def load(self: Budget) -> None:
        loading.set()
        known.wait(5)
        self._shut(Refusal.BANNED, 60_000)

    monkeypatch.setattr(Budget, "_load", load)
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(passes, budget, ORDER, Priority.PROTECT)
        loading.wait(5)
        two = threads.submit(passes, budget, ORDER, Priority.PROTECT)
        known.set()
        assert (one.result(), two.result()) == (False, False)


def test_a_ban_that_is_over_is_over(store: redis.Redis) -> None:
    EgressLimits.objects.create(
        environment="PAPER",
        egress="here",
        closed_until=timezone.now() - timedelta(seconds=1),
        closed_cause=Refusal.BANNED.value,
    )
    assert passes(a_process(), ORDER, Priority.PROTECT)


def test_after_a_ban_what_protects_goes_first(store: redis.Redis) -> None:
    budget = a_process()
    AccountGate(budget, "1").leave(Usage(cause=Refusal.BANNED, closed_ms=1))
    while budget.closure is not None:
        pass

    assert not passes(budget, Cost(weight=1), Priority.WATCH)
    assert passes(budget, ORDER, Priority.PROTECT)


def test_what_protects_waits_out_the_last_moments_of_a_ban(store: redis.Redis) -> None:
    # Given a ban whose end other processes know a little later than this one
    other, budget = a_process(name="other"), a_process()
    AccountGate(other, "1").leave(Usage(cause=Refusal.BANNED, closed_ms=100))

    assert not passes(budget, ORDER, Priority.MOVE)
    began = time.monotonic()
    assert passes(budget, ORDER, Priority.PROTECT)
    assert time.monotonic() - began < 1.0

    # It waits for no other
    AccountGate(other, "1").leave(Usage(cause=Refusal.BANNED, closed_ms=2000))
    assert not passes(budget, ORDER, Priority.PROTECT)
    assert budget.closure is not None
    assert budget.closure.left_ms > 1000


def test_the_longer_of_two_bans_holds(store: redis.Redis) -> None:
    close = store.register_script(CLOSE)
    close(keys=["rate:t"], args=[60_000, "BANNED"])
    close(keys=["rate:t"], args=[1000, "RATE_WEIGHT"])
    assert store.hget("rate:t", "cause") == b"BANNED"


def test_a_full_order_window_stops_that_accounts_entries_and_nothing_else(store: redis.Redis) -> None:
    one, two = a_process(), a_process()
    AccountGate(one, "1").leave(Usage(cause=Refusal.RATE_ORDERS, closed_ms=5000))

    assert not passes(two, ENTRY, Priority.PLACE)
    assert passes(two, ORDER, Priority.PROTECT)
    assert passes(two, ENTRY, Priority.PLACE, account="2")


def test_published_limits_are_kept_for_processes_that_start_later(store: redis.Redis) -> None:
    AccountGate(Budget("PAPER", "here"), "").learn(Limits(6000, 50, 700))

    later = Budget("PAPER", "here")
    assert passes(later, ORDER, Priority.PROTECT)
    assert later.limits == Limits(6000, 50, 700)
