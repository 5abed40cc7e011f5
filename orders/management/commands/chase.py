"""Have the resting entry of a trio follow the price."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from orders.cli.commands import VerbCommand, number, trio_get
from orders.cli.wait import Baseline
from orders.domain.errors import RuleBroken
from orders.services import trio_chase


class Command(VerbCommand):
    help = (
        "Have a LIMIT entry that rests follow the last price, toward the market alone and never beyond --bound. It keeps its"
        " id and what it has filled. A runworker changes it. Example: manage.py chase 12 --bound 60100 --distance 5"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--bound",
            required=True,
            metavar="PRICE",
            help="the highest price to pay (BUY), or the lowest to take (SELL)",
        )
        parser.add_argument(
            "--distance", metavar="PRICE", help="how far behind the last price (default: one tick)"
        )
        parser.add_argument("--step", metavar="PRICE", help="the smallest change (default: one tick)")

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        bound = number(options["bound"], "bound")
        if bound is None:
            raise RuleBroken("bound", "Say how far it may follow: a bound.")
        trio_chase(
            trio_id=options["trio"],
            by=os_operator(),
            bound=bound,
            distance=number(options["distance"], "distance"),
            step=number(options["step"], "smallest change"),
        )
        self.warn_if_nobody_acts()
        return self.outcome(options["trio"], options, since=since)
