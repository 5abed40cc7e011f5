"""Data files: those that come with the simulator, and those a person names."""

from __future__ import annotations

import functools
import gzip
import json
from importlib import resources
from pathlib import Path
from typing import Any


@functools.cache
def bundled(name: str) -> bytes:
    """Read one of the gzipped data files that come with the simulator."""
    return gzip.decompress((resources.files("simulator") / "data" / name).read_bytes())


@functools.cache
def bundled_json(name: str) -> Any:
    """The same, parsed once for all simulators of a process: whoever changes anything copies it first."""
    return json.loads(bundled(name))


def read_maybe_gzipped(path: Path) -> bytes:
    """Read a file, gzipped or not. Raises ValueError when it cannot be read."""
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror or error}.") from error
