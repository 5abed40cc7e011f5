"""The rows of what follows the price: trails, break-even that waits, and entries that chase it. Read by workers, ended with their trio."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from django.db import connection

from exchange.types import PriceKind, Side
from infrastructure.rows import fetch_all
from orders.domain.chasing import ChaseTerms
from orders.domain.enums import LegState, Role
from orders.domain.rounding import TINY, plain
from orders.domain.trailing import FollowEnd, TrailTerms, TrailUnit
from orders.models import BreakEvenTrigger, Chase, Trail, TrioOrder

TRAIL: Final = "trail"
BREAK_EVEN: Final = "break_even"
CHASE: Final = "chase"
Kind: TypeAlias = Literal["trail", "break_even", "chase"]

# A trail may be asked for while the entry rests: what the price did before there was a position is none of its business.
TRAILS = """
    SELECT trail.id, trail.trio_id, trio.account_id, symbol.symbol, trio.side,
        greatest(trail.since_ts, entry.filled_ts), greatest(trail.heard_ts, entry.filled_ts),
        trio.stop_loss, symbol.tick_size, trail.distance, trail.unit, trail.watches, trail.activation, trail.step,
        trail.best, trail.best_ts,
        (SELECT max(generation) FROM orders_leg WHERE trio_id = trio.id AND role = 'STOP_LOSS'),
        trio.take_profit, trail.run_from
    FROM orders_trail trail
    JOIN orders_trioorder trio ON trio.id = trail.trio_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    LEFT JOIN LATERAL (
        SELECT min(coalesce(
            (SELECT min(time_ts) FROM orders_fill WHERE leg_id = leg.id), leg.filled_ts
        )) AS filled_ts FROM orders_leg leg WHERE leg.trio_id = trio.id AND leg.role IN ('ENTRY', 'RUNG')
    ) entry ON true
    WHERE trail."end" = '' AND NOT trail.by_exchange AND trio.account_id = ANY (%s) AND trio.state = 'OPEN'
    ORDER BY trail.id
"""
BREAK_EVENS = """
    SELECT waiting.id, waiting.trio_id, trio.account_id, symbol.symbol, trio.side, waiting.since_ts, waiting.heard_ts,
        waiting.at_price, waiting.reached_ts
    FROM orders_breakeventrigger waiting
    JOIN orders_trioorder trio ON trio.id = waiting.trio_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    WHERE waiting."end" = '' AND waiting.at_price IS NOT NULL AND trio.account_id = ANY (%s) AND trio.state = 'OPEN'
    ORDER BY waiting.id
"""
TARGETS_FILLED = """
    SELECT waiting.trio_id FROM orders_breakeventrigger waiting
    JOIN orders_trioorder trio ON trio.id = waiting.trio_id
    WHERE waiting."end" = '' AND waiting.after_first_target AND trio.account_id = ANY (%s) AND trio.state = 'OPEN'
      AND (waiting.reached_ts IS NOT NULL OR EXISTS (
          SELECT FROM orders_leg leg JOIN jsonb_to_recordset(trio.part_targets) AS part (number int) ON part.number = leg.number
          WHERE leg.trio_id = trio.id AND leg.role = 'PART_TARGET' AND leg.filled > 0
          AND leg.state IN ('FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')))
    ORDER BY waiting.id
"""
# While its entry rests, what it chases; ``price`` is the entry's. Once that has ended there is nothing to follow any more.
CHASES = """
    SELECT chase.id, chase.trio_id, trio.account_id, symbol.symbol, trio.side, chase.bound, chase.distance, chase.step,
        symbol.tick_size, entry.price, entry.state IN ('ACCEPTED', 'PARTIALLY_FILLED')
    FROM orders_chase chase
    JOIN orders_trioorder trio ON trio.id = chase.trio_id
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    JOIN LATERAL (
        SELECT price, state FROM orders_leg WHERE trio_id = trio.id AND role = 'ENTRY' ORDER BY generation DESC LIMIT 1
    ) entry ON true
    WHERE chase."end" = '' AND trio.account_id = ANY (%s) AND entry.state <> 'SUBMITTED'
    ORDER BY chase.id
