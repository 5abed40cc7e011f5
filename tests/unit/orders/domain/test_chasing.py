"""An entry that follows the price: where it goes next, and what may be asked for."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from exchange.types import Side
from orders.domain.chasing import ChaseTerms, chase_check, next_price, step_check
from orders.domain.enums import LegState, TrioState
from orders.domain.errors import RuleBroken
from orders.domain.snapshot import PartTarget, Rules, Spec, TrioSnapshot
from tests.unit.orders.domain.snapshots import LIMIT, entry, trio

D = Decimal
BUYS = ChaseTerms(Side.BUY, bound=D("99500"), distance=D(10), step=D(5), tick=D("0.1"))
SELLS = ChaseTerms(Side.SELL, bound=D("100500"), distance=D(10), step=D(5), tick=D("0.1"))
RULES = Rules(symbol="BTCUSDT", tick_size=D("0.1"), step_size=D("0.001"))


@pytest.mark.parametrize(
    ("terms", "price", "last", "goes_to"),
    [
        (BUYS, "99000", "99100", "99090"),
        (BUYS, "99000", "99014.9", None),  # less than the smallest change nearer
        (BUYS, "99000", "99015", "99005"),
        (BUYS, "99000", "98000", None),  # away from the market it never goes
        (BUYS, "99000", "99100.07", "99090"),  # never a part of a tick more
        (BUYS, "99000", "99510", "99500"),
        (BUYS, "99000", "120000", "99500"),  # never beyond the bound
        (BUYS, "99498", "99505", None),
        (BUYS, "99498", "99510", "99500"),  # onto the bound in whatever change
        (BUYS, "99500", "120000", None),
        (BUYS, "99600", "120000", None),  # a person has it beyond the bound already
        (SELLS, "101000", "100900", "100910"),
        (SELLS, "101000", "100899.93", "100910"),
        (SELLS, "101000", "102000", None),
        (SELLS, "101000", "90000", "100500"),
    ],
)
def test_where_it_goes_next(terms: ChaseTerms, price: str, last: str, goes_to: str | None) -> None:
    assert next_price(terms, price=D(price), last=D(last)) == (None if goes_to is None else D(goes_to))


def resting(spec: Spec = LIMIT) -> TrioSnapshot:
    return replace(
        trio(TrioState.WORKING, entry(LegState.ACCEPTED, price=spec.price), spec=spec), rules=RULES
    )


SHORT = replace(LIMIT, side=Side.SELL, price=D("101000"), stop_loss=D("105000"), take_profit=D("90000"))


@pytest.mark.parametrize(
    ("spec", "terms", "field", "said"),
    [
        (LIMIT, replace(BUYS, bound=D("98000")), "bound", "lies above that, 99000.1 is the nearest"),
        (LIMIT, replace(BUYS, bound=D("99000")), "bound", "99000.1 is the nearest"),
        (LIMIT, replace(BUYS, bound=D("110000")), "bound", "109999.9 is the nearest"),
        (LIMIT, replace(BUYS, bound=D("99500.05")), "bound", "99500 would be"),
        (LIMIT, replace(BUYS, distance=D(0)), "distance", "0.1 would be"),
        (LIMIT, replace(BUYS, distance=D("0.55")), "distance", "0.5 would be"),
        (LIMIT, replace(BUYS, step=D("-1")), "step", "0.1 would be"),
        (
            replace(LIMIT, part_targets=(PartTarget(1, D("99400"), D(50)),)), BUYS, "bound",
            "the first target, which is at 99400: 99399.9 is the nearest",
        ),
        (SHORT, replace(SELLS, bound=D("102000")), "bound", "lies below that, 100999.9 is the nearest"),
        (SHORT, replace(SELLS, bound=D("90000")), "bound", "90000.1 is the nearest"),
        (SHORT, replace(SELLS, bound=D("100500.05")), "bound", "100500.1 would be"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_nearest_that_can(
    spec: Spec, terms: ChaseTerms, field: str, said: str
) -> None:
    seen = resting(spec)
    assert seen.entry is not None
    with pytest.raises(RuleBroken) as refused:
        chase_check(seen, seen.entry, terms)
    assert refused.value.field == field
    assert said in str(refused.value)


def test_sound_terms_are_taken() -> None:
    for spec, terms in ((LIMIT, BUYS), (SHORT, SELLS)):
        seen = resting(spec)
        assert seen.entry is not None
        chase_check(seen, seen.entry, terms)


def test_a_step_that_the_exchange_would_refuse_waits_for_the_next_price() -> None:
    # By the mark price it would lie outside the band in which a buyer may name a price.
    seen = replace(resting(), rules=replace(RULES, multiplier_up=D("1.01")))
    assert seen.entry is not None
    step_check(seen, seen.entry, D("99500"), mark=D("99000"))
    with pytest.raises(RuleBroken, match="too far above the mark price"):
        step_check(seen, seen.entry, D("99500"), mark=D("98000"))
