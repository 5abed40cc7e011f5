"""Templates of tickets: what was typed is kept under a name and fills another form. Nothing is placed by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.db import IntegrityError, transaction

from orders.domain.errors import RuleBroken
from orders.exchange_data.clock import db_now
from orders.models import TicketTemplate

NAME_MAX: Final = 60
TEXT_MAX: Final = 400
TEMPLATES_MAX: Final = 100
# What a template keeps: all of a ticket but its moments, which would have passed.
TERMS: Final = (
    *(
        "account",
        "symbol",
        "side",
        "quantity",
        "entry_type",
        "trigger_price",
        "price",
        "rungs",
        "time_in_force",
    ),
    *("stop_loss", "take_profit", "part_targets", "follow", "position_side", "protection", "target_policy"),
    "hold_seconds",
)


def template_save(name: str, typed: Mapping[str, str], *, by: str) -> TicketTemplate:
    """Keep what was typed into a ticket under a name; what belongs to no template is left out. Raises RuleBroken."""
    name = " ".join(name.split())
    if not name:
        raise RuleBroken("name", "Say what the template is to be called. Nothing was saved.")
    if len(name) > NAME_MAX or not name.isprintable():
        raise RuleBroken(
            "name", f"A name has at most {NAME_MAX} characters that can be printed. Nothing was saved."
        )
    terms = {
        field: text for field in TERMS if (text := typed.get(field, "").strip()) and len(text) <= TEXT_MAX
    }
    if not terms.keys() - {"account"}:
        raise RuleBroken(
            "name", "The ticket is empty: fill it in, then save it as a template. Nothing was saved."
        )
    if TicketTemplate.objects.count() >= TEMPLATES_MAX:
        raise RuleBroken("name", f"There are {TEMPLATES_MAX} templates: remove one first. Nothing was saved.")
    try:
        with transaction.atomic():
            return TicketTemplate.objects.create(name=name, terms=terms, saved_at=db_now(), saved_by=by)
    except IntegrityError:
        raise RuleBroken(
            "name",
            f"There is a template “{name}” already: take another name, or remove that one. Nothing was saved.",
        ) from None
