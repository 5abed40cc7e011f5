"""The page of verbs says what is decided, for a long and for a short."""

from __future__ import annotations

from tests.unit.orders.domain.verbs_page import CHECKOUT, PAGE, page


def test_the_page_is_made_by_asking() -> None:
    again = "run: .venv/bin/python -m tests.unit.orders.domain.verbs_page"
    assert (CHECKOUT / PAGE).read_text() == page(), again
