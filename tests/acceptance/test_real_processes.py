"""What only real processes can show: the queue, the streams, kills, and what lies on disk."""

from __future__ import annotations

import subprocess
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import F
from django.test import Client

from accounts.models import Credential, ExchangeAccount
from infrastructure import job_queue
from local_servers import manager
from orders import services
from orders.domain.enums import LegState, Role
from orders.exchange_data.clock import to_ms
from orders.models import Fill, Heartbeat, TrioOrder, Watch
from tests.acceptance.conftest import Stack, watched
from tests.builders import story, the, until

D = Decimal
Manned = tuple[Stack, ExchangeAccount]

# What a worker reads now and then whether or not a trio lives, and the three reads of a sweep.
BY_THE_CLOCK = {"/fapi/v1/time", "/fapi/v1/accountConfig", "/fapi/v1/symbolConfig", "/fapi/v1/exchangeInfo"}
SWEEP = {"/fapi/v1/openOrders", "/fapi/v1/openAlgoOrders", "/fapi/v3/positionRisk"}


def draft(account: ExchangeAccount, **fields: Any) -> TrioOrder:
    usual: dict[str, Any] = {
        "quantity": D("0.010"),
        "stop_loss": D("95000"),
        "take_profit": D("110000"),
    }
    usual["symbol"] = services.symbol_get("PAPER", "BTCUSDT")
    trio = services.trio_draft(account=account, side="BUY", **(usual | fields))
    trio.save()
    return trio


def queue(trio: TrioOrder) -> TrioOrder:
    return services.trio_queue(trio_id=trio.pk, by="test")


def reaches(trio: TrioOrder, *states: str, seconds: float = 20) -> TrioOrder:
    until(lambda: the(trio).state in states, seconds=seconds, why=lambda: f"{states}: {story(trio)}")
    return the(trio)


def armed(trio: TrioOrder) -> bool:
    live = trio.legs.filter(state=LegState.ACCEPTED)
    return {leg.role for leg in live} >= {Role.STOP_LOSS, Role.TAKE_PROFIT}


@pytest.mark.parametrize("protection", ["PRE_ARMED", "ON_FIRST_FILL"])
def test_a_market_trio_costs_three_order_requests_and_no_other(manned: Manned, protection: str) -> None:
    stack, account = manned
    # Given both workers warm
    warm = queue(draft(account))
    reaches(warm, "OPEN")
    services.trio_close(trio_id=warm.pk, by="test")
    reaches(warm, "CLOSED")

    # When a market trio is placed
    trio = draft(account, protection=protection)
    queue(trio)
    before = stack.log()[-1]["n"]
    reaches(trio, "OPEN")
    until(lambda: armed(trio), why=lambda: story(trio))

    # Then the exchange saw three order requests, and nothing else about it (one sweep may fall due meanwhile)
    asked = [(row["method"], row["path"]) for row in stack.log(before) if row["path"] not in BY_THE_CLOCK]
    sweeps = [request for request in asked if request[1] in SWEEP]
    assert len(sweeps) == len(set(sweeps)), story(trio)
    assert sorted(request for request in asked if request[1] not in SWEEP) == [
        ("POST", "/fapi/v1/algoOrder"),
        ("POST", "/fapi/v1/algoOrder"),
        ("POST", "/fapi/v1/order"),
    ], story(trio)


def test_events_alone_carry_a_trio_to_its_end(manned: Manned) -> None:
    stack, account = manned
    trio = draft(account, entry_type="LIMIT", price=D("99000"))
    queue(trio)
    reaches(trio, "WORKING")

    stack.price("BTCUSDT", "98990")
    reaches(trio, "OPEN")
    until(lambda: armed(trio), why=lambda: story(trio))
    stack.price("BTCUSDT", "111000")

    assert reaches(trio, "CLOSED").result == "TAKE_PROFIT"
    verdict = stack.ask("GET", "/sim/verdict")
    assert "doubled" not in str(verdict) or not verdict.get("doubled"), verdict


def test_a_killed_runworker_is_replaced_and_a_fill_meanwhile_is_covered(manned: Manned) -> None:
    stack, account = manned
    trio = draft(account, entry_type="LIMIT", price=D("99000"), protection="ON_FIRST_FILL")
    queue(trio)
    reaches(trio, "WORKING")

    # Given the only runworker dies, and the entry fills while nobody looks
    stack.stop("runworker", kill=True)
    stack.price("BTCUSDT", "98990")
    killed = set(Heartbeat.objects.values_list("process", flat=True))

    # When another is started
    stack.start_worker("second")
    until(lambda: armed(trio), seconds=30, why=lambda: story(trio))

    # Then the position is covered within five seconds of its start, on the exchange's own clock
    second = Heartbeat.objects.exclude(process__in=killed).get()
    covered = trio.legs.get(role=Role.STOP_LOSS).accepted_ts
    assert covered is not None
    assert covered - to_ms(second.started_at) <= 5000
    stack.price("BTCUSDT", "94000")
    assert reaches(trio, "CLOSED").result == "STOP_LOSS", story(trio)


