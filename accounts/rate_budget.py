"""One budget for each address we send from: shared by all processes on all machines, in Valkey.

Every request is counted before it leaves, in one call; what its answer said about the limits rides on the next.
A ban closes the address for every process at once and is kept in the database too. Without Valkey each process
has its share of the limits to itself, and no new order is opened. What a process that dies had reserved is free
again when the exchange's own window has passed.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone
from redis.exceptions import RedisError

from accounts.endpoints import stream_endpoints
from accounts.models import EgressLimits
from exchange.errors import ExchangeUnavailable
from exchange.rate_limits import Cost, Limits, OpenGate, Priority, RateGate, Usage
from exchange.rate_meter import Held, Meter, limits_for, moves_for
from exchange.refusals import Refusal
from infrastructure import valkey

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0  # after it did not answer
FIRST_AGAIN_SECONDS: Final = 0.125  # one answer that is late, on a busy machine, holds up little; doubling
RELOAD_SECONDS: Final = 30.0
PROCESSES_UNKNOWN: Final = 8
LAST_MOMENTS_MS: Final = 150
VAGUE_MS: Final = 250  # for a refusal that does not say for how long; doubling
VAGUE_SECONDS: Final = 60.0
SERVED_SECONDS: Final = 1.0  # answers this long after such a closure show that it is over
USED_UP: Final = 0.9  # of the exchange's limit: such a refusal is about the whole minute
WAITED_SECONDS: Final = 0.02  # between gate and first byte; after that others' word is asked for again
AFTER_MS: Final = 400  # after a closure, before watchers and pages go on: what protects goes first
PROCESS: Final = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"

# KEYS: address, account, processes. ARGV: process, weight, orders, pledge, protects (1 or 0), allowed weight, orders in
# 10 s and in 60 s, and the exchange's last figures with their age in ms: weight, its age, 10 s, 60 s, their age (-1: none);
# what moves may use of 10 s and of 60 s by themselves (-1: this is no move).
# Returns how it ended (0: counted), ms to wait, living processes, the closure's cause.
ENTER: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local second = math.floor(now / 1000)
local weight, orders, pledge, protects = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == '1'

local function read(key)
  local flat, found = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end
local function within(found, kind, first, last)
  local sum = 0
  for field, amount in pairs(found) do
    if string.sub(field, 1, 2) == kind then
      local bucket = tonumber(string.sub(field, 3))
      if bucket > first and bucket <= (last or second) then sum = sum + amount end
    end
  end
  return sum
end
local function prune(key, found)
  for field, _ in pairs(found) do
    local bucket = string.match(field, '^%a:(%d+)$')
    if bucket and tonumber(bucket) <= second - 60 then redis.call('HDEL', key, field) end
  end
end
local function others(found, name, length)
  if tonumber(found[name .. '_window'] or -1) == math.floor(now / length) then return tonumber(found[name]) end
  return 0
end
local function note(key, found, name, kind, used, age, length)
  if used < 0 then return end
  local window = math.floor((now - age) / length)
  local ours = within(found, kind, window * length / 1000 - 1, math.floor((now - age) / 1000))
  local amount = math.max(0, used - ours)
  found[name], found[name .. '_window'] = amount, window
  redis.call('HSET', key, name, amount, name .. '_window', window)
end

redis.call('ZADD', KEYS[3], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - 60000)
redis.call('PEXPIRE', KEYS[3], 120000)
local processes = redis.call('ZCARD', KEYS[3])

local address = read(KEYS[1])
prune(KEYS[1], address)
note(KEYS[1], address, 'others', 'w:', tonumber(ARGV[9]), tonumber(ARGV[10]), 60000)
local closed = tonumber(address['until'] or 0)
if closed > now then return {1, closed - now, processes, address['cause']} end

local used = within(address, 'w:', second - 60) + others(address, 'others', 60000)
if weight > 0 and used + weight > tonumber(ARGV[6]) then return {2, 1000, processes, ''} end

if orders > 0 or tonumber(ARGV[11]) >= 0 then
  local account = read(KEYS[2])
  prune(KEYS[2], account)
  note(KEYS[2], account, 'others_10s', 'o:', tonumber(ARGV[11]), tonumber(ARGV[13]), 10000)
  note(KEYS[2], account, 'others_1m', 'o:', tonumber(ARGV[12]), tonumber(ARGV[13]), 60000)
  if orders > 0 then
    local shut = tonumber(account['until'] or 0)
    if not protects and shut > now then return {3, shut - now, processes, ''} end
    for _, window in ipairs({{10, tonumber(ARGV[7]), 'others_10s'}, {60, tonumber(ARGV[8]), 'others_1m'}}) do
      local first = second - window[1]
      local wanted = within(account, 'o:', first) + others(account, window[3], window[1] * 1000) + orders
      if not protects then
        local left = within(account, 'p:', first) - within(account, 'd:', first)
        wanted = wanted + pledge + math.max(0, left)
      end
      if wanted > window[2] then return {3, 1000, processes, ''} end
    end
    if tonumber(ARGV[14]) >= 0 then
      for _, window in ipairs({{10, tonumber(ARGV[14])}, {60, tonumber(ARGV[15])}}) do
        local moved = within(account, 'm:', second - window[1]) + orders
        if moved > window[2] then return {3, 1000, processes, ''} end
      end
      redis.call('HINCRBY', KEYS[2], 'm:' .. second, orders)
    end
    redis.call('HINCRBY', KEYS[2], 'o:' .. second, orders)
    if pledge > 0 then redis.call('HINCRBY', KEYS[2], 'p:' .. second, pledge) end
    if protects then redis.call('HINCRBY', KEYS[2], 'd:' .. second, orders) end
    redis.call('PEXPIRE', KEYS[2], 120000)
  end
end
if weight > 0 then
  redis.call('HINCRBY', KEYS[1], 'w:' .. second, weight)
  if redis.call('PTTL', KEYS[1]) < 120000 then redis.call('PEXPIRE', KEYS[1], 120000) end
end
return {0, 0, processes, ''}
"""
# KEYS: what is closed (address or account). ARGV: for how long (ms), cause. The longer of two closures holds.
CLOSE: Final = """
local clock = redis.call('TIME')
local ends = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[1])
if ends > tonumber(redis.call('HGET', KEYS[1], 'until') or 0) then
  redis.call('HSET', KEYS[1], 'until', ends, 'cause', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], math.max(redis.call('PTTL', KEYS[1]), tonumber(ARGV[1]) + 120000))
return 1
"""
# KEYS: address. Returns for how long it is closed (ms; 0: it is not), and why.
CLOSED: Final = """
local clock = redis.call('TIME')
local left = tonumber(redis.call('HGET', KEYS[1], 'until') or 0) - clock[1] * 1000 - math.floor(clock[2] / 1000)
return {math.max(0, left), redis.call('HGET', KEYS[1], 'cause') or ''}
"""
# KEYS: address. Returns the weight that all processes and, as far as the exchange said, others used in the last minute.
USED: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local first, flat, found, sum = math.floor(now / 1000) - 60, redis.call('HGETALL', KEYS[1]), {}, 0
for i = 1, #flat, 2 do
  found[flat[i]] = flat[i + 1]
  local bucket = string.match(flat[i], '^w:(%d+)$')
  if bucket and tonumber(bucket) > first then sum = sum + flat[i + 1] end
