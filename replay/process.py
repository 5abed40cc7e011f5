"""The process in which a replay runs, on servers of its own: no row, queue or budget of the real ones is touched.

What is replayed comes as JSON on standard input; what came of it leaves as JSON on standard output.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

CHECKOUT: Final = Path(__file__).resolve().parent.parent


class ReplayFailed(RuntimeError):
    """The replay did not come to its end; the text says why, in its process' own words."""


def replayed(asked: Mapping[str, Any], *, strategies: Mapping[str, str]) -> dict[str, Any]:
    """Run a replay in a process of its own; return its report. Raises ReplayFailed."""
    folder = Path(tempfile.mkdtemp(prefix="replay-"))
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "replay.process"],
            cwd=CHECKOUT,
            env=_environment(folder, strategies),
            input=json.dumps(asked),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    try:
        found: dict[str, Any] = json.loads(ran.stdout)
    except ValueError:
        raise ReplayFailed(
            f"The replay's process ended with code {ran.returncode}, without a report."
        ) from None
    if "error" in found:
        raise ReplayFailed(str(found["error"]))
    return found


def _environment(folder: Path, strategies: Mapping[str, str]) -> dict[str, str]:
    """Return an environment with servers and keys of its own, and none of the real ones."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | {
        "TRIO_RUN_DIR": str(folder),
        "ENV_FILE": "",
        "DEBUG": "true",  # servers from packages; taken back when Django is set up
        "SECRET_KEY": secrets.token_urlsafe(50),
        "CREDENTIALS_MASTER_KEY": secrets.token_urlsafe(50),
        "DJANGO_SETTINGS_MODULE": "backoffice.settings",
        "STRATEGIES": ",".join(f"{name}={path}" for name, path in strategies.items()),
        "DRY_RUN_MODE": "false",
    }


def main() -> None:
    asked = json.load(sys.stdin)
    try:
        found = _run(asked)
    except Exception as error:  # whoever started us shows it
        found = {"error": f"{type(error).__name__}: {error}"}
        if asked.get("traceback"):
            raise
    json.dump(found, sys.stdout)


def _run(asked: Mapping[str, Any]) -> dict[str, Any]:
    import django
    from django.conf import settings

    django.setup()
    settings.DEBUG = False
    settings.KEEP_TO_LIMITS = False  # there is nobody to share with
    from django.core.management import call_command

    from infrastructure.connections import statements_unlogged
    from local_servers import manager
    from replay.engine import Plan, Replay
    from replay.recordings import recording

    statements_unlogged()
    call_command("migrate", verbosity=0)
    recordings = []
    for each in asked["recordings"]:
        made = recording(each["symbol"], Path(each["path"]) if each.get("path") else None)
        made = made.between(each.get("first"), each.get("last"))
        recordings.append(made.first(each["bars"]) if each.get("bars") else made)
    plan = Plan(
        asked["strategy"],
        asked["parameters"],
        tuple(recordings),
        Decimal(asked["balance"]),
        asked.get("terms", {}),
        asked.get("warmup", 0),
    )
    try:
        return Replay(plan, say=lambda line: print(line, file=sys.stderr, flush=True)).run()  # noqa: T201
    finally:
        from django.db import connections

        connections.close_all()
        manager.stop()


if __name__ == "__main__":
    main()
