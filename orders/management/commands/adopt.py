"""Adopt a position that was opened elsewhere."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult
from accounts.operators import os_operator
from exchange.types import PositionSide
from infrastructure import job_queue
from orders.cli.commands import QUEUE_SILENT, TrioCommand, account_get, add_wait, number, word
from orders.cli.document import found_document
from orders.cli.wait import FROM_THE_START
from orders.domain.adoption import Level, level_read
from orders.domain.enums import Role
from orders.domain.errors import TrioRefused
from orders.services import ForeignOrders, position_adopt, position_find, symbol_get


class Command(TrioCommand):
    help = (
        "Make a trio of a position opened elsewhere, such as in the exchange's app: its entry is the position, and a"
        " stop-loss and a take-profit go out at once. --show only says what is there. Somebody else's orders beside it are"
        " left, or with --foreign cancel cancelled by their ids once ours stand."
        " Example: manage.py adopt desk XRPUSDT --stop 2% --target 5% --wait 10"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        add = parser.add_argument
        add("account", metavar="ACCOUNT", help="the account's name, as given to add_account")
        add("symbol", metavar="SYMBOL", help="for example XRPUSDT")
        add("--position-side", metavar="SIDE", help="LONG or SHORT in hedge mode, where both are held")
        add(
            "--stop", metavar="LEVEL", help="the stop-loss: a percentage of the entry price (2%%), or a price"
        )
        add("--target", metavar="LEVEL", help="the take-profit: a percentage of the entry price, or a price")
        add("--quantity", metavar="Q", help="adopt it only if the position is of this size")
        add(
            "--foreign",
            metavar="WHAT",
            help="LEAVE somebody else's orders (as when left out), or CANCEL them",
        )
        add(
            "--order",
            metavar="ID",
            action="append",
            help="with --foreign cancel: this order alone; may be repeated",
        )
        add("--show", action="store_true", help="say what is there, and adopt nothing")
        add_wait(parser)

    def run(self, **options: Any) -> CommandResult:
        account = account_get(options["account"])
        symbol = symbol_get(account.environment, options["symbol"])
        side = word(options["position_side"], list(PositionSide), "position side")
        if options["show"]:
            found = position_find(account=account, symbol=symbol, position_side=side)
            return CommandResult(found_document(found), found.sentence)
        foreign = ForeignOrders(word(options["foreign"], list(ForeignOrders), "choice") or "LEAVE")
        if options["order"] and foreign is ForeignOrders.LEAVE:
            raise TrioRefused("--order names what is to be cancelled: add --foreign cancel, or leave it out.")
        self.refuse_on_a_copy()
        trio = position_adopt(
            account=account,
            symbol=symbol,
            position_side=side,
            stop=_level(options["stop"], Role.STOP_LOSS),
            target=_level(options["target"], Role.TAKE_PROFIT),
            foreign=foreign,
            quantity=number(options["quantity"], "quantity"),
            named=options["order"],
            by=os_operator(),
        )
        if not job_queue.answering():
            self.stderr.write(QUEUE_SILENT)
        return self.outcome(trio.pk, options, since=FROM_THE_START)


def _level(text: str | None, role: Role) -> Level:
    if text is None:
        option = "--stop" if role is Role.STOP_LOSS else "--target"
        raise TrioRefused(f"Say where the {role.words} is to be: {option} 2%, or {option} with a price.")
    return level_read(text, role)
