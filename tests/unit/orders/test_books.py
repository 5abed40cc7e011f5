"""The books of many trios against the exchange's own ledger, asset by asset, to the last digit.

How many: ``BOOKS_TRIOS`` in the environment (``make books``). Long and short, market and limit, part closes, funding,
losses and gains, fees in USDT on one account and in BNB on another; the exchange's ledger is read from the simulator itself.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from types import SimpleNamespace
from typing import Any, Final

import pytest
from django.urls import reverse

from accounts import endpoints
from accounts.models import ExchangeAccount
from accounts.services import account_add
from exchange.types import ZERO, ExchangeMs
from orders import desk as figures
from orders import selectors, services
from orders.cli.document import trio_document
from orders.equity import equity_store
from orders.exchange_data.clock import db_now
from orders.exchange_data.symbol_sync import symbols_sync
from orders.income import fee_prices_read, income_read, income_sums
from orders.models import EquityDay, Fill, TrioOrder
from orders.proof import trio_totals
from orders.results import Wanted, trades_wanted
from simulator import Simulator
from simulator.engine.ledger import deposit
from simulator.engine.records import Income
from simulator.transport import InProcessAdapter
from tests.builders import Desk, a_moment_later_ms, due_ids, story, the, until
from tests.unit.orders.operators import a_superuser

TRIOS: Final = int(os.environ.get("BOOKS_TRIOS", "40"))
NAMES: Final = ("BTCUSDT", "ETHUSDT", "ADAUSDT", "SOLUSDT", "XRPUSDT", "DOGEUSDT")
PRICES: Final = {"BTCUSDT": D(100000), "ETHUSDT": D(2000), "ADAUSDT": D("0.5000"), "SOLUSDT": D(200), "XRPUSDT": D("2.0000"),
                 "DOGEUSDT": D("0.20000")}  # fmt: skip
SIZES: Final = {
    "BTCUSDT": D("0.012"),
    "ETHUSDT": D("0.600"),
    "ADAUSDT": D(2400),
    "SOLUSDT": D(6),
    "XRPUSDT": D(600),
    "DOGEUSDT": D(6000),
}
MINUTE_MS: Final = 60_000
EIGHT_HOURS_MS: Final = 8 * 3_600_000
Sums = Mapping[tuple[str, str], D]  # by asset and kind


@pytest.fixture
def market(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    for name in ("SETTLED_MS", "LATE_MS"):  # judged at once
        monkeypatch.setattr(f"orders.income.{name}", 0)
    monkeypatch.setattr("orders.income.exchange_now_ms", a_moment_later_ms)
    simulated = Simulator(symbols={*NAMES, "BNBUSDT"}, enforce_rates=False)
    simulated.set_price("BNBUSDT", "600")
    endpoints.use_transport("PAPER", InProcessAdapter(simulated))
    yield simulated
    endpoints.use_transport("PAPER", None)


def fees_in_bnb(market: Simulator, name: str) -> None:
    """Give an account BNB, and have its fees paid in that."""
    book, now = market.ex.books[name], market.clock()
    with market.venue.change_by_hand(now):
        deposit(market.ex, book, "BNB", D(1000), now)
        book.account.fee_burn = True


@pytest.fixture
def desks(market: Simulator, transactional_db: None) -> list[Desk]:
    """Two accounts: one pays its fees in USDT, the other in BNB."""
    found: list[Desk] = []
    for name in ("usdt", "bnb"):
        market.add_account(
            name, f"key-of-{name}-0123456789", f"secret-of-{name}-0123456789", balance="1000000"
        )
        if name == "bnb":
            fees_in_bnb(market, name)
        if not found:
            symbols_sync("PAPER")
        account = account_add(
            name=name,
            environment="PAPER",
            api_key=f"key-of-{name}-0123456789",
            api_secret=f"secret-of-{name}-0123456789",
        )
        found.append(Desk(market, account, f"key-of-{name}-0123456789").watched())
    return found


def ledger(market: Simulator, account: ExchangeAccount) -> list[Income]:
    """Return the exchange's own lines of an account, what was paid in left out."""
    return [line for line in market.ex.books[account.name].income if line.type != "TRANSFER"]


