"""Re-encrypt all credentials, and what else is sealed, under the newest master key."""

from __future__ import annotations

import time
from typing import Any

from accounts.cli import REFUSED, CommandResult, ScriptCommand
from accounts.credentials import rotate

PROGRESS_SECONDS = 1.0


class Command(ScriptCommand):
    help = (
        "Re-encrypt every stored API key, and every URL that notices go to, with the first key of CREDENTIALS_MASTER_KEY. To rotate: put the new"
        " key in front (new,old), restart all processes, run this, then remove the old key and restart again."
        " Safe to repeat: what is already under the first key is left alone."
    )

    def run(self, **options: Any) -> CommandResult:
        reported_at = time.monotonic()

        def progress(done: int, total: int) -> None:
            nonlocal reported_at
            if time.monotonic() - reported_at >= PROGRESS_SECONDS:
                reported_at = time.monotonic()
                self.stderr.write(f"{done} of {total}")

        result = rotate(progress)
        sentence = f"{result.rotated} re-encrypted, {result.already} already under the first key."
        if result.unreadable:
            sentence += (
                f" {len(result.unreadable)} cannot be decrypted with any configured key"
                f" ({', '.join(result.unreadable)}): add the key they were stored under, or replace the credentials (the URL, of a destination of notices)."
            )
        return CommandResult(
            document={
                "rotated": result.rotated,
                "already": result.already,
                "unreadable": list(result.unreadable),
            },
            sentence=sentence,
            exit_code=REFUSED if result.unreadable else 0,
        )
