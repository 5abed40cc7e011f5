"""Verify that the journal is whole: nothing changed, missing, put in or put elsewhere."""

from __future__ import annotations

import re
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any, Final

from accounts.cli import CommandResult
from orders.cli.commands import TrioCommand
from orders.journal.verify import BREAKS_LISTED_MAX, Verdict, journal_verify

EVERY_SECONDS: Final = 2.0


class Command(TrioCommand):
    help = (
        "Walk every trio's journal and every anchor, and say whether a row was changed, removed, put in or put "
        "elsewhere: which trio, which row. Exit code 0 when all is whole, 1 when not. Write the newest anchor's "
        "hash down elsewhere now and then, and give it with --anchor later: then not even somebody who may do "
        "everything in the database can have rewritten what came before it. Example: manage.py verify_journal"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--anchor",
            metavar="HASH",
            type=_hash,
            help="an anchor's hash that was written down elsewhere; it must still be there",
        )

    def run(self, **options: Any) -> CommandResult:
        self._reported_at = time.monotonic()
        verdict = journal_verify(noted=options["anchor"] or "", progress=self._progress)
        return CommandResult(_document(verdict), _sentence(verdict), 1 if verdict.broken else 0)

    def _progress(self, trios: int, rows: int) -> None:
        if time.monotonic() - self._reported_at >= EVERY_SECONDS:
            self._reported_at = time.monotonic()
            self.stderr.write(f"{trios:,} trios, {rows:,} rows so far")


def _hash(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text.strip().lower()):
        raise ArgumentTypeError(f"“{text}” is not an anchor's hash: that has 64 hex digits")
    return text.strip().lower()


def _document(verdict: Verdict) -> dict[str, Any]:
    newest = verdict.newest
    return {
        "whole": not verdict.broken,
        "trios": verdict.trios,
        "rows": verdict.rows,
        "anchors": verdict.anchors,
        "newest_anchor": newest and {"minute": newest.minute.isoformat(), "hash": newest.hash},
        "broken": verdict.broken,
        "breaks": [
            {"trio": b.trio or None, "row": b.row or None, "what": b.sentence} for b in verdict.breaks
        ],
    }


def _sentence(verdict: Verdict) -> str:
    counts = ((verdict.rows, "row"), (verdict.trios, "trio"), (verdict.anchors, "anchor"))
    rows, trios, anchors = (f"{count:,} {word}{'' if count == 1 else 's'}" for count, word in counts)
    walked = f"{rows} of {trios}, {anchors}"
    if verdict.broken:
        more = verdict.broken - BREAKS_LISTED_MAX
        return "\n".join(
            [
                f"The journal is broken in {verdict.broken:,} places ({walked}):"
                if verdict.broken > 1
                else f"The journal is broken ({walked}):",
                *[found.sentence for found in verdict.breaks],
                *([f"… and {more:,} more."] if more > 0 else []),
            ]
        )
    newest = verdict.newest
    if newest is None:
        return f"The journal is whole: {walked}."
    return f"The journal is whole: {walked}; the newest, of {newest.minute:%Y-%m-%d %H:%M} UTC, is {newest.hash}."
