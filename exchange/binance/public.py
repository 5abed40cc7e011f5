"""What Binance answers without a key, and what every client of ours starts with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from exchange.binance.http import Wire
from exchange.binance.limits import limits_in
from exchange.binance.mapping.fields import list_of, list_or_single
from exchange.binance.mapping.income import read_funding_rate
from exchange.binance.mapping.market import read_exchange_info, read_klines, read_mark_price, read_server_time
from exchange.rate_limits import RateGate
from exchange.types import Endpoints, ExchangeMs, FundingRate, Kline, MarkPrice

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

_T = TypeVar("_T")


class BinancePublic:
    """What Binance tells without a key. Safe to use from several threads."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        timeout_ms: int = 5000,
        transport: BaseAdapter | None = None,
        gate: RateGate | None = None,
    ) -> None:
        self._start(
            endpoints, api_key="", api_secret="", timeout_ms=timeout_ms, transport=transport, gate=gate
        )

    def _start(
        self,
        endpoints: Endpoints,
        *,
        api_key: str,
        api_secret: str,
        timeout_ms: int,
        transport: BaseAdapter | None,
        gate: RateGate | None,
    ) -> None:
        if urlsplit(endpoints.rest).scheme not in ("http", "https") or not urlsplit(endpoints.rest).hostname:
            raise ValueError(
                f"The exchange's REST address must be like https://fapi.binance.com, not {endpoints.rest!r}."
            )
        if timeout_ms <= 0:
            raise ValueError(
                f"The exchange's timeout must be a positive number of milliseconds, not {timeout_ms}."
            )
        self._endpoints = endpoints
        self._timeout_ms = timeout_ms
        self._wire = Wire(
            endpoints,
            api_key=api_key,
            api_secret=api_secret,
            transport=transport,
            gate=gate,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self._endpoints.rest}>"

    def server_time(self) -> ExchangeMs:
        """Return the exchange's clock, in milliseconds."""
        return self._public("/fapi/v1/time", {}, read_server_time)

    def exchange_info(self) -> Mapping[str, Any]:
        """Return ``GET /fapi/v1/exchangeInfo`` as it is, numbers as text."""
        info = self._public("/fapi/v1/exchangeInfo", {}, read_exchange_info)
        self._wire.gate.learn(limits_in(info))
        return info

    def mark_prices(self, symbol: str | None = None) -> Sequence[MarkPrice]:
        """Return the mark price of one symbol, or of all."""
        return self._public("/fapi/v1/premiumIndex", symbol_params(symbol), list_or_single(read_mark_price))

    def klines(
        self, symbol: str, timeframe: str, *, since: int | None = None, limit: int = 500
    ) -> Sequence[Kline]:
        """Return bars, oldest first: the newest ``limit``, or those that opened from ``since`` on."""
        return self._bars("/fapi/v1/klines", symbol, timeframe, since, limit)

    def mark_klines(
        self, symbol: str, timeframe: str, *, since: int | None = None, limit: int = 500
    ) -> Sequence[Kline]:
        """Return bars of the mark price, as ``klines``."""
        return self._bars("/fapi/v1/markPriceKlines", symbol, timeframe, since, limit)

    def funding_rates(self, symbol: str, *, since: int, until: int) -> Sequence[FundingRate]:
        """Return the fundings of a symbol within a span of time, oldest first."""
        params = {"symbol": symbol, "startTime": str(since), "endTime": str(until), "limit": "1000"}
        return self._public("/fapi/v1/fundingRate", params, list_of(read_funding_rate))

    def _bars(self, path: str, symbol: str, timeframe: str, since: int | None, limit: int) -> Sequence[Kline]:
        params = {"symbol": symbol, "interval": timeframe, "limit": str(limit)}
        if since is not None:
            params["startTime"] = str(since)
        return self._public(path, params, read_klines(symbol, timeframe))

    def _public(self, path: str, params: Mapping[str, str], read: Callable[[Any], _T]) -> _T:
        return self._wire.ask("GET", path, params, timeout_ms=self._timeout_ms, reading=True, read=read)


def symbol_params(symbol: str | None) -> dict[str, str]:
    """Return the parameters that ask about one symbol, or about all."""
    return {} if symbol is None else {"symbol": symbol}
