"""Binance's codes stand in the adapter and the simulator; everything else decides by meaning."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from exchange.binance.errors import KINDS, refusal_of
from exchange.refusals import Refusal
from local_servers.manager import CHECKOUT

CODE = re.compile(r"(?<![\w.])-(?:1|2|4|5)\d{3}\b")
ROOMS = (
    "accounts",
    "backoffice",
    "demo",
    "infrastructure",
    "local_servers",
    "orders",
    "replay",
    "signals",
    "worker",
)


def elsewhere() -> list[Path]:
    """Return the product's files outside the adapter and the simulator; migrations speak of what was."""
    found = [path for room in ROOMS for path in (CHECKOUT / room).rglob("*.py")]
    found += (CHECKOUT / "exchange").glob("*.py")
    return sorted(path for path in found if "migrations" not in path.parts)


@pytest.mark.parametrize("path", elsewhere(), ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_code_stands_elsewhere(path: Path) -> None:
    assert CODE.findall(path.read_text()) == []


def test_the_test_would_see_one() -> None:
    assert CODE.findall("if error.code == -2021:") == ["-2021"]
    assert CODE.findall("margin - 2021, 10-2021, x = 2021") == []


def test_every_code_has_a_meaning_and_every_meaning_a_use() -> None:
    meanings = {refusal_of(code) for code in KINDS}
    by_status = {refusal_of(0, status=418), refusal_of(0, status=429), refusal_of(-9999)}

    assert Refusal.NOT_UNDERSTOOD not in meanings
    assert meanings | by_status == set(Refusal)
