"""What a person switches in the exchange's app while trios live: nothing new is opened, legs stay, a person is asked."""

from __future__ import annotations

import gc
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.db.models import QuerySet

from accounts import position_modes
from accounts.errors import ExchangeUnreachable
from accounts.gateways import exchange_for, user_event
from accounts.models import LeverageBrackets, SymbolSetting
from accounts.symbol_settings import symbol_settings_read
from exchange.types import ConfigEvent, MarginType, Stamp
from orders import services
from orders.domain.errors import OrdersError
from orders.domain.operator_questions import Question, QuestionKind
from orders.exchange_data import symbol_sync
from orders.exchange_data.clock import db_now, exchange_now_ms
from orders.models import Symbol, TrioEvent, TrioOrder
from tests.builders import WATCH, Desk, story, the
from worker import account_watch
from worker.account_watch import AccountWatch
from worker.pools import WatchPools
from worker.settings_drift import brackets_look, margins_look, modes_look, symbols_look

D = Decimal


def switch_position_mode(desk: Desk, *, hedge: bool) -> None:
    """Have the exchange show another mode. The real one refuses it while something rests; nobody relies on that."""
    desk.simulator.ex.by_key[desk.api_key].account.dual = hedge


def as_if_read_before(desk: Desk) -> tuple[QuerySet[SymbolSetting], str, str]:
    """Have our table hold the other margin type than the exchange shows. Returns the row, what is shown, what was kept."""
    margins_look(desk.account)
    setting = SymbolSetting.objects.filter(account=desk.account, symbol="BTCUSDT")
    shown = setting.get().margin_type
    kept = MarginType.ISOLATED if shown == MarginType.CROSSED.value else MarginType.CROSSED
    setting.update(margin_type=kept.value)
    return setting, shown, kept.value


def questions(trio: TrioOrder) -> list[str]:
    return [event.text for event in TrioEvent.objects.filter(trio=trio, kind="question")]


def test_a_switched_position_mode_opens_nothing_new_keeps_the_legs_and_asks_once(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    rested = desk.resting

    # When the mode is switched in the app, and looked at twice
    switch_position_mode(desk, hedge=True)
    asked = [modes_look(desk.account) for _ in range(2)]

    # Then the trio asks once, goes on in the mode it was placed in, and nothing new is opened
    assert asked == [{trio.pk}, set()]
    assert the(trio).question_kind == QuestionKind.POSITION_MODE_CHANGED
    assert "hedge mode now" in the(trio).question
    desk.account.refresh_from_db()
    assert desk.account.position_mode == "ONE_WAY"
    another = desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("1800"), take_profit=D("9000"))
    with pytest.raises(OrdersError, match="Nothing new is opened"):
        desk.queued(another)
    assert desk.resting == rested
    assert the(trio).state == "OPEN", story(trio)

    # When it is switched back, new ones are taken again
    switch_position_mode(desk, hedge=False)
    modes_look(desk.account)
    desk.account.refresh_from_db()
    assert desk.account.setting_change == ""


