"""Who watches which account: one process at a time holds an account's stream and sweeps.

To take a watch is to connect the stream, then to sweep until one sweep is complete; before that no entry of
the account begins. A holder whose incarnation is no longer in the row closes its stream at once.

An account that cannot be watched is given back, and how often that was so in a row stands on its row: all
processes together try it ever more rarely, until a person has replaced its key or checked it.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.db import connection

from accounts.models import ExchangeAccount
from infrastructure.rows import Read, fetch_first
from orders.domain.sweep_schedule import SweepPlan
from orders.models import Watch
from orders.placement.news import News
from orders.placement.service import INCARNATION
from orders.selectors import sweep_plans
from worker.account_watch import AccountWatch
from worker.pools import WatchPools
from worker.price_watch import PriceWatch
from worker.watch_sharing import WANTED, Sharing, Standing, lives, standing_read

logger = logging.getLogger(__name__)

RETAKE_SECONDS = 3.0
PLAN_SECONDS = 1.0

WATCHED = Read(
    ExchangeAccount,
    f"""
    SELECT {{account}} FROM accounts_exchangeaccount account
    JOIN accounts_credential credential ON credential.account_id = account.id
    WHERE {WANTED}
    ORDER BY account.name
    """,  # noqa: S608
)
TAKEN = Read(ExchangeAccount, "SELECT {account} FROM accounts_exchangeaccount account WHERE account.id = %s")
BEAT = """
    UPDATE orders_watch SET beat = clock_timestamp() WHERE incarnation = ANY (%s) RETURNING account_id, incarnation
"""
TAKE = """
    UPDATE orders_watch watch
    SET incarnation = %(incarnation)s, holder = %(holder)s, beat = clock_timestamp(),
        stream_since = NULL, swept_at = NULL, full_at = NULL, note = 'connecting',
        failures = CASE WHEN mended THEN 0 ELSE failures END
    FROM (
        SELECT account.id, GREATEST(credential.updated_at, account.last_checked_at) > watch.failed_at AS mended
        FROM orders_watch watch
        JOIN accounts_exchangeaccount account ON account.id = watch.account_id
        JOIN accounts_credential credential ON credential.account_id = watch.account_id
        WHERE watch.account_id = %(account)s
    ) AS person
    WHERE watch.account_id = person.id
      AND (beat IS NULL OR beat < clock_timestamp() - %(stale_ms)s * interval '1 millisecond')
      AND (retry_at IS NULL OR retry_at <= clock_timestamp() OR mended)
"""
READ_BY_OTHERS = """
    SELECT account_id FROM orders_watch
    WHERE account_id = ANY (%s) AND holder <> %s AND swept_at IS NOT NULL
      AND beat >= clock_timestamp() - %s * interval '1 millisecond'
"""
PAUSED = "SELECT note FROM orders_watch WHERE account_id = %s AND retry_at > clock_timestamp()"
RELEASE = """
    UPDATE orders_watch SET beat = NULL, stream_since = NULL, note = %(note)s
    WHERE account_id = %(account)s AND incarnation = %(incarnation)s
"""
# Only what is idle: what is queued lives, too.
GIVE_UP = f"""
    UPDATE orders_watch watch SET beat = NULL, stream_since = NULL, note = %(note)s
    WHERE account_id = %(account)s AND incarnation = %(incarnation)s AND NOT {lives("watch.account_id")}
"""  # noqa: S608
# Without a pause the first time: another process may reach what we cannot.
UNREACHED = """
    UPDATE orders_watch SET beat = NULL, stream_since = NULL, note = %(note)s,
        failures = failures + 1, failed_at = clock_timestamp(),
        retry_at = clock_timestamp() + LEAST(30, 2 ^ LEAST(failures, 16) - 1) * interval '1 second'
    WHERE account_id = %(account)s AND incarnation = %(incarnation)s
