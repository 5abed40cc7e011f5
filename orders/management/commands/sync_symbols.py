"""Bring the exchange's trading rules up to date."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import REFUSED, CommandResult, ScriptCommand
from accounts.errors import AccountsError
from accounts.models import Environment, ExchangeAccount
from orders.exchange_data.symbol_sync import symbols_sync


class Command(ScriptCommand):
    help = (
        "Read every symbol with its filters from the exchange and bring our table up to date. Without"
        " --environment: every environment that has an account, or PAPER when there is none."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--environment", metavar="E", help="PAPER, TESTNET or LIVE")

    def run(self, **options: Any) -> CommandResult:
        if options["environment"]:
            environments = [options["environment"]]
        else:
            known = ExchangeAccount.objects.order_by().values_list("environment", flat=True).distinct()
            environments = sorted(known) or [Environment.PAPER.value]
        found: list[dict[str, Any]] = []
        lines = []
        refused = 0
        for environment in environments:
            self.stderr.write(f"Reading the symbols of {environment} …")
            try:
                result = symbols_sync(environment)
            except AccountsError as error:
                if len(environments) == 1:
                    raise
                # One that does not answer is no reason to leave the others stale.
                refused += 1
                found.append({"environment": environment, "error": error.sentence})
                lines.append(f"{environment}: {error.sentence}")
            else:
                found.append(result.as_json())
                lines.append(result.sentence)
        return CommandResult(
            document={"environments": found},
            sentence="\n".join(lines),
            exit_code=REFUSED if refused else 0,
        )
