"""Make a draft with the terms of a trio that was placed."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult, trio_number
from accounts.operators import os_operator
from orders.cli.commands import TrioCommand, trio_get
from orders.cli.document import trio_document, trio_sentence
from orders.services import trio_place_again


class Command(TrioCommand):
    help = (
        "Make a new draft with the terms with which a trio, living or ended, was placed. Nothing is placed: look at the"
        " draft in the admin, then place it there. Example: manage.py place_again 12"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "trio", metavar="ID", type=trio_number, help="the number of the trio whose terms are taken"
        )

    def run(self, **options: Any) -> CommandResult:
        trio_get(options["trio"])
        draft = trio_place_again(trio_id=options["trio"], by=os_operator())
        return CommandResult(trio_document(draft), trio_sentence(draft))