AGO_MS = 180_000


def test_a_trail_goes_on_where_a_killed_runworker_left_it(manned: Manned) -> None:
    stack, account = manned
    trio = draft(account)
    queue(trio)
    reaches(trio, "OPEN")
    until(lambda: armed(trio), why=lambda: story(trio))

    # Given a stop that follows the price, asked for some minutes ago, of an entry that was filled by then
    services.trio_trail(trio_id=trio.pk, by="test", distance=D("1000"), step=D("100"))
    stack.price("BTCUSDT", "101000")
    until(lambda: the(trio).stop_loss == D("100000"), seconds=20, why=lambda: story(trio))
    until(lambda: whole_stops(stack) == ["100000.0"], why=lambda: str(whole_stops(stack)))
    trio.trails.update(since_ts=F("since_ts") - AGO_MS)
    bought = Fill.objects.get(leg__trio=trio)
    Fill.objects.filter(pk=bought.pk).update(time_ts=bought.time_ts - AGO_MS)

    # When its worker dies, the price rises and comes back, and another worker is started
    stack.stop("runworker", kill=True)
    stack.price("BTCUSDT", "103000")
    until(lambda: D(stack.ask("GET", "/fapi/v1/premiumIndex?symbol=BTCUSDT")["markPrice"]) == D("103000"))
    stack.price("BTCUSDT", "102500")
    stack.start_worker("second")

    # Then the stop stands behind the best price, which nobody had heard, and closes the position there
    until(lambda: whole_stops(stack) == ["102000.0"], seconds=30, why=lambda: story(trio) + stack.logs())
    assert the(trio).uncovered_longest_ms - AGO_MS <= 2000, story(
        trio
    )  # for these three minutes it had no stop
    stack.price("BTCUSDT", "101900")
    assert reaches(trio, "CLOSED").result == "STOP_LOSS", story(trio)
    Fill.objects.filter(pk=bought.pk).update(time_ts=bought.time_ts)


def whole_stops(stack: Stack) -> list[str]:
    """Return the triggers of the whole-position stops that rest; of what else rests as a stop, a question mark."""
    accounts = stack.ask("GET", "/sim/state")["accounts"]
    orders = [o for row in accounts for o in row["algo_orders"] if o["orderType"] == "STOP_MARKET"]
    return [o["triggerPrice"] if o["closePosition"] else "?" for o in orders]


def test_a_target_that_filled_while_the_runworker_was_dead_is_never_placed_again(manned: Manned) -> None:
    stack, account = manned
    stack.price("ETHUSDT", "2000")
    symbol = services.symbol_get("PAPER", "ETHUSDT")
    parts = [{"number": 1, "level": "2030", "share": "50"}, {"number": 2, "level": "2060", "share": "30"}]
    levels = {"stop_loss": D("1900"), "take_profit": D("2090"), "part_targets": parts}
    trio = queue(draft(account, symbol=symbol, quantity=D("1.000"), protection="ON_FIRST_FILL", **levels))
    three = [("2030.00", "0.500"), ("2060.00", "0.300"), ("2090.00", "all")]
    until(lambda: resting_targets(stack) == three, why=lambda: story(trio))

    # Given that its worker dies, and the first target fills while nobody looks
    stack.stop("runworker", kill=True)
    stack.price("ETHUSDT", "2030")
    begun = Heartbeat.objects.latest("beat").beat

    # When another is started, which sweeps every second
    stack.start_worker("second", SWEEP_SECONDS="1")
    until(lambda: trio.legs.filter(role="PART_TARGET", state="FILLED").exists(), seconds=30, why=stack.logs)
    swept: set[object] = set()

    def swept_often() -> bool:
        swept.add(Watch.objects.get(account=account).swept_at)
        assert resting_targets(stack) == three[1:], story(trio)
        return len([at for at in swept if at is not None and at > begun]) > 3  # type: ignore[operator]

    # Then after each of its sweeps the two others stand as they were, and the stop for what is left
    until(swept_often, seconds=30, every=0.1, why=stack.logs)
    assert whole_stops(stack) == ["1900.00"]
    placed = [row["params"].get("triggerPrice") for row in stack.log() if row["method"] == "POST"]
    assert len([level for level in placed if level and D(level) == 2030]) == 1
    verdict = stack.ask("GET", "/sim/verdict")
    assert all(gap["ms"] <= 2000 for gap in verdict["uncovered"]), story(trio)
    stack.price("ETHUSDT", "1900")
    assert reaches(trio, "CLOSED").result == "STOP_LOSS", story(trio)
    sold = {leg.role: leg.filled for leg in trio.legs.exclude(role="ENTRY") if leg.filled}
    assert sold == {"PART_TARGET": D("0.500"), "STOP_LOSS": D("0.500")}


