"""Add to an open position at market."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from orders.cli.commands import SizeCommand, number
from orders.models import SizeChange
from orders.services import trio_add


class Command(SizeCommand):
    help = (
        "Add to an open position at market, under the same stop-loss and take-profit. It is checked as new risk."
        " Example: manage.py add 12 --quantity 0.01 --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--quantity", metavar="Q", required=True, help="how much, in the base asset")

    def wish(self, by: str, **options: Any) -> SizeChange:
        quantity = number(options["quantity"], "quantity")
        assert quantity is not None  # the argument is required
        return trio_add(trio_id=options["trio"], by=by, quantity=quantity)
