"""The page of the exchange's codes is the table in the code, by code, kind and meaning."""

from __future__ import annotations

import re

from exchange.binance.errors import DEFINITE_REFUSALS, KINDS, Kind, refusal_of
from tests.unit.docs.pages import rows, section

PAGE = "docs/reference/exchange-codes.md"
CODES = re.compile(r"(-\d{4})(?: to (-\d{4}))?")


def codes(text: str) -> list[int]:
    """Read “-1000, -1100 to -1106” as codes."""
    found: list[int] = []
    for first, last in CODES.findall(text):
        found += range(int(first), int(last or first) - 1, -1)
    return found


def test_every_code_is_on_the_page_once_with_its_kind_and_meaning() -> None:
    listed = [(code, kind, means) for cell, kind, means, _ in rows(PAGE, "Codes") for code in codes(cell)]

    assert len(listed) > 150, "the search for codes has gone blind"
    assert sorted(listed) == sorted(
        (code, kind.value, refusal_of(code).value) for code, kind in KINDS.items()
    )


def test_every_kind_is_explained() -> None:
    assert {kind for kind, *_ in rows(PAGE, "Exchange codes") if len(kind) == 1} == {k.value for k in Kind}


def test_the_refusals_apart_from_their_kind_are_named() -> None:
    assert set(codes(section(PAGE, "Apart from their kind"))) == DEFINITE_REFUSALS
