"""Leave a trio unprotected for a stated time, or protect it again."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult, trio_number, whole
from accounts.operators import os_operator
from orders.cli.commands import TrioCommand, trio_get
from orders.cli.document import trio_document
from orders.domain.errors import TrioRefused
from orders.services import trio_leave_unprotected, trio_protect_again, unprotected_sentence


class Command(TrioCommand):
    help = (
        "Have a stop-loss that you cancel in the exchange's app not placed again, for a stated time of at most a day. Nothing"
        " is cancelled by this. The trio is shown as unprotected all the while, and protected again the moment that time is"
        " over, or with --end at once."
        " Example: manage.py leave_unprotected 12 --minutes 30 --confirm 'unprotected 12'"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("trio", metavar="ID", type=trio_number, help="the trio's number")
        parser.add_argument(
            "--minutes",
            metavar="N",
            type=whole("number of minutes", most=1440),
            help="for how long, at most 1440",
        )
        parser.add_argument("--confirm", metavar="TEXT", default="", help="“unprotected ID”, to confirm")
        parser.add_argument("--end", action="store_true", help="protect it again at once")

    def run(self, **options: Any) -> CommandResult:
        self.refuse_on_a_copy()
        trio_get(options["trio"])
        if options["end"]:
            trio_protect_again(trio_id=options["trio"], by=os_operator())
        elif options["minutes"] is None:
            raise TrioRefused("Say for how long, with --minutes. It stays protected.")
        else:
            trio_leave_unprotected(
                trio_id=options["trio"],
                minutes=options["minutes"],
                typed=options["confirm"],
                by=os_operator(),
            )
        self.warn_if_nobody_acts()
        trio = trio_get(options["trio"])
        ended = f"Trio {trio.pk} is protected again."
        return CommandResult(
            trio_document(trio), ended if options["end"] else f"Trio {trio.pk}: {unprotected_sentence(trio)}"
        )
