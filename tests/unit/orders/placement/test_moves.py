"""A stop or a target goes to another level, and the position is covered at every moment, by the exchange's own records."""

from __future__ import annotations

from decimal import Decimal as D
from typing import Any

import pytest

from orders import services
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, RuleBroken, TrioRefused
from orders.domain.snapshot import MoveEnd
from orders.exchange_data.clock import exchange_now_ms
from orders.journal.replay import trio_replay
from orders.journal.verify import journal_verify
from orders.models import LevelMove, Slot, TrioOrder
from orders.placement.perform import perform_all
from orders.selectors import net_pnl
from tests.builders import Desk, story, the, until

# For a long at 100000 with its stop at 95000 and its target at 110000; a short's mirror.
LEVELS = {
    ("BUY", Role.STOP_LOSS): [D("96000"), D("94000"), D("99000")],
    ("BUY", Role.TAKE_PROFIT): [D("108000"), D("112000")],
    ("SELL", Role.STOP_LOSS): [D("104000"), D("106000"), D("101000")],
    ("SELL", Role.TAKE_PROFIT): [D("92000"), D("88000")],
}
ROLES = (Role.STOP_LOSS, Role.TAKE_PROFIT)
KINDS = {Role.STOP_LOSS: "STOP_MARKET", Role.TAKE_PROFIT: "TAKE_PROFIT_MARKET"}


def opened(desk: Desk, **words: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**words))
    until(lambda: carried(desk) or settled(desk, trio), why=lambda: story(trio))
    assert the(trio).state == "OPEN", story(trio)
    return trio


def carried(desk: Desk) -> bool:
    """Do one pass of a runworker's work; it has no answer of its own."""
    desk.carry()
    return False


def settled(desk: Desk, trio: TrioOrder) -> bool:
    """Is nothing due, and one stop and one target on the book?"""
    return len(resting(desk, Role.STOP_LOSS)) == len(resting(desk, Role.TAKE_PROFIT)) == 1


def resting(desk: Desk, role: Role) -> list[dict[str, Any]]:
    return [
        o
        for o in desk.simulator.open_orders()
        if o.get("orderType") == KINDS[role] or o.get("type") == KINDS[role]
    ]


def moved(desk: Desk, trio: TrioOrder, role: Role, level: D) -> LevelMove:
    """Ask for a level and work on until the wish has ended and nothing but one stop and one target rests."""
    move = services.trio_move(trio_id=trio.pk, role=role, level=level, by="test")

    def ended() -> bool:
        desk.carry()
        move.refresh_from_db()
        return bool(move.end) and settled(desk, trio)

    until(ended, why=lambda: story(trio))
    return move


def uncovered_ms(desk: Desk) -> list[int]:
    """Return how long the position was uncovered after it was protected, each time, by the exchange's records."""
    return [gap["ms"] for gap in desk.simulator.verdict()["uncovered"]]


def marked(desk: Desk, trio: TrioOrder, price: str) -> None:
    """Have the price watch see this mark."""
    assert trio.slot_id is not None
    Slot.objects.filter(pk=trio.slot_id).update(mark_price=D(price), mark_as_of=exchange_now_ms("PAPER"))


@pytest.mark.parametrize("protection", ["ON_FIRST_FILL", "PRE_ARMED"])
@pytest.mark.parametrize(("side", "role"), LEVELS, ids=lambda value: str(value))
def test_a_level_moves_and_the_position_is_covered_all_the_while(
    any_desk: Desk, side: str, role: Role, protection: str
) -> None:
    desk = any_desk
    trio = opened(desk, side=side, protection=protection)
    before = uncovered_ms(desk)

    for level in LEVELS[side, role]:
        move = moved(desk, trio, role, level)

        # Then the level is agreed, and one whole-position order stands for it
        assert move.end == MoveEnd.DONE, story(trio)
        assert getattr(the(trio), role.value.lower()) == level
        (order,) = resting(desk, role)
        assert D(order["triggerPrice"]) == level
        assert order["closePosition"] in (True, "true")
    assert uncovered_ms(desk) == before, story(trio)
    assert desk.simulator.verdict()["orphans"] == []

    # And it is the one that closes the position
    desk.simulator.set_price("BTCUSDT", str(LEVELS[side, role][-1]))
    desk.carry_until(trio, "CLOSED")
    assert trio.result == role.value
    assert desk.simulator.position("BTCUSDT", side=trio.position_side).is_flat
    assert desk.resting == []

    # And its journal is whole and says the same as the books
    assert not journal_verify(trio_id=trio.pk).breaks
    assert not trio_replay(trio).differences


