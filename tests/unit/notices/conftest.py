"""The same simulated exchange and desk as the orders' stories, a person who is told, and a receiver of webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.notices.receiver import Receiver
from tests.unit.orders.conftest import _impatient, any_desk, desk, hedge_desk, simulator

if TYPE_CHECKING:
    from tests.unit.notices.people import Person

__all__ = ["_impatient", "any_desk", "desk", "hedge_desk", "simulator"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server on loopback that keeps what it is sent."""
    with Receiver("127.0.0.1") as made:
        yield made


@pytest.fixture
def loopback(settings: Any) -> None:
    """Let notices go to this machine's own address: in tests alone."""
    settings.NOTICES_ALSO_TO = ("127.0.0.1",)


@pytest.fixture
def anna(transactional_db: None, loopback: None, receiver: Receiver) -> Person:
    """Somebody who may see trios, with one webhook."""
    from tests.unit.notices.people import Person

    return Person.made("anna").told_at(receiver)
