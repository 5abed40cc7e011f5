"""Move the stop-loss of an open trio to break-even."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from orders.cli.commands import MoveCommand
from orders.domain.enums import Role
from orders.models import LevelMove
from orders.services import trio_break_even


class Command(MoveCommand):
    role = Role.STOP_LOSS
    asks_level = False
    help = (
        "Move the stop-loss of an open trio to where it loses nothing, the fees of the entry and of the stop included."
        " --offset: so many ticks better than that. The old order stays until the exchange has acknowledged the new one."
        " Example: manage.py break_even 12 --offset 2 --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--offset", metavar="TICKS", type=int, default=0, help="so many ticks better (default 0)"
        )

    def move(self, by: str, **options: Any) -> LevelMove:
        return trio_break_even(trio_id=options["trio"], by=by, offset_ticks=options["offset"])
