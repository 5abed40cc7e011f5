"""Admission: a new entry goes only while what is in the air can be protected in time.

In the air is a trio from its admission until its position is covered, its entry rests, or it has ended. How
many may be there at once is learned from how late cover comes: grown one by one while it comes early, halved
when it comes late. The count is kept in Valkey, for all processes on all machines. A process that dies
gives its places back by time.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Sequence
from functools import cache
from typing import Final

from django.conf import settings
from redis.exceptions import RedisError

from infrastructure import valkey

logger = logging.getLogger(__name__)

START: Final = 3  # how many are in the air at first, and again after a quiet while
MOST: Final = 64
QUIET_MS: Final = 10_000  # what was learned is forgotten after that: the machine may have other work by then
WANTED_MS: Final = 1000  # room that nobody has asked for lately says nothing about more of it
# Parts of NAKED_LIMIT_MS: cover that comes this early leaves room for more in the air, this late for less; who
# is there for longer holds up all others; and a place that nobody speaks for any more is free again.
EARLY, LATE, OVERDUE, LEASE = 0.075, 0.15, 0.25, 3
KEYS: Final = ("{admission}air", "{admission}limit")

# Of each trio in the air: its account, since when, and until when it may be there without another word.
# The limit is a fraction: each good report adds one part of it, so that a whole round of them adds one.
_SHARED: Final = """
local air, state = KEYS[1], KEYS[2]
local time = redis.call('TIME')
local now = tonumber(ARGV[1])
if now == 0 then now = time[1] * 1000 + math.floor(time[2] / 1000) end
local limit = tonumber(redis.call('HGET', state, 'limit') or ARGV[2])
local quiet = tonumber(ARGV[3])
"""
_ADMIT: Final = (
    _SHARED
    + """
local lease, overdue, keeps = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local total, of_account, since_of, held_up = 0, {}, {}, false
local rows = redis.call('HGETALL', air)
for i = 1, #rows, 2 do
    local account, since, till = rows[i + 1]:match('(%d+) (%d+) (%d+)')
    if tonumber(till) <= now then
        redis.call('HDEL', air, rows[i])
    else
        total = total + 1
        of_account[account] = (of_account[account] or 0) + 1
        since_of[rows[i]] = since
        held_up = held_up or now - tonumber(since) > overdue
    end
end
local room = math.floor(limit)
local each = math.ceil(room / 2)
local answers, refused = {}, false
for i = 7, #ARGV, 2 do
    local trio, account = ARGV[i], ARGV[i + 1]
    local mine = of_account[account] or 0
    if since_of[trio] then
        if keeps then redis.call('HSET', air, trio, account .. ' ' .. since_of[trio] .. ' ' .. (now + lease)) end
        answers[#answers + 1] = 'IN_AIR'
    elseif held_up or total >= room or mine >= each then
        refused = true
        answers[#answers + 1] = 'FULL'
    else
        total, of_account[account] = total + 1, mine + 1
        redis.call('HSET', air, trio, account .. ' ' .. now .. ' ' .. (now + lease))
        answers[#answers + 1] = 'ADMITTED'
    end
end
if refused then
    redis.call('HSET', state, 'limit', tostring(limit), 'wanted', now)
    redis.call('PEXPIRE', state, quiet)
end
redis.call('PEXPIRE', air, lease)
return answers
"""
)
_LEAVE: Final = (
    _SHARED
    + """
local trio, late = ARGV[4], tonumber(ARGV[5])
local good, bad = tonumber(ARGV[6]), tonumber(ARGV[7])
local wanted, most = tonumber(ARGV[8]), tonumber(ARGV[9])
local row = redis.call('HGET', air, trio)
redis.call('HDEL', air, trio)
if not row or late < 0 then return 0 end
if late > bad then
    local since = tonumber(row:match('%d+ (%d+) %d+'))
    if since < tonumber(redis.call('HGET', state, 'cut') or '0') then return 0 end
    limit = math.max(1, math.floor(limit / 2))
    redis.call('HSET', state, 'cut', now)
elseif late <= good then
    if now - tonumber(redis.call('HGET', state, 'wanted') or '0') > wanted then return 0 end
    limit = math.min(most, limit + 1 / math.floor(limit))
end
redis.call('HSET', state, 'limit', tostring(limit))
redis.call('PEXPIRE', state, quiet)
return 0
"""
)


class Admission(enum.StrEnum):
    """May this trio's entry go now?"""

    ADMITTED = "ADMITTED"
    IN_AIR = "IN_AIR"  # it was admitted before, here or elsewhere
    FULL = "FULL"
    UNANSWERED = "UNANSWERED"  # nobody knows what is in the air, so nothing new is opened

    @property
    def may_go(self) -> bool:
        return self in (Admission.ADMITTED, Admission.IN_AIR)


def admit(trio_id: int, account_id: int, *, keeps: bool = False) -> Admission:
    """Ask for a place in the air.

    ``keeps``: who carries the trio asks, so a place that is held already is kept for as long again. Others only
    hear of it: a place whose holder has died, or never heard that it got one, is free when its time is over.
    """
    return admit_each([(trio_id, account_id)], keeps=keeps)[0]


def admit_each(wanted: Sequence[tuple[int, int]], *, keeps: bool = False, now: int = 0) -> list[Admission]:
    """Ask for a place for each trio (with its account), in this order, in one call; ``keeps`` as for ``admit``."""
    numbers = [number for pair in wanted for number in pair]
    try:
        answers = _script(_ADMIT)(
            KEYS, [now, START, QUIET_MS, _part(LEASE), _part(OVERDUE), int(keeps), *numbers]
        )
    except RedisError:
        return [Admission.UNANSWERED] * len(wanted)
    return [Admission(answer.decode()) for answer in answers]


def leave(trio_id: int, late_ms: int | None, *, now: int = 0) -> None:
    """Give the place back. ``late_ms``: how long cover waited for us, not for the exchange; ``None``: not known."""
    late = -1 if late_ms is None else max(0, late_ms)
    learned = [trio_id, late, _part(EARLY), _part(LATE), WANTED_MS, MOST]
    try:
        _script(_LEAVE)(KEYS, [now, START, QUIET_MS, *learned])
    except RedisError as error:
        logger.info("trio %s keeps its place in the air for a while (%s)", trio_id, type(error).__name__)


def room() -> float:
    """Return how many may be in the air now. Raises RedisError."""
    return float(valkey.client().hget(KEYS[1], "limit") or START)


def forget() -> None:
    """Empty the air, and forget what was learned."""
    valkey.client().delete(*KEYS)


def _part(of_bound: float) -> int:
    return int(of_bound * settings.NAKED_LIMIT_MS)


def _script(text: str) -> valkey.Script:
    return _script_at(settings.REDIS_URL, text)


@cache
def _script_at(_: str, text: str) -> valkey.Script:
    return valkey.Script(text)
