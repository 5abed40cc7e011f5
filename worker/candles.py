"""Closed bars of the symbols and timeframes that strategies look at: by stream, and read where that left a gap.

Nothing of this is on a thread that protects: the stream has an event loop of its own, what is read is read in a pool
of its own, and as a page's it gives way to everything else in the budget of requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.db import InterfaceError, OperationalError, connection

from accounts.gateways import kline_stream, public_exchange
from exchange.errors import ExchangeError
from exchange.rate_limits import Priority, spending
from exchange.types import Connected, Disconnected, ExchangeMs, Kline
from infrastructure.connections import error_line
from orders.exchange_data.clock import exchange_now_ms
from signals.domain.bars import Bar, Series

logger = logging.getLogger(__name__)

SeriesKey = tuple[str, str]  # symbol and timeframe

SEED_BARS = 1000  # in one request
BARS_MAX = 1000
GRACE_SECONDS = 3.0  # after its end a bar's closing frame is due
RETRY_SECONDS = 1.0
RETRY_SECONDS_MAX = 60.0
READERS = 2
STOP_SECONDS = 5.0


@dataclass(slots=True)
class Watched:
    """One series, and when it is to be read next."""

    series: Series = field(default_factory=Series)
    read_at: float = 0.0  # by this process' clock; at once, to begin with
    is_reading: bool = False
    failures: int = 0
    quiet_until: float = 0.0  # a frame asks for no reading before: the one just made brought nothing


class CandleFeed:
    """The bars of one environment. ``heard`` is called, in a thread of this feed, when a series has new closed bars."""

    def __init__(
        self,
        environment: str,
        *,
        heard: Callable[[SeriesKey], None],
        clock: Callable[[], float] = time.monotonic,
        exchange_now: Callable[[str], ExchangeMs] = exchange_now_ms,
    ) -> None:
        self._environment = environment
        self._heard = heard
        self._clock = clock
        self._exchange_now = exchange_now
        self._lock = threading.RLock()
        self._watched: dict[SeriesKey, Watched] = {}
        self._stream = kline_stream(environment)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="candles")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="candles-stream", daemon=True)
        self._thread.start()
        self._listening: asyncio.Task[None] | None = None
        asyncio.run_coroutine_threadsafe(self._start(), self._loop)

    # --- what is watched ------------------------------------------------------------------------------

    def watch(self, keys: Collection[SeriesKey]) -> None:
        """Watch exactly these series from now on. What was known of the others is forgotten."""
        with self._lock:
            if set(keys) == set(self._watched):
                return
            self._watched = {key: self._watched.get(key) or Watched() for key in keys}
        self._loop.call_soon_threadsafe(self._stream.watch, list(keys))

    def after(self, key: SeriesKey, open_time: int) -> list[Bar]:
        """The closed bars that are known and opened later than this one did."""
        with self._lock:
            watched = self._watched.get(key)
            return watched.series.after(open_time) if watched else []

    def until(self, key: SeriesKey, open_time: int, count: int) -> list[Bar]:
        """So many closed bars at most, of which the last opened then."""
        with self._lock:
            watched = self._watched.get(key)
            return watched.series.until(open_time, count) if watched else []

    def last(self, key: SeriesKey) -> Bar | None:
        with self._lock:
            watched = self._watched.get(key)
            return watched.series.last if watched else None

    def poll(self) -> None:
        """Have read what is due. Returns at once."""
        now = self._clock()
        with self._lock:
            due = [key for key, w in self._watched.items() if not w.is_reading and w.read_at <= now]
            for key in due:
                self._watched[key].is_reading = True
        for key in due:
            self._pool.submit(self._read, key)

    def stop(self) -> None:
        """Close the stream and finish what is under way."""
        cancelled = asyncio.run_coroutine_threadsafe(self._cancel(), self._loop)
        with contextlib.suppress(TimeoutError):
            cancelled.result(timeout=STOP_SECONDS)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=STOP_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    # --- the stream -----------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._listening = asyncio.create_task(self._listen())

    async def _cancel(self) -> None:
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})

    async def _listen(self) -> None:
        async with contextlib.aclosing(self._stream.events()) as events:
            async for event in events:
                self.handle(event)

    def handle(self, event: Connected | Disconnected | Kline) -> None:
        """Process one event of the stream."""
        match event:
            case Connected():  # what was said before is missed: read it
                with self._lock:
                    for watched in self._watched.values():
                        watched.read_at = 0.0
                self.poll()
            case Kline():
                self._hear(event)
            case Disconnected():
                pass  # what is due is read meanwhile

    def _hear(self, kline: Kline) -> None:
        key = kline.symbol, kline.timeframe
        with self._lock:
            watched = self._watched.get(key)
            if watched is None:
                return
            before = watched.series.last
            is_missing = watched.series.hear(kline)
            last = watched.series.last
            if last is not before and last is not None:
                watched.read_at = self._clock() + last.length / 1000 + GRACE_SECONDS
            elif is_missing and not watched.failures:
                watched.read_at = min(watched.read_at, watched.quiet_until)
        if is_missing:
            self.poll()
        elif last is not before:
            self._pool.submit(self._heard, key)

    # --- reading --------------------------------------------------------------------------------------

    def _read(self, key: SeriesKey) -> None:
        """Read what is missing of a series, by REST."""
        try:
            is_news = self._read_once(key)
        except (ExchangeError, OperationalError, InterfaceError) as error:
            self._postpone(key, error_line(error))
            return
        except Exception:
            logger.exception("%s %s: its bars could not be read; trying again", *key)
            self._postpone(key, "its bars could not be read; the log says why")
            return
        finally:
            connection.close()  # bars are read seldom
        if is_news:
            self._heard(key)

    def _read_once(self, key: SeriesKey) -> bool:
        symbol, timeframe = key
        with self._lock:
            watched = self._watched.get(key)
            if watched is None:
                return False
            before = watched.series.last
        asked_at = self._exchange_now(self._environment)
        since, limit = (
            (None, SEED_BARS) if before is None else (before.close_time + 1, _wanted(before, asked_at))
        )
        with spending(Priority.PAGE):
            rows = public_exchange(self._environment).klines(symbol, timeframe, since=since, limit=limit)
        with self._lock:
            watched.series.read(rows, asked_at=asked_at)
            last = watched.series.last
            watched.is_reading, watched.failures = False, 0
            wait_ms = last.close_time + 1 + last.length - asked_at if last is not None else 0
            longest = last.length if last is not None else 0
            now = self._clock()
            watched.read_at = now + min(max(wait_ms, 0), longest) / 1000 + GRACE_SECONDS
            watched.quiet_until = now + RETRY_SECONDS if last is before else now
        return last is not before

    def _postpone(self, key: SeriesKey, problem: str) -> None:
        with self._lock:
            watched = self._watched.get(key)
            if watched is None:
                return
            pause = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2.0 ** min(watched.failures, 16))
            watched.is_reading, watched.failures = False, watched.failures + 1
            watched.read_at = self._clock() + pause
        logger.warning("%s %s: its bars could not be read (%s); again in %.0f s", *key, problem, pause)


def _wanted(last: Bar, asked_at: int) -> int:
    """How many bars to ask for: what may be missing, and the one that is open. Up to 99 weigh 1."""
    missing = max(0, asked_at - last.close_time) // last.length + 2
    return 99 if missing < 99 else min(BARS_MAX, missing)