end
if tonumber(found['others_window'] or -1) == math.floor(now / 60000) then sum = sum + found['others'] end
return sum
"""


@dataclass(frozen=True, slots=True)
class Closure:
    """An address that the exchange does not serve: why, and until when (``ends``: our monotonic clock, seconds)."""

    cause: Refusal
    ends: float
    until: datetime

    @property
    def left_ms(self) -> int:
        return max(0, round((self.ends - time.monotonic()) * 1000))


class Budget:
    """What one address may ask of one environment. Safe to use from several threads."""

    def __init__(self, environment: str, egress: str, *, process: str = PROCESS) -> None:
        self.environment = environment
        self.egress = egress
        self.processes = PROCESSES_UNKNOWN  # that share it, as Valkey last counted them
        self._process = process
        self.limits = Limits()
        self._key = f"rate:{urlsplit(stream_endpoints(environment).rest).netloc}:{egress}"
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._meter = Meter()  # what this process sent: all there is to go by while Valkey is silent
        self._closure: Closure | None = None
        self._silent_until = self._loaded_at = 0.0
        # The same for what protects, which finds out for nobody whether it answers again.
        self._spared_until = 0.0
        self._silences = 0  # in a row
        # Refusals that did not say for how long: how many in a row, and when the last was.
        self._vague, self._vague_at = 0, 0.0
        self._weight: tuple[int, float] | None = None  # the exchange's last figure, not passed on yet
        self._orders: dict[str, tuple[int, int, float]] = {}
        self._enter = valkey.Script(ENTER)
        self._close = valkey.Script(CLOSE)
        self._used = valkey.Script(USED)
        self._closed_elsewhere = valkey.Script(CLOSED)

    # --- before a request, and after it ---------------------------------------------------------

    def enter(self, account: str, cost: Cost, priority: Priority) -> None:
        """Count a request. Raises ExchangeUnavailable when it must not leave now.

        What protects waits out the last moments of a closure here: processes know its end to some milliseconds, and a stop
        that is sent back for them would have its position closed at market.
        """
        left_ms = LAST_MOMENTS_MS if priority is Priority.PROTECT else 0
        while True:
            try:
                self._enter_now(account, cost, priority)
                return
            except ExchangeUnavailable as error:
                left_ms -= error.wait_ms
                if left_ms < 0:
                    raise
                time.sleep(error.wait_ms / 1000)

    def _enter_now(self, account: str, cost: Cost, priority: Priority) -> None:
        self._load_when_due(priority)
        closure = self.closure
        if closure is not None:
            raise self._closed(closure)
        if priority >= Priority.WATCH and self._just_closed():
            raise _held(Held(Refusal.RATE_WEIGHT, AFTER_MS))
        silent_until = self._spared_until if priority is Priority.PROTECT else self._silent_until
        held = self._shared(account, cost, priority) if time.monotonic() >= silent_until else None
        if held is None:  # Valkey is silent
            held = self._alone(account, cost, priority)
        if held.wait_ms:
            raise _held(held)

    def confirm(self, passed: float) -> None:
        """Ask once more before the first byte leaves. Raises ExchangeUnavailable when the address was barred since ``passed``.

        What another process has heard is asked for only where a connection, or the machine, took its time: so a ban is met
        by what had left when it was first heard of, and by nothing that still waited for its turn here.
        """
        now = time.monotonic()
        if self.closure is None and now - passed >= WAITED_SECONDS and now >= self._silent_until:
            try:
                left_ms, cause = self._closed_elsewhere(keys=[self._key], args=[])
            except RedisError:
                self._fell_silent(now)
            else:
                if left_ms:
                    self._shut(Refusal(cause.decode()), int(left_ms))
        if (closure := self.closure) is not None:
            raise self._closed(closure)

    def leave(self, account: str, usage: Usage) -> Usage:
        """Note what an answer said about the limits, and return how it is understood; a closure is made known to everybody at once."""
        usage = self._understood(usage)
        now = time.monotonic()
        with self._lock:
            self._meter.leave(account, usage, now_ms=_ms(now))
            if usage.weight_1m is not None:
                self._weight = (usage.weight_1m, now)
            if usage.orders_10s is not None and usage.orders_1m is not None:
                self._orders[account] = (usage.orders_10s, usage.orders_1m, now)
        if usage.cause is None:
            self._served(now)
            return usage
        if usage.cause is Refusal.RATE_ORDERS:
            logger.warning("account %s: its order window is used up; its entries wait", account)
            self._publish(f"{self._key}:{account}", usage.cause, usage.closed_ms)
            return usage
        self._shut(usage.cause, usage.closed_ms)
        self._publish(self._key, usage.cause, usage.closed_ms)
        logger.error(
            "%s: the exchange bars the address “%s” for %.0f s (%s); nothing is sent from it until then",
            self.environment,
            self.egress,
            usage.closed_ms / 1000,
            usage.cause.value,
        )
        self._keep_closure()
        return usage

    def _understood(self, usage: Usage) -> Usage:
        """Close the address for a moment after a 429 that says neither for how long nor that the minute is used up.

        For twice as long after each further one, until the exchange has served us for a while: a minute's silence
        for one such answer would leave what is uncovered alone for as long.
        """
        used_up = usage.weight_1m is not None and usage.weight_1m >= USED_UP * self.limits.weight_1m
        if usage.is_told or used_up:
            return usage
        with self._lock:
            closure, now = self._closure, time.monotonic()
            if closure is not None and closure.left_ms:  # heard of already: it is one closure
                return replace(usage, closed_ms=min(usage.closed_ms, closure.left_ms))
            if now - self._vague_at > VAGUE_SECONDS:
                self._vague = 0
            pause = VAGUE_MS << min(self._vague, 8)
            self._vague, self._vague_at = self._vague + 1, now
        return replace(usage, closed_ms=min(usage.closed_ms, pause))

    def _served(self, now: float) -> None:
        """Forget refusals that did not say for how long, once the exchange has served us for a while after the last."""
        closure = self._closure
        if self._vague and closure is not None and now - closure.ends >= SERVED_SECONDS:
            with self._lock:
                self._vague = 0

    def learn(self, limits: Limits) -> None:
        """Note the limits the exchange publishes."""
        if limits == self.limits and self._loaded_at:
            return
        self.limits = limits
        self._keep(
            weight_1m=limits.weight_1m,
            orders_10s=limits.orders_10s,
            orders_1m=limits.orders_1m,
            read_at=timezone.now(),
        )

    def used(self) -> int | None:
        """Return the request weight that was used in the last minute; ``None`` while Valkey is silent."""
        try:
            return int(self._used(keys=[self._key], args=[]))
        except RedisError:
            return None

    @property
    def closure(self) -> Closure | None:
        """Return the closure of the address, as far as this process knows, while it lasts."""
        closure = self._closure
        return closure if closure is not None and closure.left_ms else None

    # --- shared, or alone -----------------------------------------------------------------------

    def _shared(self, account: str, cost: Cost, priority: Priority) -> Held | None:
        """Count the request in Valkey; nothing when that does not answer."""
        allowed = limits_for(self.limits, priority)
        moves = moves_for(self.limits)
        own = (moves.orders_10s, moves.orders_1m) if priority is Priority.MOVE else (-1, -1)
        now = time.monotonic()
        with self._lock:
            weight, self._weight = self._weight, None
            orders = self._orders.pop(account, None)
        figures = (-1, 0) if weight is None else (weight[0], _ms(now - weight[1]))
        windows = (-1, -1, 0) if orders is None else (orders[0], orders[1], _ms(now - orders[2]))
        try:
            how, wait_ms, processes, cause = self._enter(
                keys=[self._key, f"{self._key}:{account}", f"{self._key}:processes"],
                args=[
                    self._process,
                    cost.weight,
                    cost.orders,
                    cost.pledge,
                    int(priority is Priority.PROTECT),
                    allowed.weight_1m,
                    allowed.orders_10s,
                    allowed.orders_1m,
                    *figures,
                    *windows,
                    *own,
                ],
            )
        except RedisError as error:
            self._fell_silent(now)
            logger.warning(
                "The shared request budget does not answer (%s): each process keeps to its share, and nothing new "
                "is opened.",
                type(error).__name__,
            )
            return None
        self._silences, self._spared_until = 0, 0.0
        self.processes = max(1, int(processes))
        if how == 1:
            why = Refusal(cause.decode())
            self._shut(why, int(wait_ms))
            return Held(why, int(wait_ms))
        if how == 2:
            return Held(Refusal.RATE_WEIGHT, int(wait_ms))
        if how == 3:
            return Held(Refusal.RATE_ORDERS, int(wait_ms))
        with self._lock:  # kept along, for when Valkey falls silent
            self._meter.count(account, cost, priority, now_ms=_ms(now))
        return Held(Refusal.RATE_WEIGHT, 0)

    def _fell_silent(self, asked: float) -> None:
        """Ask Valkey, which did not answer what was ``asked``, only after a pause."""
        with self._lock:
            if asked >= self._silent_until:  # several that meet one silence are one
                pause = min(AGAIN_SECONDS, FIRST_AGAIN_SECONDS * 2.0 ** min(self._silences, 16))
                self._silences += 1
                self._silent_until = time.monotonic() + pause
                self._spared_until = time.monotonic() + AGAIN_SECONDS

    def _alone(self, account: str, cost: Cost, priority: Priority) -> Held:
        """Count the request for this process alone, against its share of the limits."""
        if cost.orders and priority > Priority.MOVE:  # a stop that follows the price goes on, too
            return Held(Refusal.RATE_ORDERS, max(1, _ms(self._silent_until - time.monotonic())))
        processes = 1 if priority is Priority.PROTECT else self.processes  # what protects goes on
        allowed = limits_for(self.limits, priority, processes=processes)
        ceiling = limits_for(self.limits, Priority.PROTECT).weight_1m
        with self._lock:
            held = self._meter.enter(
                account,
                cost,
                allowed,
                priority,
                now_ms=_ms(time.monotonic()),
                ceiling=ceiling,
                moves=moves_for(self.limits, processes=processes),
            )
        return held or Held(Refusal.RATE_WEIGHT, 0)

    # --- closures -------------------------------------------------------------------------------

    def _shut(self, cause: Refusal, ms: int) -> None:
        ends = time.monotonic() + ms / 1000
        with self._lock:
            if self._closure is None or self._closure.ends < ends:
                self._closure = Closure(cause, ends, timezone.now() + timedelta(milliseconds=ms))

    def _just_closed(self) -> bool:
        closure = self._closure
        return closure is not None and time.monotonic() < closure.ends + AFTER_MS / 1000

    def _closed(self, closure: Closure) -> ExchangeUnavailable:
        what = "has barred" if closure.cause is Refusal.BANNED else "does not serve"
        until = f"{closure.until:%H:%M:%S} UTC"
        return ExchangeUnavailable(
            f"The exchange {what} this server's address until {until}, for too many requests. Nothing was sent; "
            "it is sent when that time is over.",
            refusal=closure.cause,
            words=f"address {'barred' if closure.cause is Refusal.BANNED else 'at its limit'} until {until}",
            wait_ms=max(1, closure.left_ms),
        )

    def _publish(self, key: str, cause: Refusal, ms: int) -> None:
        with contextlib.suppress(RedisError):
            self._close(keys=[key], args=[ms, cause.value])

    # --- what is kept in the database -----------------------------------------------------------

    def _keep_closure(self) -> None:
        closure = self._closure
        if closure is not None:
            self._keep(closed_until=closure.until, closed_cause=closure.cause.value)

    def _keep(self, **values: Any) -> None:
        try:
            with _borrowed_connection():
                EgressLimits.objects.update_or_create(
                    environment=self.environment, egress=self.egress, defaults=values
                )
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The limits of the address could not be stored (%s).", type(error).__name__)

    def _load_when_due(self, priority: Priority) -> None:
        """Read what other processes have stored: before anything else, and now and then when nobody is in a hurry."""
        hurry = priority <= Priority.PLACE and time.monotonic() >= self._silent_until
        if self._loaded_at and (hurry or time.monotonic() - self._loaded_at < RELOAD_SECONDS):
            return
        # Loaded is set last: who comes second must not leave before it is known whether the address is barred.
        with self._loading:
            if time.monotonic() - self._loaded_at >= RELOAD_SECONDS or not self._loaded_at:
                self._load()
                self._loaded_at = time.monotonic()

    def _load(self) -> None:
        try:
            with _borrowed_connection():
                row = EgressLimits.objects.filter(environment=self.environment, egress=self.egress).first()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The limits of the address could not be read (%s).", type(error).__name__)
            return
        if row is None:
            return
        if row.read_at is not None:
            self.limits = Limits(row.weight_1m, row.orders_10s, row.orders_1m)
        left = row.closed_until - timezone.now() if row.closed_until else timedelta()
        if left > timedelta():
            self._shut(Refusal(row.closed_cause), round(left.total_seconds() * 1000))


class AccountGate:
    """The gate that one account's requests pass: its own order windows, and the budget of the address."""

    def __init__(self, budget: Budget, account: str) -> None:
        self._budget = budget
        self._account = account

    def enter(self, cost: Cost, priority: Priority) -> None:
        self._budget.enter(self._account, cost, priority)

    def confirm(self, passed: float) -> None:
        self._budget.confirm(passed)

    def leave(self, usage: Usage) -> Usage:
        return self._budget.leave(self._account, usage)

    def learn(self, limits: Limits) -> None:
        self._budget.learn(limits)