def summed(lines: list[Income]) -> Sums:
    found: dict[tuple[str, str], D] = defaultdict(D)
    for line in lines:
        found[line.asset, line.type] += line.amount
    return found


def drafts(desk: Desk, market: Simulator, chance: random.Random) -> list[TrioOrder]:
    made = []
    for name in NAMES:
        price = (PRICES[name] * D(chance.randrange(950, 1050)) / 1000).quantize(PRICES[name])
        market.set_price(name, str(price))
        long = chance.random() < 0.5
        low, high = (price * D("0.97")).quantize(PRICES[name]), (price * D("1.03")).quantize(PRICES[name])
        reach = price * D("1.002" if long else "0.998")  # beyond the book: it fills at once
        terms: dict[str, Any] = (
            {"entry_type": "LIMIT", "price": reach.quantize(PRICES[name])} if chance.random() < 0.3 else {}
        )
        made.append(
            desk.a_trio(
                symbol=name,
                side="BUY" if long else "SELL",
                quantity=SIZES[name],
                stop_loss=low if long else high,
                take_profit=high if long else low,
                **terms,
            )
        )
    return made


def tick_on(market: Simulator) -> None:
    """Have the exchange's clock go on by a millisecond at least."""
    now = market.clock()
    until(lambda: market.clock() > now)


def work(desks: list[Desk]) -> bool:
    """Do what a runworker does in one pass over all accounts: nothing waits while another account is carried."""
    for desk in desks:
        desk.hear()
    for trio_id in due_ids():
        for desk in desks:
            desk.beat()
        desks[0].service.advance(trio_id)
    return False


def carried(desks: list[Desk], trios: list[TrioOrder], state: str) -> None:
    """Work on until all of these are in a state."""

    def there() -> bool:
        work(desks)
        return not TrioOrder.objects.filter(pk__in=[trio.pk for trio in trios]).exclude(state=state).exists()

    until(
        there,
        seconds=120,
        why=lambda: "\n".join(story(the(trio)) for trio in trios if the(trio).state != state),
    )


def booked(desks: list[Desk], trios: list[TrioOrder]) -> None:
    """Hear until each execution of these is booked."""

    def whole() -> bool:
        for desk in desks:
            desk.hear()
        return all(
            sum((leg.filled for leg in trio.legs.all()), ZERO)
            == sum((fill.quantity for fill in trio.fills.all()), ZERO)
            for trio in TrioOrder.objects.filter(pk__in=[trio.pk for trio in trios]).prefetch_related(
                "legs", "fills"
            )
        )

    until(whole, seconds=60)


def lived(desks: list[Desk], market: Simulator, chance: random.Random) -> list[TrioOrder]:
    """Open a trio on each symbol of each account, take parts off, pay funding, and close them all in one way or another."""
    trios = [trio for desk in desks for trio in drafts(desk, market, chance)]
    for name in NAMES:  # both accounts at one price: those of the last desk stand
        last = [trio for trio in trios if trio.symbol.symbol == name][-1]
        for trio in trios:
            if trio.symbol.symbol == name and trio is not last:
                trio.side, trio.price, trio.entry_type = last.side, last.price, last.entry_type
                trio.stop_loss, trio.take_profit = last.stop_loss, last.take_profit
                trio.save()
    for desk in desks:
        desk.beat()
    for result in services.trios_queue([trio.pk for trio in trios], by="books"):
        assert result.error is None, result.error
    carried(desks, trios, "OPEN")
    for trio in trios:
        if chance.random() < 0.4:
            services.trio_close_part(trio_id=trio.pk, quantity=trio.quantity / 3, by="books")
    until(
        lambda: (
            work(desks)
            or not TrioOrder.objects.filter(pk__in=[t.pk for t in trios], size_changes__end="").exists()
        ),
        seconds=120,
    )
    if chance.random() < 0.8:
        tick_on(market)
        market.advance_market(EIGHT_HOURS_MS)
        market.tick()
        tick_on(market)  # who closes in the very millisecond of a funding is told apart by nothing
    for trio in {trio.symbol.symbol: trio for trio in trios}.values():
        level = {0: trio.stop_loss, 1: trio.take_profit}.get(chance.randrange(3))
        if level is not None:
            market.set_price(trio.symbol.symbol, str(level))
    for desk in desks:
        desk.hear()
    for trio in trios:
        if not the(trio).is_over and trio.state == "OPEN":
            services.trio_close(trio_id=trio.pk, by="books")
    carried(desks, trios, "CLOSED")
    booked(desks, trios)
    return trios