def test_what_was_answered_is_not_asked_again(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    switch_position_mode(desk, hedge=True)
    modes_look(desk.account)

    services.trio_answer(trio_id=trio.pk, by="test")

    assert modes_look(desk.account) == set()
    assert the(trio).question == ""
    assert len(questions(trio)) == 1


def test_a_mode_that_concerns_nothing_alive_is_taken_over_and_a_queued_trio_is_refused(desk: Desk) -> None:
    # Given a trio that has sent nothing yet
    trio = desk.queued(desk.a_trio())

    switch_position_mode(desk, hedge=True)
    assert modes_look(desk.account) == set()
    desk.account.refresh_from_db()
    assert (desk.account.position_mode, desk.account.setting_change) == ("HEDGE", "")

    # Then its entry, which names no side, never goes out
    desk.advance(trio)
    assert the(trio).state == "REFUSED", story(trio)
    assert "is in hedge mode" in the(trio).reason
    assert not desk.requests(path="/fapi/v1/order")


def test_multi_assets_mode_asks_who_was_placed_before_it_and_forbids_nothing(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    desk.simulator.ex.by_key[desk.api_key].account.multi_assets = True
    assert modes_look(desk.account) == {trio.pk}
    assert "an estimate over the portfolio" in the(trio).question

    # Who is placed afterwards knows
    other = desk.placed(desk.a_trio("ETHUSDT", quantity=D("0.1"), stop_loss=D("2300"), take_profit=D("2600")))
    assert other.state == "OPEN"
    assert modes_look(desk.account) == set()


def test_a_symbol_that_stops_trading_asks_and_takes_nothing_new(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    rested = desk.resting
    Symbol.objects.update(synced_at=db_now() - timedelta(hours=1))

    # When it stops, and the rules are read anew
    desk.simulator.ex.catalogue.set_status("BTCUSDT", "SETTLING")
    asked = [symbols_look(desk.account) for _ in range(2)]

    assert asked == [{trio.pk}, set()]
    assert the(trio).question.startswith("BTCUSDT is not trading now (status SETTLING since")
    assert desk.resting == rested
    with pytest.raises(OrdersError, match="is not trading now"):
        desk.queued(desk.a_trio())


def test_a_margin_type_that_was_changed_asks(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    setting, shown, kept = as_if_read_before(desk)

    assert margins_look(desk.account) == {trio.pk}
    assert f"is {shown} now, it was {kept}" in the(trio).question
    assert setting.get().margin_type == shown


def test_a_leverage_that_an_event_tells_of_asks_once(desk: Desk) -> None:
    # Given a trio, and the leverage as it was read
    trio = desk.placed(desk.a_trio())
    margins_look(desk.account)
    desk.hear()
    setting = SymbolSetting.objects.filter(account=desk.account, symbol="BTCUSDT")
    before = setting.get().leverage
    assert before is not None

    # When it is changed in the app, and the event says so before anybody reads it
    exchange, env = exchange_for(desk.account.pk), desk.account.environment
    exchange.set_leverage("BTCUSDT", before + 5, stamp=Stamp(exchange_now_ms(env), 5000))
    told = [user_event(body) for body in desk.simulator.drain_events(desk.api_key)]
    assert [type(event) for event in told] == [ConfigEvent]
    pools = WatchPools()
    advanced: list[int] = []
    watch = AccountWatch(desk.account, WATCH, pools=pools, advance=advanced.append)
    try:
        for event in (*told, *told):
            watch._on_event(event)
    finally:
        pools.shutdown()
        gc.collect()

    # Then the trio asks about it at once, and what is read later says nothing new
    assert advanced == [trio.pk]
    assert f"has {before + 5} now, it had {before}" in the(trio).question
    assert setting.get().leverage == before + 5
    services.trio_answer(trio_id=trio.pk, by="test")
    assert margins_look(desk.account) == set()
    assert the(trio).question == ""


def test_what_a_trio_asks_already_comes_first(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    TrioOrder.objects.filter(pk=trio.pk).update(question_kind="DUST", question_facts={"quantity": "0.001"})
    switch_position_mode(desk, hedge=True)

    assert modes_look(desk.account) == set()
    assert the(trio).asked == Question(QuestionKind.DUST, {"quantity": "0.001"})

    services.trio_answer(trio_id=trio.pk, by="test")
    assert modes_look(desk.account) == {trio.pk}


def test_a_change_of_margin_type_that_somebody_else_read_is_asked_about_all_the_same(desk: Desk) -> None:
    # Given a trio that asks something else already
    trio = desk.placed(desk.a_trio())
    setting, _, _ = as_if_read_before(desk)
    TrioOrder.objects.filter(pk=trio.pk).update(question_kind="DUST", question_facts={"quantity": "0.001"})

    # When a person reads the settings first, and the watch looks while the other question waits
    symbol_settings_read(desk.account)
    assert margins_look(desk.account) == set()

    # Then it is asked as soon as that one is answered, once
    services.trio_answer(trio_id=trio.pk, by="test")
    assert margins_look(desk.account) == {trio.pk}
    services.trio_answer(trio_id=trio.pk, by="test")
    assert margins_look(desk.account) == set()
    assert setting.get().margin_type_was == ""


def test_a_mode_that_is_switched_again_later_is_asked_about_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = desk.placed(desk.a_trio())
    for minute in (0, 5):
        now = datetime(2026, 11, 26, 10, minute, tzinfo=UTC)
        monkeypatch.setattr(position_modes, "timezone", SimpleNamespace(now=lambda now=now: now))
        switch_position_mode(desk, hedge=True)
        assert modes_look(desk.account) == {trio.pk}
        assert f"10:{minute:02}:00 UTC" in the(trio).question
        services.trio_answer(trio_id=trio.pk, by="test")
        switch_position_mode(desk, hedge=False)
        assert modes_look(desk.account) == set()


def test_a_watch_reads_the_settings_before_its_first_sweep_and_looks_beside_its_sweeps(desk: Desk) -> None:
    trio = desk.placed(desk.a_trio())
    switch_position_mode(desk, hedge=True)
    called: list[int] = []
    pools = WatchPools()
    watch = AccountWatch(desk.account, WATCH, pools=pools, advance=called.append)
    try:
        # Gaining it: the mode is known before the sweep is noted, and with it that anything may begin
        watch._connected = True
        before = len(desk.simulator.log)
        watch._sweep()
        paths = [entry.path for entry in desk.simulator.log[before:]]
        assert paths.index("/fapi/v1/accountConfig") < paths.index("/fapi/v3/positionRisk")
        assert "/fapi/v1/exchangeInfo" not in paths
        assert called == [trio.pk]

        # From then on it looks beside its sweeps, and not with each of them
        watch.swept.set()
        watch.check_settings_when_due()
        assert watch._settings_check is not None
        watch._settings_check.result(timeout=10)
        looked = len(desk.simulator.log)
        watch.check_settings_when_due()
        watch._sweep()
        assert "/fapi/v1/accountConfig" not in [entry.path for entry in desk.simulator.log[looked:]]
    finally:
        pools.shutdown()
        gc.collect()


def test_a_symbol_that_stops_again_later_is_asked_about_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    trio = desk.placed(desk.a_trio())
    texts = []
    for minute, status in enumerate(("SETTLING", "TRADING", "SETTLING")):
        seen = db_now() - timedelta(hours=1) + timedelta(minutes=minute)
        monkeypatch.setattr(symbol_sync, "db_now", lambda seen=seen: seen)
        desk.simulator.ex.catalogue.set_status("BTCUSDT", status)
        Symbol.objects.update(synced_at=db_now() - timedelta(hours=2))
        assert symbols_look(desk.account) == ({trio.pk} if status == "SETTLING" else set())
        if status == "SETTLING":
            texts.append(the(trio).question)
            services.trio_answer(trio_id=trio.pk, by="test")
    assert len(set(texts)) == 2


def test_a_look_that_fails_is_made_again_with_the_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pools = WatchPools()
    watch = AccountWatch(desk.account, WATCH, pools=pools, advance=lambda _: None)
    watch.swept.set()
    looks: list[str] = []

    def fails(_: object) -> set[int]:
        looks.append("fails")
        raise ExchangeUnreachable("The exchange does not answer.")

    monkeypatch.setattr(account_watch, "margins_look", fails)
    try:
        for _ in range(2):
            watch._settings_at = watch._rules_at = 0.0
            watch.check_settings_when_due()
            assert watch._settings_check is not None
            watch._settings_check.result(timeout=10)
    finally:
        pools.shutdown()
        gc.collect()
    assert looks == ["fails", "fails"]


# --- leverage brackets --------------------------------------------------------------------------


def bracket_reads(desk: Desk) -> int:
    return len(desk.requests("GET", "/fapi/v1/leverageBracket"))


def test_brackets_are_read_where_there_are_none_and_once_a_day(desk: Desk) -> None:
    # Given an account whose brackets nobody has read
    assert brackets_look(desk.account) == set()
    assert bracket_reads(desk) == 1
    kept = LeverageBrackets.objects.filter(account=desk.account)
    assert {row.symbol for row in kept} == {"BTCUSDT", "ETHUSDT", "ADAUSDT"}

    # Then they are young for a day
    brackets_look(desk.account)
    assert bracket_reads(desk) == 1

    # And after that they are as the exchange shows them, and what it no longer shows is forgotten
    shown = {row.symbol: row.steps for row in kept}
    kept.filter(symbol="BTCUSDT").update(steps=[["1", "0.5", "0"]])
    kept.filter(symbol="ETHUSDT").update(symbol="GONEUSDT")
    kept.update(read_at=db_now() - timedelta(days=1, seconds=1))
    brackets_look(desk.account)
    assert bracket_reads(desk) == 2
    assert {row.symbol: row.steps for row in kept.all()} == shown
    assert all(db_now() - row.read_at < timedelta(minutes=1) for row in kept.all())


def test_brackets_are_read_anew_when_an_order_was_refused_by_them(desk: Desk) -> None:
    brackets_look(desk.account)
    desk.simulator.refuses("MARKET", code=-2027)
    trio = desk.placed(desk.a_trio())
    assert trio.state in ("ROLLED_BACK", "REFUSED"), story(trio)

    brackets_look(desk.account)
    brackets_look(desk.account)

    assert bracket_reads(desk) == 2


def test_an_exchange_without_brackets_is_no_trouble(desk: Desk) -> None:
    desk.simulator.fault({"method": "GET", "path": "*/leverageBracket"}, {"do": "refuse", "code": -1121})
    assert brackets_look(desk.account) == set()
    assert not LeverageBrackets.objects.exists()
