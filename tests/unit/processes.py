"""Helpers for stories about processes: start, watch, end by id."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from local_servers.manager import CHECKOUT

DEADLINE_SECONDS = 30.0


def until(what: str, holds: Callable[[], object], *, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait for a condition, with a deadline that names it."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} seconds: {what}"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def bare_environment(**extra: str) -> dict[str, str]:
    """Return an environment without any of our settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "ENV_FILE": "", "PYTHONPATH": str(CHECKOUT), **extra}


def run(*words: str, environment: dict[str, str], cwd: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    """Run our interpreter to its end."""
    return subprocess.run(
        [sys.executable, *words],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
