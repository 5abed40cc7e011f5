"""Uncovered time in which the exchange refused or lost a stop or exit is counted apart, as the exchange tells it."""

from __future__ import annotations

import pytest

from orders.cli.document import trio_document, trio_sentence
from orders.domain.enums import Protection
from tests.builders import Desk, story, the, until

UNAVAILABLE = {"code": 0, "msg": "Service Unavailable."}


def covered(desk: Desk) -> bool:
    desk.carry()
    return any(name.endswith(("-s1", "-s2")) for name in desk.resting)


@pytest.mark.parametrize(
    ("then", "refused"),
    [
        ({"do": "answer", "status": 503, "body": UNAVAILABLE, "execute": False}, True),
        ({"do": "lose_before"}, True),
        ({"do": "lose_answer"}, False),
        ({"do": "duplicate"}, False),
    ],
    ids=["unavailable", "never arrives", "answer lost", "sound"],
)
def test_the_time_the_exchange_refused_is_told_apart(
    desk: Desk, then: dict[str, object], refused: bool
) -> None:
    desk.simulator.fault({"method": "POST", "type": "STOP_MARKET"}, then, 1)
    trio = desk.placed(desk.a_trio(protection=Protection.ON_FIRST_FILL))
    until(lambda: covered(desk), why=lambda: story(trio))
    desk.carry()

    trio = the(trio)
    assert trio.uncovered_ms > 0
    assert trio.uncovered_refused_ms == (trio.uncovered_ms if refused else 0), story(trio)
    judged = desk.simulator.verdict()["uncovered_refused_by_us"]
    assert bool(judged) == refused
    assert ("while the exchange refused or lost" in trio_sentence(trio)) == refused
    assert "uncovered_refused_ms" not in trio_document(trio)
