"""Watching accounts: one incarnation of one process at a time holds an account's stream and sweeps.

Gaining a watch means: connect the stream, then sweep until a sweep is complete; before that no entry of
the account begins. A holder whose beat matches no row any more drops its stream at once.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
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

SHUN_SECONDS = 3.0

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
FREE = """
    SELECT account_id FROM orders_watch
    WHERE account_id = ANY (%s) AND beat >= clock_timestamp() - %s * interval '1 millisecond'
"""


def accounts_to_watch() -> list[ExchangeAccount]:
    """Every active account, and every other on which something of ours still lives."""
    return WATCHED.all()


class Watcher:
    """All the watches this process holds. ``beat`` is called from its poll; everything slow is elsewhere.

    ``only``: watch this account and no other. Who is about to leave again must not invite their new risk.
    """

    def __init__(
        self, *, call: Callable[[int], None], holder: str = INCARNATION, only: int | None = None
    ) -> None:
        self.holder = holder
        self._only = only
        self._call = call
        self._held: dict[int, AccountWatch] = {}
        self._shunned: dict[int, float] = {}
        self._prices: dict[str, PriceWatch] = {}
        self._pools = WatchPools()

    def beat(self) -> None:
        """Beat what is held, drop what was taken, take what nobody holds."""
        for account_id in self._lost():
            logger.warning("the watch of account %s was taken over", account_id)
            self._drop(account_id)
        wanted = {a.pk: a for a in accounts_to_watch() if self._only in (None, a.pk)}
        for account_id in list(self._held):
            if account_id not in wanted:
                self._release(account_id)
        for account_id, held in list(self._held.items()):
            if held.is_useless:  # our network may be at fault: let another process try
                self._shunned[account_id] = time.monotonic() + SHUN_SECONDS
                self._release(account_id, note=held.trouble)
        free = self._free(wanted)
        for account_id, account in wanted.items():
            if self._shunned.get(account_id, 0.0) > time.monotonic() or account_id not in free:
                continue
            if incarnation := self._take(account_id):
                watch = AccountWatch(account, incarnation, pools=self._pools, call=self._call)
                self._held[account_id] = watch
                watch.start()
        for watch in self._held.values():
            watch.sweep_when_due()
            watch.look_for_drift_when_due()
        self._watch_prices()

    def _lost(self) -> list[int]:
        """Beat every watch we hold; return the accounts whose row knows another holder."""
        if not self._held:
            return []
        with connection.cursor() as cursor:
            cursor.execute(BEAT, [[watch.incarnation for watch in self._held.values()]])
            beaten = set(cursor.fetchall())
        return [pk for pk, watch in self._held.items() if (pk, watch.incarnation) not in beaten]

    def _free(self, account_ids: Iterable[int]) -> set[int]:
        """Return those of these accounts that nobody watches, in one look: most of the time there are none."""
        unheld = set(account_ids) - set(self._held)
        if not unheld:
            return set()
        with connection.cursor() as cursor:
            cursor.execute(FREE, [list(unheld), _stale_after_ms()])
            return unheld - {account_id for (account_id,) in cursor.fetchall()}

    def _watch_prices(self) -> None:
        """Follow the prices of every environment on which we hold an account."""
        environments = {watch.account.environment for watch in self._held.values()}
        for environment in environments - set(self._prices):
            self._prices[environment] = PriceWatch(
                environment, accounts=partial(self._held_in, environment), loop=self._pools.loop
            )
        for environment in set(self._prices) - environments:
            gone = self._prices.pop(environment)
            threading.Thread(target=gone.stop, name="prices-end", daemon=True).start()  # beats do not wait
        for prices in self._prices.values():
            prices.beat()

    def _held_in(self, environment: str) -> list[int]:
        held = list(self._held.values())
        return [watch.account.pk for watch in held if watch.account.environment == environment]

    def _take(self, account_id: int) -> str:
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
            note="being connected",
        )
        return incarnation if taken else ""

    def _drop(self, account_id: int) -> None:
        self._held.pop(account_id).stop()

    def _release(self, account_id: int, *, note: str = "released") -> None:
        watch = self._held[account_id]
        self._drop(account_id)
        Watch.objects.filter(account_id=account_id, incarnation=watch.incarnation).update(
            beat=None, stream_since=None, note=note[:500]
        )

    @property
    def ready(self) -> bool:
        """Has every held account been swept since its stream connected?"""
        return all(watch.swept.is_set() for watch in self._held.values())

    def stop(self) -> None:
        """Give every watch back, so that another process need not wait for its beat to go stale."""
        for account_id in list(self._held):
            self._release(account_id)
        for prices in self._prices.values():
            prices.stop()
        self._prices.clear()
        self._pools.shutdown()


def _stale_after_ms() -> int:
    """Return how old a watch's beat must be for anybody else to take it."""
    return int(settings.TAKEOVER_MS) - 500
