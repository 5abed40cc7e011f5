"""The exchange's own trailing order beside a stop-loss, through the real service, PostgreSQL and the simulated exchange."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from accounts.gateways import user_event
from exchange.types import OrderEvent, PriceKind
from orders import services
from orders.domain.enums import LegState, Role
from orders.domain.errors import RuleBroken, TrioRefused
from orders.domain.trailing import FollowEnd
from orders.exchange_data.clock import db_now
from orders.follow_rows import following, trails_followed
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import Leg, Trail, TrioOrder, Watch
from orders.placement.ingest import record_order_event
from orders.placement.perform import SendCall, perform_all
from orders.placement.snapshot_loader import conditionals_beside
from orders.wishes import seen_now
from tests.builders import Desk, story, the, until

D = Decimal
OWN = "TRAILING_STOP_MARKET"


def opened(desk: Desk, side: str = "BUY", **fields: Any) -> TrioOrder:
    levels = {"stop_loss": D(95000), "take_profit": D(120000)}
    if side == "SELL":
        levels = {"stop_loss": D(105000), "take_profit": D(80000)}
    trio = desk.placed(desk.a_trio(side=side, protection="ON_FIRST_FILL", **(levels | fields)))
    desk.carry_until(trio, "OPEN")
    carried(desk, trio, lambda: len(desk.resting) == 2)
    return the(trio)


def carried(desk: Desk, trio: TrioOrder, what: Callable[[], Any]) -> Any:
    def there() -> Any:
        desk.carry()
        return what()

    return until(there, why=lambda: story(trio))


def own(desk: Desk) -> list[dict[str, Any]]:
    return [o for o in desk.simulator.open_orders() if o.get("orderType") == OWN]


def stops(desk: Desk) -> list[dict[str, Any]]:
    return [o for o in desk.simulator.open_orders() if o.get("orderType") == "STOP_MARKET"]


def quantities(desk: Desk) -> list[Decimal]:
    return sorted(D(o["quantity"]) for o in own(desk))


def uncovered(desk: Desk) -> list[Any]:
    return list(desk.simulator.verdict()["uncovered"])


@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_it_rests_beside_the_stop_and_takes_the_profit_when_the_price_turns(
    any_desk: Desk, side: str
) -> None:
    # Given an open trio, and the exchange's own trailing order from 105000 on (95000 for a short)
    desk, trio, long = any_desk, opened(any_desk, side), side == "BUY"
    before = uncovered(desk)
    services.trio_trail(
        trio_id=trio.pk, by="ann", percent=D(1), activation=D(105000 if long else 95000), by_exchange=True
    )
    carried(desk, trio, lambda: own(desk))

    # Then it is for the quantity, and the stop and the target stay as they were
    (order,) = own(desk)
    assert (D(order["quantity"]), order["closePosition"], order["callbackRate"]) == (D("0.010"), False, "1")
    assert order["reduceOnly"] is (trio.position_side == "BOTH")
    assert [(o["closePosition"], D(o["triggerPrice"])) for o in stops(desk)] == [(True, trio.stop_loss)]
    assert "not active yet" in " ".join(following(the(trio)))
    assert trails_followed([desk.account.pk]) == [], "the worker moves nothing of it"

    # When its activation is reached, then the exchange says that it is active, and the page does
    desk.simulator.set_price("BTCUSDT", "106000" if long else "94000")
    carried(desk, trio, lambda: Leg.objects.get(role=Role.TRAIL).active_ts)
    assert "rests for 0.01, active" in " ".join(following(the(trio)))

    # When the price turns, then it closes the position, and nothing is left
    desk.simulator.set_price("BTCUSDT", "104900" if long else "95000")
    desk.carry_until(trio, "CLOSED")
    assert (the(trio).result, desk.resting) == ("STOP_LOSS", []), story(trio)
    assert "The trailing stop executed." in story(trio)
    assert uncovered(desk) == before
    assert (Trail.objects.get().end, the(trio).exchange_trail) == (FollowEnd.TRIO_ENDED, None)
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


def test_it_follows_the_size_of_the_position(any_desk: Desk) -> None:
    desk, trio = any_desk, opened(any_desk)
    hedged, before = trio.position_side != "BOTH", uncovered(desk)
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(5), by_exchange=True, watches=PriceKind.LAST)
    carried(desk, trio, lambda: quantities(desk) == [D("0.010")])

    services.trio_add(trio_id=trio.pk, quantity=D("0.004"), by="ann")
    carried(desk, trio, lambda: quantities(desk) == [D("0.004"), D("0.010")])

    services.trio_close_part(trio_id=trio.pk, quantity=D("0.010"), by="ann")
    left = [D("0.004")] if hedged else [D("0.004"), D("0.010")]  # one-way: the exchange cuts it
    carried(
        desk, trio, lambda: seen_now(trio.pk, db_now())[1].position == D("0.004") and quantities(desk) == left
    )

    desk.simulator.set_price("BTCUSDT", "94000")
    desk.carry_until(trio, "CLOSED")
    assert desk.resting == []
    assert uncovered(desk) == before, story(trio)


@pytest.mark.parametrize("how", ["off", "close", "ours", "again"])
def test_it_is_cancelled_by_its_id_at_every_end(any_desk: Desk, how: str) -> None:
    desk, trio = any_desk, opened(any_desk)
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)
    carried(desk, trio, lambda: own(desk))

    match how:
        case "off":
            services.trio_trail_off(trio_id=trio.pk, by="ann")
            carried(desk, trio, lambda: not own(desk))
            assert len(stops(desk)) == 1
        case "close":
            services.trio_close(trio_id=trio.pk, by="ann")
            desk.carry_until(trio, "CLOSED")
            assert desk.resting == []
        case "ours":
            services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2))
            carried(desk, trio, lambda: not own(desk))
            assert len(trails_followed([desk.account.pk])) == 1
        case _:
            services.trio_trail(trio_id=trio.pk, by="ann", percent=D(3), by_exchange=True)
            carried(desk, trio, lambda: [o["callbackRate"] for o in own(desk)] == ["3"])
    assert desk.requests("DELETE", "/fapi/v1/algoOpenOrders") == []


@pytest.mark.parametrize("code", [-4045, -1130])
def test_a_refusal_leaves_the_stop_and_the_trio(any_desk: Desk, code: int) -> None:
    desk, trio = any_desk, opened(any_desk)
    before = uncovered(desk)
    desk.simulator.refuses(OWN, code=code)
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)

    carried(desk, trio, lambda: Trail.objects.get().end == FollowEnd.REFUSED)
    trail = Trail.objects.get()
    assert (trail.refused_code, the(trio).state, the(trio).is_trailing) == (code, "OPEN", False), story(trio)
    assert len(stops(desk)) == 1
    assert uncovered(desk) == before
    assert "takes no trailing order of its own" in story(trio)


def test_one_whose_activation_was_passed_on_its_way_goes_out_active(any_desk: Desk) -> None:
    desk, trio = any_desk, opened(any_desk)
    desk.simulator.refuses(OWN, code=-2021, occurrence=[1])
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), activation=D(101000), by_exchange=True)
    carried(desk, trio, lambda: own(desk) and Leg.objects.filter(role=Role.TRAIL, active_ts__gt=0))
    assert Leg.objects.get(role=Role.TRAIL, generation=1).refused_code == -2021


def test_a_trigger_price_that_moves_with_the_market_is_no_change_by_a_person(any_desk: Desk) -> None:
    # Given the exchange's own trailing order, of which the exchange tells a trigger price
    desk, trio = any_desk, opened(any_desk)
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)
    carried(desk, trio, lambda: own(desk))
    leg = Leg.objects.get(role=Role.TRAIL)
    seen_ts = leg.seen_ts or 0

    # When that price follows the market
    for number, price in enumerate(("98000.0", "98100.0", "98200.0"), start=1):
        told = {
            "e": "ALGO_UPDATE",
            "E": seen_ts + number,
            "T": seen_ts + number,
            "o": {
                "caid": leg.client_id,
                "aid": leg.algo_id,
                "at": "CONDITIONAL",
                "o": OWN,
                "s": "BTCUSDT",
                "S": "SELL",
                "ps": trio.position_side,
                "q": "0.010",
                "X": "NEW",
                "tp": price,
            },
        }
        event = user_event(told)
        assert isinstance(event, OrderEvent), event
        record_order_event(desk.account.pk, event)

    # Then nobody is asked whether somebody changed it
    assert the(trio).question == "", story(trio)


def test_an_answer_that_is_lost_is_looked_up_and_nothing_is_doubled(any_desk: Desk) -> None:
    desk, trio = any_desk, opened(any_desk)
    desk.simulator.fault({"method": "POST", "type": OWN}, {"do": "lose_answer"}, [1])
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)
    carried(desk, trio, lambda: Leg.objects.filter(role=Role.TRAIL, state=LegState.ACCEPTED).exists())
    assert quantities(desk) == [D("0.010")]
    assert Leg.objects.filter(role=Role.TRAIL).count() == 1


def certain_soon(settings: Any) -> None:
    """Have an order's absence be certain within a second."""
    settings.RECV_WINDOW_MS, settings.ABSENCE_MARGIN_MS = 500, 200


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_killed_between_any_two_of_its_steps_it_is_one_order_beside_the_stop(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch, settings: Any, side: str, number: int, moment: str
) -> None:
    # Given that whoever sends, resizes or takes it back dies right before or after asking the exchange, the first, second or
    # third time
    desk, trio = any_desk, opened(any_desk, side)
    before, asked = uncovered(desk), [0]
    number = min(number, 2) if trio.position_side == "BOTH" else number  # one-way: it is sent and taken back
    certain_soon(settings)

    def dying(calls: Any, exchange: Any, later: Any) -> Any:
        about = [call.leg_id for call in calls if isinstance(call, SendCall)]
        is_ours = Leg.objects.filter(pk__in=about, role=Role.TRAIL).exists()
        asked[0] += is_ours
        dies = is_ours and asked[0] == number
        if dies and moment == "before":
            return set()
        futures = perform_all(calls, exchange, later)
        if dies:
            for future in futures:
                future.result()
            return set()
        return futures

    monkeypatch.setattr("orders.placement.service.perform_all", dying)

    def goes_on(what: Callable[[], Any]) -> None:
        def there() -> Any:
            desk.carry()
            return what()

        until(there, seconds=20, why=lambda: story(trio))

    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)
    goes_on(lambda: quantities(desk) == [D("0.010")])
    services.trio_close_part(trio_id=trio.pk, quantity=D("0.004"), by="ann")
    left = D("0.010") if trio.position_side == "BOTH" else D("0.006")
    goes_on(lambda: quantities(desk) == [left] and seen_now(trio.pk, db_now())[1].position == D("0.006"))
    services.trio_trail_off(trio_id=trio.pk, by="ann")
    goes_on(lambda: not own(desk))

    # Then it was never less covered than before, and what stands is the stop
    assert [o["closePosition"] for o in stops(desk)] == [True]
    assert uncovered(desk) == before, story(trio)
    assert the(trio).state == "OPEN"
    assert asked[0] >= number
    assert not trio_replay(trio).differences


