"""Who watches which account: one process at a time holds an account's stream and sweeps.

To take a watch is to connect the stream, then to sweep until one sweep is complete; before that no entry of
the account begins. A holder whose incarnation is no longer in the row closes its stream at once.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import timedelta
from functools import partial

from django.conf import settings
from django.db import connection
from django.db.models import Q

from accounts.models import ExchangeAccount
from infrastructure.rows import Read
from orders.exchange_data.clock import db_now
from orders.models import Watch
from orders.placement.service import INCARNATION
from worker.account_watch import AccountWatch
from worker.pools import WatchPools
from worker.price_watch import PriceWatch

logger = logging.getLogger(__name__)

RETAKE_SECONDS = 3.0

# Of what has not ended, all but a LATE trio hold a slot, and an index knows those.
WATCHED = Read(
    ExchangeAccount,
    """
    SELECT {account} FROM accounts_exchangeaccount account
    JOIN accounts_credential credential ON credential.account_id = account.id
    WHERE account.is_active
      OR account.id IN (SELECT account_id FROM orders_trioorder WHERE holds_slot OR state = 'LATE')
    ORDER BY account.name
    """,
)
BEAT = """
    UPDATE orders_watch SET beat = clock_timestamp() WHERE incarnation = ANY (%s) RETURNING account_id, incarnation
"""
WATCHED_ELSEWHERE = """
    SELECT account_id FROM orders_watch
    WHERE account_id = ANY (%s) AND beat >= clock_timestamp() - %s * interval '1 millisecond'
"""


def accounts_to_watch() -> list[ExchangeAccount]:
    """Return every active account, and every other one on which a trio still lives."""
    return WATCHED.all()


class WatchManager:
    """All watches this process holds. ``poll`` is called four times a second; everything slow runs elsewhere.

    ``only_account``: watch this account and no other. A process that will soon end must not be the reason
    why others place new risk on an account.
    """

    def __init__(
        self,
        *,
        advance: Callable[[int], None],
        holder: str = INCARNATION,
        only_account: int | None = None,
    ) -> None:
        self.holder = holder
        self._advance = advance  # has a trio advanced
        self._only_account = only_account
        self._held: dict[int, AccountWatch] = {}
        self._not_before: dict[int, float] = {}  # an account we could not reach → when we may take it again
        self._prices: dict[str, PriceWatch] = {}
        self._pools = WatchPools()

    def poll(self) -> None:
        """Renew what is held, give up what was lost or is wrong to keep, take what nobody holds."""
        self._drop_lost()
        accounts = {a.pk: a for a in accounts_to_watch() if self._only_account in (None, a.pk)}
        self._release_unwanted(accounts)
        self._release_stale()
        self._take_free(accounts)
        for watch in self._held.values():
            watch.sweep_when_due()
            watch.check_settings_when_due()
        self._watch_prices()

    def _drop_lost(self) -> None:
        """Renew the beat of every watch; drop those whose row has another holder by now."""
        if not self._held:
            return
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [[watch.incarnation for watch in self._held.values()]])
            renewed = set(cursor.fetchall())
        for account_id, watch in list(self._held.items()):
            if (account_id, watch.incarnation) not in renewed:
                self._drop(account_id)
                logger.warning(
                    "account %s: its watch was taken over by another worker, as this one had been silent",
                    account_id,
                )

    def _release_unwanted(self, accounts: Container[int]) -> None:
        for account_id in list(self._held):
            if account_id not in accounts:
                self._release(account_id)

    def _release_stale(self) -> None:
        """Release the accounts we cannot reach: our own network may be at fault, so let another process try."""
        for account_id, watch in list(self._held.items()):
            if watch.is_stale:
                self._not_before[account_id] = time.monotonic() + RETAKE_SECONDS
                self._release(account_id, note=watch.problem)

    def _take_free(self, accounts: Mapping[int, ExchangeAccount]) -> None:
        for account_id in self._unwatched(accounts):
            if self._not_before.get(account_id, 0.0) > time.monotonic():
                continue
            if incarnation := self._take(account_id):
                watch = AccountWatch(
                    accounts[account_id], incarnation, pools=self._pools, advance=self._advance
                )
                self._held[account_id] = watch
                watch.start()

    def _unwatched(self, account_ids: Iterable[int]) -> list[int]:
        """Return those of these accounts that nobody watches. One query for all: mostly there are none."""
        others = [account_id for account_id in account_ids if account_id not in self._held]
        if not others:
            return []
        with connection.cursor() as cursor:
            cursor.execute(WATCHED_ELSEWHERE, [others, _stale_after_ms()])
            watched = {account_id for (account_id,) in cursor.fetchall()}
        return [account_id for account_id in others if account_id not in watched]

    def _take(self, account_id: int) -> str:
        """Take an account's watch; return its incarnation, or nothing if another process was faster."""
        Watch.objects.get_or_create(account_id=account_id)
        now = db_now()
        stale = now - timedelta(milliseconds=_stale_after_ms())
        incarnation = uuid.uuid4().hex
        taken = Watch.objects.filter(Q(beat=None) | Q(beat__lt=stale), account_id=account_id).update(
            incarnation=incarnation,
            holder=self.holder,
            beat=now,
            stream_since=None,
            swept_at=None,
            note="connecting",
        )
        return incarnation if taken else ""

    def _drop(self, account_id: int) -> None:
        self._held.pop(account_id).stop()

    def _release(self, account_id: int, *, note: str = "released") -> None:
        """Stop a watch and give its row back, so that another process may take it at once."""
        watch = self._held[account_id]
        self._drop(account_id)
        Watch.objects.filter(account_id=account_id, incarnation=watch.incarnation).update(
            beat=None, stream_since=None, note=note[:500]
        )

    def _watch_prices(self) -> None:
        """Follow the prices of every environment in which we hold an account."""
        environments = {watch.account.environment for watch in self._held.values()}
        for environment in environments - set(self._prices):
            self._prices[environment] = PriceWatch(
                environment, accounts=partial(self._held_in, environment), loop=self._pools.loop
            )
        for environment in set(self._prices) - environments:
            ended = self._prices.pop(environment)
            threading.Thread(
                target=ended.stop, name="prices-stop", daemon=True
            ).start()  # the poll does not wait
        for prices in self._prices.values():
            prices.poll()

    def _held_in(self, environment: str) -> list[int]:
        held = list(self._held.values())
        return [watch.account.pk for watch in held if watch.account.environment == environment]

    @property
    def is_ready(self) -> bool:
        """Has every held account been swept since its stream connected?"""
        return all(watch.swept.is_set() for watch in self._held.values())

    def stop(self) -> None:
        """Give every watch back, so that another process need not wait until its beat is stale."""
        for account_id in list(self._held):
            self._release(account_id)
        for prices in self._prices.values():
            prices.stop()
        self._prices.clear()
        self._pools.shutdown()


def _stale_after_ms() -> int:
    """Return how old the beat of a watch must be before another process may take it."""
    return int(settings.TAKEOVER_MS) - 500
