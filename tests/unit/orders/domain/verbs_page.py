"""The page of verbs, made by asking: what a person may do to a trio at each moment of its life, and what they read else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Final

from exchange.types import OrderType, PositionMode
from orders.domain.entry_terms import resting_entry
from orders.domain.enums import LegState, Protection, Role, TrioState
from orders.domain.errors import IllegalTransition
from orders.domain.level_moves import standing_check
from orders.domain.size_changes import add_standing_check, size_standing_check
from orders.domain.snapshot import Spec, TrioSnapshot
from tests.unit.orders.domain.snapshots import (
    ARMED,
    ARMED_LIMIT,
    BREAKOUT,
    HEDGE,
    LIMIT,
    LONG,
    STOP_LIMIT,
    entry,
    holding,
    stop,
    target,
    trio,
)

PAGE: Final = "docs/reference/verbs.md"
CHECKOUT: Final = Path(__file__).parents[4]
HEAD: Final = """# Verbs on a living trio

The verbs that a trio accepts at each moment of its life, and the sentence that a person reads where it does not accept one. Every cell is asked of the code that decides, for a
long and for a short, and they agree. Whether a *price* or a *size* is accepted is another question: that refusal names the nearest valid one. The page is made by
`.venv/bin/python -m tests.unit.orders.domain.verbs_page`.

*Stop*: `move_stop`, `break_even`, `trail`. *Target*: `move_target`. *Entry*: `change_entry`. Close, cancel and panic are taken at every moment until the end.

"""
Verb = Callable[[TrioSnapshot], object]


def added(seen: TrioSnapshot) -> None:
    size_standing_check(seen)
    add_standing_check(seen)


VERBS: Final[dict[str, Verb]] = {
    "stop": lambda seen: standing_check(seen, Role.STOP_LOSS),
    "target": lambda seen: standing_check(seen, Role.TAKE_PROFIT),
    "`close_part`": size_standing_check,
    "`add`": added,
    "`set_targets`": lambda seen: size_standing_check(seen, waits=False),
    "entry": resting_entry,
}
HALF: Final = Decimal("0.004")
HEDGE_LIMIT: Final = replace(HEDGE, entry_type=OrderType.LIMIT, price=Decimal("99000"))


def moments(spec: Spec) -> Iterator[tuple[str, TrioSnapshot]]:
    """Every moment that such a trio can be in."""
    armed = spec.protection is Protection.PRE_ARMED
    legs = (stop(), target()) if armed and spec.entry_type is OrderType.MARKET else (stop(),) if armed else ()
    if spec.rests:
        terms = {"price": spec.price, "trigger_price": spec.trigger_price}
        rests = entry(LegState.ACCEPTED, **terms)
        yield "before the fill", trio(TrioState.WORKING, *legs, rests, spec=spec)
        part = entry(LegState.PARTIALLY_FILLED, filled=HALF, filled_ts=1, **terms)
        yield "part filled", trio(TrioState.OPEN, stop(), target(), part, spec=spec, slot=holding(str(HALF)))
    else:
        yield "before the fill", trio(TrioState.PLACING, *legs, entry(LegState.SUBMITTED), spec=spec)
    yield "open", trio(TrioState.OPEN, entry(), stop(), target(), spec=spec, slot=holding())


def specs() -> Iterator[tuple[str, Spec]]:
    kinds = (
        ("MARKET", LONG),
        ("LIMIT", LIMIT),
        ("MARKET, PRE_ARMED", ARMED),
        ("LIMIT, PRE_ARMED", ARMED_LIMIT),
        ("STOP_MARKET", BREAKOUT),
        ("STOP", STOP_LIMIT),
    )
    for name, spec in kinds:
        yield f"{name}, one-way", spec
        yield f"{name}, hedge", replace(spec, mode=PositionMode.HEDGE, position_side=HEDGE.position_side)


def mirrored(seen: TrioSnapshot) -> TrioSnapshot:
    """Return the same moment of a short."""
    spec = seen.spec
    levels = replace(spec, side=spec.side.opposite, stop_loss=spec.take_profit, take_profit=spec.stop_loss)
    return replace(seen, spec=levels)


def refusal(verb: Verb, seen: TrioSnapshot) -> str:
    """Return what a person reads; empty where the verb is taken."""
    try:
        verb(seen)
    except IllegalTransition as reason:
        return str(reason)
    return ""


def tables() -> Iterator[str]:
    notes: list[str] = []
    yield f"| trio | moment | {' | '.join(VERBS)} |\n|---|---|{'---|' * len(VERBS)}\n"
    ended = trio(TrioState.CLOSED, entry(), stop(LegState.EXPIRED), target(LegState.FILLED))
    leaving = trio(TrioState.EXITING, entry(), stop(), target(), slot=holding())
    others = [("any", "a draft", trio(TrioState.DRAFT)), ("any", "queued", trio(TrioState.QUEUED))]
    others += [("any", "being closed", leaving), ("any", "ended", ended)]
    rows = [(name, moment, seen) for name, spec in specs() for moment, seen in moments(spec)]
    for name, moment, seen in [*others[:2], *rows, *others[2:]]:
        cells = []
        for verb in VERBS.values():
            why = refusal(verb, seen)
            assert why == refusal(verb, mirrored(seen)), (name, moment)
            if why and why not in notes:
                notes.append(why)
            cells.append(f"no ({notes.index(why) + 1})" if why else "yes")
        yield f"| {name} | {moment} | {' | '.join(cells)} |\n"
    yield "\n" + "".join(f"{number}. {why}\n" for number, why in enumerate(notes, start=1))


def page() -> str:
    """Return the page as it should be."""
    return HEAD + "".join(tables())


if __name__ == "__main__":
    (CHECKOUT / PAGE).write_text(page())
