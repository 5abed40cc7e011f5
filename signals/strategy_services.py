"""The verbs on strategies: claim them for a worker, record what one has decided about a bar, disable one."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from django.db import connection, transaction

from accounts.models import ExchangeAccount
from exchange.types import ZERO, Side
from orders.domain.enums import ENDS, TrioState
from orders.domain.rounding import plain
from orders.exchange_data.clock import db_now, from_ms
from signals.catalogue import path_of
from signals.domain.bars import Bar, act_before
from signals.domain.enums import Origin, Verb
from signals.domain.faults import Fault, sentence
from signals.domain.terms import Level, LevelKind, Size, SizeKind, Terms, entry_type_of
from signals.models import Signal, Strategy, StrategyBar, StrategyEvent
from signals.services import signal_record
from signals.strategies.process import Bounds, Held, StrategyProcess

logger = logging.getLogger(__name__)

STALE_SECONDS: Final = 5.0
# A worker keeps what it has, and takes what nobody has said to run lately.
CLAIM: Final = """
    UPDATE signals_strategy SET holder = %(holder)s, beat = clock_timestamp()
    WHERE enabled AND (holder = %(holder)s OR beat IS NULL
                       OR beat < clock_timestamp() - %(stale)s * interval '1 second')
    RETURNING id
"""
RELEASE: Final = "UPDATE signals_strategy SET holder = '', beat = NULL WHERE holder = %s AND id <> ALL (%s)"
NOTHING: Final = """
    UPDATE signals_strategybar bar
    SET bar_open_ts = %s, bar_close_ts = %s, close = %s, decision = 'NOTHING', signal_id = NULL,
        missed_count = missed_count + GREATEST(0, %s - bar_close_ts - 1) / %s,
        bars_count = bars_count + 1, bars_since_signal = bars_since_signal + 1, decided_at = clock_timestamp()
    FROM signals_strategy strategy
    WHERE bar.strategy_id = %s AND bar.symbol = %s AND bar.timeframe = %s AND bar.bar_open_ts < %s
      AND strategy.id = bar.strategy_id AND strategy.enabled
"""
NOT_LIVING: Final = [*(state.value for state in ENDS), TrioState.DRAFT.value, TrioState.LATE.value]


def strategies_claim(holder: str) -> list[Strategy]:
    """Return the enabled strategies that this worker runs from now on, for a few seconds at a time."""
    with connection.cursor() as cursor:
        cursor.execute(CLAIM, {"holder": holder, "stale": STALE_SECONDS})
        ids = [row[0] for row in cursor.fetchall()]
    return list(Strategy.objects.filter(pk__in=ids).prefetch_related("accounts"))


def strategies_release(holder: str, *, but: Collection[int] = ()) -> None:
    """Give back what this worker runs, so that another one need not wait."""
    with connection.cursor() as cursor:
        cursor.execute(RELEASE, [holder, list(but)])


def strategy_note(strategy_id: int, kind: StrategyEvent.Kind, *, detail: str = "", by: str = "") -> None:
    """Write a line into a strategy's story."""
    StrategyEvent.objects.create(strategy_id=strategy_id, at=db_now(), kind=kind, detail=detail, by=by)


def strategy_disable(strategy_id: int, fault: Fault, detail: str = "") -> None:
    """Disable a strategy that did what none may do. Its trios live on: nothing of their protection changes."""
    now = db_now()
    with transaction.atomic():
        strategy = Strategy.objects.select_for_update().get(pk=strategy_id)
        if not strategy.enabled:
            return
        strategy.enabled = False
        strategy.fault, strategy.fault_detail, strategy.fault_at = fault.value, detail[:300], now
        strategy.save()
        StrategyEvent.objects.create(
            strategy=strategy,
            at=now,
            kind=StrategyEvent.Kind.DISABLED,
            fault=fault.value,
            detail=detail[:300],
        )
    logger.error("strategy %s was disabled: %s", strategy.name, sentence(fault, detail))


