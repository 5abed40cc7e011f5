"""A position opened in the exchange's app becomes a trio, and is protected at once, by the exchange's own records."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

from accounts.gateways import exchange_for
from exchange.types import (
    NewOrder,
    OrderType,
    PositionMode,
    PositionSide,
    Side,
    Stamp,
    TimeInForce,
    WorkingType,
)
from orders import adoption, services
from orders.adoption import ForeignOrders
from orders.domain.adoption import Level
from orders.domain.enums import Role
from orders.domain.errors import MarketUnread, RuleBroken, SlotTaken, TrioRefused
from orders.exchange_data.clock import exchange_now_ms
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import Heartbeat, Install, Request, Slot, TrioOrder
from orders.selectors import net_pnl
from simulator import Simulator
from tests.builders import Desk, story, the, until

TWO, FIVE = Level(D(2), is_percent=True), Level(D(5), is_percent=True)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    from accounts import endpoints
    from simulator.transport import InProcessAdapter

    simulated = Simulator(symbols={"BTCUSDT", "XRPUSDT"})
    simulated.set_price("BTCUSDT", "100000")
    simulated.set_price("XRPUSDT", "0.5120")
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    yield simulated
    endpoints.use_transport("PAPER", None)


_numbers = itertools.count(1)


def by_hand(desk: Desk, order: NewOrder) -> str:
    """Place an order as a person does in the exchange's app; return its id."""
    exchange = exchange_for(desk.account.pk)
    stamp = Stamp(exchange_now_ms("PAPER"), 5000)
    exchange.send(exchange.submit_request(order), stamp=stamp)
    desk.hear()
    return order.client_id


def position_side(desk: Desk, side: Side) -> PositionSide:
    if desk.account.position_mode == PositionMode.ONE_WAY:
        return PositionSide.BOTH
    return PositionSide.LONG if side is Side.BUY else PositionSide.SHORT


def opened_by_hand(desk: Desk, quantity: str = "500", side: Side = Side.BUY) -> None:
    """Open a position at 0.5120 in the exchange's app."""
    order = NewOrder(
        client_id=f"web_entry{next(_numbers)}",
        symbol="XRPUSDT",
        side=side,
        type=OrderType.LIMIT,
        position_side=position_side(desk, side),
        quantity=D(quantity),
        price=D("0.5120"),
        time_in_force=TimeInForce.GTC,
    )
    desk.simulator.set_price("XRPUSDT", "0.5130" if side is Side.BUY else "0.5110", mark="0.5120")
    desk.simulator.fill(by_hand(desk, order), quantity)
    desk.simulator.set_price("XRPUSDT", "0.5121" if side is Side.BUY else "0.5119", mark="0.5120")
    desk.hear()


def beside(desk: Desk, kind: OrderType, price: str, side: Side = Side.BUY) -> str:
    """Put an order for the whole position beside it, in the exchange's app; return its id."""
    return by_hand(
        desk,
        NewOrder(
            client_id=f"web_{kind.value.lower()}{next(_numbers)}",
            symbol="XRPUSDT",
            side=side.opposite,
            type=kind,
            position_side=position_side(desk, side),
            trigger_price=D(price),
            working_type=WorkingType.MARK_PRICE,
            close_position=True,
        ),
    )


def adopt(desk: Desk, **words: Any) -> TrioOrder:
    usual: dict[str, Any] = {"stop": TWO, "target": FIVE, "by": "test"}
    return adoption.position_adopt(
        account=desk.account, symbol=services.symbol_get("PAPER", "XRPUSDT"), **(usual | words)
    )


def carried_until(desk: Desk, trio: TrioOrder, is_so: Any) -> None:
    def there() -> bool:
        desk.carry()
        trio.refresh_from_db()
        return bool(is_so())

    until(there, why=lambda: story(trio))


def protected(desk: Desk, trio: TrioOrder) -> bool:
    live = {leg.role for leg in trio.legs.filter(state="ACCEPTED", acknowledged=True)}
    return live == {Role.STOP_LOSS, Role.TAKE_PROFIT} and not desk_foreign(trio)


def desk_foreign(trio: TrioOrder) -> list[dict[str, Any]]:
    """Return what is still to be cancelled of somebody else's."""
    return [order for order in (trio.adoption or {})["orders"] if not order["end"]]


def resting(desk: Desk) -> dict[str, dict[str, Any]]:
    return {o.get("clientAlgoId") or o["clientOrderId"]: o for o in desk.simulator.open_orders()}


