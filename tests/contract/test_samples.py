"""The simulator's answers carry the same keys and kinds as the recorded ones; the docs list every difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.contract.checks import CHECKS
from tests.contract.samples import Check, compare
from tests.contract.world import World

DOCS = Path(__file__).resolve().parents[2] / "docs" / "reference" / "simulator.md"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_an_answer_has_the_keys_and_kinds_of_the_recorded_one(check: Check) -> None:
    ours = check.ask(World())
    assert compare(ours, check.sample(), check) == []


@pytest.mark.parametrize("check", [c for c in CHECKS if "errors." in c.name], ids=lambda check: check.id)
def test_a_refusal_has_the_recorded_status_code_and_message(check: Check) -> None:
    ours, theirs = check.ask(World()), check.sample()
    assert ours["http"] == theirs["http"]
    assert ours["body"].get("msg") == theirs["body"].get("msg")
    assert ours["body"].get("code") == theirs["body"].get("code")


def test_a_difference_would_be_seen() -> None:
    check = Check("official", "check_server_time", "", lambda _: None)
    theirs: Any = {"a": "1", "b": [{"c": 1}], "d": True}
    assert compare({"a": "2", "b": [{"c": 7}], "d": False}, theirs, check) == []
    for ours in ({"a": 1, "b": [{"c": 7}], "d": False}, {"a": "1", "b": [{}], "d": False}, {"a": "1", "b": [], "d": True},
                 {"a": "1", "b": [{"c": 1}], "d": "true"}, {**theirs, "e": 1}):  # fmt: skip
        assert len(compare(ours, theirs, check)) == 1


def table() -> str:
    """The table of the docs, made from the checks themselves."""
    rows = [f"| `{check.id}` | {check.what} | {check.differences()} |" for check in CHECKS]
    return "\n".join(["| sample | compared with | deliberate differences |", "|---|---|---|", *rows])


def test_the_docs_list_every_sample_checked() -> None:
    assert len(CHECKS) >= 60
    assert table() in DOCS.read_text(encoding="utf-8"), "run: python -m tests.contract.document"