def strategy_check(strategy: Strategy) -> None:
    """Load a strategy with its parameters, once. Raises StrategyFailed when that cannot be."""
    process = StrategyProcess(path_of(strategy.code), Bounds(strategy.deadline_seconds, strategy.memory_mb))
    try:
        process.load(strategy.parameters, timeframe=strategy.timeframe, history=strategy.history_bars)
    finally:
        process.close()


def strategy_enable(strategy_id: int, *, by: str) -> None:
    """Enable a strategy. It begins with the next bar: what closed while it was off is nobody's to act on."""
    with transaction.atomic():
        strategy = Strategy.objects.select_for_update().get(pk=strategy_id)
        if strategy.enabled:
            return
        strategy.enabled, strategy.fault, strategy.fault_detail, strategy.fault_at = True, "", "", None
        strategy.save()
        StrategyBar.objects.filter(strategy=strategy).delete()
        strategy_note(strategy_id, StrategyEvent.Kind.ENABLED, by=by)


def strategy_stop(strategy_id: int, *, by: str) -> None:
    """Disable a strategy because a person says so."""
    with transaction.atomic():
        if Strategy.objects.filter(pk=strategy_id, enabled=True).update(enabled=False, updated_at=db_now()):
            strategy_note(strategy_id, StrategyEvent.Kind.STOPPED, by=by)


# --- bars ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Desk:
    """For whom a strategy decides: its accounts, how large, and what it may not do too often."""

    strategy_id: int
    name: str
    accounts: tuple[int, ...]
    size: Size
    cooldown_bars: int = 0
    dry_run: bool = False
    max_age_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Decided:
    """What a strategy has answered to a bar, as its process has written it down."""

    bar: Bar
    symbol: str
    timeframe: str
    found: Mapping[str, Any] | None = field(default=None)


def size_of(strategy: Strategy) -> Size:
    return Size(
        SizeKind(strategy.size_kind), strategy.size_value, cap=strategy.size_cap, slippage=strategy.slippage
    )


def bar_cursor(strategy_id: int, symbol: str, timeframe: str) -> StrategyBar | None:
    """Return where a strategy stands on a symbol; None when it has not begun there."""
    return StrategyBar.objects.filter(strategy_id=strategy_id, symbol=symbol, timeframe=timeframe).first()


def bar_seed(strategy_id: int, symbol: str, timeframe: str, bar: Bar) -> StrategyBar:
    """Let a strategy begin after this bar."""
    cursor, _ = StrategyBar.objects.get_or_create(
        strategy_id=strategy_id,
        symbol=symbol,
        timeframe=timeframe,
        defaults={
            "bar_open_ts": bar.open_time,
            "bar_close_ts": bar.close_time,
            "close": bar.close,
            "decision": StrategyBar.Decision.SEEDED,
            "decided_at": db_now(),
        },
    )
    return cursor


def bar_decided(desk: Desk, decided: Decided, *, offset_ms: int) -> Signal | None:
    """Record a decision about a bar, and the signal if there is one: both or neither, and once.

    ``offset_ms``: what the exchange's clock is ahead of ours. Returns the signal that is to be executed.
    """
    if decided.found is None:
        _nothing(desk, decided)
        return None
    bar = decided.bar
    with transaction.atomic():
        cursor = StrategyBar.objects.select_for_update().get(
            strategy_id=desk.strategy_id, symbol=decided.symbol, timeframe=decided.timeframe
        )
        if cursor.bar_open_ts >= bar.open_time:
            return None  # another worker has decided about it
        if not Strategy.objects.filter(pk=desk.strategy_id, enabled=True).exists():
            return None
        _count_missed(cursor, bar)
        cursor.bar_open_ts, cursor.bar_close_ts, cursor.close = bar.open_time, bar.close_time, bar.close
        cursor.bars_count += 1
        cursor.bars_since_signal += 1
        cursor.decided_at = db_now()
        signal = None
        is_cooling = cursor.signal_open_ts is not None and cursor.bars_since_signal <= desk.cooldown_bars
        if is_cooling:
            cursor.decision = StrategyBar.Decision.COOLDOWN
        else:
            signal = _signal(desk, decided, offset_ms=offset_ms)
            cursor.decision, cursor.signal = StrategyBar.Decision.SIGNAL, signal
            cursor.signal_open_ts, cursor.bars_since_signal = bar.open_time, 0
        cursor.save()
    return signal