"""
# Several workers may have followed the same trail one after the other: what is accounted for never goes back.
HEARD = """
    UPDATE {table} follower SET heard_ts = GREATEST(follower.heard_ts, heard.ts)
    FROM unnest(%s::bigint[], %s::bigint[]) AS heard (id, ts) WHERE follower.id = heard.id AND follower."end" = ''
"""
BEST = """
    UPDATE orders_trail trail SET best = known.best, best_ts = known.ts, active_ts = coalesce(trail.active_ts, known.ts)
    FROM unnest(%s::bigint[], %s::numeric[], %s::bigint[]) AS known (id, best, ts), orders_trioorder trio
    WHERE trail.id = known.id AND trail."end" = '' AND trio.id = trail.trio_id
      AND (trail.best IS NULL OR CASE trio.side WHEN 'BUY' THEN known.best > trail.best ELSE known.best < trail.best END)
"""
TABLES: Final[Mapping[Kind, str]] = {
    TRAIL: "orders_trail",
    BREAK_EVEN: "orders_breakeventrigger",
    CHASE: "orders_chase",
}


@dataclass(frozen=True, slots=True)
class FollowedTrail:
    """A trail as a worker finds it. ``stop``: the agreed stop-loss; times are exchange milliseconds."""

    pk: int
    trio_id: int
    account_id: int
    symbol: str
    since_ts: int
    heard_ts: int
    stop: Decimal
    terms: TrailTerms
    best: Decimal | None
    best_ts: int | None
    orders: int = 1  # how many stops its trio has had
    target: Decimal | None = None  # the agreed take-profit


@dataclass(frozen=True, slots=True)
class AwaitedPrice:
    """A price at which a stop goes to break-even."""

    pk: int
    trio_id: int
    account_id: int
    symbol: str
    side: Side
    since_ts: int
    heard_ts: int
    price: Decimal
    reached_ts: int | None


@dataclass(frozen=True, slots=True)
class FollowedChase:
    """A chase as a worker finds it. ``price``: the entry's; ``rests``: whether that may still fill."""

    pk: int
    trio_id: int
    account_id: int
    symbol: str
    terms: ChaseTerms
    price: Decimal
    rests: bool


def chases_followed(account_ids: Iterable[int]) -> list[FollowedChase]:
    """Return the chases of trios of these accounts, those whose entry has just ended included."""
    return [
        FollowedChase(
            pk,
            trio,
            account,
            symbol,
            ChaseTerms(Side(side), bound, distance, step, tick or TINY),
            price,
            rests,
        )
        for pk, trio, account, symbol, side, bound, distance, step, tick, price, rests in fetch_all(
            CHASES, list(account_ids)
        )
    ]


def trails_followed(account_ids: Iterable[int]) -> list[FollowedTrail]:
    """Return the trails of open trios of these accounts."""
    return [_followed(*row) for row in fetch_all(TRAILS, list(account_ids))]


def _followed(
    pk: int, trio: int, account: int, symbol: str, side: str, since: int, heard: int, stop: Decimal, tick: Decimal | None,
    distance: Decimal, unit: str, watches: str, activation: Decimal | None, step: Decimal,
    best: Decimal | None, best_ts: int | None, orders: int | None, target: Decimal | None, run_from: Decimal | None,
) -> FollowedTrail:  # fmt: skip
    terms = TrailTerms(
        side=Side(side),
        distance=distance,
        tick=tick or TINY,
        step=step,
        unit=TrailUnit(unit),
        activation=activation,
        watches=PriceKind(watches),
        run_from=run_from,
    )
    return FollowedTrail(
        pk, trio, account, symbol, since, heard, stop, terms, best, best_ts, orders or 1, target
    )


