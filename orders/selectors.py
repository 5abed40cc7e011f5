"""Every read worth a name. Nothing here changes anything, asks an exchange or opens a credential."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django.db.models import Case, Count, DecimalField, OuterRef, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce

from exchange.types import ZERO
from orders.domain.enums import ENDS, Form, Role, TrioState
from orders.domain.rounding import plain
from orders.models import Clock, Leg, TrioOrder, Watch

ENDED: Final = tuple(sorted(state.value for state in ENDS))


# --- lists --------------------------------------------------------------------------------------


def trios_listed() -> QuerySet[TrioOrder]:
    """Return trios with account, symbol and the entry's filled quantity (``entry_filled``)."""
    filled = (
        Leg.objects.filter(trio=OuterRef("pk"), role=Role.ENTRY)
        .order_by()
        .values("trio")
        .annotate(total=Sum("filled"))
        .values("total")
    )
    number: DecimalField[Decimal, Decimal] = DecimalField(max_digits=38, decimal_places=16)
    return TrioOrder.objects.select_related("account", "symbol").annotate(
        entry_filled=Coalesce(Subquery(filled), ZERO, output_field=number)
    )


def trios_alive() -> QuerySet[TrioOrder]:
    """Return trios that were placed and have not ended, questions first."""
    alive = trios_listed().exclude(state__in=(TrioState.DRAFT, *ENDED))
    return alive.order_by(Case(When(question_kind="", then=1), default=0), "-id")


def trios_asking() -> QuerySet[TrioOrder]:
    """Return trios that ask a person something, oldest first."""
    return trios_listed().exclude(question_kind="").order_by("id")


def trios_sent() -> QuerySet[TrioOrder]:
    """Return the trios of the account ``OuterRef("pk")`` that hold a slot and may have something on the exchange."""
    held = TrioOrder.objects.filter(account=OuterRef("pk"), holds_slot=True)
    return held.exclude(state=TrioState.QUEUED)  # a QUEUED one has sent nothing yet


def trio_counts() -> list[tuple[TrioState, int]]:
    """Return how many trios are in each state, in the order of a trio's life, without empty states."""
    found = dict(TrioOrder.objects.order_by().values_list("state").annotate(count=Count("pk")))
    return [(state, found[state.value]) for state in TrioState if state.value in found]


def watches() -> list[Watch]:
    return list(Watch.objects.select_related("account").order_by("account__name"))


def clocks() -> list[Clock]:
    return list(Clock.objects.order_by("environment"))


# --- one trio -----------------------------------------------------------------------------------


def leg_size(leg: Leg) -> str:
    """Return how much an order is meant for, in words."""
    return "whole position" if leg.form == Form.CLOSE_POSITION else plain(leg.quantity)
