"""Processes that belong together: dying with the parent, and knowing again what we started.

A pid file holds the pid and the process's start time, so a number that now belongs to somebody else
is never mistaken for ours. Only the standard library is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local_servers import manager

PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True, slots=True)
class Recorded:
    """A process that one of our pid files names. ``started`` is in clock ticks since the machine's start."""

    name: str
    pid: int
    started: int
    path: Path

    @property
    def is_alive(self) -> bool:
        """Tell whether exactly this process still runs. A zombie counts as dead."""
        return self.started > 0 and start_time(self.pid) == self.started


def die_with_parent(how: signal.Signals = signal.SIGTERM) -> None:
    """Ask the kernel to send us this signal when our parent ends, however it ends. Survives exec.

    To be called in the main thread of a process whose parent started it from its main thread. Where the
    kernel has no such thing, nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(how))
    if os.getppid() != parent:  # it ended just before we asked
        os.kill(os.getpid(), how)


def pids_dir() -> Path:
    """Return the folder of the pid files, made if need be."""
    folder = manager.run_dir() / "pids"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def start_time(pid: int) -> int:
    """Return when a live process started (ticks since the machine's start); 0 for none or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()  # the name before it may hold blanks and brackets
    return 0 if fields[0] in "ZX" else int(fields[19])


def write_pid_file(name: str) -> Path:
    """Record this process under a name. It stays readable as ours after an exec."""
    path = pids_dir() / f"{name}.json"
    temporary = path.with_suffix(f".{os.getpid()}.new")
    temporary.write_text(json.dumps({"pid": os.getpid(), "started": start_time(os.getpid())}))
    temporary.replace(path)
    return path


@contextlib.contextmanager
def pid_file(name: str) -> Iterator[Path]:
    """Record this process for as long as the block runs."""
    path = write_pid_file(name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def recorded() -> list[Recorded]:
    """Return what the pid files name, dead or alive. A broken file counts as dead."""
    found = []
    for path in sorted(pids_dir().glob("*.json")):
        try:
            content = json.loads(path.read_text())
            found.append(Recorded(path.stem, int(content["pid"]), int(content["started"]), path))
        except (OSError, ValueError, KeyError, TypeError):
            found.append(Recorded(path.stem, 0, 0, path))
    return found


def end(process: Recorded, *, seconds: float = 10.0) -> None:
    """End one process politely, after that many seconds for certain, and drop its pid file."""
    for how, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        if not process.is_alive:
            break
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, how)
        deadline = time.monotonic() + patience
        while process.is_alive and time.monotonic() < deadline:
            time.sleep(0.02)
    process.path.unlink(missing_ok=True)
