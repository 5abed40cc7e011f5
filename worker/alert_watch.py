"""Watches the prices that people wait for: a stream, an event loop and a thread of its own, there only while alerts wait."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

from django.db import connection

from accounts.gateways import market_stream
from exchange.types import Connected, Disconnected, PriceTick
from infrastructure.connections import connection_look_after
from notices.alerts import alert_fire, alerts_waiting
from notices.models import PriceAlert

logger = logging.getLogger(__name__)


class AlertWatch:
    """The alerts of all environments. ``refresh`` reads which there are; ``stop`` ends everything."""

    def __init__(self) -> None:
        self._streams: dict[str, _EnvironmentAlerts] = {}

    def refresh(self) -> None:
        """Follow exactly the prices that somebody waits for. Reads the database."""
        waiting = alerts_waiting()
        for environment in self._streams.keys() - waiting.keys():
            self._streams.pop(environment).stop()
        for environment, alerts in waiting.items():
            if environment not in self._streams:
                self._streams[environment] = _EnvironmentAlerts(environment)
            self._streams[environment].follow(alerts)

    def stop(self) -> None:
        while self._streams:
            self._streams.popitem()[1].stop()


class _EnvironmentAlerts:
    """The stream of one environment."""

    def __init__(self, environment: str) -> None:
        self._stream = market_stream(environment)
        self._alerts: dict[str, list[PriceAlert]] = {}  # by symbol
        self._firing = ThreadPoolExecutor(1, thread_name_prefix="alerts-fire")
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name=f"alerts-{environment}", daemon=True)
        self._thread.start()

    def follow(self, alerts: Iterable[PriceAlert]) -> None:
        by_symbol: dict[str, list[PriceAlert]] = {}
        for alert in alerts:
            by_symbol.setdefault(alert.symbol, []).append(alert)
        self._alerts = by_symbol
        self._loop.call_soon_threadsafe(self._stream.watch, list(by_symbol))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._cancel)
        self._thread.join(timeout=5)
        self._firing.shutdown(wait=True, cancel_futures=True)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._task = self._loop.create_task(self._read())
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _read(self) -> None:
        async with contextlib.aclosing(self._stream.events()) as events:
            async for event in events:
                self.handle(event)

    def handle(self, event: Connected | Disconnected | PriceTick) -> None:
        """Take one event of the stream: what has reached its level is told, by another thread."""
        if not isinstance(event, PriceTick):
            return
        alerts = self._alerts.get(event.symbol, ())
        reached = [alert for alert in alerts if alert.kind == event.kind and alert.reached_by(event.price)]
        if not reached:
            return
        self._alerts[event.symbol] = [alert for alert in alerts if alert not in reached]
        for alert in reached:
            self._firing.submit(_fire, alert.pk, event.price)


def _fire(alert_id: int, price: Decimal) -> None:
    connection_look_after()
    try:
        alert_fire(alert_id, price)
    except Exception:  # it still waits: the next price tells of it
        logger.exception("a price alert could not be told; tried again with the next price")
    finally:
        connection.close()