def test_a_position_with_a_persons_own_stop_is_adopted_as_it_is(desk: Desk) -> None:
    # Given a person's long of 500 at 0.5120 with a stop of their own
    opened_by_hand(desk)
    theirs = beside(desk, OrderType.STOP_MARKET, "0.4900")
    before = resting(desk)[theirs]

    # When it is adopted with a stop of 2 % and a target of 5 %, foreign orders left
    trio = adopt(desk)
    carried_until(desk, trio, lambda: protected(desk, trio))

    # Then the entry is what is there, at the entry price
    entry = trio.legs.get(role=Role.ENTRY)
    assert (entry.filled, entry.average_price, trio.quantity) == (D("500"), D("0.5120"), D("500"))
    assert entry.filled * entry.average_price == D("256")
    assert (trio.state, trio.stop_loss, trio.take_profit) == ("OPEN", D("0.5018"), D("0.5376"))
    # … the stop is for the quantity, the target for the whole position, and the foreign stop as it was
    stop = resting(desk)[trio.legs.get(role=Role.STOP_LOSS).client_id]
    target = resting(desk)[trio.legs.get(role=Role.TAKE_PROFIT).client_id]
    assert (D(stop["triggerPrice"]), D(stop["quantity"]), stop["reduceOnly"]) == (D("0.5018"), D(500), True)
    assert (D(target["triggerPrice"]), target["closePosition"]) == (D("0.5376"), True)
    assert resting(desk)[theirs] == before
    assert len(resting(desk)) == 3
    # … nothing was refused on the way, and the story says what it comes to
    assert [r for r in Request.objects.filter(trio=trio) if r.outcome.verdict != "ACCEPTED"] == []
    assert "Stop-loss for 500 at 0.5018" in story(trio)
    assert "-5.1 USDT" in story(trio)
    assert "+12.8 USDT" in story(trio)
    assert (entry.average_price - trio.stop_loss) * 500 == D("5.10")
    assert (trio.take_profit - entry.average_price) * 500 == D("12.80")
    # … and the journal tells of it, without a request for the entry
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences
    assert not Request.objects.filter(trio=trio, leg=entry).exists()

    # When the target is reached, the trio is closed by it
    desk.simulator.set_price("XRPUSDT", "0.5376")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "TAKE_PROFIT"
    (result,) = net_pnl([trio.pk])[trio.pk]
    assert result.realized == D("12.80")
    assert resting(desk) == {}  # theirs expired with the position
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


@pytest.mark.parametrize("foreign", ["none", "stop", "stop and target"])
@pytest.mark.parametrize("side", [Side.BUY, Side.SELL])
@pytest.mark.parametrize("choice", list(ForeignOrders))
def test_every_adoption_is_protected_and_touches_only_what_was_chosen(
    any_desk: Desk, side: Side, foreign: str, choice: ForeignOrders
) -> None:
    desk = any_desk
    long = side is Side.BUY
    opened_by_hand(desk, side=side)
    theirs = []
    if foreign != "none":
        theirs.append(beside(desk, OrderType.STOP_MARKET, "0.4900" if long else "0.5300", side))
    if foreign == "stop and target":
        theirs.append(beside(desk, OrderType.TAKE_PROFIT_MARKET, "0.5500" if long else "0.4700", side))
    before = resting(desk)

    trio = adopt(desk, foreign=choice)
    carried_until(desk, trio, lambda: protected(desk, trio))

    assert (trio.state, trio.side) == ("OPEN", side)
    assert (trio.stop_loss, trio.take_profit) == (
        (D("0.5018"), D("0.5376")) if long else (D("0.5222"), D("0.4864"))
    )
    after = resting(desk)
    ours = set(trio.legs.filter(state="ACCEPTED").values_list("client_id", flat=True))
    left = set(theirs) if choice is ForeignOrders.LEAVE else set()
    assert set(after) == ours | left, story(trio)
    assert {name: after[name] for name in left} == {name: before[name] for name in left}
    # … nothing was sent that was refused, no cancel went to what was left, and ours stood before theirs left
    requests = list(Request.objects.filter(trio=trio).order_by("id"))
    assert [r.outcome.verdict for r in requests] == ["ACCEPTED"] * (2 + len(theirs) - len(left))
    cancelled = [
        r.payload.get("clientAlgoId") or r.payload["origClientOrderId"]
        for r in requests
        if r.method == "DELETE"
    ]
    assert sorted(cancelled) == sorted(set(theirs) - left)
    assert [r.method for r in requests[:2]] == ["POST", "POST"]
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences

    # When the stop is reached, it is ours that closes the position
    desk.simulator.set_price("XRPUSDT", "0.5018" if long else "0.5222")
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "STOP_LOSS"
    assert desk.simulator.position("XRPUSDT", side=trio.position_side).is_flat
    until(lambda: desk.carry() or not resting(desk), why=lambda: f"{resting(desk)} {story(trio)}")
    assert not trio_replay(trio).differences
