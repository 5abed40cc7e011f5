"""List what people were told, newest first."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from accounts.cli import CommandResult, ScriptCommand, whole
from notices.errors import NoticesError
from notices.models import Notice
from notices.selectors import notices_listed

LIMIT = 50
LIMIT_MAX = 10_000


class Command(ScriptCommand):
    refusals = (NoticesError,)
    help = (
        "List what people were told, newest first, and what came of each delivery."
        " Example: manage.py list_notices --user anna --waiting --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--user", metavar="NAME", help="only what this person was told")
        parser.add_argument(
            "--waiting", action="store_true", help="only what matters and nobody has acknowledged"
        )
        parser.add_argument(
            "--limit",
            metavar="N",
            type=whole("limit", most=LIMIT_MAX),
            default=LIMIT,
            help=f"at most so many; {LIMIT} unless said",
        )

    def run(self, **options: Any) -> CommandResult:
        limit = options["limit"]
        rows = notices_listed()
        if options["user"]:
            rows = rows.filter(recipient__user__username=options["user"])
        if options["waiting"]:
            rows = rows.filter(severity="URGENT", acknowledged_at=None, over_at=None)
        found = list(rows[: limit + 1])
        notices, more = found[:limit], len(found) > limit
        lines = [
            f"{notice.pk}  {notice.made_at:%Y-%m-%d %H:%M:%S}  {notice.recipient.user}: {notice.sentence}"
            for notice in notices
        ]
        if more:
            lines.append(f"There are more: these are the newest {limit} (--limit).")
        document = {"notices": [_row(notice) for notice in notices], "more": more}
        return CommandResult(document, "\n".join(lines) or "Nobody was told anything.")


def _row(notice: Notice) -> dict[str, Any]:
    return {
        "notice": notice.pk,
        "user": notice.recipient.user.get_username(),
        "kind": notice.kind,
        "severity": notice.severity,
        "sentence": notice.sentence,
        "facts": notice.facts,
        "made_at": _time(notice.made_at),
        "due_at": _time(notice.due_at),
        "acknowledged_at": _time(notice.acknowledged_at),
        "acknowledged_by": notice.acknowledged_by or None,
        "over_at": _time(notice.over_at),
        "escalated_from": notice.escalated_from_id,
        "deliveries": [
            {
                "destination": row.destination.name,
                "service": row.destination.scheme,
                "state": row.state,
                "attempts": row.attempts,
                "failure": row.failure or None,
                "ended_at": _time(row.ended_at),
            }
            for row in notice.deliveries.all()
        ],
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
