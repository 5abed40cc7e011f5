"""Each kind is found in rows that others write, once, and not before it is one."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import EgressLimits, ExchangeAccount
from exchange.types import AtLiquidation, MarginCallEvent, PositionSide
from notices.deriving import SETTLED, notices_derive
from notices.models import Condition, Notice, Progress
from orders import services
from orders.exchange_data.clock import db_now, to_ms
from orders.models import RiskLimit, TrioEvent, TrioOrder, Watch
from orders.placement.ingest import record_margin_call
from signals.domain.faults import Fault
from signals.models import Signal, Strategy
from signals.strategy_services import strategy_disable
from tests.builders import Desk
from tests.unit.notices.people import Person, look
from tests.unit.signals.hooks import BUY, a_sender

D = Decimal


@pytest.fixture
def told(desk: Desk, anna: Person) -> Person:
    """Anna, once a worker has looked."""
    look()
    desk.beat()  # on a machine that is busy that took its time
    return anna


def test_a_trio_that_closes_is_told_with_what_it_brought(desk: Desk, told: Person) -> None:
    trio = desk.placed(desk.a_trio())
    look()
    assert told.kinds == [], "one that is open is no news"

    desk.simulator.set_price("BTCUSDT", "110000")
    desk.carry_until(trio, "CLOSED")
    look()
    look()

    (notice,) = told.notices
    assert (notice.kind, notice.severity) == ("TRIO_CLOSED", "NORMAL")
    net = services_net(trio)
    assert (
        notice.sentence
        == f"Trio {trio.pk} (BUY BTCUSDT on “desk”) was closed by TAKE_PROFIT: net {net} USDT."
    )


def services_net(trio: TrioOrder) -> str:
    from orders.domain.rounding import signed
    from orders.selectors import net_pnl

    (part,) = net_pnl([trio.pk])[trio.pk]
    return signed(part.net)


@pytest.mark.parametrize("result", ["LIQUIDATED", "DRIFT"])
def test_a_position_that_is_closed_unexpectedly_matters(desk: Desk, told: Person, result: str) -> None:
    trio = desk.placed(desk.a_trio())
    TrioOrder.objects.filter(pk=trio.pk).update(
        state="CLOSED", result=result, ended_at=db_now(), holds_slot=False
    )
    TrioEvent.objects.create(trio=trio, at=db_now(), kind="state", text=f"EXITING → CLOSED by {result}.")
    look()

    (notice,) = told.notices
    assert (notice.kind, notice.severity) == ("TRIO_FORCED", "URGENT")
    assert notice.get_kind_display() == "A position was closed unexpectedly"


def test_a_trio_that_is_not_placed_is_told_and_one_that_a_person_withdraws_is_not(
    desk: Desk, told: Person
) -> None:
    withdrawn = desk.a_trio()
    services.trio_cancel(trio_id=withdrawn.pk, by="anna")
    failed = desk.queued(desk.a_trio())
    TrioOrder.objects.filter(pk=failed.pk).update(place_before=db_now() - timedelta(seconds=1))
    desk.carry_until(failed, "EXPIRED")
    look()

    (notice,) = told.notices
    assert notice.kind == "TRIO_FAILED"
    assert notice.facts["trio"] == failed.pk
    assert f"Trio {failed.pk} (BUY BTCUSDT on “desk”) ended EXPIRED." in notice.sentence


def test_a_limit_that_refuses_is_told_once_a_day(desk: Desk, told: Person) -> None:
    # Given a limit that is set while a trio is on its way
    trio = desk.queued(desk.a_trio())
    RiskLimit.objects.create(account=desk.account, notional_order=D(10))
    desk.carry_until(trio, "REFUSED")
    look()

    (notice,) = told.notices
    assert notice.kind == "LIMIT_BREACHED"
    assert "Limit of desk: the order's notional is" in notice.sentence

    # When a post breaks the same limit
    desk.beat()
    refused = a_sender(desk).sends(BUY)
    assert (refused.outcome, refused.refusal) == ("REFUSED", "LIMIT")
    look()

    # Then nobody is told again
    assert len(told.notices) == 1


def test_a_signal_that_comes_too_late_is_told(desk: Desk, told: Person) -> None:
    sender = a_sender(desk)
    sender.post(BUY)
    Signal.objects.update(act_before=db_now() - timedelta(seconds=1))
    look()
    assert told.kinds == [], "it may still be acted on"

    from worker.signal_execution import signals_execute

    signals_execute(list(Signal.objects.values_list("pk", flat=True)))
    look()

    (notice,) = told.notices
    assert notice.kind == "SIGNAL_MISSED"
    assert notice.sentence.startswith("hook:view wanted ENTER BUY BTCUSDT on “desk”")
    assert notice.due_at > db_now(), "it comes with the digest"


def test_a_strategy_that_is_disabled_is_told(desk: Desk, told: Person) -> None:
    strategy = Strategy.objects.create(name="swing", code="breakout", enabled=True)
    strategy_disable(strategy.pk, Fault.RAISED, "KeyError: 'x'")
    look()

    (notice,) = told.notices
    assert notice.sentence == (
        "Strategy swing was disabled: It raised an error. (KeyError: 'x') Its trios stay open and protected."
    )


def test_a_gap_in_the_cover_is_told_when_it_is_longer_than_the_bound_and_is_over_when_it_is_closed(
    desk: Desk, told: Person, settings: Any
) -> None:
    trio = desk.placed(desk.a_trio())
    bound = timedelta(milliseconds=settings.NAKED_LIMIT_MS)
    TrioOrder.objects.filter(pk=trio.pk).update(uncovered_known_at=db_now() - bound / 2)
    look()
    assert told.kinds == []

    TrioOrder.objects.filter(pk=trio.pk).update(uncovered_known_at=db_now() - bound - timedelta(seconds=1))
    look()
    assert told.kinds == ["UNCOVERED"]

    TrioOrder.objects.filter(pk=trio.pk).update(uncovered_known_at=None)
    look()
    assert told.notices[0].over_at is not None


def test_an_account_that_cannot_be_watched_is_told_once_until_it_comes_back(desk: Desk, told: Person) -> None:
    # Given a key that is refused again and again
    refused = Watch.objects.filter(account=desk.account)
    refused.update(failures=3, failed_at=db_now(), swept_at=None, note="The exchange refuses the API key.")
    look()
    assert told.kinds == [], "a worker that takes over needs a moment"
    Condition.objects.update(since=db_now() - timedelta(minutes=1))

    for _ in range(3):
        look()

    (first,) = told.notices
    assert first.kind == "ACCOUNT_UNWATCHED"
    assert "“desk” cannot be watched since" in first.sentence
    assert first.sentence.endswith("The exchange refuses the API key.")

    # When it is mended, and fails again later
    refused.update(swept_at=db_now())
    look()
    assert told.notices[0].over_at is not None
    refused.update(swept_at=None)
    look()
    Condition.objects.update(since=db_now() - timedelta(minutes=1))
    look()

    # Then that is another cause
    assert told.kinds == ["ACCOUNT_UNWATCHED"] * 2


def test_a_ban_is_told_once_however_often_it_grows_and_a_short_one_is_not(desk: Desk, told: Person) -> None:
    row, _ = EgressLimits.objects.get_or_create(environment="PAPER", egress="default")
    EgressLimits.objects.filter(pk=row.pk).update(
        closed_until=db_now() + timedelta(seconds=5), closed_cause="BANNED"
    )
    look()
    assert told.kinds == []

    for minutes in (2, 5, 10):
        EgressLimits.objects.filter(pk=row.pk).update(closed_until=db_now() + timedelta(minutes=minutes))
        look()

    assert told.kinds == ["ADDRESS_CLOSED"]
    assert "the exchange takes nothing from the address “default”" in told.notices[0].sentence


def test_a_restricted_account_is_told(desk: Desk, told: Person) -> None:
    ExchangeAccount.objects.update(
        restriction="REDUCE_ONLY",
        restriction_code=-4087,
        restriction_text="reduce only",
        restricted_at=db_now(),
    )
    look()
    look()

    assert told.kinds == ["ACCOUNT_RESTRICTED"]


def test_what_commits_after_what_began_later_is_not_passed_over(desk: Desk, told: Person) -> None:
    # Given a line whose number was drawn first, and another one that was seen before it
    trio = desk.placed(desk.a_trio())
    asked = {"question": "OTHER", "facts": {"text": "Late?"}}
    late = TrioEvent.objects.create(trio=trio, at=db_now(), kind="question", text="?", data=asked)
    number = late.pk
    late.delete()
    TrioEvent.objects.create(trio=trio, at=db_now(), kind="note", text="seen first")
    look()
    assert told.kinds == []

    # When it appears
    TrioEvent.objects.create(pk=number, trio=trio, at=db_now(), kind="question", text="?", data=asked)
    TrioOrder.objects.filter(pk=trio.pk).update(question_number=number)
    look()

    # Then it is told; and what has settled is read no more
    assert told.kinds == ["TRIO_ASKS"]
    TrioEvent.objects.update(at=db_now() - 2 * SETTLED)
    look()
    newest = TrioEvent.objects.latest("pk").pk
    assert Progress.objects.get(source="orders.TrioEvent").position == newest


def test_while_another_process_looks_nobody_waits(desk: Desk, told: Person) -> None:
    import threading

    from django.db import connection, transaction

    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            list(Progress.objects.select_for_update())
            held.set()
            let_go.wait(20)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(10)
    try:
        strategy = Strategy.objects.create(name="swing", code="breakout", enabled=True)
        strategy_disable(strategy.pk, Fault.RAISED)
        assert notices_derive() == 0
    finally:
        let_go.set()
        holder.join(20)
    assert notices_derive() == 1
    assert Notice.objects.count() == 1


def test_a_gap_that_a_person_asked_for_is_told_once_its_time_is_over(desk: Desk, told: Person) -> None:
    # Given a trio that is left unprotected, with no stop for longer than the bound
    trio, now = desk.placed(desk.a_trio()), db_now()
    said = {"by": "olga", "since": to_ms(now), "until": to_ms(now + timedelta(minutes=1))}
    gap = {"uncovered_known_at": now - timedelta(minutes=1), "outside": {"unprotected": said}}
    TrioOrder.objects.filter(pk=trio.pk).update(**gap)
    look()
    assert told.kinds == []

    # When its time is over, and there is still none
    gap["outside"] = {"unprotected": said | {"until": to_ms(now)}}
    TrioOrder.objects.filter(pk=trio.pk).update(**gap)
    look()
    assert told.kinds == ["UNCOVERED"]


def test_a_margin_call_is_told_once_an_hour_to_whoever_holds_the_position(
    hedge_desk: Desk, anna: Person
) -> None:
    # Given a long and a short, of which the exchange says that the long is near liquidation
    desk = hedge_desk
    look()
    long, short = desk.placed(desk.a_trio()), desk.placed(desk.a_trio(side="SELL"))
    call = MarginCallEvent((AtLiquidation("BTCUSDT", PositionSide.LONG, D("96000.5"), D("12")),), time=1)

    # When it says so twice
    assert record_margin_call(desk.account.pk, call) == [long.pk]
    assert record_margin_call(desk.account.pk, call) == []
    look()

    # Then its story has it once, the other's not, and people are told
    assert [event.trio_id for event in TrioEvent.objects.filter(kind="margin_call")] == [long.pk]
    assert not short.events.filter(kind="margin_call").exists()
    (notice,) = anna.notices
    assert (notice.kind, notice.severity) == ("MARGIN_CALL", "URGENT")
    assert "is near liquidation (mark price 96000.5). Add margin, or close a part." in notice.sentence

    # And again an hour later
    TrioEvent.objects.filter(kind="margin_call").update(at=db_now() - timedelta(minutes=61))
    assert record_margin_call(desk.account.pk, call) == [long.pk]
