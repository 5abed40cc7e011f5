"""Change the entry of a trio while it rests."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from orders.cli.commands import ChangeCommand, moment, number
from orders.models import EntryChangeWish
from orders.services import trio_change_entry


class Command(ChangeCommand):
    help = (
        "Change price, quantity or good-till of an entry that rests; options left out keep their value. It keeps its id and what it has"
        " filled. A larger quantity is covered before it goes out; a quantity that has filled already cancels the unfilled part."
        " Example: manage.py change_entry 12 --price 59850 --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--price", metavar="PRICE", help="the new price, in the quote asset")
        parser.add_argument(
            "--quantity",
            metavar="QUANTITY",
            help="the new whole quantity, the filled part included, in the base asset",
        )
        parser.add_argument(
            "--good-till", metavar="TIME", help="cancel the unfilled part then, such as 2030-01-31T12:00:00Z"
        )

    def wish(self, by: str, **options: Any) -> EntryChangeWish:
        return trio_change_entry(
            trio_id=options["trio"],
            by=by,
            price=number(options["price"], "price"),
            quantity=number(options["quantity"], "quantity"),
            good_till=moment(options["good_till"]),
        )
