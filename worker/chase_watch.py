"""Resting entries that follow the last price: which price means a step, and how often.

Only the newest price counts, so nothing has to be kept or made up for: who goes on after a restart begins with the next
trade. Each step is a wish like a person's (``orders.follow_verbs.chase_step``).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final

from accounts.gateways import limits_of
from exchange.rate_limits import Limits
from exchange.rate_meter import moves_for
from exchange.types import PriceKind, PriceTick
from infrastructure.connections import connection_look_after
from orders import services
from orders.domain.chasing import next_price
from orders.follow_rows import FollowedChase, chases_followed

logger = logging.getLogger(__name__)

REFRESH_SECONDS: Final = 1.0
EVERY_SECONDS: Final = 2.0  # so often one entry changes at most
CHASES_PART: Final = 0.25  # of the orders that moves may use; the rest is for stops that follow the price

Submit = Callable[[Hashable, Callable[[], object]], None]


def every_seconds(chases: int, moves: Limits) -> float:
    """Return how often each of so many entries of one account may change, each change being one order."""
    return max(EVERY_SECONDS, chases * 60.0 / max(1.0, CHASES_PART * moves.orders_1m))


@dataclass(slots=True)
class _Chasing:
    row: FollowedChase
    stepping: bool = False
    not_before: float = 0.0
    asked: Decimal | None = None  # the price that was wished for last, as far as it may still wait to be sent

    def wants(self, last: Decimal | None) -> bool:
        """Is there a step to be made or taken back, or, once its entry has ended, an end?"""
        if not self.row.rests:
            return True
        if last is None:
            return False
        return self.next_price(last) is not None or self.asked not in (None, self.row.price)

    def next_price(self, last: Decimal) -> Decimal | None:
        return next_price(self.row.terms, price=self.row.price, last=last)


class ChaseWatch:
    """What chases the prices of one environment, for the accounts this process watches.

    ``submit``: have work done elsewhere, work of one key in order. ``hear`` returns at once and may be called from any
    thread; ``refresh`` asks the database.
    """

    def __init__(
        self,
        environment: str,
        *,
        accounts: Callable[[], Iterable[int]],
        submit: Submit,
        clock: Callable[[], float],
    ) -> None:
        self._environment = environment
        self._accounts = accounts
        self._submit = submit
        self._clock = clock
        self._lock = threading.Lock()
        self._chases: dict[int, _Chasing] = {}
        self._last: dict[str, Decimal] = {}
        self._refresh_at = 0.0
        self._is_stopped = False

    def stop(self) -> None:
        """Begin nothing more; what is under way is finished."""
        self._is_stopped = True

    def hear(self, tick: PriceTick) -> bool:
        """Take a price in; return whether there may be something to do."""
        if tick.kind is not PriceKind.LAST:
            return False
        with self._lock:
            chasing = [kept for kept in self._chases.values() if kept.row.symbol == tick.symbol]
            if chasing:
                self._last[tick.symbol] = tick.price
            now = self._clock()
            return any(
                not kept.stepping and now >= kept.not_before and kept.wants(tick.price) for kept in chasing
            )

    def refresh(self) -> set[str]:
        """Read what chases a price, when that is due; return its symbols."""
        if self._clock() >= self._refresh_at:
            self._refresh_at = self._clock() + REFRESH_SECONDS
            rows = chases_followed(self._accounts())
            with self._lock:
                known = self._chases
                self._chases = {row.pk: known.get(row.pk) or _Chasing(row) for row in rows}
                for row in rows:
                    self._chases[row.pk].row = row
                symbols = {row.symbol for row in rows}
                self._last = {symbol: last for symbol, last in self._last.items() if symbol in symbols}
        return {chasing.row.symbol for chasing in self._chases.values()}

    def act(self) -> None:
        """Let entries follow whose turn it is."""
        if self._is_stopped or not self._chases:
            return
        now, work = self._clock(), list[_Chasing]()
        with self._lock:
            by_account: dict[int, int] = {}
            for chasing in self._chases.values():
                account = chasing.row.account_id
                by_account[account] = by_account.get(account, 0) + 1
            moves = moves_for(limits_of(self._environment))
            for chasing in self._chases.values():
                waits = chasing.stepping or now < chasing.not_before
                if waits or not chasing.wants(self._last.get(chasing.row.symbol)):
                    continue
                chasing.stepping = True
                chasing.not_before = now + every_seconds(by_account[chasing.row.account_id], moves)
                work.append(chasing)
        for chasing in work:
            self._submit(chasing.row.trio_id, partial(self._step, chasing))

    def _step(self, chasing: _Chasing) -> None:
        row = chasing.row
        connection_look_after()
        try:
            with self._lock:
                last = self._last.get(row.symbol, row.price)
            wish = services.chase_step(chase_id=row.pk, trio_id=row.trio_id, last=last)
            if wish is not None:
                chasing.asked = wish.price
            elif chasing.next_price(last) is None:
                chasing.asked = None
        except Exception:
            logger.exception("%s: an entry could not follow the price; the next one is", self._environment)
        finally:
            with self._lock:
                chasing.stepping = False
