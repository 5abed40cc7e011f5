"""May part of an open position be closed, or something be added to it, and how much? Pure."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from typing import Final

from exchange.types import ZERO, OrderType
from orders.domain.decision.conditions import entry_over
from orders.domain.decision.drifts import left_unprotected
from orders.domain.enums import TrioState as S
from orders.domain.errors import IllegalTransition, RuleBroken
from orders.domain.fitting import lot_of
from orders.domain.rounding import TINY, plain, quantity_up, to_grid
from orders.domain.shares import WHOLE, notional_judged
from orders.domain.snapshot import TrioSnapshot

NOT_YET: Final = frozenset({S.DRAFT, S.QUEUED, S.PLACING, S.WORKING, S.WITHDRAWING})


def size_standing_check(trio: TrioSnapshot, *, waits: bool = True) -> None:
    """Raise IllegalTransition when the size of this trio cannot be changed now.

    ``waits``: one change at a time; another has to wait for the one that is under way.
    """
    if trio.state in NOT_YET:
        raise IllegalTransition(f"Nothing has filled yet ({trio.state}), so there is no size to change.")
    if trio.state.is_end:
        raise IllegalTransition(f"The trio has ended ({trio.state}): there is nothing to change.")
    if trio.state is not S.OPEN or trio.close_wanted or trio.panic_wanted:
        raise IllegalTransition(f"The trio is being closed ({trio.state}): its size is not changed any more.")
    if trio.spec.entry_only:
        raise IllegalTransition("An entry-only order is closed as soon as it fills.")
    if trio.position <= 0:
        raise IllegalTransition("No position is known to be there: look at the trio, then try again.")
    if waits and trio.sizes:
        raise IllegalTransition(
            "Another change of its size is under way: wait until that one has ended, then try again."
        )


def add_standing_check(trio: TrioSnapshot) -> None:
    """Raise IllegalTransition when nothing can be added to this trio now."""
    if not entry_over(trio):
        raise IllegalTransition(
            "Its entry still fills: something can be added when that has ended. Cancel the unfilled part, then add."
        )
    if left_unprotected(trio):
        raise IllegalTransition(
            "It is left unprotected, so nothing is added to it: protect it again, then add."
        )
    if trio.moves:
        raise IllegalTransition("A level of it is being moved: wait until that has ended, then add.")
    if trio.cancel_wanted:
        raise IllegalTransition(
            "Its unfilled part was cancelled on request, so nothing more is bought for it."
        )


def part_close_quantity(
    trio: TrioSnapshot,
    *,
    quantity: Decimal | None = None,
    percent: Decimal | None = None,
    notional: Decimal | None = None,
) -> Decimal:
    """Return how much is to be closed, in the base asset and in whole steps. Raises RuleBroken."""
    lot, position, mark = lot_of(trio.rules, OrderType.MARKET), trio.position, trio.slot.mark_price
    step = lot.step or TINY
    if sum(value is not None for value in (quantity, percent, notional)) != 1:
        raise _broken("Say how much to close: a quantity, a percentage or a value, and only one of them.")
    if percent is not None:
        if not 0 < percent < WHOLE:
            raise _broken(
                f"{plain(percent)} % is not a part: give more than 0 and less than 100. To close all of it, use “close”."
            )
        quantity = position * percent / WHOLE
    elif notional is not None:
        if mark is None:
            raise _broken("The mark price is not known yet: give a quantity, or try again in a moment.")
        quantity = notional / mark
    assert quantity is not None
    wanted = to_grid(quantity, step, ROUND_FLOOR)
    least = lot.smallest
    if (judged := notional_judged(trio.spec, trio.rules)) is not None and mark:
        least = max(least, quantity_up(judged / mark, step=step))
    largest = min(position - least, lot.largest)  # what is left must be enough for an order as well
    if wanted >= position:
        raise _broken(
            f"The position is {plain(position)}: to close all of it, use “close”. Nothing was closed."
        )
    if largest < least:
        raise _broken(
            f"The position of {plain(position)} cannot be closed in parts: the exchange takes at least {plain(least)} in one "
            "order, and what is left must be enough for another. Close it."
        )
    if wanted < least or wanted <= ZERO:
        raise _broken(
            f"{plain(quantity)} is less than the exchange takes in one order: at least {plain(least)}. Nothing was closed."
        )
    if wanted > largest:
        raise _broken(
            f"After {plain(wanted)} of {plain(position)} too little would be left to be closed by itself: at most "
            f"{plain(to_grid(largest, step, ROUND_FLOOR))}, or close all of it. Nothing was closed."
        )
    return wanted


def _broken(sentence: str) -> RuleBroken:
    return RuleBroken("quantity", sentence)