def _nothing(desk: Desk, decided: Decided) -> None:
    """Move on past a bar without a signal: most are. One statement, with the same conditions as any other."""
    bar = decided.bar
    values = (bar.open_time, bar.close_time, bar.close, bar.open_time, bar.length)
    with connection.cursor() as cursor:
        cursor.execute(NOTHING, [*values, desk.strategy_id, decided.symbol, decided.timeframe, bar.open_time])


def _count_missed(cursor: StrategyBar, bar: Bar) -> None:
    """Note how many bars were too far back to be read; of months only roughly."""
    if bar.open_time > cursor.bar_close_ts + 1:
        cursor.missed_count += (bar.open_time - cursor.bar_close_ts - 1) // bar.length


def _signal(desk: Desk, decided: Decided, *, offset_ms: int) -> Signal:
    bar, found = decided.bar, decided.found
    assert found is not None
    is_close = found["action"] == "CLOSE"
    signal, _ = signal_record(
        origin=Origin.STRATEGY,
        source=desk.name,
        key=f"{decided.symbol} {decided.timeframe} {bar.open_time}",
        symbol=decided.symbol,
        accounts=list(ExchangeAccount.objects.filter(pk__in=desk.accounts).order_by("pk")),
        act_before=from_ms(act_before(bar, max_age_ms=desk.max_age_ms) - offset_ms),
        verb=Verb.CLOSE if is_close else Verb.ENTER,
        side=None if is_close else Side(found["action"]),
        terms=Terms() if is_close else _terms(found, desk.size),
        reason=found["reason"],
        figures=found["figures"],
        timeframe=decided.timeframe,
        bar_open_ts=bar.open_time,
        dry_run=desk.dry_run,
    )
    return signal


def _terms(found: Mapping[str, Any], size: Size) -> Terms:
    price, trigger = _price(found["price"]), _price(found.get("trigger_price"))
    return Terms(
        stop=_level(found["stop_loss"]),
        target=_level(found["take_profit"]),
        size=size,
        entry_type=entry_type_of(trigger=trigger, price=price),
        price=price,
        trigger=trigger,
        protection=found.get("protection", ""),
    )


def _price(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _level(price: str | None) -> Level | None:
    return None if price is None else Level(LevelKind.PRICE, Decimal(price))


# --- what it holds ------------------------------------------------------------------------------


# Trios that live, with what their orders have filled; and whether a signal of ours is still to be carried out.
HELD: Final = """
    SELECT COALESCE(SUM(CASE leg.side WHEN 'BUY' THEN leg.filled ELSE -leg.filled END), 0)
    FROM orders_trioorder trio
    JOIN orders_symbol symbol ON symbol.id = trio.symbol_id
    LEFT JOIN orders_leg leg ON leg.trio_id = trio.id
    WHERE trio.source = %(source)s AND symbol.symbol = %(symbol)s AND trio.account_id = ANY (%(accounts)s)
      AND trio.state <> ALL (%(ended)s)
    GROUP BY trio.id
    UNION ALL
    SELECT 0 FROM signals_signal signal
    JOIN signals_signalresult result ON result.signal_id = signal.id
    WHERE signal.status = 'WAITING' AND signal.origin = 'STRATEGY' AND signal.source = %(name)s
      AND signal.symbol = %(symbol)s AND result.outcome = 'PENDING' AND result.trio_id IS NULL
"""


def held_by(desk: Desk, symbol: str) -> Held:
    """Return what a strategy's own trios hold of a symbol, on all its accounts together."""
    with connection.cursor() as cursor:
        cursor.execute(
            HELD,
            {
                "source": f"{Origin.STRATEGY.prefix}:{desk.name}",
                "name": desk.name,
                "symbol": symbol,
                "accounts": list(desk.accounts),
                "ended": NOT_LIVING,
            },
        )
        held = [row[0] for row in cursor.fetchall()]
    return Held(plain(sum(held, ZERO)), is_waiting=not all(held))
