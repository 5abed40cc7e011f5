"""What a killed run left behind, ended by pid: only processes that demonstrably are this checkout's.

``python -m local_servers.leftovers`` lists them, with ``--end`` it ends them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from local_servers import manager, pidfiles

FIRST = "supervisord"  # it would start the others again


def find() -> list[pidfiles.Recorded]:
    """Return the live processes of an earlier run, the supervisor first; dead ones' files are dropped."""
    found = []
    for process in pidfiles.recorded():
        if process.is_alive and process.pid != os.getpid() and _is_ours(process.pid):
            found.append(process)
        elif not process.is_alive:
            process.path.unlink(missing_ok=True)
    return sorted(found, key=lambda process: (process.name != FIRST, process.name))


def supervisor() -> pidfiles.Recorded | None:
    """Return the supervisor of this checkout that is running now, if one is."""
    return next((process for process in find() if process.name == FIRST), None)


def end_all() -> list[str]:
    """End what an earlier run left and return the names. The local servers look after themselves."""
    ended = []
    # Twice: a supervisor on its way out may still have started a child.
    for _ in range(2):
        for process in find():
            pidfiles.end(process, seconds=20.0 if process.name == FIRST else 10.0)
            ended.append(f"{process.name} ({process.pid})")
    for name in ("supervisor.sock", "supervisord.pid"):
        if supervisor() is None:
            (manager.run_dir() / name).unlink(missing_ok=True)
    return ended


def _is_ours(pid: int) -> bool:
    """Pid and start time already match our file; the working folder or command line must be ours as well."""
    folder = Path(f"/proc/{pid}")
    try:
        if (folder / "cwd").resolve() == manager.CHECKOUT:
            return True
        return os.fsencode(manager.CHECKOUT) in (folder / "cmdline").read_bytes()
    except OSError:
        return False


def main(arguments: list[str]) -> int:
    if arguments == ["--end"]:
        names = end_all()
        sys.stdout.write(f"ended: {', '.join(names) or 'nothing was left over'}\n")
        return 0
    if arguments:
        sys.stderr.write("Usage: python -m local_servers.leftovers [--end]\n")
        return 2
    for process in find():
        sys.stdout.write(f"{process.name} (pid {process.pid})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
