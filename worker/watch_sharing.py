"""How the watches are shared out among the runworkers of an installation: slowly, and never at the price of cover.

Each may hold its share of the accounts. Who holds more gives one up at a time, idle ones only, while another has
room and nobody's account is free: so one account at most is on its way, and for no longer than it takes to
connect. What nobody with room takes within a moment is taken by whoever sees it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from django.db import connection

logger = logging.getLogger(__name__)

FIRST_TAKEN: Final = 2  # in the first pass; doubling, so that several that start together each get some
# So long a free account is left to those who have room.
LEFT_SECONDS: Final = 1.5
LEFT_LIVING_SECONDS: Final = 0.4  # where a trio lives
PAUSE_SECONDS: Final = 1.0  # between two that are given up; doubling, for each costs a full sweep
PAUSE_SECONDS_MAX: Final = 10.0
BACK_SECONDS: Final = 60.0  # what comes back within that was given to one who cannot keep it
KEEP_SECONDS: Final = 600.0  # then nothing is given up for so long


def lives(account: str) -> str:
    """Return the condition that a trio lives on an account. Of what has not ended, all but a LATE one hold a slot."""
    return f"""EXISTS (
        SELECT FROM orders_trioorder trio WHERE trio.account_id = {account} AND (trio.holds_slot OR trio.state = 'LATE')
    )"""


WANTED: Final = f"(account.is_active OR {lives('account.id')})"
# A person who has replaced the key, or checked the account, since it failed ends the pause.
STANDING: Final = f"""
    WITH known AS (
        SELECT account.id, account.name,
            {WANTED} AS wanted,
            coalesce(watch.beat >= clock_timestamp() - %(stale_ms)s * interval '1 millisecond', false) AS held,
            coalesce(watch.retry_at > clock_timestamp()
                AND GREATEST(credential.updated_at, account.last_checked_at) <= watch.failed_at, false) AS paused
        FROM accounts_exchangeaccount account
        JOIN accounts_credential credential ON credential.account_id = account.id
        LEFT JOIN orders_watch watch ON watch.account_id = account.id
        WHERE %(only)s::bigint IS NULL OR account.id = %(only)s
    ), free AS (
        SELECT account.id, account.name, {lives("account.id")} AS lives FROM known account
        WHERE wanted AND NOT held AND NOT paused AND account.id <> ALL (%(mine)s)
    )
    SELECT
        ARRAY(SELECT id FROM free ORDER BY NOT lives, name),
        ARRAY(SELECT id FROM free WHERE lives),
        ARRAY(SELECT mine FROM unnest(%(mine)s::bigint[]) AS mine
              WHERE mine NOT IN (SELECT id FROM known WHERE wanted)),
        (SELECT count(*) FROM known WHERE wanted AND (held OR NOT paused)),
        (SELECT count(*) FROM orders_heartbeat
         WHERE shares AND beat >= clock_timestamp() - %(stale_ms)s * interval '1 millisecond')
"""  # noqa: S608


class Standing(NamedTuple):
    """What the watches of an installation are, as one process needs to know it."""

    free: list[int]  # accounts that anybody may take, those with living trios first
    living: list[int]  # of these, where trios live
    unwanted: list[int]  # of ours: switched off, or gone
    accounts: int  # that can be watched
    sharers: int  # runworkers that live and share them

    @property
    def share(self) -> int:
        """How many accounts each of them may hold."""
        return -(-self.accounts // max(1, self.sharers))


def standing_read(mine: list[int], *, stale_ms: int, only: int | None = None) -> Standing:
    """Read it. ``mine``: the accounts this process holds; ``only``: the one that it may."""
    values: dict[str, Any] = {"mine": mine, "stale_ms": stale_ms, "only": only}
    with connection.cursor() as cursor:
        cursor.execute(STANDING, values)
        return Standing(*cursor.fetchone())


class Sharing:
    """What this process may take and when it gives something up. Remembers what lies behind; decides, and does nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free_since: dict[int, float] = {}
        self._given: dict[int, float] = {}
        self._at_once = FIRST_TAKEN
        self._pause = PAUSE_SECONDS
        self._give_at = 0.0

    def takes(self, standing: Standing, *, held: int, well: bool) -> list[int]:
        """Return which free accounts to take. ``well``: this process reaches all that it holds."""
        now = self._clock()
        self._free_since = {account: self._free_since.get(account, now) for account in standing.free}
        room = standing.share - held if well else 0
        ours, others = standing.free[: max(0, room)], standing.free[max(0, room) :]
        patience = dict.fromkeys(standing.living, LEFT_LIVING_SECONDS)
        left = [a for a in others if now - self._free_since[a] >= patience.get(a, LEFT_SECONDS)]
        taken = (ours + left)[: self._at_once]
        self._at_once = min(1 << 20, 2 * self._at_once)
        for account in taken:
            if now - self._given.pop(account, -BACK_SECONDS) < BACK_SECONDS:
                self._give_at = now + KEEP_SECONDS
                logger.warning(
                    "account %s came back from another worker; accounts are kept for a while", account
                )
        return taken

    def gives(self, standing: Standing, *, held: int) -> bool:
        """Is it time to give an account up, so that another process has its share?"""
        if held <= standing.share:
            self._pause = PAUSE_SECONDS
            return False
        return not standing.free and self._clock() >= self._give_at

    def gave(self, account: int) -> None:
        """Note that this account was given up."""
        now = self._clock()
        self._given[account] = now
        self._give_at = now + self._pause
        self._pause = min(PAUSE_SECONDS_MAX, 2 * self._pause)
