"""May the resting entry of a trio be changed, and is what it would become sound? Pure."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from exchange.types import OrderType, Side, TimeInForce
from orders.domain import validation
from orders.domain.decision.drifts import left_unprotected
from orders.domain.decision.entry_changes import slot_trouble_of
from orders.domain.enums import TrioState as S
from orders.domain.errors import IllegalTransition, RuleBroken, TrioRefused
from orders.domain.rounding import entry_to_tick, plain
from orders.domain.snapshot import LegView, Spec, TrioSnapshot


def resting_entry(trio: TrioSnapshot) -> LegView:
    """Return the entry that rests. Raises IllegalTransition when there is none that could be changed."""
    if trio.state is S.DRAFT:
        raise IllegalTransition("A draft has no entry on the exchange yet: edit it.")
    if trio.state.is_end:
        raise IllegalTransition(f"The trio has ended ({trio.state}): there is no entry to change.")
    if trio.spec.entry_type is OrderType.MARKET:
        raise IllegalTransition("Its entry is at market: only a LIMIT entry that rests can be changed.")
    if trio.state in (S.QUEUED, S.PLACING):
        raise IllegalTransition(f"Its entry is not on the book yet ({trio.state}): try again in a moment.")
    if trio.state not in (S.WORKING, S.OPEN) or trio.cancel_wanted or trio.close_wanted or trio.panic_wanted:
        raise IllegalTransition(f"Its entry is being taken back ({trio.state}): it is not changed any more.")
    if left_unprotected(trio):
        raise IllegalTransition(
            "It is left unprotected, so its entry is not changed: protect it again, then change it."
        )
    entry = trio.entry
    if entry is None or entry.state.is_final:
        what = "has filled" if entry is not None and entry.filled == entry.quantity else "has ended"
        raise IllegalTransition(f"Its entry {what}: there is nothing left of it to change.")
    if trio.spec.entry_type is not OrderType.LIMIT:
        raise IllegalTransition(
            "Its entry is a stop entry, and the exchange changes no order that waits for a trigger: cancel it, then place it "
            "again with other terms."
        )
    if trio.spec.rungs:
        raise IllegalTransition(
            "Its entry is a ladder, whose rungs stay as they were placed: cancel what is unfilled, then place it again with other "
            "rungs."
        )
    if not entry.live or entry.price is None:
        raise IllegalTransition("It is not known yet what became of its entry: try again in a moment.")
    return entry


def opens_more(entry: LegView, *, quantity: Decimal, price: Decimal) -> bool:
    """Is a change new risk? All are, but for a smaller quantity at the same price."""
    return quantity > entry.quantity or price != entry.price


def terms_check(
    trio: TrioSnapshot, entry: LegView, market: validation.Market, *, quantity: Decimal, price: Decimal
) -> None:
    """Raise RuleBroken with the first rule that the entry would break with these terms, and the nearest value that would do.

    ``market.available``: free margin; what the entry as it is has set apart counts as free.
    """
    as_it_is = replace(trio.spec, quantity=entry.quantity, price=entry.price)
    to_be = replace(trio.spec, quantity=quantity, price=price)
    held = validation.margin_needed(as_it_is, market)
    if market.available is not None and held is not None:
        market = replace(market, available=market.available + held)
    validation.check(to_be, trio.rules, market)
    post_only_check(to_be, trio, market.mark_price)


def new_risk_check(trio: TrioSnapshot, refusal: str) -> None:
    """Raise TrioRefused when new risk may not be opened in this slot. ``refusal``: of a switch or the account."""
    if why := refusal or slot_trouble_of(trio):
        raise TrioRefused(f"A change of the entry's price, or to a larger quantity, is new risk. {why}")


def post_only_check(spec: Spec, trio: TrioSnapshot, mark: Decimal | None) -> None:
    """Raise RuleBroken when a post-only entry would trade at once at its price, by the mark price."""
    tick, price = trio.rules.tick_size, spec.price
    if spec.time_in_force is not TimeInForce.GTX or mark is None or price is None or not tick:
        return
    if price < mark if spec.side is Side.BUY else price > mark:
        return
    near = (
        entry_to_tick(mark - tick, tick=tick, side=Side.BUY)
        if spec.side is Side.BUY
        else entry_to_tick(mark + tick, tick=tick, side=Side.SELL)
    )
    side = "below" if spec.side is Side.BUY else "above"
    raise RuleBroken(
        "price",
        f"The entry is post-only (GTX): at {plain(price)} it would trade at once (mark price {plain(mark)}), and the exchange "
        f"would take it off the book. It must be {side} the market: {plain(near)} is the nearest by the mark price.",
    )
