"""Close everything at market."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.hold import accounts_hold, accounts_release
from accounts.operators import os_operator
from orders.cli.commands import TrioCommand, account_get
from orders.domain.errors import IllegalTransition, TrioRefused
from orders.models import TrioOrder
from orders.selectors import LIVING_STATES
from orders.services import reversals_drop, trio_panic


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
        living = TrioOrder.objects.filter(state__in=LIVING_STATES).order_by("pk")
        where = "any account"
        if options["account"] is not None:
            account = account_get(options["account"])
            living, where = living.filter(account=account), f"“{account.name}”"
        found = list(living.select_related("account", "symbol"))
        if not found:
            reversals_drop(by=os_operator(), account_id=None if options["account"] is None else account.pk)
            return CommandResult({"trios": []}, f"No trio is open on {where}: there is nothing to close.")
        self.refuse_on_a_copy()
        if not options["yes"]:
            self._ask(found)
        key = None if options["account"] is None else account.pk
        accounts_hold(by=os_operator(), account_id=key)  # before anything new begins
        reversals_drop(by=os_operator(), account_id=key)
        closed = [trio for trio in found if _panicked(trio)]
        self.warn_if_nobody_acts()
        closing = "; ".join(
            f"{trio.pk} ({trio.side} {trio.symbol.symbol} on “{trio.account.name}”)" for trio in closed
        )
        return CommandResult(
            {"trios": [trio.pk for trio in closed]},
            f"Being closed at market now: trio {closing}."
            if closed
            else "All of them had ended by themselves.",
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


def _panicked(trio: TrioOrder) -> bool:
    try:
        trio_panic(trio_id=trio.pk, by=os_operator())
    except IllegalTransition:  # it ended meanwhile
        return False
    return True