"""
# Where a trio lives the pause stays short: it may have been the exchange that erred.
REFUSED = """
    UPDATE orders_watch watch SET beat = NULL, stream_since = NULL, note = %(note)s,
        failures = failures + 1, failed_at = clock_timestamp(),
        retry_at = clock_timestamp() + interval '1 second' * LEAST(
            5 * 2 ^ LEAST(failures, 16),
            CASE WHEN EXISTS (SELECT FROM orders_trioorder trio WHERE trio.account_id = watch.account_id AND holds_slot)
                 THEN 60 ELSE 600 END)
    WHERE account_id = %(account)s AND incarnation = %(incarnation)s
"""


def accounts_to_watch() -> list[ExchangeAccount]:
    """Return every active account, and every other one on which a trio still lives."""
    return WATCHED.all()


class WatchManager:
    """All watches this process holds. ``poll`` is called four times a second; everything slow runs elsewhere.

    ``only_account``: watch this account and no other. A process that will soon end must not be the reason
    why others place new risk on an account. ``shares``: it takes no more than its share while others that share
    live, and gives up what it has beyond that; without it, it takes whatever is free.
    """

    def __init__(
        self,
        *,
        advance: Callable[[int], None],
        tell: Callable[[News, Callable[[], None]], None] | None = None,
        holder: str = INCARNATION,
        only_account: int | None = None,
        shares: bool = False,
    ) -> None:
        self.holder = holder
        self._sharing = Sharing() if shares else None
        self._advance = advance  # has a trio advanced
        self._tell = tell
        self._only_account = only_account
        self._held: dict[int, AccountWatch] = {}
        self._failed: dict[int, str] = {}  # why we gave an account back that could not be read
        self._not_before: dict[int, float] = {}  # an account we could not reach → when we may take it again
        self._plans: dict[int, SweepPlan] = {}
        self._plans_at = 0.0
        self._prices: dict[str, PriceWatch] = {}
        self._pools = WatchPools()

    def poll(self) -> None:
        """Renew what is held, give up what was lost or is wrong to keep, take what nobody holds."""
        self._drop_lost()
        standing = standing_read(list(self._held), stale_ms=_stale_after_ms(), only=self._only_account)
        for account_id in standing.unwanted:
            self._release(account_id)
        self._release_unreached()
        self._plan()
        self._take_free(standing)
        self._share_out(standing)
        # Where most lives goes first: after a start or a wait there may not be weight for all at once.
        for watch in sorted(self._held.values(), key=lambda watch: not watch.has_living_trios):
            watch.sweep_when_due()
            watch.check_settings_when_due()
            watch.read_income_when_due()
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

    def _release_unreached(self) -> None:
        """Release the accounts we cannot reach: our own network may be at fault, so let another process try.

        One whose key is refused is nobody's to try before its pause is over.
        """
        for account_id, watch in list(self._held.items()):
            if watch.refused or watch.is_stale:
                self._failed[account_id] = watch.refused or watch.problem
            if watch.refused:
                self._release(account_id, note=watch.refused, statement=REFUSED)
                logger.warning(
                    "account %s cannot be watched (%s); it is tried again ever more rarely, and as soon as its key is"
                    " replaced or the account is checked",
                    account_id,
                    watch.refused,
                )
                continue
            if watch.is_stale:
                self._not_before[account_id] = time.monotonic() + RETAKE_SECONDS
                statement = UNREACHED if watch.cannot_sweep else RELEASE
                self._release(account_id, note=watch.problem, statement=statement)

    def _plan(self) -> None:
        """Have every watch follow the schedule that all accounts of its address share."""
        if time.monotonic() < self._plans_at:
            return
        self._plans_at = time.monotonic() + PLAN_SECONDS
        self._plans = sweep_plans()
        for account_id, watch in self._held.items():
            if plan := self._plans.get(account_id):
                watch.follow(plan)

    def _take_free(self, standing: Standing) -> None:
        now = time.monotonic()
        free = [account for account in standing.free if self._not_before.get(account, 0.0) <= now]
        if self._sharing is not None:
            well = not any(watch.problem for watch in self._held.values())
            free = self._sharing.takes(standing._replace(free=free), held=len(self._held), well=well)
        for account_id in free:
            if incarnation := self._take(account_id):
                watch = AccountWatch(
                    TAKEN.get(account_id),
                    incarnation,
                    pools=self._pools,
                    advance=self._advance,
                    tell=self._tell,
                )
                if plan := self._plans.get(account_id):
                    watch.follow(plan)
                self._held[account_id] = watch
                watch.start()

    def _share_out(self, standing: Standing) -> None:
        """Give up one idle account, if we hold more than our share."""
        if self._sharing is None or not self._sharing.gives(standing, held=len(self._held)):
            return
        for account_id, watch in self._held.items():
            if watch.is_idle and self._given_up(account_id, watch):
                self._sharing.gave(account_id)
                return

    def _given_up(self, account_id: int, watch: AccountWatch) -> bool:
        """Give an account up unless a trio lives there by now; return whether it was."""
        values: dict[str, Any] = {
            "note": "released to another worker",
            "account": account_id,
            "incarnation": watch.incarnation,
        }
        with connection.cursor() as cursor:
            cursor.execute(GIVE_UP, values)
            if not cursor.rowcount:
                return False
        self._drop(account_id)
        logger.info("account %s: its watch is left to a worker that has fewer", account_id)
        return True

    def _take(self, account_id: int) -> str:
        """Take an account's watch; return its incarnation, or nothing if another process was faster."""
        Watch.objects.get_or_create(account_id=account_id)
        incarnation = uuid.uuid4().hex
        ours: dict[str, str | int] = {
            "incarnation": incarnation,
            "holder": self.holder,
            "account": account_id,
        }
        with connection.cursor() as cursor:
            cursor.execute(TAKE, {**ours, "stale_ms": _stale_after_ms()})
            taken = cursor.rowcount
        return incarnation if taken else ""

    def _drop(self, account_id: int) -> None:
        self._held.pop(account_id).stop()

    def _release(self, account_id: int, *, note: str = "released", statement: str = RELEASE) -> None:
        """Stop a watch and give its row back, so that another process may take it."""
        watch = self._held[account_id]
        self._drop(account_id)
        with connection.cursor() as cursor:
            cursor.execute(
                statement, {"note": note[:500], "account": account_id, "incarnation": watch.incarnation}
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
    def silence(self) -> str:
        """Return which exchanges have fallen silent, for people; nothing when all is well."""
        return " ".join(sentence for prices in self._prices.values() if (sentence := prices.silence))

    @property
    def is_ready(self) -> bool:
        """Has every held account been swept since its stream connected?"""
        return all(watch.swept.is_set() for watch in self._held.values())

    def unread(self) -> dict[str, str]:
        """Return the accounts that nobody has read since we began, and why; “” while one is still tried.

        What another live process watches, and has swept, is read.
        """
        accounts = {a.pk: a for a in accounts_to_watch() if self._only_account in (None, a.pk)}
        with connection.cursor() as cursor:
            cursor.execute(READ_BY_OTHERS, [list(accounts), self.holder, _stale_after_ms()])
            by_others = {account_id for (account_id,) in cursor.fetchall()}
        found: dict[str, str] = {}
        for account_id, account in accounts.items():
            held = self._held.get(account_id)
            if account_id in by_others or (held is not None and held.swept.is_set()):
                continue
            found[account.name] = self._failed.get(account_id, "") or (
                "" if held else self._paused(account_id)
            )
        return found

    def _paused(self, account_id: int) -> str:
        """Return why an account is not tried before its pause is over; nothing when it may be tried now."""
        row = fetch_first(PAUSED, account_id)
        return str(row[0]) if row else ""

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
