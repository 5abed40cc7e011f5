"""How large a signal becomes, by posts through the door: fees counted, never raised, and capped only when that is said."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from orders.models import TrioOrder
from signals.domain.refusals import sentence
from signals.models import SignalResult
from tests.builders import Desk
from tests.unit.orders.admin.test_ticket import answer, typed
from tests.unit.orders.operators import a_superuser
from tests.unit.signals.hooks import a_sender
from tests.unit.worker.test_order_executor import leverage

D = Decimal
LIMIT = {"symbol": "ETHUSDT.P", "action": "buy", "price": "2000.00", "stop": "1960.00", "target": "2100.00"}


@pytest.fixture
def small(desk: Desk) -> Desk:
    """An account worth 10000.00, and ETHUSDT at 2010."""
    desk.simulator.set_price("ETHUSDT", "2010")
    wallets: dict[str, Decimal] = desk.simulator.ex.books["desk"].account.wallets
    wallets["USDT"] = D("10000.00")
    desk.sweep()
    return desk


def became(desk: Desk, post: dict[str, Any], **source: Any) -> SignalResult:
    return a_sender(desk, **source).sends(post)


@pytest.mark.parametrize("times", [1, 10, 20])
def test_a_risk_counts_both_fees_and_no_leverage(small: Desk, times: int) -> None:
    leverage(small, "ETHUSDT", times)

    result = became(small, LIMIT, size_kind="RISK", size_value="1")

    # 100 over 40 + 1.00 + 0.98; 2.500 would lose 104.95
    trio = result.trio
    assert trio is not None, result.facts
    assert (trio.quantity, trio.price, trio.stop_loss) == (D("2.382"), D(2000), D(1960))
    assert trio.quantity * D("41.98") == D("99.99636")


def test_the_ticket_says_the_same_of_the_same_risk(small: Desk) -> None:
    leverage(small, "ETHUSDT", 10)
    words = {
        "quantity": "1% risk",
        "entry_type": "LIMIT",
        "price": "2000.00",
        "stop_loss": "1960.00",
        "take_profit": "2100.00",
    }
    text = answer(a_superuser(), typed(small, "ETHUSDT", **words))
    assert "Understood as 2.382 ETH" in text
    assert "-99.99636" in text


def test_what_is_too_small_is_refused_and_never_raised(small: Desk) -> None:
    result = became(small, LIMIT, size_kind="NOTIONAL", size_value="19.99")
    assert (result.outcome, result.refusal) == ("REFUSED", "SIZE_TOO_SMALL")
    assert "below the smallest order of ETHUSDT, 0.01" in sentence(result.refusal, result.facts)
    assert not TrioOrder.objects.exists()