def prices_awaited(account_ids: Iterable[int]) -> list[AwaitedPrice]:
    """Return the prices that break-even of open trios of these accounts waits for."""
    return [
        AwaitedPrice(pk, trio, account, symbol, Side(side), since, heard, price, reached_ts)
        for pk, trio, account, symbol, side, since, heard, price, reached_ts in fetch_all(
            BREAK_EVENS, list(account_ids)
        )
    ]


def targets_filled(account_ids: Iterable[int]) -> list[int]:
    """Return the open trios of these accounts whose break-even waits for their first target, which has filled."""
    return [trio_id for (trio_id,) in fetch_all(TARGETS_FILLED, list(account_ids))]


def heard_save(kind: Kind, heard: Mapping[int, int]) -> None:
    """Keep up to when every price is accounted for, by row: who follows on begins there."""
    with connection.cursor() as cursor:
        cursor.execute(HEARD.format(table=TABLES[kind]), [list(heard), list(heard.values())])


def best_save(best: Mapping[int, tuple[Decimal, int]]) -> None:
    """Keep the best prices of these trails, and when they were; one that is no better than what is kept changes nothing."""
    values = list(best.values())
    with connection.cursor() as cursor:
        cursor.execute(BEST, [list(best), [price for price, _ in values], [ts for _, ts in values]])


def following(trio: TrioOrder) -> list[str]:
    """Say what follows the price for a trio now: a sentence each."""
    if not trio.is_followed:
        return []
    found = []
    for trail in trio.trails.filter(end="", by_exchange=True):
        terms = trail.terms(side=trio.side, tick=trio.symbol.tick_size or TINY)
        found.append(
            f"The exchange's own trailing order follows the price, beside the stop-loss: {terms.words}; "
            f"{_of_exchange(trio, trail)}. The stop-loss stays where it is, and is what counts as protection."
        )
    for trail in trio.trails.filter(end="", by_exchange=False):
        terms = trail.terms(side=trio.side, tick=trio.symbol.tick_size or TINY)
        best = f"; best so far {plain(trail.best)}" if trail.best is not None else "; not active yet"
        found.append(f"Its stop-loss follows the price, by us and not by the exchange: {terms.words}{best}.")
    for chase in trio.chases.filter(end=""):
        terms_of = chase.terms(side=trio.side, tick=trio.symbol.tick_size or TINY)
        found.append(f"Its entry follows the price, by us and not by the exchange: {terms_of.words}.")
    found += [f"Break-even waits for {waiting.words}." for waiting in trio.break_evens.filter(end="")]
    return found


def _of_exchange(trio: TrioOrder, trail: Trail) -> str:
    """Say where the exchange's own trailing order stands."""
    legs = [leg for leg in trio.legs.all() if leg.role == Role.TRAIL and leg.number == trail.pk]
    resting = [leg for leg in legs if LegState(leg.state).is_live]
    if not resting:
        return "not on the exchange yet"
    quantity = plain(sum((leg.quantity - leg.filled for leg in resting), Decimal(0)))
    since = min((leg.active_ts for leg in resting if leg.active_ts is not None), default=None)
    return f"it rests for {quantity}, {'not active yet' if since is None else 'active'}"


def waits_again(trio: TrioOrder) -> bool:
    """Have break-even wait on, its move refused, unless another one has taken its place; return whether the row is to be saved."""
    last = trio.break_evens.order_by("-id").first()
    if last is None or last.end != FollowEnd.DONE:
        return False
    last.end, last.ended_at = "", None
    last.save(update_fields=["end", "ended_at"])
    trio.follows_put(BREAK_EVEN, True)
    return True


def followers_end(trio: TrioOrder, *, now: datetime) -> bool:
    """End what follows the price for a trio that has ended; return whether its row is to be saved. Its lock is held."""
    if not trio.is_followed:
        return False
    for model in (Trail, BreakEvenTrigger, Chase):
        model.objects.filter(trio=trio, end="").update(end=FollowEnd.TRIO_ENDED, ended_at=now)
    for kind in (TRAIL, BREAK_EVEN, CHASE):
        trio.follows_put(kind, False)
    trio.exchange_trail_put(None)
    return True