_lock = threading.Lock()
_budgets: dict[str, Budget] = {}


def forget_budgets() -> None:
    """Begin anew, as a process that has just started does."""
    with _lock:
        _budgets.clear()


def addresses_closed() -> list[EgressLimits]:
    """Return the addresses that the exchange does not serve at present, as any process has stored them."""
    return list(
        EgressLimits.objects.filter(closed_until__gt=timezone.now()).order_by("environment", "egress")
    )


def budget_of(environment: str) -> Budget:
    """Return the budget of the address this process sends from."""
    with _lock:
        found = _budgets.get(str(environment))
        if found is None:
            found = _budgets[str(environment)] = Budget(str(environment), settings.EGRESS)
        return found


def gate_for(environment: str, account: str) -> RateGate:
    """Return the gate for the requests of an account; for what needs no key, of an account without a name."""
    if not settings.KEEP_TO_LIMITS:
        return OpenGate()
    return AccountGate(budget_of(environment), account)


@contextlib.contextmanager
def _borrowed_connection() -> Iterator[None]:
    """Use this thread's database connection, and keep none open in a thread that had none: they only send."""
    had_one = connection.connection is not None
    try:
        yield
    finally:
        if not had_one:
            connection.close()


def _held(held: Held) -> ExchangeUnavailable:
    what = (
        "the account's order window" if held.cause is Refusal.RATE_ORDERS else "the address's request weight"
    )
    return ExchangeUnavailable(
        f"Not sent now: {what} is needed for what protects positions. Try again in "
        f"{max(1, held.wait_ms // 1000)} s.",
        refusal=held.cause,
        words=f"held back here: {what} is used up",
        wait_ms=held.wait_ms,
    )


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
