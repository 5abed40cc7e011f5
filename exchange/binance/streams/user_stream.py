"""One account's events, under a listen key that is kept alive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Final
from urllib.parse import quote

import aiohttp

from exchange.binance.mapping.body import read_frame
from exchange.binance.mapping.user_events import read_user_event
from exchange.binance.streams.reconnecting_socket import ReconnectingSocket, Timing
from exchange.errors import ExchangeError
from exchange.refusals import Refusal
from exchange.types import Endpoints, StreamEvent, StreamExpired

logger = logging.getLogger(__name__)

USER_EVENTS: Final = ("ORDER_TRADE_UPDATE", "ACCOUNT_UPDATE", "ALGO_UPDATE", "ACCOUNT_CONFIG_UPDATE")


class UserStreamForm(StrEnum):
    """How the listen key is written into the address; both are documented."""

    QUERY = "/private/ws?listenKey={key}&events={events}"
    PATH = "/private/ws/{key}"


class UserStream(ReconnectingSocket[StreamEvent]):
    """One account's events. ``listen_key`` and ``keep_listen_key`` are the exchange's; they may block.

    A server that refuses the handshake in one form is tried in the other the next time.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        listen_key: Callable[[], str],
        keep_listen_key: Callable[[], None],
        form: UserStreamForm = UserStreamForm.QUERY,
        events: Collection[str] = USER_EVENTS,
        timing: Timing | None = None,
    ) -> None:
        super().__init__(endpoints, timing)
        self._listen_key = listen_key
        self._keep_listen_key = keep_listen_key
        self._form = form
        self._names = "/".join(events)

    async def _address(self) -> str:
        # POST extends the living key or makes a new one: right after every kind of loss.
        key = await asyncio.to_thread(self._listen_key)
        return self._root + self._form.format(key=quote(key, safe=""), events=self._names)

    def _read(self, frame: str) -> StreamEvent | None:
        body = read_frame(frame)
        return read_user_event(body) if "e" in body else None

    def _ends_socket(self, event: StreamEvent) -> str:
        return "the listen key has expired" if isinstance(event, StreamExpired) else ""

    def _handshake_refused(self, status: int) -> None:
        if 400 <= status < 500:
            self._form = next(form for form in UserStreamForm if form is not self._form)

    async def _serve(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """Keep the listen key alive."""
        pause = self._timing.keepalive
        failures = 0
        while True:
            await asyncio.sleep(pause)
            pause = self._timing.keepalive
            try:
                await asyncio.to_thread(self._keep_listen_key)
            except ExchangeError as failed:
                if failed.refusal is Refusal.LISTEN_KEY_GONE:
                    return "the listen key is gone"
                logger.warning("listen key not extended: %s", failed.message)
                # Doubling: five tries fit into the half hour that is left of the key's time.
                again = self._timing.keepalive_retry * 2 ** min(failures, 4)
                pause = max(
                    min(again, self._timing.keepalive), failed.wait_ms / 1000 + self._timing.after_wait
                )
                failures += 1
            else:
                failures = 0
