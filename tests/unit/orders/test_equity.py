"""What accounts were worth day by day, as the simulated exchange has it, and the curve of it on the first page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from orders import desk as desk_reads
from orders.equity import EquityCurve, equity_curves, equity_store
from orders.exchange_data.clock import to_ms
from orders.models import EquityDay, Income
from orders.queueing import market_at_hand
from tests.builders import Desk
from tests.unit.orders.operators import a_superuser

D = Decimal


@pytest.fixture(autouse=True)
def _nothing_at_hand() -> Iterator[None]:
    market_at_hand.forget()
    yield
    market_at_hand.forget()


def curves() -> list[EquityCurve]:
    market_at_hand.forget()
    funds = desk_reads.accounts_funds(desk_reads.positions_held())
    return equity_curves(funds, now=timezone.now())


def test_a_row_a_day_holds_the_newest_value_of_that_day(desk: Desk) -> None:
    # Given an account that trades nothing, read once
    equity_store(desk.account)
    row = EquityDay.objects.get()
    assert (row.asset, row.wallet, row.equity) == ("USDT", D(100000), D(100000))
    assert curves() == [], "one value is no curve"

    # When a position is open and won, and it is read again on the same day
    desk.placed(desk.a_trio())
    desk.simulator.set_price("BTCUSDT", "101000")
    desk.sweep()
    equity_store(desk.account)

    # Then the row has the newer value, as the first page shows it, and an older one does not replace it
    row = EquityDay.objects.get()
    market_at_hand.forget()
    (funds,) = desk_reads.accounts_funds(desk_reads.positions_held())
    assert row.equity == funds.purses[0].equity == row.wallet + D("9.999")
    EquityDay.objects.update(read_at=timezone.now() + timedelta(hours=1))
    desk.simulator.set_price("BTCUSDT", "99000")
    desk.sweep()
    equity_store(desk.account)
    assert EquityDay.objects.get().equity == row.equity


def test_the_curve_ends_now_and_transfers_do_not_move_it(desk: Desk) -> None:
    # Given 60,000 a week ago, 40,000 that came in since, and what was lost by now
    now = timezone.now()
    for back, equity in ((8, D(60000)), (1, D(100100))):
        read_at = now - timedelta(days=back)
        EquityDay.objects.create(
            account=desk.account,
            asset="USDT",
            day=read_at.date(),
            wallet=equity,
            equity=equity,
            read_at=read_at,
        )
    Income.objects.create(
        account=desk.account, kind="TRANSFER", amount=D(40000), asset="USDT", tran_id=1,
        time_ts=to_ms(now - timedelta(days=3)),
    )  # fmt: skip
    (curve,) = curves()
    assert (curve.environment, curve.asset) == ("PAPER", "USDT")
    assert [int(value) for value in curve.values] == [100000] * 7 + [100100, 100000]
    assert (curve.week, curve.month) == (D(0), None)
    assert len(curve.days) == len(curve.values) == 9

    # And the first page draws it
    market_at_hand.forget()
    page = a_superuser().get(reverse("admin:index")).content.decode()
    assert "Equity USDT" in page
    assert "100000 then, 100000 now" in page.replace(".00", "")

    # And an account that is not known now is in none of its values
    desk.account.credential.delete()
    assert curves() == []
