"""Choose what is done when somebody acts on the exchange beside us, for an account or one trio; or show it."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import CommandResult, trio_number
from accounts.operators import os_operator
from orders.cli.commands import TrioCommand, account_get, trio_get, word
from orders.cli.document import drift_document
from orders.domain.drift import ALLOWED, DRIFTS_WITH_CHOICE
from orders.domain.errors import TrioRefused
from orders.services import drift_choose

AS_BEFORE = "DEFAULT"


class Command(TrioCommand):
    help = (
        "Choose what is done when a person cancels our stop, changes the position or a setting, or places orders of their"
        " own beside a trio: for an account, or with --trio for one trio alone. Without a choice it shows what holds."
        f" {AS_BEFORE} takes a choice back. No response leaves a position without a stop-loss."
        " Example: manage.py drift_policy desk --stop-cancelled CLOSE --increased ADOPT"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "account", metavar="ACCOUNT", nargs="?", help="the account's name, as given to add_account"
        )
        parser.add_argument(
            "--trio", metavar="ID", type=trio_number, help="for this trio alone, not its account"
        )
        for drift in DRIFTS_WITH_CHOICE:
            says = "; ".join(f"{allowed.response}: {allowed.happens}" for allowed in ALLOWED[drift])
            parser.add_argument(
                f"--{drift.field.replace('_', '-')}",
                metavar="RESPONSE",
                help=f"when {drift.words}. {says}".replace("%", "%%"),
            )

    def run(self, **options: Any) -> CommandResult:
        if (options["trio"] is None) is (options["account"] is None):
            raise TrioRefused("Name an account, or a trio with --trio, and not both.")
        trio = None if options["trio"] is None else trio_get(options["trio"])
        account = account_get(options["account"]) if trio is None else trio.account
        chosen: dict[str, str] = {}
        for drift in DRIFTS_WITH_CHOICE:
            if options[drift.field] is not None:
                said = word(
                    options[drift.field], [*drift.responses, AS_BEFORE], f"response when {drift.words}"
                )
                chosen[drift.field] = "" if said == AS_BEFORE else said
        if chosen:
            self.refuse_on_a_copy()
            drift_choose(account=account, trio_id=options["trio"], chosen=chosen, by=os_operator())
        document = drift_document(account, trio)
        whose = f"“{account.name}”" if trio is None else f"Trio {trio.pk}"
        lines = [
            f"  {drift.words}: {document['holds'][drift.field]}"
            f"{'' if drift.field in document['chosen'] else ' (not chosen here)'}"
            for drift in DRIFTS_WITH_CHOICE
        ]
        return CommandResult(document, "\n".join([f"{whose}: when somebody else acts and", *lines]))
