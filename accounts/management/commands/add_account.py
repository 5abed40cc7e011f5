"""Add an exchange account."""

from __future__ import annotations

import getpass
import os
import sys
from argparse import ArgumentParser
from decimal import Decimal, InvalidOperation
from typing import Any

from accounts.cli import CommandResult, ScriptCommand
from accounts.errors import InvalidAccount
from accounts.services import account_add
from exchange.secret import Secret
from exchange.types import PositionMode


class Command(ScriptCommand):
    help = (
        "Check an account with its exchange and store it, its key encrypted. The API secret comes from the"
        " variable ACCOUNT_SECRET or from standard input, never from the command line. Keys that may withdraw"
        " are refused. Example: ACCOUNT_SECRET=… manage.py add_account desk --environment TESTNET --api-key …"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME", help="what the account is called here")
        parser.add_argument("--environment", required=True, help="PAPER, TESTNET or LIVE")
        parser.add_argument(
            "--api-key", required=True, metavar="K", help="the API key; the secret is never an option"
        )
        parser.add_argument("--balance", metavar="USDT", help="PAPER: the balance of a new account")
        parser.add_argument(
            "--position-mode", metavar="MODE", help="PAPER: ONE_WAY or HEDGE for a new account"
        )

    def run(self, **options: Any) -> CommandResult:
        account = account_add(
            name=options["name"],
            environment=options["environment"],
            api_key=Secret(options["api_key"]),
            api_secret=_secret(),
            balance=_balance(options["balance"]),
            position_mode=_position_mode(options["position_mode"]),
        )
        return CommandResult(
            document={
                "account": account.pk,
                "name": account.name,
                "environment": account.environment,
                "position_mode": account.position_mode,
                "permissions": account.permissions_note,
            },
            sentence=(
                f"Account {account.pk}, “{account.name}”, {account.environment},"
                f" {account.get_position_mode_display().lower()} mode, is added."
                f" Permissions: {account.permissions_note}. Key fingerprint: {account.key_fingerprint}."
                + (
                    ""
                    if account.can_trade
                    else " The exchange does not let it trade: trios on it are refused."
                )
            ),
        )


def _secret() -> Secret:
    secret = os.environ.get("ACCOUNT_SECRET", "")
    if not secret.strip():
        secret = getpass.getpass("API secret: ") if sys.stdin.isatty() else sys.stdin.readline()
    if not secret.strip():
        raise InvalidAccount(
            "The API secret is missing: set the variable ACCOUNT_SECRET, or pass it on standard input."
        )
    return Secret(secret)


def _balance(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        balance = Decimal(text)
    except InvalidOperation:
        balance = Decimal("NaN")
    if not balance.is_finite() or balance < 0:
        raise InvalidAccount(f"“{text}” is not a valid balance: write a number such as 10000.")
    return balance


def _position_mode(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return PositionMode(text.upper()).value
    except ValueError:
        raise InvalidAccount(f"“{text}” is not a position mode: choose ONE_WAY or HEDGE.") from None
