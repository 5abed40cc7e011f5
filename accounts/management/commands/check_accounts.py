"""Test the connection of every account."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import REFUSED, CommandResult, ScriptCommand
from accounts.errors import AccountsError, InvalidAccount
from accounts.models import ExchangeAccount
from accounts.services import account_test


class Command(ScriptCommand):
    help = (
        "Connect to the exchange with every account's key and report, one line each, its permissions, balance,"
        " position mode and clock offset. Exit code 2 when one of them has a problem."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--account", metavar="NAME", help="only this account")

    def run(self, **options: Any) -> CommandResult:
        accounts = ExchangeAccount.objects.order_by("name")
        if name := options["account"]:
            accounts = accounts.filter(name=name)
            if not accounts.exists():
                raise InvalidAccount(f"There is no account named “{name}”.")
        else:
            accounts = accounts.filter(archived_at=None)
        found, lines = [], []
        for account in accounts:
            try:
                check = account_test(account)
            except AccountsError as error:
                line, problems = f"{account.name}: {error.sentence}", [error.sentence]
            else:
                problems = list(check.problems)
                line = " ".join((check.sentence, *check.remarks, *check.problems))
            lines.append(line)
            self.stderr.write(line) if options["json"] else None
            found.append(
                {
                    "account": account.pk,
                    "name": account.name,
                    "environment": account.environment,
                    "position_mode": account.position_mode,
                    "permissions": account.permissions_note,
                    "problems": problems,
                }
            )
        bad = sum(bool(entry["problems"]) for entry in found)
        return CommandResult(
            document={"accounts": found, "problems": bad},
            sentence="\n".join(lines) or "There are no accounts yet: add one with “manage.py add_account”.",
            exit_code=REFUSED if bad else 0,
        )