@pytest.mark.parametrize(
    ("terms", "field", "words"),
    [
        ({"percent": D("0.05")}, "percent", "0.1 % is the nearest valid distance"),
        ({"percent": D("1.55")}, "percent", "1.6 % is the nearest valid distance"),
        ({"percent": D(21)}, "percent", "20 % is the nearest valid distance"),
        ({"distance": D(500)}, "percent", "follows by a percentage"),
        ({"percent": D(1), "step": D(5)}, "step", "leave the step out"),
        ({"percent": D(1), "activation": D(110000), "let_run": True}, "let_run", "leave out one of the two"),
        ({"percent": D(1), "activation": D(94000)}, "activation", "must be above the"),
    ],
)
def test_what_the_exchange_does_not_know_is_refused_and_nothing_is_sent(
    desk: Desk, terms: dict[str, Any], field: str, words: str
) -> None:
    trio = opened(desk)
    with pytest.raises(RuleBroken) as refused:
        services.trio_trail(trio_id=trio.pk, by="ann", by_exchange=True, **terms)
    assert (refused.value.field, words in str(refused.value)) == (field, True), str(refused.value)
    assert not Trail.objects.exists()


def test_room_is_kept_for_it_and_asked_for(desk: Desk) -> None:
    trio, other = opened(desk), desk.a_trio(symbol="ETHUSDT", stop_loss=D(1900), take_profit=D(2300))
    ours, _ = conditionals_beside(other)
    services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)
    assert conditionals_beside(other)[0] == ours + 1

    services.trio_trail_off(trio_id=trio.pk, by="ann")
    Watch.objects.filter(account=desk.account).update(stranger_conditionals=193)
    with pytest.raises(TrioRefused, match="would not fit"):
        services.trio_trail(trio_id=trio.pk, by="ann", percent=D(2), by_exchange=True)
