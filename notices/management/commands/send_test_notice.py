"""Send a test message to where people are told."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from accounts.cli import REFUSED, CommandResult, ScriptCommand
from notices.errors import NoticesError
from notices.models import Destination
from notices.services import destination_test, tested


class Command(ScriptCommand):
    refusals = (NoticesError,)
    help = (
        "Send a test message to a person's destinations and say what came of it, one line each. Exit code 2 when one of them"
        " was not taken. Example: manage.py send_test_notice anna --destination phone"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("user", metavar="USER", help="the name by which the person signs in")
        parser.add_argument("--destination", metavar="NAME", help="only this one")

    def run(self, **options: Any) -> CommandResult:
        rows = Destination.objects.filter(recipient__user__username=options["user"], is_active=True)
        if options["destination"]:
            rows = rows.filter(name=options["destination"])
        destinations = list(rows)
        if not destinations:
            raise NoticesError(
                f"“{options['user']}” has no such active destination: the admin lists them under “Destinations”."
            )
        found, lines = [], []
        for destination in destinations:
            failure = destination_test(destination)
            lines.append(tested(destination, failure))
            found.append(
                {
                    "destination": destination.name,
                    "service": destination.scheme,
                    "sent": failure is None,
                    "failure": failure.kind.value if failure else None,
                    "facts": dict(failure.facts) if failure else {},
                }
            )
        failed = any(not row["sent"] for row in found)
        return CommandResult({"destinations": found}, "\n".join(lines), REFUSED if failed else 0)