def test_a_level_that_is_passed_before_the_exchange_judges_leaves_the_old_stop(any_desk: Desk) -> None:
    # Given a long with a closePosition stop at 1940, and a mark at 1987
    desk = any_desk
    desk.simulator.set_price("ETHUSDT", "2000")
    levels = {"stop_loss": D("1940"), "take_profit": D("2200"), "quantity": D("0.5")}
    trio = opened(desk, symbol="ETHUSDT", protection="ON_FIRST_FILL", **levels)
    desk.simulator.set_price("ETHUSDT", "1987")
    marked(desk, trio, "1987")
    before, orders = uncovered_ms(desk), len(desk.requests("POST", "/fapi/v1/order"))

    # When the mark falls below the wished level before its order is judged
    move = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("1986"), by="test")
    desk.simulator.set_price("ETHUSDT", "1985.50")
    desk.carry()
    marked(desk, trio, "1985.50")

    def ended() -> bool:
        desk.carry()
        move.refresh_from_db()
        return bool(move.end)

    until(ended, why=lambda: story(trio))

    # Then the old stop stands, nothing was closed, and the wish says why and what would do
    assert (move.end, move.nearest) == (MoveEnd.REFUSED, D("1985.49")), story(trio)
    assert move.refused_code == -2021
    assert (the(trio).state, trio.stop_loss, trio.moves_wanted) == ("OPEN", D("1940"), ())
    (stop,) = resting(desk, Role.STOP_LOSS)
    assert (D(stop["triggerPrice"]), stop["closePosition"]) == (D("1940"), True)
    assert uncovered_ms(desk) == before
    assert desk.simulator.position("ETHUSDT", side=trio.position_side).quantity == D("0.5")
    assert len(desk.requests("POST", "/fapi/v1/order")) == orders, "nothing was sold at market"
    assert "The nearest valid level is 1985.49" in story(trio)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "fault",
    [
        {"do": "refuse", "code": -2010},
        {"do": "refuse", "code": -2021},
        {"do": "refuse", "code": -4045},
        {"do": "refuse", "code": -4130},
        {"do": "lose_answer"},
        {"do": "lose_before"},
        {"do": "answer", "status": 503, "body": {"code": -1008, "msg": "Throttled."}},
        {"do": "answer", "status": 503, "body": {"code": -1000, "msg": "Unknown error."}},
    ],
    ids=lambda fault: f"{fault['do']} {fault.get('code', fault.get('body', {}).get('code', ''))}".strip(),
)
@pytest.mark.parametrize("which", [1, 2], ids=["the bridge", "the order after it"])
def test_whatever_the_exchange_answers_one_level_stands_and_covers(
    any_desk: Desk, role: Role, fault: dict[str, Any], which: int
) -> None:
    desk = any_desk
    trio = opened(desk, protection="ON_FIRST_FILL")
    before = uncovered_ms(desk)
    level = LEVELS["BUY", role][0]
    old = getattr(trio, role.value.lower())
    desk.simulator.fault({"method": "POST", "type": KINDS[role]}, fault, [which])

    move = services.trio_move(trio_id=trio.pk, role=role, level=level, by="test")
    until(lambda: carried(desk) or ended(move), why=lambda: story(trio), seconds=20)
    until(lambda: carried(desk) or settled(desk, trio), why=lambda: story(trio), seconds=20)

    (order,) = resting(desk, role)
    wanted = level if move.end == MoveEnd.DONE else old
    assert D(order["triggerPrice"]) == wanted, story(trio)
    assert the(trio).state == "OPEN", story(trio)
    assert getattr(trio, role.value.lower()) == wanted
    assert uncovered_ms(desk) == before, story(trio)


