"""The desk's accounts and trios: opened, placed and waited for, through the services a person's click calls."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from django.db import connection
from django.db.models import F

from accounts.models import ExchangeAccount
from accounts.services import account_add
from orders import services
from orders.domain.client_ids import stem
from orders.domain.enums import LegState, Role
from orders.exchange_data.symbol_sync import symbols_sync
from orders.installation import install_row
from orders.models import Leg, Symbol, TrioOrder, Watch
from tests.load.house import House, say, until

PLENTY: Final = 1_000_000  # of weight: opening a desk is not what is measured
BY: Final = "load"
WALLET: Final = Decimal(10_000_000)


class Desk:
    """Accounts on one exchange."""

    def __init__(self, house: House, accounts: int, *, weight: int) -> None:
        """Open so many accounts; then the exchange allows this weight and enforces it."""
        self.house = house
        house.limits(enforce_rates=False, weight_per_minute=PLENTY)
        symbols_sync("PAPER")
        self.accounts = [
            account_add(
                name=f"desk-{number:03}", environment="PAPER", api_key=secrets.token_hex(32),
                api_secret=secrets.token_hex(32), balance=WALLET, position_mode="ONE_WAY",
            )
            for number in range(accounts)
        ]  # fmt: skip
        marks = house.venue.ask("GET", "/fapi/v1/premiumIndex")
        self.prices = {row["symbol"]: Decimal(row["markPrice"]) for row in marks}
        house.limits(weight_per_minute=weight)
        symbols_sync("PAPER")  # reads the limits anew
        self.symbols = _plain_symbols(self.prices, house.venue.ask("GET", "/fapi/v1/exchangeInfo"))
        self._install = install_row().token
        house.limits(enforce_rates=True, reset=True)
        house.valkey().flushdb()
        say(f"{accounts} accounts opened")

    def watched(self, accounts: Sequence[ExchangeAccount] | None = None, seconds: float = 60) -> None:
        """Wait until each account has a stream, and was swept since."""
        wanted = [account.pk for account in (self.accounts if accounts is None else accounts)]

        def ready() -> bool:
            rows = Watch.objects.filter(account__in=wanted, swept_at__gte=F("stream_since"))
            return rows.count() == len(wanted)

        until(ready, seconds=seconds, what="each account watched and swept", pause=0.3)

    def draft(self, account: ExchangeAccount, symbol: Symbol, **fields: Any) -> TrioOrder:
        """A long trio of some 500 USDT whose levels are far away."""
        price = self.prices[symbol.symbol]

        tick, step = _steps(symbol)
        quantity = max(step, _floor(Decimal(500) / price, step))
        words: dict[str, Any] = {
            "quantity": quantity,
            "stop_loss": _floor(price * Decimal("0.8"), tick),
            "take_profit": _floor(price * Decimal("1.2"), tick),
            "protection": "ON_FIRST_FILL",
        }
        trio = services.trio_draft(account=account, symbol=symbol, side="BUY", **(words | fields))
        trio.save()
        return trio

    def limited(self, account: ExchangeAccount, symbol: Symbol, **fields: Any) -> TrioOrder:
        """One whose entry is limited to a little below the market."""
        price = _floor(self.prices[symbol.symbol] * Decimal("0.97"), _steps(symbol)[0])
        return self.draft(account, symbol, entry_type="LIMIT", price=price, **fields)

    def queue(self, trio: TrioOrder) -> None:
        """Place it, without asking the exchange first what a page would show."""
        reading = services.Reading(mark_price=self.prices[trio.symbol.symbol], wallet=WALLET)
        services.trio_queue(trio_id=trio.pk, by=BY, reading=reading)

    def open_trios(self, accounts: Sequence[ExchangeAccount], each: int) -> list[TrioOrder]:
        """Place so many market trios on each account, and wait until all are covered."""
        trios = [self.draft(account, symbol) for account in accounts for symbol in self.symbols[:each]]
        for trio in trios:
            self.queue(trio)
        self.covered(trios)
        say(f"{len(trios)} trios open and covered")
        return trios

    def covered(self, trios: Sequence[TrioOrder], seconds: float = 120) -> None:
        wanted = {trio.pk for trio in trios}

        def all_covered() -> bool:
            legs = Leg.objects.filter(
                trio__in=wanted, state=LegState.ACCEPTED, role__in=(Role.STOP_LOSS, Role.TAKE_PROFIT)
            )
            return legs.values("trio", "role").distinct().count() == 2 * len(wanted)

        until(all_covered, seconds=seconds, what=f"{len(wanted)} trios with both legs", pause=0.3)

    def stem(self, trio: TrioOrder) -> str:
        return stem(self._install, trio.pk)

    def stop_of(self, trio: TrioOrder) -> str:
        """The client id of its live stop."""
        return str(Leg.objects.get(trio=trio, role=Role.STOP_LOSS, state=LegState.ACCEPTED).client_id)

    def intervals(self) -> dict[str, int]:
        """How often each account is to be swept at present, in ms, as the product shows it."""
        field = "interval_ms" if any(f.name == "interval_ms" for f in Watch._meta.get_fields()) else ""
        if not field:
            return {account.name: 15_000 for account in self.accounts}
        rows = Watch.objects.values_list("account__name", field)
        return {name: interval or 15_000 for name, interval in rows}

    def close(self) -> None:
        connection.close()


def _plain_symbols(prices: dict[str, Decimal], info: dict[str, Any]) -> list[Symbol]:
    """Symbols that take orders, of which 500 USDT is a size they take."""
    takes_orders = {
        row["symbol"]
        for row in info["symbols"]
        if any(f["filterType"] == "MAX_NUM_ORDERS" and f["limit"] >= 10 for f in row["filters"])
    }
    rows = Symbol.objects.filter(environment="PAPER", symbol__endswith="USDT").order_by("symbol")
    return [
        row
        for row in rows
        if row.is_trading
        and row.symbol in takes_orders
        and row.symbol in prices
        and prices[row.symbol] * _steps(row)[1] < 100
        and prices[row.symbol] * (row.market_quantity_max or 0) > 1000
        and prices[row.symbol] > 100 * _steps(row)[0]
    ]


def _steps(symbol: Symbol) -> tuple[Decimal, Decimal]:
    """In what steps its prices and its quantities move, at market too."""
    assert symbol.tick_size
    assert symbol.step_size
    return symbol.tick_size, max(symbol.step_size, symbol.market_step_size or Decimal(0))


def _floor(value: Decimal, step: Decimal) -> Decimal:
    return (value / step).to_integral_value(ROUND_FLOOR) * step