def resting_targets(stack: Stack) -> list[tuple[str, str]]:
    """Return level and quantity of each target that rests, the nearest first."""
    accounts = stack.ask("GET", "/sim/state")["accounts"]
    orders = [o for row in accounts for o in row["algo_orders"] if o["orderType"] == "TAKE_PROFIT_MARKET"]
    return sorted((o["triggerPrice"], "all" if o["closePosition"] else o["quantity"]) for o in orders)


def test_a_killed_exchange_comes_back_with_everything_it_had_answered(manned: Manned) -> None:
    stack, account = manned
    trio = draft(account)
    queue(trio)
    reaches(trio, "OPEN")
    until(lambda: armed(trio), why=lambda: story(trio))

    port = int(stack.url.rsplit(":", 1)[1])
    stack.stop("simulator", kill=True)
    stack.start_simulator(port)
    until(lambda: watched(account), seconds=30, why=stack.logs)
    stack.price("BTCUSDT", "111000")

    assert reaches(trio, "CLOSED").result == "TAKE_PROFIT", story(trio)


def test_runworker_finds_a_trio_whose_job_got_lost(stack: Stack, redis_queue: Any) -> None:
    account = stack.account()
    stack.start_worker()
    until(lambda: watched(account), seconds=30, why=stack.logs)

    trio = draft(account)
    queue(trio)  # no rqworker is there to hear the bell
    redis_queue.empty()

    reaches(trio, "OPEN")


def test_without_a_queue_cancel_and_close_work_and_place_waits(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given one open trio, and then a queue that does not answer, anywhere
    account = stack.account()
    stack.start_worker()
    until(lambda: watched(account), seconds=30, why=stack.logs)
    standing = draft(account)
    queue(standing)
    reaches(standing, "OPEN")
    until(lambda: armed(standing), why=lambda: story(standing))
    stack.stop("runworker")
    dead = "redis://127.0.0.1:1/0"
    monkeypatch.setattr(settings, "REDIS_URL", dead)
    monkeypatch.setattr(settings, "EMBEDDED_REDIS", False)
    for queue_settings in settings.RQ_QUEUES.values():
        monkeypatch.setitem(queue_settings, "URL", dead)
    monkeypatch.setattr(job_queue, "_connections", type(job_queue._connections)())
    stack.start_worker("deaf", REDIS_URL=dead)
    until(lambda: watched(account), seconds=30, why=stack.logs)

    # When the operator closes it, the worker acts; when another is placed, it waits
    services.trio_close(trio_id=standing.pk, by="test")
    assert reaches(standing, "CLOSED").result == "MANUAL"
    waiting = draft(account)
    queue(waiting)
    services.trio_cancel(trio_id=waiting.pk, by="test")
    assert reaches(waiting, "CANCELLED").reason == "Withdrawn before anything was sent."
    assert not waiting.requests.exists()


def test_nothing_on_disk_or_in_a_log_shows_a_key_or_a_secret(manned: Manned) -> None:
    stack, account = manned
    trio = draft(account)
    queue(trio)
    reaches(trio, "OPEN")
    credential = Credential.objects.get(account=account)
    secrets = [credential.api_key.decrypt(), credential.api_secret.decrypt()]

    assert all(len(secret) > 20 for secret in secrets)
    for name, text in {
        "database": _dump(),
        "queue": _queue_dump(),
        "logs": stack.logs(),
        "admin": _admin_page(account, trio),
    }.items():
        for secret in secrets:
            assert secret not in text, f"a secret shows in {name}"


def _dump() -> str:
    where = connection.settings_dict
    command = [str(manager._postgres_binaries() / "pg_dump"), "-h", str(where["HOST"])]
    done = subprocess.run(
        [*command, "-U", "postgres", str(where["NAME"])], check=True, capture_output=True, text=True
    )
    text: str = done.stdout
    assert "orders_trioorder" in text
    return text


def _queue_dump() -> str:
    redis = job_queue.connection()
    return "\n".join(f"{key!r} {redis.dump(key)!r}" for key in redis.scan_iter("*"))


def _admin_page(account: ExchangeAccount, trio: TrioOrder) -> str:
    user = get_user_model().objects.create_superuser("looker", password="looker")
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    pages = (
        f"/admin/accounts/exchangeaccount/{account.pk}/change/",
        f"/admin/orders/trioorder/{trio.pk}/change/",
    )
    texts = []
    for page in pages:
        answer = client.get(page, follow=True)
        assert answer.status_code == 200, page
        texts.append(answer.content.decode())
    return "\n".join(texts)
