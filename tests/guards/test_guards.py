"""The list of guards is true, and the script that removes them can tell."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.guards.__main__ import told
from tests.guards.examples import GUARDS as EXAMPLES
from tests.guards.examples import REAL
from tests.guards.guard import Guard
from tests.guards.guards import GUARDS
from tests.guards.page import PAGE, page
from tests.guards.removing import CHECKOUT, Finding, Judged

PROMISES = {f"P{number}" for number in range(1, 12)}


def test_the_page_is_made_from_the_list() -> None:
    assert (CHECKOUT / PAGE).read_text() == page(GUARDS), "run: .venv/bin/python -m tests.guards --page"


def test_every_guard_has_a_name_and_a_promise_of_its_own() -> None:
    assert [name for name, times in Counter(guard.name for guard in GUARDS).items() if times > 1] == []
    for guard in GUARDS:
        assert set(guard.promises.split(", ")) <= PROMISES, guard.name
        assert guard.tests, guard.name


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_a_guard_is_where_the_list_says_and_its_tests_are_there(guard: Guard) -> None:
    for name, text in guard.without(CHECKOUT).items():
        assert text != (CHECKOUT / name).read_text()
    for test in guard.tests:
        file, _, function = test.partition("::")
        assert f"def {function.partition('[')[0]}(" in (CHECKOUT / file).read_text(), test


def test_no_removal_leaves_what_cannot_be_read_or_a_name_that_is_not_defined(tmp_path: Path) -> None:
    for number, guard in enumerate(GUARDS):
        for name, text in guard.without(CHECKOUT).items():
            (tmp_path / f"{number}_{Path(name).name}").write_text(text)
    checked = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select", "F821", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_what_survives_is_told_from_what_is_caught_and_from_what_says_nothing() -> None:
    # Given two real guards, a removal nobody notices, one that cannot be read, and one whose text has moved
    ran = subprocess.run(
        [sys.executable, "-m", "tests.guards", "--from", "tests.guards.examples"],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip

    # Then the real ones are caught by an assertion, and the run is not a success
    said = {line.split(": ")[0].split(" s  ")[-1]: line for line in ran.stdout.splitlines() if " s  " in line}
    assert [said[name].split()[0] for name in REAL] == ["caught", "caught"], ran.stdout + ran.stderr
    assert all("AssertionError" in said[name] for name in REAL)
    assert said["nothing at all"].startswith("SURVIVES")
    assert said["what cannot be read"].startswith("BROKEN")
    assert said["what moved"].startswith("BROKEN")
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-3:] == [f"not caught: {guard.name}" for guard in EXAMPLES[2:]]


def test_only_a_run_in_which_all_is_caught_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    def judged(finding: Finding) -> Judged:
        return Judged(GUARDS[0], finding, "", 0.0)

    assert told([judged(Finding.CAUGHT)]) == 0
    assert told([judged(Finding.CAUGHT), judged(Finding.SURVIVES)]) == 1
    assert told([judged(Finding.BROKEN)]) == 1
    assert told([]) == 1
    assert GUARDS[0].name in capsys.readouterr().err
