"""What verbs on a living trio write: it is read under its lock, and a wish for other levels or terms is recorded."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from exchange.types import Side
from orders.domain.enums import Role
from orders.domain.errors import IllegalTransition
from orders.domain.level_moves import (
    break_even_level,
)
from orders.domain.rounding import TINY, plain
from orders.domain.snapshot import ChangeEnd, EntryChange, LegView, Move, MoveEnd, TrioSnapshot
from orders.exchange_data.clock import to_ms
from orders.installation import install_row
from orders.models import (
    Clock,
    EntryChangeWish,
    LevelMove,
    TrioOrder,
)
from orders.placement.snapshot_loader import snapshot_of
from orders.placement.turn_rows import rows_read
from orders.selectors import entry_cost, trio_cost
from orders.story import change_sentence, move_sentence, note


def break_even_of(trio: TrioOrder, *, offset_ticks: int, of_trio: bool = False) -> Decimal:
    """Return where a trio's stop would lose nothing. Raises IllegalTransition when it does not, or when that is not known yet."""
    level = break_even_known(trio, offset_ticks=offset_ticks, of_trio=of_trio)
    if level is None:
        raise IllegalTransition(
            "The cost of its entry is not known yet: try again in a moment. Nothing was moved."
        )
    if why := loses_nothing(trio, level):
        raise IllegalTransition(why)
    return level


def break_even_known(trio: TrioOrder, *, offset_ticks: int, of_trio: bool = False) -> Decimal | None:
    """Return where a trio's stop would lose nothing; ``None`` while what its entry cost is not known."""
    cost = trio_cost(trio) if of_trio else entry_cost(trio)
    if cost is None:
        return None
    return break_even_level(
        Side(trio.side),
        cost.average,
        fee_each=cost.fee_each,
        tick=trio.symbol.tick_size or TINY,
        offset_ticks=offset_ticks,
    )


def loses_nothing(trio: TrioOrder, level: Decimal) -> str:
    """Say that a trio's stop is at this break-even or better already, or nothing."""
    agreed = trio.stop_loss
    if agreed is None or not (agreed >= level if trio.side == Side.BUY else agreed <= level):
        return ""
    return f"The stop-loss at {plain(agreed)} loses nothing already: break-even is {plain(level)}. It was not moved."


class EntryTerms(NamedTuple):
    """What an entry is to have; the price is in the quote asset."""

    quantity: Decimal
    price: Decimal


def change_row(
    trio: TrioOrder, entry: LegView, terms: EntryTerms, good_till: datetime | None, *, by: str, now: datetime
) -> EntryChangeWish:
    """Return the wish as it is written, unsaved."""
    return EntryChangeWish(
        trio=trio,
        quantity=terms.quantity,
        quantity_before=entry.quantity,
        price=terms.price,
        price_before=entry.price or terms.price,
        good_till=good_till or trio.good_till,
        good_till_before=trio.good_till,
        wanted_at=now,
        wanted_by=by,
    )


def change_recorded(trio: TrioOrder, wish: EntryChangeWish, *, opens: bool, now: datetime) -> None:
    """Write the wish, and the end of the one it replaces."""
    for replaced in trio.entry_changes.filter(end=""):
        replaced.end, replaced.ended_at = ChangeEnd.REPLACED, now
        replaced.save(update_fields=["end", "ended_at"])
        note(trio, "change", change_sentence(replaced), at=now, end=replaced.end)
    wish.save()
    trio.change_wanted = EntryChange(wish.pk, wish.quantity, wish.price, to_ms(now), opens)
    trio.good_till, trio.wake_at = wish.good_till, now
    trio.save(update_fields=["entry_change", "good_till", "wake_at", "updated_at"])
    before = f"{plain(wish.quantity_before)} at {plain(wish.price_before)}"
    text = f"Change of the entry from {before} to {plain(wish.quantity)} at {plain(wish.price)} requested by {wish.wanted_by}."
    note(
        trio, "wish", text, at=now, by=wish.wanted_by, quantity=plain(wish.quantity), price=plain(wish.price),
        quantity_before=plain(wish.quantity_before), price_before=plain(wish.price_before),
    )  # fmt: skip


def seen_now(trio_id: int, now: datetime) -> tuple[TrioOrder, TrioSnapshot]:
    """Return a trio whose row is locked, and what a decision about it would see."""
    trio = TrioOrder.objects.select_related("account", "symbol", "slot").get(pk=trio_id)
    clock = Clock.objects.filter(environment=trio.account.environment).first()
    offset = clock.offset_ms if clock else 0
    return trio, snapshot_of(trio, rows_read(trio), now=now, offset_ms=offset, install=install_row())


def move_recorded(
    trio: TrioOrder, role: Role, level: Decimal, *, before: Decimal | None, by: str, now: datetime
) -> LevelMove:
    """Write the wish, and the end of the one it replaces."""
    assert before is not None  # a trio has both levels, or is an entry-only order
    for replaced in trio.level_moves.filter(role=role, end=""):
        replaced.end, replaced.ended_at = MoveEnd.REPLACED, now
        replaced.save(update_fields=["end", "ended_at"])
        note(trio, "move", move_sentence(replaced), at=now, role=role, end=replaced.end)
    move = LevelMove.objects.create(
        trio=trio, role=role, level=level, level_before=before, wanted_at=now, wanted_by=by
    )
    others = (other for other in trio.moves_wanted if other.role is not role)
    trio.moves_put([*others, Move(move.pk, role, level, to_ms(now))], trio.roles_moved)
    trio.wake_at = now
    trio.save(update_fields=["moves", "wake_at", "updated_at"])
    text = f"Move of the {role.words} from {plain(before)} to {plain(level)} requested by {by}."
    note(trio, "wish", text, at=now, by=by, role=role, level=plain(level), before=plain(before))
    return move
