"""Taking a guard away in a copy of the tree, and seeing which tests notice.

Each lane has a copy of its own; they share servers of their own, apart from those of the checkout.
"""

from __future__ import annotations

import enum
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.guards.guard import Guard

CHECKOUT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 120.0
OF_THE_CALLER = ("DATABASE_URL", "POSTGRES_DSN", "REDIS_URL", "PYTEST_ADDOPTS", "PYTEST_CURRENT_TEST", "WALK")
BY_ASSERTION = ("AssertionError", "Failed")  # a wrong outcome, or an exception that did not come


class Finding(enum.StrEnum):
    CAUGHT = "caught"
    SURVIVES = "SURVIVES"
    BROKEN = "BROKEN"  # says nothing: the text moved, the test fails anyway, or for another reason


@dataclass(frozen=True, slots=True)
class Ending:
    """How one case of a test ended: ``kind`` is the exception's name, empty when it passed."""

    phase: str
    kind: str = ""
    text: str = ""

    @property
    def passed(self) -> bool:
        return self.phase == "call" and not self.kind

    @property
    def words(self) -> str:
        return "passed" if self.passed else f"{self.kind}: {self.text}".strip()


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of one removal."""

    guard: Guard
    finding: Finding
    words: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.finding:8s} {self.seconds:5.1f} s  {self.guard.name}: {self.words}"


class Copy:
    """One copy of the working tree, in which guards are taken away and put back."""

    def __init__(self, root: Path, run: Path) -> None:
        self.root = root
        self._run = run
        self._new_database = True

    def take(self, files: Iterable[str]) -> None:
        """Copy these files of the checkout, with its environment."""
        for name in files:
            target = self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, target)
        (self.root / ".venv").symlink_to(Path(sys.prefix))

    @contextmanager
    def without(self, guard: Guard) -> Iterator[None]:
        """Take a guard away for as long as this lasts."""
        before = {name: (self.root / name).read_text() for name in guard.files}
        self._new_database |= guard.in_migrations
        try:
            for name, text in guard.without(self.root).items():
                self._write(name, text)
            yield
        finally:
            for name, text in before.items():
                self._write(name, text)
            self._new_database |= guard.in_migrations

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.write_text(text)
        Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)

    def endings(self, tests: Iterable[str], *, seconds: float = SECONDS_MAX) -> dict[str, list[Ending]]:
        """Run tests; return how their cases ended, by the test's name without parameters and with.

        Nothing, when they take longer than ``seconds``.
        """
        tests = list(tests)
        witness = self.root.parent / f"{self.root.name}.witness"
        witness.unlink(missing_ok=True)
        options = ["-q", "-n", "0", "-p", "tests.guards.witness", "-p", "no:cacheprovider", "--reuse-db"]
        options += ["--create-db"] * self._new_database
        self._new_database = False
        environment = {k: v for k, v in os.environ.items() if k not in OF_THE_CALLER and "DJANGO" not in k}
        environment |= {"TRIO_RUN_DIR": str(self._run), "GUARDS_WITNESS": str(witness)}
        with (self.root.parent / f"{self.root.name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=self.root, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
            try:
                process.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                self._new_database = True
                return {}
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        return _read(witness)


def _read(witness: Path) -> dict[str, list[Ending]]:
    found: dict[str, list[Ending]] = {}
    for line in witness.read_text().splitlines() if witness.exists() else ():
        told = json.loads(line)
        ending = Ending(told["phase"], told["kind"], told["text"])
        names = {told["test"], told["test"].partition("[")[0]}
        for name in names:
            found.setdefault(name, []).append(ending)
    return found


def judge(guard: Guard, copy: Copy, intact: dict[str, list[Ending]]) -> Judged:
    """Take one guard away and say what its tests made of that."""
    began = time.monotonic()

    def judged(finding: Finding, words: str) -> Judged:
        return Judged(guard, finding, words, time.monotonic() - began)

    for test in guard.tests:
        if not intact.get(test):
            return judged(Finding.BROKEN, f"{short(test)} did not run with the guard in place")
        if failed := next((e for e in intact[test] if not e.passed), None):
            return judged(Finding.BROKEN, f"{short(test)} fails with the guard in place ({failed.words})")
    try:
        with copy.without(guard):
            endings = copy.endings(guard.tests)
    except ValueError as moved:
        return judged(Finding.BROKEN, str(moved))
    noticed = []
    for test in guard.tests:
        if not endings.get(test):
            return judged(Finding.BROKEN, f"{short(test)} did not end: {_collected(endings)}")
        failed = next((e for e in endings[test] if not e.passed), None)
        if failed is None:
            return judged(Finding.SURVIVES, f"{short(test)} passes without it")
        if failed.phase != "call" or failed.kind not in (*BY_ASSERTION, *guard.raises):
            return judged(Finding.BROKEN, f"{short(test)} fails for another reason ({failed.words})")
        noticed.append(f"{short(test)} → {failed.words}")
    return judged(Finding.CAUGHT, "; ".join(noticed))


def _collected(endings: dict[str, list[Ending]]) -> str:
    return next(
        (e.words for found in endings.values() for e in found if e.phase == "collect"), "no time left"
    )


def short(test: str) -> str:
    """Return a test's name without its file."""
    return test.rpartition("::")[2]


def tracked() -> list[str]:
    """Return the files of the working tree, those not committed yet included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    return [name for name in sorted(set(listed.split("\0"))) if name and (CHECKOUT / name).is_file()]
