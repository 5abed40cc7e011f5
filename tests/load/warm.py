"""A process in which everything is imported: it forks for each command and says how long that took.

What is measured is what a command waits for, not how long Python takes to start on a machine that is busy.
Run as ``python -m tests.load.warm``: a JSON list of words a line in, ``{"ms", "code", "out", "err"}`` a line out.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path


def main() -> None:
    import django

    django.setup()
    from accounts.gateways import prepare

    for name in ("place_trio", "show_trio"):
        import_module(f"orders.management.commands.{name}")
    prepare()
    for line in sys.stdin:
        print(json.dumps(_perform(json.loads(line))), flush=True)


def _perform(words: list[str]) -> dict[str, object]:
    with tempfile.TemporaryDirectory(prefix="command-") as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        began = time.monotonic()
        child = os.fork()
        if not child:
            _be(words, out, err)
        _, status = os.waitpid(child, 0)
        ms = round((time.monotonic() - began) * 1000)
        code = os.waitstatus_to_exitcode(status)
        return {"ms": ms, "code": code, "out": out.read_text(), "err": err.read_text()}


def _be(words: list[str], out: Path, err: Path) -> None:
    """Run one command in this process, and end it."""
    from django.core.management import execute_from_command_line

    for path, descriptor in ((out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    sys.argv = ["manage.py", *words]
    code = 1
    try:
        execute_from_command_line(sys.argv)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
