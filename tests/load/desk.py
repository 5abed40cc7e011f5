"""The desk's accounts and trios: opened, placed and waited for, through the services a person's click calls."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import F

from accounts.models import ExchangeAccount
from accounts.services import account_add
from orders import services
from orders.domain.client_ids import stem
from orders.domain.enums import ENDS, LegState, Role
from orders.exchange_data.symbol_sync import symbols_sync
from orders.installation import install_row
from orders.models import Leg, Symbol, TrioOrder, Watch
from tests.load.house import House, say, until

PLENTY: Final = 1_000_000  # of weight: opening a desk is not what is measured
BY: Final = "load"
BATCH: Final = 8  # so that opening a desk is no bulk
WALLET: Final = Decimal(10_000_000)


class Desk:
    """Accounts on one exchange."""

    def __init__(self, house: House, accounts: int, *, weight: int, orders_10s: int = 300) -> None:
        """Open so many accounts; then the exchange allows this weight and so many orders, and enforces it."""
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
        house.limits(weight_per_minute=weight, orders_per_ten_seconds=orders_10s)
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

    def levels(self, symbol: Symbol) -> dict[str, Decimal]:
        """Of a long trio of some 500 USDT whose levels are far away."""
        price = self.prices[symbol.symbol]
        tick, step = _steps(symbol)
        return {
            "quantity": max(step, _floor(Decimal(500) / price, step)),
            "stop_loss": _floor(price * Decimal("0.8"), tick),
            "take_profit": _floor(price * Decimal("1.2"), tick),
        }

    def draft(self, account: ExchangeAccount, symbol: Symbol, **fields: Any) -> TrioOrder:
        """A long trio of some 500 USDT whose levels are far away."""
        words: dict[str, Any] = {**self.levels(symbol), "protection": "ON_FIRST_FILL"}
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

    def queue_all(self, trios: Sequence[TrioOrder]) -> None:
        """Place them as one set, with what a page asks the exchange for."""
        refused = [r.error for r in services.trios_queue([trio.pk for trio in trios], by=BY) if r.error]
        if refused:
            raise refused[0]

    def open_trios(self, accounts: Sequence[ExchangeAccount], each: int) -> list[TrioOrder]:
        """Place so many market trios on each account, a few at a time; return those that are open and covered."""
        trios = [self.draft(account, symbol) for symbol in self.symbols[:each] for account in accounts]
        for at in range(0, len(trios), BATCH):
            for trio in trios[at : at + BATCH]:
                self.queue(trio)
            self.settled(trios[at : at + BATCH])
        covered = self.settled(trios)
        say(f"{len(covered)} of {len(trios)} trios open and covered")
        return covered

    def settled(self, trios: Sequence[TrioOrder], seconds: float = 60) -> list[TrioOrder]:
        """Wait until each has both legs or has ended; return those with both. Raises TimeoutError."""
        wanted = {trio.pk: trio for trio in trios}
        armed: set[int] = set()

        def all_settled() -> bool:
            legs = Leg.objects.filter(
                trio__in=wanted, state=LegState.ACCEPTED, role__in=(Role.STOP_LOSS, Role.TAKE_PROFIT)
            )
            roles = Counter(trio for trio, _ in legs.values_list("trio", "role").distinct())
            over = set(TrioOrder.objects.filter(pk__in=wanted, state__in=ENDS).values_list("pk", flat=True))
            armed.clear()
            armed.update({pk for pk, count in roles.items() if count == 2} - over)
            return len(armed | over) == len(wanted)

        until(all_settled, seconds=seconds, what=f"{len(wanted)} trios with both legs, or ended", pause=0.2)
        return [wanted[pk] for pk in sorted(armed)]

    def stem(self, trio: TrioOrder) -> str:
        return stem(self._install, trio.pk)

    def stop_of(self, trio: TrioOrder) -> str:
        """The client id of its live stop."""
        return str(Leg.objects.get(trio=trio, role=Role.STOP_LOSS, state=LegState.ACCEPTED).client_id)

    def intervals(self) -> dict[str, int]:
        """How often each account is to be swept at present, in ms, as the product shows it."""
        rows = Watch.objects.values_list("account__name", "interval_ms")
        return {name: interval or 1000 * settings.SWEEP_SECONDS for name, interval in rows}

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
