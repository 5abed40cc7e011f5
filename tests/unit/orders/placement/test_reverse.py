"""A trio is closed, and once its side is flat another goes the other way: once, or not at all."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from orders import reversal, services
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition, MarketUnread, RuleBroken, TrioRefused
from orders.exchange_data.clock import db_now
from orders.models import Fill, Reversal, RiskLimit, TrioOrder
from orders.reversal import reversals_drop
from tests.builders import Desk, story, the, until

SHORT = {"stop_loss": D("105000"), "take_profit": D("90000")}


def opened(desk: Desk, **words: Any) -> TrioOrder:
    trio = desk.placed(desk.a_trio(**words))
    assert trio.state == "OPEN", story(trio)
    return trio


def work(desk: Desk) -> bool:
    """Do what a runworker does in one pass; it has no answer of its own."""
    desk.carry()
    for trio_id in reversal.reversals_due():
        reversal.reversal_carry(trio_id)
    return False


def reversed_by(trio: TrioOrder, **words: Any) -> Reversal:
    return services.trio_reverse(trio_id=trio.pk, by="test", **(SHORT | words))


def carried_until(desk: Desk, wish: Reversal, *ends: str) -> Reversal:
    def there() -> bool:
        work(desk)
        wish.refresh_from_db()
        return wish.end in ends

    until(there, why=lambda: f"{wish.end} {wish.reason}\n{story(wish.trio)}")
    return wish


def entries(desk: Desk) -> list[Any]:
    """Return every order that the exchange was sent to open something, in their order."""
    ids = [
        str(e.params.get("newClientOrderId", "")) for e in desk.requests("POST") if e.path == "/fapi/v1/order"
    ]
    return [found for found in ids if re.search(r"-e\d+$", found)]


def test_a_long_becomes_a_short_once_it_is_flat(any_desk: Desk) -> None:
    desk = any_desk
    first = opened(desk)

    wish = reversed_by(first)
    carried_until(desk, wish, "QUEUED")
    assert wish.successor is not None
    second = desk.carry_until(wish.successor, "OPEN")

    assert (the(first).state, first.result) == ("CLOSED", "MANUAL")
    assert (second.side, second.quantity, second.source) == ("SELL", first.quantity, "reverse")
    assert (second.stop_loss, second.take_profit) == (D("105000"), D("90000"))
    until(lambda: work(desk) or second.fills.exists())
    closed_ts = max(Fill.objects.filter(trio=first).values_list("time_ts", flat=True))
    opened_ts = min(Fill.objects.filter(trio=second).values_list("time_ts", flat=True))
    assert closed_ts <= opened_ts
    assert f"Reversed: trio {second.pk} was queued" in story(first)
    assert f"reverse trio {first.pk}" in story(second)
    assert desk.simulator.verdict()["orphans"] == []
    # And looking again changes nothing
    work(desk)
    assert TrioOrder.objects.count() == 2


def test_another_quantity_may_be_given(desk: Desk) -> None:
    wish = reversed_by(opened(desk), quantity=D("0.004"))
    carried_until(desk, wish, "QUEUED")
    assert wish.successor is not None
    assert wish.successor.quantity == D("0.004")


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        ({"stop_loss": D("95000")}, RuleBroken, "wrong side"),
        ({"take_profit": D("110000")}, RuleBroken, "wrong side"),
        ({"stop_loss": D("105000.05")}, RuleBroken, "use 105000 or 105000.1"),
        ({"quantity": D("0.0001")}, RuleBroken, "steps of 0.001"),
    ],
)
def test_what_could_not_be_placed_closes_nothing(
    desk: Desk, words: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    trio = opened(desk)
    with pytest.raises(error, match=sentence):
        reversed_by(trio, **words)
    assert (the(trio).close_wanted_at, Reversal.objects.count()) == (None, 0)


def test_an_account_that_may_open_nothing_is_not_reversed(desk: Desk) -> None:
    trio = opened(desk)
    desk.account.is_active = False
    desk.account.save()
    with pytest.raises(TrioRefused, match="Nothing was closed"):
        reversed_by(trio)
    assert the(trio).close_wanted_at is None


def test_a_side_that_another_trio_holds_closes_nothing(hedge_desk: Desk) -> None:
    first = opened(hedge_desk)
    other = opened(hedge_desk, side="SELL")
    with pytest.raises(TrioRefused, match=rf"taken by trio {other.pk} .*Nothing was closed"):
        reversed_by(first)
    assert (the(first).close_wanted_at, Reversal.objects.count()) == (None, 0)


def test_only_an_open_trio_is_reversed(desk: Desk) -> None:
    working = desk.placed(desk.a_trio(entry_type="LIMIT", price=D("99000")))
    with pytest.raises(IllegalTransition, match="Nothing of trio"):
        reversed_by(working)
    services.trio_cancel(trio_id=working.pk, by="test")
    desk.carry_until(working, "CANCELLED")
    with pytest.raises(IllegalTransition, match="has ended"):
        reversed_by(working)
    trio = opened(desk)
    reversed_by(trio)
    with pytest.raises(IllegalTransition, match="being closed already"):
        reversed_by(trio)


def test_what_is_refused_as_new_risk_stays_closed(desk: Desk) -> None:
    # Given a limit that was reached after the wish
    trio = opened(desk)
    wish = reversed_by(trio)
    RiskLimit.objects.create(account=desk.account, notional_order=D(10))
    carried_until(desk, wish, "REFUSED")
    assert (the(trio).state, trio.result) == ("CLOSED", "MANUAL")
    assert wish.successor is not None
    assert (wish.successor.state, len(entries(desk))) == ("CANCELLED", 1)
    assert "Closed, and not reversed" in story(trio)
    work(desk)
    assert desk.simulator.position("BTCUSDT").is_flat


@pytest.mark.parametrize("when", ["before the close", "after the draft"])
def test_past_its_time_nothing_follows(desk: Desk, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    trio = opened(desk)
    wish = reversed_by(trio)
    if when == "after the draft":
        monkeypatch.setattr(
            reversal, "trios_queue", lambda ids, **_: [services.QueueResult(ids[0], error=MarketUnread("x"))]
        )
        until(lambda: work(desk) or Reversal.objects.get(pk=wish.pk).successor_id)
        monkeypatch.undo()
    Reversal.objects.update(place_before=db_now() - timedelta(seconds=1))
    carried_until(desk, wish, "DROPPED")
    desk.carry_until(trio, "CLOSED")
    work(desk)
    assert "its time was over" in story(trio)
    assert len(entries(desk)) == 1
    assert not TrioOrder.objects.exclude(pk=trio.pk).exclude(state="CANCELLED").exists()


@pytest.mark.parametrize("act", ["cancel", "panic"])
def test_a_person_takes_it_back(desk: Desk, act: str) -> None:
    trio = opened(desk)
    wish = reversed_by(trio)
    verb = services.trio_cancel if act == "cancel" else services.trio_panic
    verb(trio_id=trio.pk, by="test")
    carried_until(desk, wish, "DROPPED")
    desk.carry_until(trio, "CLOSED")
    assert len(entries(desk)) == 1


def test_a_panic_drops_what_would_follow(desk: Desk) -> None:
    trio = opened(desk)
    wish = reversed_by(trio)
    assert reversals_drop(by="test", account_id=desk.account.pk) == [trio.pk]
    assert reversals_drop(by="test") == []
    desk.carry_until(trio, "CLOSED")
    work(desk)
    wish.refresh_from_db()
    assert (wish.end, wish.successor, len(entries(desk))) == ("DROPPED", None, 1)


def test_after_a_liquidation_nothing_follows(desk: Desk) -> None:
    trio = opened(desk)
    desk.simulator.fault({"method": "POST", "path": "/fapi/v1/order"}, {"do": "lose_before"})
    wish = reversed_by(trio)
    desk.simulator.close_by_exchange("BTCUSDT", "liquidation")
    carried_until(desk, wish, "DROPPED")
    assert (the(trio).result, len(entries(desk))) == ("LIQUIDATED", 1)


@pytest.mark.parametrize("place", ["made", "queued", "ended"])
def test_a_process_that_dies_in_between_is_followed_by_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    class Died(Exception):
        pass

    def dies(*_: Any, **__: Any) -> Any:
        raise Died

    trio = opened(desk)
    wish = reversed_by(trio)
    desk.carry_until(trio, "CLOSED")
    with monkeypatch.context() as patch:
        if place == "made":
            patch.setattr(reversal, "trios_queue", dies)
        else:
            patch.setattr(reversal, "_ended", dies)
        with pytest.raises(Died):
            reversal.reversal_carry(trio.pk)
    if place == "ended":
        Reversal.objects.update(place_before=db_now() - timedelta(seconds=1))
    carried_until(desk, wish, "QUEUED")
    assert wish.successor is not None
    desk.carry_until(wish.successor, "OPEN")
    assert (len(entries(desk)), TrioOrder.objects.count()) == (2, 2)


def test_processes_at_once_make_one(desk: Desk) -> None:
    trio = opened(desk)
    wish = reversed_by(trio)
    desk.carry_until(trio, "CLOSED")
    barrier = threading.Barrier(4)

    def carry() -> None:
        from django.db import connection

        barrier.wait()
        try:
            reversal.reversal_carry(trio.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=carry) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    carried_until(desk, wish, "QUEUED")
    assert wish.successor is not None
    desk.carry_until(wish.successor, "OPEN")
    assert (len(entries(desk)), TrioOrder.objects.count()) == (2, 2)


def test_an_exchange_that_cannot_be_asked_closes_nothing(desk: Desk) -> None:
    trio = opened(desk)
    desk.simulator.fault(
        {"method": "GET", "path": "/fapi/v1/premiumIndex"}, {"do": "answer", "status": 503, "body": {}}
    )
    with pytest.raises(MarketUnread, match="Nothing was closed"):
        reversed_by(trio)
    assert the(trio).close_wanted_at is None


def test_a_draft_takes_the_terms_with_which_a_trio_was_placed(desk: Desk) -> None:
    # Given a trio whose stop was moved, with a time that has passed and one that has not
    later = db_now() + timedelta(hours=1)
    trio = opened(desk, flat_at=later)
    TrioOrder.objects.filter(pk=trio.pk).update(good_till=db_now())
    move = services.trio_move(trio_id=trio.pk, role=Role.STOP_LOSS, level=D("96000"), by="test")
    until(lambda: work(desk) or not the(trio).moves_wanted)
    move.refresh_from_db()
    assert (move.end, trio.stop_loss) == ("DONE", D("96000"))

    draft = services.trio_place_again(trio_id=trio.pk, by="test")
    assert (draft.state, draft.stop_loss, draft.take_profit) == ("DRAFT", D("95000"), D("110000"))
    assert (draft.quantity, draft.good_till, draft.flat_at, draft.holds_slot) == (
        trio.quantity,
        None,
        later,
        False,
    )
    assert f"the terms of trio {trio.pk}" in story(draft)
    with pytest.raises(IllegalTransition, match="is a draft"):
        services.trio_place_again(trio_id=draft.pk, by="test")


def test_a_trio_is_flat_by_its_time(desk: Desk) -> None:
    trio = opened(desk, flat_at=db_now() + timedelta(seconds=3))
    desk.carry_until(trio, "CLOSED")
    assert trio.result == "TIME"
    assert db_now() >= trio.flat_at  # type: ignore[operator]
