"""A signal is inserted once, and has one result on each account."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from signals.domain.enums import Origin
from signals.models import Signal, SignalResult
from tests.builders import Desk


def a_signal(**said: Any) -> Signal:
    now = timezone.now()
    usual: dict[str, Any] = {
        "origin": Origin.STRATEGY,
        "source": "breakout",
        "key": "ADAUSDT 1m 1794787200000",
        "symbol": "ADAUSDT",
        "side": "BUY",
        "received_at": now,
        "act_before": now,
    }
    return Signal.objects.create(**(usual | said))


@pytest.mark.django_db
def test_one_bar_is_one_signal_of_a_source() -> None:
    a_signal()
    with pytest.raises(IntegrityError, match="signal_once"), transaction.atomic():
        a_signal()

    a_signal(source="bands")
    a_signal(origin=Origin.WEBHOOK)
    assert Signal.objects.count() == 3


def test_a_signal_has_one_result_on_each_account(desk: Desk) -> None:
    signal = a_signal()
    SignalResult.objects.create(signal=signal, account=desk.account)
    with pytest.raises(IntegrityError, match="signal_result_once"), transaction.atomic():
        SignalResult.objects.create(signal=signal, account=desk.account)


@pytest.mark.parametrize(
    ("origin", "named"),
    [("STRATEGY", "strategy:x"), ("WEBHOOK", "hook:x"), ("FILE", "file:x"), ("TICKET", "ticket:x")],
)
def test_a_trio_names_its_source(origin: str, named: str) -> None:
    assert Signal(origin=origin, source="x").trio_source == named
