"""Have the stop-loss of an open trio follow the price."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from exchange.types import PriceKind
from orders.cli.commands import VerbCommand, number, trio_get, word
from orders.cli.wait import Baseline
from orders.services import trio_trail


class Command(VerbCommand):
    help = (
        "Have the stop-loss of an open trio follow the price: it stays a distance behind the best price since --activation. It is only"
        " ever moved nearer; the old order stays until the exchange has acknowledged the new one. A runworker moves it."
        " Example: manage.py trail 12 --distance 30 --activation 2020 --step 5"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--distance", metavar="PRICE", help="how far behind the best price, in the quote asset"
        )
        parser.add_argument(
            "--percent", metavar="PERCENT", help="how far behind it, in percent of the best price"
        )
        parser.add_argument(
            "--atr",
            metavar="MULTIPLE",
            help="how far behind it, in multiples of the current ATR of --timeframe",
        )
        parser.add_argument(
            "--timeframe", metavar="TIMEFRAME", default="1h", help="of the bars for --atr (default 1h)"
        )
        parser.add_argument(
            "--activation",
            metavar="PRICE",
            help="start to follow once the price has reached this (default: at once)",
        )
        parser.add_argument("--step", metavar="PRICE", help="the smallest move (default: one tick)")
        parser.add_argument("--by", metavar="PRICE", default="mark", help="mark or last price (default mark)")

        parser.add_argument(
            "--let-run",
            action="store_true",
            help="trail the take-profit: from --activation on, once the stop loses nothing, the target makes way",
        )

        parser.add_argument(
            "--exchange",
            action="store_true",
            help="by the exchange's own trailing order, beside the stop-loss: --percent alone, 0.1 to 20",
        )

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        since = Baseline.of(trio_get(options["trio"]))
        trio_trail(
            trio_id=options["trio"],
            by=os_operator(),
            distance=number(options["distance"], "distance"),
            percent=number(options["percent"], "percentage"),
            atr=number(options["atr"], "multiple of the ATR"),
            timeframe=options["timeframe"],
            activation=number(options["activation"], "activation price"),
            step=number(options["step"], "smallest move"),
            let_run=options["let_run"],
            by_exchange=options["exchange"],
            watches=PriceKind(word(options["by"], [kind.value for kind in PriceKind], "price to follow")),
        )
        self.warn_if_nobody_acts()
        return self.outcome(options["trio"], options, since=since)
