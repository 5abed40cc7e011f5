"""Start one of our long-running processes in this one's place: ``python -m local_servers.serve NAME``.

It reads ports from the settings, dies with its parent (a killed supervisor leaves nothing behind),
leaves a pid file under ``.run/pids`` and then execs. ``supervisord.conf`` starts everything this way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from local_servers import manager, pidfiles

NOT_WANTED: Final = 3  # supervisord.conf does not restart what ends with this
DIES_WITH_SHELL: Final = "This ends with the shell that started it. To keep it up see “Processes” in docs/how-to/run-in-production.md.\n"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class NotWantedHere(Exception):
    """This process has nothing to do in this installation; the message says why."""


def web() -> list[str]:
    from django.conf import settings

    return [
        sys.executable,
        *("-m", "gunicorn", "backoffice.wsgi:application"),
        *("--bind", f"127.0.0.1:{settings.WEB_PORT}"),
        *("--workers", os.environ.get("WEB_CONCURRENCY", "1"), "--threads", "8"),
        "--no-control-socket",  # it would be put under the home folder
        *("--graceful-timeout", "5", "--log-level", "warning", "--worker-tmp-dir", _memory_folder()),
    ]


def rqworker() -> list[str]:
    words = ["manage.py", "rqworker", "orders", "default", "--worker-class", "worker.rq_worker.DjangoWorker"]
    return [sys.executable, *words, "--verbosity", "0"]


def runworker() -> list[str]:
    return [sys.executable, "manage.py", "runworker"]


def simulator() -> list[str]:
    from django.conf import settings

    where = urlsplit(settings.BINANCE_URLS["PAPER"].rest)
    if where.hostname not in LOOPBACK or where.scheme != "http":
        raise NotWantedHere(
            f"BINANCE_PAPER_REST_URL points to {where.hostname}, so no simulator is started here."
        )
    state = manager.run_dir() / "simulator"
    return [sys.executable, "-m", "simulator", "--port", str(where.port or 80), "--state", str(state)]


def supervisord() -> list[str]:
    from django.conf import settings

    sys.stderr.write(
        f"Web: http://127.0.0.1:{settings.WEB_PORT}/admin/   Logs: .run/logs   Ctrl-C stops all.\n"
    )
    return [sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf"]


COMMANDS: Final[dict[str, Callable[[], list[str]]]] = {
    "web": web,
    "rqworker": rqworker,
    "runworker": runworker,
    "simulator": simulator,
    "supervisord": supervisord,
}


def main(arguments: list[str]) -> int:
    """Exec the named process. A second word tells several of a kind apart, as in ``rqworker 1``."""
    if not 1 <= len(arguments) <= 2 or arguments[0] not in COMMANDS:
        sys.stderr.write(f"Usage: python -m local_servers.serve {' | '.join(COMMANDS)} [NUMBER]\n")
        return 2
    os.chdir(manager.CHECKOUT)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backoffice.settings")
    try:
        from django.conf import settings

        _ = settings.DEBUG
        command = COMMANDS[arguments[0]]()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except NotWantedHere as reason:
        sys.stderr.write(f"{reason}\n")
        return NOT_WANTED
    if arguments[0] == "supervisord":
        manager.run_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        pidfiles.die_with_parent()
        if sys.stderr.isatty():
            sys.stderr.write(DIES_WITH_SHELL)
    pidfiles.write_pid_file("-".join(arguments))
    bare = arguments[0] == "simulator"  # it trades with nobody's keys but its own
    environment = manager.bare_environment() if bare else dict(os.environ)
    return os.execve(command[0], command, environment)  # noqa: S606 - our own interpreter, arguments from above


def _memory_folder() -> str:
    """Return where gunicorn's workers show signs of life; on a slow disk they would look dead."""
    shared = Path("/dev/shm")  # noqa: S108 - gunicorn makes an unlinked file there
    return str(shared) if os.access(shared, os.W_OK) else str(manager.run_dir())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
