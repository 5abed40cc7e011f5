"""One request through Binance's own library: it formats and signs, everything else is ours.

It is sent once, and the answer is read here: the library's own sending repeats what fails, formats each query twice and
loses the bodies of most errors.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from exchange.binance.answer import Answer
from exchange.binance.connections import KEPT
from exchange.binance.errors import error_from, foreign_answer, no_answer
from exchange.binance.limits import cost_of, usage_of, wait_ms
from exchange.binance.mapping.body import ForeignShape, parse
from exchange.binance.mounted import Mounted
from exchange.binance.transport import Flight, Outgoing, Transport
from exchange.deadlines import limited_ms
from exchange.rate_limits import OpenGate, RateGate, spending_now
from exchange.redaction import quieten_http_logs
from exchange.secret import revealed
from exchange.types import Endpoints

if TYPE_CHECKING:
    from requests.adapters import BaseAdapter

_T = TypeVar("_T")
OFFSET_SECONDS: Final = 30.0
# By host: the exchange's clock minus ours (ms), as the stamps of all clients say, and when that was noted.
_offsets: dict[str, tuple[int, float]] = {}


def prepare() -> None:
    """Load Binance's library now: 0.7 s and 60 MB, better spent at start than on the first order."""
    _library()


def _library() -> tuple[Any, Any, Any, Any]:
    from binance_common.configuration import ConfigurationRestAPI
    from binance_common.utils import encoded_string, get_signature
    from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
        DerivativesTradingUsdsFutures,
    )

    return DerivativesTradingUsdsFutures, ConfigurationRestAPI, encoded_string, get_signature


class Wire:
    """One account's way to Binance: sends one request, once, and returns its 200 or raises what it meant."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        api_key: str,
        api_secret: str,
        transport: BaseAdapter | None,
        gate: RateGate | None = None,
    ) -> None:
        quieten_http_logs()
        self.gate = gate or OpenGate()
        client, configuration, self._formatted, self._signature = _library()
        settings = configuration(
            api_key=revealed(api_key) or None,  # the library makes it a header by str()
            api_secret=api_secret or None,
            base_path=endpoints.rest.rstrip("/"),
            compression=False,
        )
        self._settings = client(config_rest_api=settings).rest_api.configuration
        self._transport: Transport = KEPT if transport is None else Mounted(transport)
        self._secrets = (api_key, api_secret)

    def ask(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        *,
        timeout_ms: int,
        reading: bool,
        read: Callable[[Any], _T],
        signed: bool = False,
        base: str | None = None,
    ) -> _T:
        """Send one request and read its answer. Raises the errors of ``exchange.errors``.

        ExchangeUnavailable with ``wait_ms`` also when the limits do not let it leave now: nothing was sent.
        """
        timeout_ms = limited_ms(timeout_ms)
        spending = spending_now()
        self.gate.enter(cost_of(method, path, params, pledge=spending.pledge), spending.priority)
        host = base or self._settings.base_path
        if signed:
            _note_stamp(host, int(params["timestamp"]))
        flight = Flight(
            time.monotonic() + timeout_ms / 1000, last_word=partial(self.gate.confirm, time.monotonic())
        )
        answer = self._answer(
            method, path, params, flight, timeout_ms=timeout_ms, reading=reading, signed=signed, base=base
        )
        exchange_ms = _our_ms() + _offsets[host][0] if host in _offsets else None
        usage = usage_of(answer, exchange_ms=exchange_ms)
        usage = self.gate.leave(usage)
        if answer.status != 200:
            wait = wait_ms(answer, usage, exchange_ms=exchange_ms)
            raise error_from(answer, reading=reading, secrets=self._secrets, wait_ms=wait)
        try:
            return read(parse(answer.text))
        except ForeignShape as error:
            why = str(error)
        raise foreign_answer(answer, why, reading=reading, secrets=self._secrets)

    def _answer(
        self,
        method: str,
        path: str,
        params: Mapping[str, str],
        flight: Flight,
        *,
        timeout_ms: int,
        reading: bool,
        signed: bool,
        base: str | None,
    ) -> Answer:
        base_path = (base or self._settings.base_path).rstrip("/")
        answer: Answer | None = None
        # Other exceptions (a job's time limit, a bug) are not about the exchange and pass.
        with contextlib.suppress(OSError, ValueError):
            outgoing = self._outgoing(method, base_path + path, params, signed=signed)
            answer = self._transport.send(outgoing, flight)
        # Raised out here so that no exception of the way, whose text may hold the signed URL, hangs on it.
        if answer is not None:
            return answer
        raise no_answer(
            host=urlsplit(base_path).hostname or "?",
            sent=flight.sent,
            overdue=flight.overdue,
            timeout_ms=timeout_ms,
            reading=reading,
        )

    def _outgoing(self, method: str, url: str, params: Mapping[str, str], *, signed: bool) -> Outgoing:
        """Have the library format and sign a request."""
        query = self._formatted(dict(params))
        if signed:
            query = f"{query}&signature={self._signature(self._settings, query)}"
        return Outgoing(method, url, query, self._settings.base_headers)


def _note_stamp(host: str, timestamp: int) -> None:
    """Learn the exchange's time from a stamp. Some are older than the moment they are sent: the newest is right."""
    offset, now = timestamp - _our_ms(), time.monotonic()
    known = _offsets.get(host)
    if known is None or offset >= known[0] or now - known[1] > OFFSET_SECONDS:
        _offsets[host] = (offset, now)


def _our_ms() -> int:
    return time.time_ns() // 1_000_000
