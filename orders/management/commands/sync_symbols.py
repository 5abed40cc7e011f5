"""Bring the exchange's trading rules up to date."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.management.script import Answer, ScriptCommand
from accounts.models import Environment, ExchangeAccount
from orders.symbols import symbols_sync


class Command(ScriptCommand):
    help = (
        "Read every symbol with its filters from the exchange and bring our table up to date. Without"
        " --environment: every environment that has an account, or PAPER when there is none."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--environment", metavar="E", help="PAPER, TESTNET or LIVE")

    def answer(self, **options: Any) -> Answer:
        if options["environment"]:
            environments = [options["environment"]]
        else:
            known = ExchangeAccount.objects.order_by().values_list("environment", flat=True).distinct()
            environments = sorted(known) or [Environment.PAPER.value]
        results = []
        for environment in environments:
            self.stderr.write(f"Reading the symbols of {environment} …")
            results.append(symbols_sync(environment))
        return Answer(
            document={"environments": [result.as_json() for result in results]},
            sentence="\n".join(result.sentence for result in results),
        )
