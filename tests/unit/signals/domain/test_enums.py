"""The words of signals."""

from __future__ import annotations

from signals.domain.enums import Origin, Outcome


def test_only_what_is_pending_may_still_change() -> None:
    assert [outcome for outcome in Outcome if not outcome.is_final] == [Outcome.PENDING]


def test_each_origin_names_its_trios_differently() -> None:
    assert len({origin.prefix for origin in Origin}) == len(Origin)