def ended(move: LevelMove) -> bool:
    move.refresh_from_db()
    return bool(move.end)


def test_a_later_wish_takes_the_place_of_one_that_is_under_way(desk: Desk) -> None:
    trio = opened(desk, protection="ON_FIRST_FILL")
    before = uncovered_ms(desk)
    first = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    second = moved(desk, trio, Role.STOP_LOSS, D("97000"))
    first.refresh_from_db()
    assert (first.end, second.end) == (MoveEnd.REPLACED, MoveEnd.DONE)
    (stop,) = resting(desk, Role.STOP_LOSS)
    assert D(stop["triggerPrice"]) == D("97000")
    assert uncovered_ms(desk) == before


def test_an_order_for_a_wish_that_was_replaced_is_taken_back(desk: Desk) -> None:
    # Given an order at the first level whose answer is lost, and a second wish that is refused
    trio = opened(desk, protection="ON_FIRST_FILL")
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, {"do": "lose_answer"}, [1])
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    desk.advance(trio)
    desk.simulator.refuses("STOP_MARKET")
    second = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("97000"), by="test")
    until(lambda: carried(desk) or (ended(second) and settled(desk, trio)), why=lambda: story(trio))

    # Then only the agreed level is left
    assert second.end == MoveEnd.REFUSED, story(trio)
    (stop,) = resting(desk, Role.STOP_LOSS)
    assert D(stop["triggerPrice"]) == D("95000")


Refusal = tuple[Role, str, type[Exception], str]


@pytest.mark.parametrize(
    ("role", "level", "error", "sentence"),
    [
        (Role.STOP_LOSS, "100500", RuleBroken, "99999.9 is the nearest valid level"),
        (Role.STOP_LOSS, "95000", RuleBroken, "at 95000 already"),
        (Role.STOP_LOSS, "96000.05", RuleBroken, "96000.1 would be"),
        (Role.STOP_LOSS, "1", RuleBroken, "The exchange takes no stop-loss at 1"),
        (Role.TAKE_PROFIT, "99000", RuleBroken, "100000.1 is the nearest valid level"),
        (Role.TAKE_PROFIT, "110000", RuleBroken, "at 110000 already"),
    ],
)
def test_a_level_that_cannot_be_is_refused_with_the_nearest_that_can(
    desk: Desk, role: Role, level: str, error: type[Exception], sentence: str
) -> None:
    trio = opened(desk)
    marked(desk, trio, "100000")
    asked = len(desk.simulator.log)
    with pytest.raises(error, match=sentence.replace(".", r"\.")):
        services.trio_move(trio_id=trio.pk, role=role, level=D(level), by="test")
    assert len(desk.simulator.log) == asked
    assert trio.level_moves.count() == 0


def test_a_level_that_went_elsewhere_since_it_was_shown_is_not_taken_back(desk: Desk) -> None:
    # Given a stop at 95000 and a target at 110000, shown elsewhere to somebody a while ago
    trio = opened(desk)
    for role, seen, level in (
        (Role.STOP_LOSS, D("94000"), D("94500")),  # nearer than was seen, and farther than it is
        (Role.STOP_LOSS, D("96000"), D("94000")),
        (Role.TAKE_PROFIT, D("109000"), D("108000")),
    ):
        with pytest.raises(TrioRefused, match=f"now, not at {seen} as shown"):
            services.trio_move(trio_id=trio.pk, role=role, level=level, by="test", seen=seen)
    assert not LevelMove.objects.exists()

    # Then what was seen where it is may go anywhere, and a stop may come nearer all the same
    services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=D("108000"), by="test", seen=D("110000"))
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("94000"), by="test", seen=D("95000"))
    services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test", seen=D("94000"))
    assert LevelMove.objects.count() == 3


def test_a_mark_price_of_long_ago_holds_up_no_move(desk: Desk) -> None:
    # Given a mark price from when the market was below the wished stop, and no price since
    trio = opened(desk)
    marked(desk, trio, "95500")
    Slot.objects.filter(account=desk.account).update(mark_as_of=exchange_now_ms("PAPER") - 60_000)

    # Then the exchange judges
    assert moved(desk, trio, Role.STOP_LOSS, D("96000")).end == MoveEnd.DONE


