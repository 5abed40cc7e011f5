"""The pool that advances trios."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError

from exchange.types import ExchangeMs, OrderRef
from orders.domain.decision.steps import Rest
from orders.placement.perform import Answer, LookCall
from worker.due_poll import AdvancePool

pytestmark = pytest.mark.django_db(transaction=True)


class Service:
    """A placement service that loses its database connection so many times."""

    def __init__(self, losses: int) -> None:
        self.losses = losses
        self.recorded: list[Answer | None] = []

    def advance(self, trio_id: int, *, answer: Answer | None, **_: Any) -> Rest:
        if self.losses:
            self.losses -= 1
            raise OperationalError("server closed the connection unexpectedly")
        self.recorded.append(answer)
        return Rest(None)


def an_answer() -> Answer:
    return Answer(LookCall(1, OrderRef("BTCUSDT", "x-e1", conditional=False), ExchangeMs(0), 600))


@pytest.mark.parametrize(("losses", "kept"), [(0, True), (1, True), (2, False)])
def test_an_answer_survives_a_lost_connection_once(losses: int, kept: bool) -> None:
    service, answer = Service(losses), an_answer()
    pool = AdvancePool(threads=1, service=service)  # type: ignore[arg-type]
    pool.submit(7, answer)
    pool.stop()
    assert service.recorded == ([answer] if kept else [])  # lost twice, the order is looked up


def test_work_without_an_answer_is_left_to_the_poll() -> None:
    service = Service(1)
    pool = AdvancePool(threads=1, service=service)  # type: ignore[arg-type]
    pool.submit(7)
    pool.stop()
    assert service.recorded == []
