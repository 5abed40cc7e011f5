"""Close everything at market."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.hold import accounts_release
from accounts.operators import os_operator
from orders.cli.commands import TrioCommand, account_get
from orders.cli.wait import OTHER_END
from orders.domain.errors import TrioRefused
from orders.models import TrioOrder
from orders.panic import living_trios, panic

HELD = "Nothing new is opened there until “manage.py panic --release”."


class Command(TrioCommand):
    help = (
        "Close every open trio at market, on all accounts or on one, and cancel the unfilled part. Asks"
        " first, unless --yes is given. Example: manage.py panic --account desk --yes"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--account", metavar="NAME", help="only this account; all of them when left out")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument(
            "--release",
            action="store_true",
            help="let new trios be opened again where a panic holds them back",
        )

    def run(self, **options: Any) -> CommandResult:
        if options["release"]:
            return self._released(options["account"])
        account = None if options["account"] is None else account_get(options["account"])
        where = "any account" if account is None else f"“{account.name}”"
        key = None if account is None else account.pk
        found = living_trios(key)
        self.refuse_on_a_copy()
        if found and not options["yes"]:
            self._ask(found)
        done = panic(by=os_operator(), account_id=key)
        if not done.closing and not done.left:
            what = "All of them had ended by themselves" if done.ended else f"No trio is open on {where}"
            return CommandResult({"trios": []}, f"{what}: there is nothing to close. {HELD}")
        self.warn_if_nobody_acts()
        if done.left:
            return CommandResult(
                {"trios": [trio.pk for trio in done.closing], "left": [trio.pk for trio in done.left]},
                f"Not requested, because another process holds their rows: trio {_named(done.left)}. Run this again.",
                OTHER_END,
            )
        return CommandResult(
            {"trios": [trio.pk for trio in done.closing]},
            f"Being closed at market now: trio {_named(done.closing)}. {HELD}",
        )

    def _released(self, name: str | None) -> CommandResult:
        self.refuse_on_a_copy()
        released = accounts_release(account_id=None if name is None else account_get(name).pk)
        names = [account.name for account in released]
        return CommandResult(
            {"released": names},
            f"Released: {', '.join(names)}. New trios are accepted again." if names else "Nothing is held.",
        )

    def _ask(self, found: list[TrioOrder]) -> None:
        if not sys.stdin.isatty():
            raise TrioRefused(
                f"{_count(found)} would be closed at market, and there is no terminal to ask on: add --yes."
            )
        for trio in found:
            self.stderr.write(f"{trio} on “{trio.account.name}” is {trio.state}.")
        self.stderr.write(f"Close {_count(found)} at market? Type yes: ", ending="")
        self.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise TrioRefused("Nothing was closed.")


def _count(found: list[TrioOrder]) -> str:
    return "1 trio" if len(found) == 1 else f"{len(found)} trios"


def _named(trios: list[TrioOrder]) -> str:
    return "; ".join(
        f"{trio.pk} ({trio.side} {trio.symbol.symbol} on “{trio.account.name}”)" for trio in trios
    )
