"""A price that somebody waits for: told once, when the market is there."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Collection, Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from exchange.types import Disconnected, PriceKind, PriceTick
from notices.models import PriceAlert
from tests.builders import Desk, until
from tests.unit.notices.people import Person, told
from tests.unit.notices.receiver import Receiver
from worker.alert_watch import AlertWatch

D = Decimal


class FakePrices:
    """A stream that says what a test has put into it."""

    def __init__(self) -> None:
        self.watched: set[str] = set()
        self.ended = False
        self._made: queue.Queue[Any] = queue.Queue()

    def watch(self, symbols: Collection[str]) -> None:
        self.watched = set(symbols)

    def say(self, price: str, *, kind: PriceKind = PriceKind.MARK, symbol: str = "BTCUSDT") -> None:
        self._made.put(PriceTick(symbol=symbol, price=D(price), time=1, kind=kind))

    async def events(self) -> AsyncGenerator[Any, None]:
        try:
            while True:
                try:
                    yield self._made.get_nowait()
                except queue.Empty:
                    await asyncio.sleep(0.01)
        finally:
            self.ended = True

    def is_idle(self) -> bool:
        return self._made.empty()


@pytest.fixture
def prices(monkeypatch: pytest.MonkeyPatch) -> FakePrices:
    made = FakePrices()
    monkeypatch.setattr("worker.alert_watch.market_stream", lambda environment: made)
    return made


@pytest.fixture
def watch(prices: FakePrices) -> Iterator[AlertWatch]:
    made = AlertWatch()
    yield made
    made.stop()


def an_alert(person: Person, **said: Any) -> PriceAlert:
    usual = {
        "environment": "PAPER",
        "symbol": "BTCUSDT",
        "side": "ABOVE",
        "level": D("105000"),
        "kind": "MARK",
    }
    return PriceAlert.objects.create(recipient=person.recipient, **(usual | said))


def fired(alert: PriceAlert) -> bool:
    alert.refresh_from_db()
    return alert.fired_at is not None


def test_it_is_told_once_by_the_price_that_was_chosen(
    desk: Desk, anna: Person, receiver: Receiver, prices: FakePrices, watch: AlertWatch
) -> None:
    # Given two who wait for a mark price, and one for a last price
    told()
    bert = Person.made("bert")
    mark, last = (
        an_alert(anna, note="Take some off."),
        an_alert(bert, kind="LAST", side="BELOW", level=D("99000")),
    )
    watch.refresh()
    until(lambda: prices.watched == {"BTCUSDT"})

    # When prices come that do not reach either, then one that does
    prices.say("104999.9")
    prices.say("106000", kind=PriceKind.LAST)
    prices.say("98000", kind=PriceKind.MARK)
    prices.say("200000", symbol="ETHUSDT")
    prices.say("105000.0")
    prices.say("105001.0")
    until(lambda: fired(mark))
    assert not fired(last)
    watch.refresh()
    prices.say("105002.0")
    until(prices.is_idle)

    # Then its owner alone is told, once, with the price
    assert told() == 1
    assert receiver.titles == ["A price was reached"]
    assert receiver.texts.endswith(
        "BTCUSDT (PAPER): the mark price is 105000, at or above 105000. Take some off."
    )
    assert bert.notices == []
    prices.say("98999", kind=PriceKind.LAST)
    until(lambda: fired(last))
    assert bert.kinds == ["PRICE_ALERT"]


def test_the_stream_is_there_only_while_somebody_waits(
    desk: Desk, anna: Person, prices: FakePrices, watch: AlertWatch
) -> None:
    watch.refresh()
    assert watch._streams == {}
    alert = an_alert(anna)
    watch.refresh()
    until(lambda: prices.watched)
    alert.delete()

    watch.refresh()

    until(lambda: prices.ended)
    assert watch._streams == {}


def test_a_stream_that_breaks_off_or_a_database_that_fails_loses_no_alert(
    desk: Desk, anna: Person, prices: FakePrices, watch: AlertWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    alert = an_alert(anna)
    watch.refresh()
    until(lambda: prices.watched)
    tried = []

    def fault(*_: Any) -> None:
        tried.append(1)
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patched:
        patched.setattr("worker.alert_watch.alert_fire", fault)
        prices._made.put(Disconnected("cut", 0.1))
        prices.say("105000")
        until(lambda: tried)
    assert not fired(alert)

    watch.refresh()
    prices.say("105000")
    until(lambda: fired(alert))


def test_an_alert_is_typed_into_a_form_that_knows_the_symbols(desk: Desk, anna: Person) -> None:
    page = reverse("admin:notices_pricealert_add")
    typed = {
        "environment": "PAPER",
        "symbol": "btcusdt",
        "side": "BELOW",
        "level": "99000",
        "kind": "LAST",
        "note": "",
    }
    assert anna.browser.post(page, typed | {"symbol": "NOSUCH"}).status_code == 200
    assert anna.browser.post(page, typed).status_code == 302
    (alert,) = PriceAlert.objects.all()
    assert (alert.symbol, alert.recipient) == ("BTCUSDT", anna.recipient)
    assert anna.browser.get(reverse("admin:notices_pricealert_changelist")).status_code == 200
    assert (
        "99000"
        in anna.browser.get(reverse("admin:notices_pricealert_change", args=[alert.pk])).content.decode()
    )
