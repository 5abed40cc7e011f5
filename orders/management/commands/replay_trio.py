"""Rebuild a trio from its journal and fills, and say whether that equals the database."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult, trio_number
from orders.cli.commands import TrioCommand, trio_get
from orders.cli.document import decimals
from orders.domain.leg_replay import Rebuilt
from orders.domain.rounding import plain
from orders.journal.replay import Replayed, trio_replay
from orders.journal.verify import journal_verify
from orders.models import TrioOrder


class Command(TrioCommand):
    help = (
        "Rebuild a trio's orders from its journal (what was asked, what was answered, what was seen) and its "
        "booked executions, without looking at where the database says they stand; then compare the two. Exit "
        "code 0 when they are equal, 1 when they differ, 2 for an unknown trio. Example: manage.py replay_trio 12"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("trio", metavar="ID", type=trio_number, help="the trio's number")

    def run(self, **options: Any) -> CommandResult:
        trio = trio_get(options["trio"])
        if breaks := journal_verify(trio_id=trio.pk).breaks:
            broken = [found.sentence for found in breaks]
            document = {"trio": trio.pk, "equal": False, "differences": broken}
            return CommandResult(
                document, "\n".join([*broken, "Nothing can be rebuilt from a broken journal."]), 1
            )
        replayed = trio_replay(trio)
        return CommandResult(
            _document(trio, replayed), _sentence(trio, replayed), 1 if replayed.differences else 0
        )


def _document(trio: TrioOrder, replayed: Replayed) -> dict[str, Any]:
    step = trio.symbol.step_size
    return {
        "trio": trio.pk,
        "equal": not replayed.differences,
        "rows": replayed.rows,
        "bought": decimals(replayed.bought, step),
        "sold": decimals(replayed.sold, step),
        "legs": [_leg(trio, leg) for leg in replayed.legs.values()],
        "differences": replayed.differences,
        "remarks": replayed.remarks,
    }


def _leg(trio: TrioOrder, leg: Rebuilt) -> dict[str, Any]:
    step, tick = trio.symbol.step_size, trio.symbol.tick_size
    facts = leg.facts
    return {
        "role": leg.role.value,
        "client_id": leg.client_id,
        "generation": leg.generation,
        "form": facts.form.value,
        "state": facts.state.value,
        "quantity": decimals(facts.quantity, step),
        "filled": decimals(facts.filled, step),
        "average_price": None if facts.average_price is None else plain(facts.average_price),
        "trigger_price": None if leg.facts.trigger_price is None else decimals(leg.facts.trigger_price, tick),
        "price": None if leg.facts.price is None else decimals(leg.facts.price, tick),
        "refused_code": facts.refused_code,
        "refused_text": facts.refused_text,
        "accepted_ts": facts.accepted_ts,
        "ended_ts": facts.ended_ts,
    }


def _sentence(trio: TrioOrder, replayed: Replayed) -> str:
    step = trio.symbol.step_size
    lines = [
        f"Trio {trio.pk} rebuilt from {replayed.rows} rows of its journal: {len(replayed.legs)} orders, "
        f"{decimals(replayed.bought, step)} entered, {decimals(replayed.sold, step)} closed again."
    ]
    for leg in replayed.legs.values():
        facts = leg.facts
        quantity = decimals(facts.quantity, step) if facts.quantity else "the whole position"
        price = f" at {plain(facts.average_price)}" if facts.filled and facts.average_price else ""
        refused = f" ({facts.refused_text.rstrip('.')})" if facts.refused_text else ""
        lines.append(
            f"  {leg.client_id}  {leg.role.words}: {facts.state}, {leg.side} {quantity}, "
            f"{decimals(facts.filled, step)} filled{price}{refused}"
        )
    lines += replayed.remarks
    if not replayed.differences:
        lines.append("The database says the same.")
    else:
        lines.append("The database differs:")
        lines += [f"  {sentence}" for sentence in replayed.differences]
    return "\n".join(lines)
