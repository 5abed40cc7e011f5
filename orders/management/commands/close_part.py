"""Close part of an open position at market."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from orders.cli.commands import SizeCommand, number
from orders.models import SizeChange
from orders.services import trio_close_part


class Command(SizeCommand):
    help = (
        "Close part of an open position at market; the position that is left keeps its stop-loss and take-profit."
        " Example: manage.py close_part 12 --percent 50 --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--quantity", metavar="Q", help="how much, in the base asset")
        how.add_argument("--percent", metavar="PERCENT", help="how much of the open position, in percent")
        how.add_argument("--notional", metavar="VALUE", help="how much by the mark price, in the quote asset")

    def wish(self, by: str, **options: Any) -> SizeChange:
        return trio_close_part(
            trio_id=options["trio"],
            by=by,
            quantity=number(options["quantity"], "quantity"),
            percent=number(options["percent"], "percentage"),
            notional=number(options["notional"], "value"),
        )
