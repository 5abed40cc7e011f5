"""Binance USDⓈ-M Futures behind our port, through Binance's own library.

How a request travels is ``http``'s, what an answer means ``errors``' and ``mapping``'s. Nothing here
stamps the time or sends twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from exchange.binance import order_params
from exchange.binance.acknowledgement import acknowledgement
from exchange.binance.mapping.account import (
    read_account_config,
    read_account_totals,
    read_balance,
    read_permissions,
    read_position,
    read_trade,
)
from exchange.binance.mapping.algo_orders import read_algo_order, with_child, with_children
from exchange.binance.mapping.body import as_object
from exchange.binance.mapping.fields import list_of, list_or_single, text
from exchange.binance.mapping.income import read_income
from exchange.binance.mapping.orders import read_order
from exchange.binance.mapping.symbol_settings import read_leverage_brackets, read_symbol_config
from exchange.binance.order_params import ALGO_ORDER, ORDER
from exchange.binance.paging import Frame, all_income, all_orders, all_trades, time_frames
from exchange.binance.public import BinancePublic, symbol_params
from exchange.errors import CredentialsRefused, ExchangeUnavailable, OrderRejected
from exchange.rate_limits import RateGate
from exchange.refusals import Refusal
from exchange.types import (
    AccountConfig,
    AccountTotals,
    BalanceView,
    Endpoints,
    ExchangeMs,
    IncomeView,
    LeverageBracket,
    MarginType,
    NewOrder,
    OrderRef,
    OrderView,
    Permissions,
    PositionView,
    Side,
    Stamp,
    SymbolConfig,
    TradeView,
    WireRequest,
)

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

FOLLOW_MIN_MS: Final = 50
_T = TypeVar("_T")


class BinanceExchange(BinancePublic):
    """One account at Binance: implements ``exchange.port.Exchange``. Safe to use from several threads."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        api_key: str,
        api_secret: str,
        timeout_ms: int = 5000,
        recv_window: int = 5000,
        transport: BaseAdapter | None = None,
        gate: RateGate | None = None,
    ) -> None:
        for name, value in (("API key", api_key), ("API secret", api_secret)):
            if not value or not value.isascii() or not value.isprintable() or " " in value:
                raise CredentialsRefused(
                    f"The {name} is empty or holds characters no key has: enter it again, without blanks."
                )
        order_params.check_stamp(Stamp(timestamp=ExchangeMs(1), recv_window=recv_window))
        self._recv_window = recv_window
        self._start(
            endpoints,
            api_key=api_key,
            api_secret=api_secret,
            timeout_ms=timeout_ms,
            transport=transport,
            gate=gate,
        )

    # --- orders: first the request (pure), then exactly that, once ---------------------------

    def submit_request(self, order: NewOrder) -> WireRequest:
        """Make the request that places ``order``. Raises ValueError for what Binance would refuse."""
        return order_params.submit_request(order)

    def test_request(self, order: NewOrder) -> WireRequest:
        """Make the request that only checks ``order``. Raises ValueError for a conditional one."""
        return order_params.test_request(order)

    def cancel_request(self, ref: OrderRef) -> WireRequest:
        """Make the request that cancels one order by our client id."""
        return order_params.cancel_request(ref)

    def amend_request(self, ref: OrderRef, side: Side, *, quantity: Decimal, price: Decimal) -> WireRequest:
        """Make the request that gives a resting LIMIT order another price and quantity. Raises ValueError for a conditional one."""
        return order_params.amend_request(ref, side, quantity=quantity, price=price)

    def send(self, request: WireRequest, *, stamp: Stamp, timeout_ms: int | None = None) -> OrderView | None:
        """Send one committed order request, once. ``None``: accepted without an order (test).

        Raises ValueError before anything leaves when request or stamp is not sendable.
        """
        order_params.check_sendable(request)
        return self._change(request, acknowledgement(request), stamp=stamp, timeout_ms=timeout_ms)

    # --- reading ------------------------------------------------------------------------------

    def find_order(self, ref: OrderRef, *, at: ExchangeMs, timeout_ms: int | None = None) -> OrderView | None:
        """Look one order up by our client id; ``None`` when the exchange shows none (yet).

        For a triggered conditional order the order born at its trigger is read as well, in the time left.
        """
        ends = time.monotonic() + (timeout_ms or self._timeout_ms) / 1000
        if not ref.conditional:
            params = {"symbol": ref.symbol, "origClientOrderId": ref.client_id}
            return self._find(ORDER, params, read_order, at=at, timeout_ms=timeout_ms)
        params = {"clientAlgoId": ref.client_id}
        order = self._find(ALGO_ORDER, params, read_algo_order, at=at, timeout_ms=timeout_ms)
        if order is None:
            return None
        if order.order_id is None:
            return with_child(order, None)
        params = {"symbol": order.symbol, "orderId": str(order.order_id)}
        left = max(FOLLOW_MIN_MS, round((ends - time.monotonic()) * 1000))
        return with_child(order, self._find(ORDER, params, read_order, at=at, timeout_ms=left))

    def open_orders(self, symbol: str | None = None, *, at: ExchangeMs) -> Sequence[OrderView]:
        """Return everything that rests: ordinary and conditional orders together."""
        params = symbol_params(symbol)
        # Conditional ones first: one that triggers in between is then seen twice rather than never.
        conditional = self._signed("/fapi/v1/openAlgoOrders", params, list_of(read_algo_order), at=at)
        ordinary = self._signed("/fapi/v1/openOrders", params, list_of(read_order), at=at)
        return [*ordinary, *with_children(conditional, ordinary)]

    def order_history(self, symbol: str, *, since: int, at: ExchangeMs) -> Sequence[OrderView]:
        """Return ordinary and conditional orders of one symbol from ``since`` on, whatever their state."""
        conditional = self._history(
            "/fapi/v1/allAlgoOrders", symbol, read_algo_order, "createTime", since=since, at=at
        )
        ordinary = self._history("/fapi/v1/allOrders", symbol, read_order, "time", since=since, at=at)
        return [*ordinary, *with_children(conditional, ordinary)]

    def trades(
        self, symbol: str, *, since: int, at: ExchangeMs, order_id: int | None = None
    ) -> Sequence[TradeView]:
        """Return our executions on one symbol from ``since`` on, oldest first; of one order where given."""

        def fetch(frame: Frame) -> list[TradeView]:
            return self._signed(
                "/fapi/v1/userTrades", {"symbol": symbol, **frame}, list_of(read_trade), at=at
            )

        frames = time_frames(since, at) if order_id is None else [{"orderId": str(order_id)}]
        wanted = (
            trade
            for trade in all_trades(fetch, frames)
            if order_id in (None, trade.order_id) and trade.time >= since
        )
        return sorted(wanted, key=lambda trade: (trade.time, trade.trade_id))

    def income(self, *, since: int, at: ExchangeMs) -> Sequence[IncomeView]:
        """Return every line of the account's income from ``since`` on, oldest first."""

        def fetch(frame: Frame) -> list[IncomeView]:
            return self._signed("/fapi/v1/income", frame, list_of(read_income), at=at)

        return all_income(fetch, since=since, until=at)

    def positions(
        self, symbol: str | None = None, *, at: ExchangeMs, timeout_ms: int | None = None
    ) -> Sequence[PositionView]:
        """Return open positions; Binance leaves flat symbols out."""
        return self._signed(
            "/fapi/v3/positionRisk",
            symbol_params(symbol),
            list_of(read_position),
            at=at,
            timeout_ms=timeout_ms,
        )

    def balances(self, *, at: ExchangeMs) -> Sequence[BalanceView]:
        return self._signed("/fapi/v3/balance", {}, list_of(read_balance), at=at)

    def account_totals(self, *, at: ExchangeMs) -> AccountTotals:
        return self._signed("/fapi/v3/account", {}, read_account_totals, at=at)

    def account_config(self, *, at: ExchangeMs) -> AccountConfig:
        return self._signed("/fapi/v1/accountConfig", {}, read_account_config, at=at)

    def symbol_configs(self, symbol: str | None = None, *, at: ExchangeMs) -> Sequence[SymbolConfig]:
        return self._signed(
            "/fapi/v1/symbolConfig", symbol_params(symbol), list_or_single(read_symbol_config), at=at
        )

    def leverage_brackets(self, *, at: ExchangeMs) -> Mapping[str, Sequence[LeverageBracket]]:
        return self._signed("/fapi/v1/leverageBracket", {}, read_leverage_brackets, at=at)

    def permissions(self, *, at: ExchangeMs) -> Permissions | None:
        """Return what the key may do; ``None`` where this environment has no such page."""
        if not self._endpoints.sapi:
            return None
        try:
            return self._signed(
                "/sapi/v1/account/apiRestrictions", {}, read_permissions, at=at, base=self._endpoints.sapi
            )
        except OrderRejected as refused:
            if refused.status in (404, 405):
                return None
            raise

    # --- settings: read back rather than trusted ----------------------------------------------

    def set_leverage(self, symbol: str, leverage: int, *, stamp: Stamp) -> None:
        """Set one symbol's leverage. OutcomeUnknown: read ``symbol_configs`` back."""
        params = {"symbol": symbol, "leverage": str(leverage)}
        self._change(WireRequest("POST", "/fapi/v1/leverage", params), as_object, stamp=stamp)

    def set_margin_type(self, symbol: str, margin_type: MarginType, *, stamp: Stamp) -> None:
        """Set one symbol's margin type. Already so (-4046) counts as done."""
        params = {"symbol": symbol, "marginType": margin_type.value}
        try:
            self._change(WireRequest("POST", "/fapi/v1/marginType", params), as_object, stamp=stamp)
        except OrderRejected as refused:
            if refused.refusal is not Refusal.ALREADY_SO:
                raise

    # --- user stream --------------------------------------------------------------------------

    def listen_key(self) -> str:
        """Return the account's listen key, made or extended for 60 minutes."""
        return self._listen_key("POST", lambda body: text(as_object(body), "listenKey"))

    def keep_listen_key(self) -> None:
        """Extend the listen key. Raises OrderRejected (-1125) when it is gone: ask for a new one."""
        self._listen_key("PUT", as_object)

    # --- inside -------------------------------------------------------------------------------

    def _listen_key(self, method: str, read: Callable[[Any], _T]) -> _T:
        # Asking again is harmless, so an answer lost is like one never given: `reading`.
        return self._wire.ask(
            method, "/fapi/v1/listenKey", {}, timeout_ms=self._timeout_ms, reading=True, read=read
        )

    def _change(
        self,
        request: WireRequest,
        read: Callable[[Any], _T],
        *,
        stamp: Stamp,
        timeout_ms: int | None = None,
    ) -> _T:
        order_params.check_stamp(stamp)
        return self._wire.ask(
            request.method,
            request.path,
            {**request.params, "recvWindow": str(stamp.recv_window), "timestamp": str(stamp.timestamp)},
            timeout_ms=timeout_ms or self._timeout_ms,
            reading=False,
            read=read,
            signed=True,
        )

    def _signed(
        self,
        path: str,
        params: Mapping[str, str],
        read: Callable[[Any], _T],
        *,
        at: ExchangeMs,
        timeout_ms: int | None = None,
        base: str | None = None,
    ) -> _T:
        return self._wire.ask(
            "GET",
            path,
            {**params, "recvWindow": str(self._recv_window), "timestamp": str(at)},
            timeout_ms=timeout_ms or self._timeout_ms,
            reading=True,
            read=read,
            signed=True,
            base=base,
        )

    def _find(
        self,
        path: str,
        params: Mapping[str, str],
        read: Callable[[Any], OrderView],
        *,
        at: ExchangeMs,
        timeout_ms: int | None,
    ) -> OrderView | None:
        try:
            return self._signed(path, params, read, at=at, timeout_ms=timeout_ms)
        except ExchangeUnavailable as refused:
            if refused.refusal is Refusal.NO_SUCH_ORDER and refused.status in (400, 404):
                return None
            raise

    def _history(
        self,
        path: str,
        symbol: str,
        read: Callable[[Any], OrderView],
        created: str,
        *,
        since: int,
        at: ExchangeMs,
    ) -> list[OrderView]:
        def fetch(frame: Frame) -> list[OrderView]:
            return self._signed(path, {"symbol": symbol, **frame}, list_of(read), at=at)

        return all_orders(fetch, since=since, until=at, created=created)
