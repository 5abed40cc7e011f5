"""The page of drift policies says what may be chosen."""

from __future__ import annotations

from tests.unit.orders.domain.drift_page import CHECKOUT, PAGE, page


def test_the_page_is_what_may_be_chosen() -> None:
    assert (CHECKOUT / PAGE).read_text() == page()
