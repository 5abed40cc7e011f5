"""What we need from an exchange. One implementation speaks to Binance; tests mount the simulator under it.

Nothing here stamps the time, retries or sends twice: the caller fixes the time frame of each
request (``Stamp``) before it is sent, and decides what an answer means. Every method raises only
the errors of ``exchange.errors``.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

from exchange.types import (
    AccountConfig,
    AccountTotals,
    BalanceView,
    Connected,
    Disconnected,
    ExchangeMs,
    FundingRate,
    IncomeView,
    Kline,
    LeverageBracket,
    MarginType,
    MarkPrice,
    NewOrder,
    OrderRef,
    OrderView,
    Permissions,
    PositionView,
    PriceTick,
    Side,
    Stamp,
    StreamEvent,
    SymbolConfig,
    TradeView,
    WireRequest,
)


class PublicExchange(Protocol):
    """What needs no key."""

    def server_time(self) -> ExchangeMs: ...

    def exchange_info(self) -> Mapping[str, Any]:
        """Return ``GET /fapi/v1/exchangeInfo`` as it is, numbers as text."""
        ...

    def mark_prices(self, symbol: str | None = None) -> Sequence[MarkPrice]: ...

    def klines(
        self, symbol: str, timeframe: str, *, since: int | None = None, limit: int = 500
    ) -> Sequence[Kline]:
        """Bars, oldest first: the newest ``limit``, or those that opened from ``since`` on.

        The last one may still be open; a row does not say so.
        """
        ...

    def mark_klines(
        self, symbol: str, timeframe: str, *, since: int | None = None, limit: int = 500
    ) -> Sequence[Kline]:
        """Bars of the mark price, as ``klines``; nothing is traded at one, so they have no volume."""
        ...

    def funding_rates(self, symbol: str, *, since: int, until: int) -> Sequence[FundingRate]:
        """The fundings of a symbol within a span of time, oldest first."""
        ...


class Exchange(PublicExchange, Protocol):
    """One account's way to its exchange. Safe to use from several threads."""

    # Changing something: first make the request (pure), commit it, then send exactly that.
    def submit_request(self, order: NewOrder) -> WireRequest: ...

    def test_request(self, order: NewOrder) -> WireRequest:
        """The same order for ``/fapi/v1/order/test``. Raises ValueError for a conditional one."""
        ...

    def cancel_request(self, ref: OrderRef) -> WireRequest: ...

    def amend_request(self, ref: OrderRef, side: Side, *, quantity: Decimal, price: Decimal) -> WireRequest:
        """Give a resting LIMIT order another price and quantity: the whole quantity, never the unfilled part.

        The exchange takes it off the book where the quantity has filled already, or a post-only order would trade at once.
        """
        ...

    def send(self, request: WireRequest, *, stamp: Stamp, timeout_ms: int | None = None) -> OrderView | None:
        """Send one committed order request, once. ``None``: accepted without an order (test).

        A cancelled conditional order comes back with state CANCELED and only its ids filled in.
        """
        ...

    # Reading. ``at`` is the exchange time we stamp the question with.
    def find_order(self, ref: OrderRef, *, at: ExchangeMs, timeout_ms: int | None = None) -> OrderView | None:
        """Look one order up by our client id; ``None`` when the exchange shows none.

        For a triggered conditional order, ``executed`` and ``average_price`` are its child's.
        """
        ...

    def open_orders(self, symbol: str | None = None, *, at: ExchangeMs) -> Sequence[OrderView]:
        """Everything that rests: ordinary and conditional orders together."""
        ...

    def order_history(self, symbol: str, *, since: int, at: ExchangeMs) -> Sequence[OrderView]:
        """Ordinary and conditional orders of one symbol from ``since`` on, whatever their state."""
        ...

    def trades(
        self, symbol: str, *, since: int, at: ExchangeMs, order_id: int | None = None
    ) -> Sequence[TradeView]: ...

    def income(self, *, since: int, at: ExchangeMs) -> Sequence[IncomeView]:
        """Every line of the account's income from ``since`` on, oldest first; the exchange knows three months."""
        ...

    def positions(
        self, symbol: str | None = None, *, at: ExchangeMs, timeout_ms: int | None = None
    ) -> Sequence[PositionView]: ...

    def balances(self, *, at: ExchangeMs) -> Sequence[BalanceView]: ...

    def account_totals(self, *, at: ExchangeMs) -> AccountTotals:
        """The whole account's margin, which in multi-assets mode counts instead of one asset's."""
        ...

    def account_config(self, *, at: ExchangeMs) -> AccountConfig: ...

    def symbol_configs(self, symbol: str | None = None, *, at: ExchangeMs) -> Sequence[SymbolConfig]: ...

    def leverage_brackets(self, *, at: ExchangeMs) -> Mapping[str, Sequence[LeverageBracket]]:
        """The account's notional brackets of every symbol: one request, however many there are."""
        ...

    def permissions(self, *, at: ExchangeMs) -> Permissions | None:
        """What the key may do; ``None`` where this environment cannot tell."""
        ...

    # Settings of account and symbol: read back rather than trusted.
    def set_leverage(self, symbol: str, leverage: int, *, stamp: Stamp) -> None: ...

    def set_margin_type(self, symbol: str, margin_type: MarginType, *, stamp: Stamp) -> None:
        """Already so counts as done."""
        ...

    # User stream: the key is asked for here, the socket is the stream's own business.
    def listen_key(self) -> str: ...

    def keep_listen_key(self) -> None:
        """Extend it. Raises OrderRejected (LISTEN_KEY_GONE) when it is gone: ask for a new one."""
        ...


class UserStream(Protocol):
    """One account's events. It reconnects for ever; after each ``Connected`` read by REST what was missed."""

    def events(self) -> AsyncGenerator[Connected | Disconnected | StreamEvent, None]:
        """Yield what happens. Close it (``contextlib.aclosing``) to end it."""
        ...


class MarketStream(Protocol):
    """Last and mark prices of the symbols that are watched."""

    def watch(self, symbols: Collection[str]) -> None:
        """Watch exactly these symbols; call it from the stream's own event loop."""
        ...

    def events(self) -> AsyncGenerator[Connected | Disconnected | PriceTick, None]:
        """Yield what happens. Close it (``contextlib.aclosing``) to end it."""
        ...


class KlineStream(Protocol):
    """Bars of the symbols and timeframes that are watched, as they grow and as they close."""

    def watch(self, series: Collection[tuple[str, str]]) -> None:
        """Watch exactly these pairs of symbol and timeframe; call it from the stream's own event loop."""
        ...

    def events(self) -> AsyncGenerator[Connected | Disconnected | Kline, None]:
        """Yield what happens. Close it (``contextlib.aclosing``) to end it."""
        ...
