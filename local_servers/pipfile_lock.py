"""Take the package index out of a fresh ``Pipfile.lock``: each machine has its own."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def without_sources(lock: dict[str, Any]) -> dict[str, Any]:
    """Return the lock with no source and no package tied to one."""
    cleaned = json.loads(json.dumps(lock))
    cleaned["_meta"]["sources"] = []
    for group in ("default", "develop"):
        for package in cleaned.get(group, {}).values():
            package.pop("index", None)
    result: dict[str, Any] = cleaned
    return result


def main(arguments: list[str]) -> int:
    path = Path(arguments[0])
    path.write_text(json.dumps(without_sources(json.loads(path.read_text())), indent=4) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
