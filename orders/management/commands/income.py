"""What the exchange booked on an account, by asset and kind, and whether that is what our executions say."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.models import ExchangeAccount
from exchange.rate_limits import Priority, spending
from orders.cli.commands import TrioCommand, account_get
from orders.domain.rounding import plain, signed
from orders.exchange_data.clock import from_ms
from orders.income import IncomeSum, difference_sentences, income_read, income_sums
from orders.models import IncomeReading

NOT_READ = "not read yet: “runworker” reads it soon after it has begun to watch the account."


class Command(TrioCommand):
    help = (
        "Show an account's income by asset and kind, how much of it belongs to trios, and where it differs from our"
        " executions. Assets are never added up. Example: manage.py income --account main --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--account", metavar="NAME", help="only this account")
        parser.add_argument("--read", action="store_true", help="read it now, first")

    def run(self, **options: Any) -> CommandResult:
        name = options["account"]
        accounts = [account_get(name)] if name else list(ExchangeAccount.objects.order_by("name"))
        found, lines = [], []
        for account in accounts:
            if options["read"]:
                with spending(Priority.PAGE):
                    income_read(account)
            reading = IncomeReading.objects.filter(account=account).first()
            sums = income_sums(account.pk, since=reading.since_ts, until=reading.read_ts) if reading else []
            found.append(_document(account, reading, sums))
            lines += _lines(account, reading, sums)
        return CommandResult({"accounts": found}, "\n".join(lines) or "There are no accounts yet.")


def _document(
    account: ExchangeAccount, reading: IncomeReading | None, sums: list[IncomeSum]
) -> dict[str, Any]:
    return {
        "account": account.name,
        "since": None if reading is None else from_ms(reading.since_ts).isoformat(timespec="milliseconds"),
        "read": None if reading is None else from_ms(reading.read_ts).isoformat(timespec="milliseconds"),
        "income": [
            {
                "asset": part.asset,
                "kind": part.kind,
                "lines": part.lines,
                "total": plain(part.total),
                "of_trios": plain(part.of_trios),
                "of_account": plain(part.of_account),
            }
            for part in sums
        ],
        "differences": {} if reading is None else reading.differences,
    }


def _lines(account: ExchangeAccount, reading: IncomeReading | None, sums: list[IncomeSum]) -> list[str]:
    if reading is None:
        return [f"“{account.name}”: {NOT_READ}"]
    equality = " ".join(difference_sentences(reading)) or "equal to our executions."
    return [
        f"“{account.name}”, from {from_ms(reading.since_ts):%Y-%m-%d %H:%M} to {from_ms(reading.read_ts):%Y-%m-%d %H:%M} UTC:"
        f" {equality}",
        *(
            f"  {part.kind} {signed(part.total)} {part.asset} ({part.lines} lines; of trios {signed(part.of_trios)},"
            f" of no trio {signed(part.of_account)})"
            for part in sums
        ),
    ]
