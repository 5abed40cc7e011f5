"""What a LIVE account does not take."""

from __future__ import annotations

from typing import Any

from accounts.models import Environment
from orders.domain.enums import Protection
from orders.risk_gates import new_risk_refusal
from tests.builders import Desk


def test_a_live_account_takes_no_legs_before_the_entry(desk: Desk, settings: Any) -> None:
    settings.ALLOW_LIVE = True
    trio = desk.a_trio(protection=Protection.PRE_ARMED)
    trio.account.environment = Environment.LIVE

    assert new_risk_refusal(trio).startswith("LIVE accounts do not take PRE_ARMED: choose ON_FIRST_FILL")

    trio.protection = Protection.ON_FIRST_FILL
    assert new_risk_refusal(trio) == ""