def test_only_a_trio_that_waits_or_is_open_is_moved(desk: Desk) -> None:
    def refused(trio: TrioOrder, sentence: str) -> None:
        with pytest.raises(IllegalTransition, match=sentence):
            services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")

    draft = desk.a_trio()
    refused(draft, "edit its stop-loss")
    queued = desk.queued(
        desk.a_trio(symbol="ETHUSDT", quantity=D("1"), stop_loss=D("2000"), take_profit=D("3000"))
    )
    refused(queued, "It is being placed")
    working = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    desk.simulator.fill(working.legs.get(role=Role.ENTRY).client_id, "0.004")
    desk.carry_until(working, "OPEN")
    services.trio_close(trio_id=working.pk, by="test")
    refused(working, "being closed")
    desk.carry_until(working, "CLOSED")
    refused(working, "has ended")


def test_a_stop_that_risks_more_is_new_risk_and_one_that_risks_less_always_passes(
    desk: Desk, settings: Any
) -> None:
    trio = opened(desk)
    desk.account.is_active = False
    desk.account.save()
    with pytest.raises(TrioRefused, match="new risk"):
        services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("94000"), by="test")
    assert moved(desk, trio, Role.STOP_LOSS, D("96000")).end == MoveEnd.DONE


def test_the_wish_ends_with_the_trio(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    trio = opened(desk)
    move = services.trio_move(trio_id=trio.pk, role=Role.TAKE_PROFIT, level=D("111000"), by="test")
    services.trio_close(trio_id=trio.pk, by="test")
    desk.carry_until(trio, "CLOSED")
    move.refresh_from_db()
    assert move.end == MoveEnd.DROPPED
    assert desk.resting == []


def test_a_process_that_dies_at_any_point_of_a_move_is_followed_by_another(
    any_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a service of which each turn's requests are sent by a process that dies before it records an answer
    desk = any_desk
    trio = opened(desk, protection="ON_FIRST_FILL")
    before = uncovered_ms(desk)
    move = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    sent = perform_all
    deaths: list[int] = []

    def dying(calls: Any, exchange: Any, later: Any) -> set[Any]:
        futures = sent(calls, exchange, later)
        if futures and len(deaths) < 6:
            deaths.append(len(futures))
            for future in futures:
                future.result()
            return set()
        return futures

    monkeypatch.setattr("orders.placement.service.perform_all", dying)

    def over() -> bool:
        desk.carry()
        stops = [(D(stop["triggerPrice"]), stop["closePosition"]) for stop in resting(desk, Role.STOP_LOSS)]
        return ended(move) and stops == [(D("96000"), True)]

    until(over, seconds=20, why=lambda: story(trio))
    assert len(deaths) >= 4
    assert move.end == MoveEnd.DONE
    assert uncovered_ms(desk) == before, story(trio)


def test_break_even_moves_the_stop_to_where_nothing_is_lost(any_desk: Desk) -> None:
    # Given a long bought at 100000, and a price that has risen
    desk = any_desk
    trio = opened(desk, protection="ON_FIRST_FILL")
    desk.simulator.set_price("BTCUSDT", "101000")
    marked(desk, trio, "101000")
    before = uncovered_ms(desk)

    move = services.trio_break_even(trio_id=trio.pk, by="test")
    until(lambda: carried(desk) or (ended(move) and settled(desk, trio)), why=lambda: story(trio))
    assert move.end == MoveEnd.DONE, story(trio)
    assert uncovered_ms(desk) == before

    # When it is touched, the trio has lost nothing, fees included
    desk.simulator.set_price("BTCUSDT", str(move.level))
    desk.carry_until(trio, "CLOSED")
    (result,) = net_pnl([trio.pk])[trio.pk]
    assert 0 <= result.net < D("0.02"), (result, move.level)

    # And once there it is not moved back
    with pytest.raises(IllegalTransition, match="has ended"):
        services.trio_break_even(trio_id=trio.pk, by="test")


def test_break_even_is_refused_where_the_stop_would_trigger_or_is_better(desk: Desk) -> None:
    trio = opened(desk)
    marked(desk, trio, "100000")
    with pytest.raises(RuleBroken, match="is the nearest valid level"):
        services.trio_break_even(trio_id=trio.pk, by="test")
    marked(desk, trio, "102000")
    TrioOrder.objects.filter(pk=trio.pk).update(stop_loss=D("101000"))
    with pytest.raises(IllegalTransition, match="loses nothing already"):
        services.trio_break_even(trio_id=trio.pk, by="test")


@pytest.mark.parametrize("late", [False, True], ids=["at once", "the new stop comes late"])
@pytest.mark.parametrize(
    ("side", "mark", "level", "net"),
    [
        ("BUY", "60500.0", "60060.1", "0.006995"),  # 60000 × 1.0005 / 0.9995 = 60060.03…, up
        ("SELL", "59500.0", "59940.0", "0.003"),  # 60000 × 0.9995 / 1.0005 = 59940.02…, down
    ],
)
def test_break_even_is_where_nothing_is_lost_fees_included_whatever_the_stop_was_before(
    any_desk: Desk, side: str, mark: str, level: str, net: str, late: bool
) -> None:
    # Given 0.100 at 60000.0 with its stop 1000 away, and a mark price at which break-even would trigger at once
    desk, long, tick = any_desk, side == "BUY", D("0.1")
    desk.simulator.set_price("BTCUSDT", "59999.9" if long else "60000.0")  # the other side of the spread
    levels = {"stop_loss": D("59000"), "take_profit": D("70000")}
    if not long:
        levels = {"stop_loss": D("61000"), "take_profit": D("50000")}
    trio = opened(desk, side=side, quantity=D("0.100"), protection="ON_FIRST_FILL", **levels)
    until(lambda: carried(desk) or trio.fills.exists(), why=lambda: story(trio))
    desk.simulator.set_price("BTCUSDT", level)
    marked(desk, trio, level)
    with pytest.raises(RuleBroken, match="is the nearest valid level"):
        services.trio_break_even(trio_id=trio.pk, by="test")
    desk.simulator.set_price("BTCUSDT", mark)
    marked(desk, trio, mark)
    before, asked = uncovered_ms(desk), len(desk.simulator.log)
    (old,) = resting(desk, Role.STOP_LOSS)
    if late:
        desk.simulator.fault(
            {"method": "POST", "type": "STOP_MARKET"}, {"do": "execute_late", "ms": 400}, [1]
        )

    # When it goes to break-even, without an offset
    move = services.trio_break_even(trio_id=trio.pk, by="test")

    def has_moved() -> bool:
        desk.carry()
        stops = {D(stop["triggerPrice"]) for stop in resting(desk, Role.STOP_LOSS)}
        assert stops & {D(old["triggerPrice"]), D(level)}, story(trio)
        return ended(move) and settled(desk, trio)

    until(has_moved, why=lambda: story(trio))

    # Then one stop closes the whole position there
    (stop,) = resting(desk, Role.STOP_LOSS)
    closes = "SELL" if long else "BUY"
    assert (stop["side"], D(stop["triggerPrice"]), stop["closePosition"]) == (closes, D(level), True)
    assert move.end == MoveEnd.DONE, story(trio)
    assert uncovered_ms(desk) == before, story(trio)
    # … and the old one left after a new one was acknowledged
    sent = [entry for entry in desk.simulator.log[asked:] if entry.method in ("POST", "DELETE")]
    removed = next(
        n for n, entry in enumerate(sent) if entry.params.get("clientAlgoId") == old["clientAlgoId"]
    )
    assert sent[removed].method == "DELETE"
    assert any(
        entry.method == "POST" and D(entry.params["triggerPrice"]) == D(level) for entry in sent[:removed]
    )

    # When it triggers there, so much is left, fees paid
    desk.simulator.set_price("BTCUSDT", str(D(level) - (0 if long else tick)), mark=level)
    desk.carry_until(trio, "CLOSED")
    until(lambda: carried(desk) or trio.fills.count() == 2, why=lambda: story(trio))
    assert net_pnl([trio.pk])[trio.pk][0].net == D(net)