def test_the_books_of_all_trios_are_the_exchanges_ledger(desks: list[Desk], market: Simulator) -> None:
    # Given trios that came and went on two accounts, and what accounts were worth before
    chance = random.Random(21)
    trios: list[TrioOrder] = []
    before = {desk.account.pk: dict(market.ex.books[desk.account.name].account.wallets) for desk in desks}
    while len(trios) < TRIOS:
        trios += lived(desks, market, chance)
        for desk in desks:
            income_read(desk.account)
    readings = {desk.account.pk: income_read(desk.account) for desk in desks}

    # Then nothing differs, and income by account and kind is the ledger's
    by_account: dict[int, list[TrioOrder]] = defaultdict(list)
    for trio in trios:
        by_account[trio.account_id].append(trio)
    for desk in desks:
        key = desk.account.pk
        theirs = summed(ledger(market, desk.account))
        assert readings[key].differences == {}
        ours = {(row.asset, row.kind): row for row in income_sums(key, since=0, until=readings[key].read_ts)}
        assert {what: row.total for what, row in ours.items() if what[1] != "TRANSFER"} == theirs
        assert all(row.of_trios == row.total for what, row in ours.items() if what[1] != "TRANSFER"), (
            "each line has its trio"
        )

        # and so are the sums of its trios: net, fees and funding, asset by asset, which is what its wallets gained
        nets = selectors.net_pnl([trio.pk for trio in by_account[key]])
        parts = [part for found in nets.values() for part in found]
        wallets = market.ex.books[desk.account.name].account.wallets
        for asset, money in wallets.items():
            mine = [part for part in parts if part.asset == asset]
            assert sum((part.realized for part in mine), ZERO) == theirs.get((asset, "REALIZED_PNL"), ZERO)
            assert sum((part.fees for part in mine), ZERO) == -theirs.get((asset, "COMMISSION"), ZERO)
            assert sum((part.funding for part in mine), ZERO) == theirs.get((asset, "FUNDING_FEE"), ZERO)
            assert sum((part.net for part in mine), ZERO) == money - before[key].get(asset, ZERO)
            equity_store(desk.account)
            kept = EquityDay.objects.filter(account=key, asset=asset).first()
            assert kept is None or kept.wallet == kept.equity == money
    assert {line.asset for desk in desks for line in ledger(market, desk.account)} == {"USDT", "BNB"}

    # And each trio's, on its own proof sheet
    lines: dict[tuple[int, str], list[Income]] = defaultdict(list)
    for desk in desks:
        for line in ledger(market, desk.account):
            lines[desk.account.pk, f"{line.symbol}/{line.trade}"].append(line)
    for trio in trios:
        own = [
            line
            for fill in Fill.objects.filter(trio=trio)
            for line in lines[trio.account_id, f"{fill.symbol}/{fill.trade_id}"]
        ]
        sums = summed(own)
        for total in trio_totals(trio):
            assert total.is_equal
            assert total.realized == sums.get((total.asset, "REALIZED_PNL"), ZERO)
            assert total.fees == -sums.get((total.asset, "COMMISSION"), ZERO)

    # And the statistics, the dashboard's sum of days and the pages
    found = trades_wanted(Wanted())
    priced = {trade.trio: trade for trade in found.trades["USDT"]}
    for trio in trios:
        if trio.account.name == "usdt":
            (part,) = selectors.net_pnl([trio.pk])[trio.pk]
            assert (priced[trio.pk].net, priced[trio.pk].funding) == (part.net, part.funding)
    now = db_now()
    earned = figures.net_by_asset([desk.account.pk for desk in desks], now=now + timedelta(days=29), zone=UTC)
    for row in earned:
        gained = [
            line.amount for desk in desks for line in ledger(market, desk.account) if line.asset == row.asset
        ]
        assert row.month == sum(gained, ZERO)
    page = a_superuser().get(
        reverse("admin:orders_statistics"),
        {"format": "json", "account": "usdt", "until": f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"},
    )
    (asset,) = page.json()["assets"]
    usdt = next(desk for desk in desks if desk.account.name == "usdt")
    assert D(asset["net"]) == sum((line.amount for line in ledger(market, usdt.account)), ZERO)


class Bars:
    """An exchange that shows one-minute bars of BNBUSDT: what each minute closed at."""

    def __init__(self, closes: Mapping[int, str]) -> None:
        self.closes = closes

    def klines(self, symbol: str, timeframe: str, *, since: int, limit: int) -> list[Any]:
        assert (symbol, timeframe) == ("BNBUSDT", "1m")
        return [SimpleNamespace(open_time=since, close=D(self.closes[since]))] if since in self.closes else []


def test_fees_that_the_exchange_took_in_bnb_are_converted_each_at_its_own_price(
    market: Simulator, desks: list[Desk]
) -> None:
    # Given an account whose fees are paid in BNB: ETHUSDT long 0.500 @ 2000.00 with BNB at 600
    desk = desks[1]
    market.set_price("ETHUSDT", "1999.99")  # a market order pays the other side of the spread
    trio = desk.placed(
        desk.a_trio(
            "ETHUSDT",
            quantity=D("0.500"),
            stop_loss=D("1960"),
            take_profit=D("2006"),
            protection="ON_FIRST_FILL",
        )
    )

    def stands() -> bool:
        desk.carry()
        return len(desk.resting) == 2

    until(stands, why=lambda: story(trio))

    # When its target fills @ 2006.00 with BNB at 610, minutes later
    market.set_price("BNBUSDT", "610")
    market.set_price("ETHUSDT", "2006.00")
    desk.carry_until(trio, "CLOSED")
    bought, sold = (trio.fills.get(side=side) for side in ("BUY", "SELL"))
    Fill.objects.filter(pk=bought.pk).update(time_ts=bought.time_ts - 3 * MINUTE_MS)

    # Then the exchange's own fees are in the books, and both assets apart
    assert (bought.price, sold.price) == (D(2000), D(2006))
    assert [(fill.commission, fill.commission_asset) for fill in (bought, sold)] == [
        (D("0.00075"), "BNB"),
        (D("0.00073992"), "BNB"),  # 0.45135 at 610
    ]
    parts = {part.asset: part.net for part in selectors.net_pnl([trio.pk])[trio.pk]}
    assert parts == {"USDT": D(3), "BNB": D("-0.00148992")}
    assert trio_document(trio)["net_converted"] == {"asset": "USDT", "net": None}

    # And together each fee is worth what BNB was at its own fill
    minutes = [fill.time_ts // MINUTE_MS * MINUTE_MS for fill in (bought, sold)]
    closes = {minutes[0] - 3 * MINUTE_MS: "600", minutes[1]: "610"}
    later = ExchangeMs(sold.time_ts + 2 * MINUTE_MS)
    fee_prices_read(desk.account, Bars(closes), at=later)  # type: ignore[arg-type]
    assert trio_document(trio)["net_converted"] == {"asset": "USDT", "net": "2.0986488"}
