"""The pages of strategies and replays: set up, checked by its schema, enabled, looked at."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from accounts.models import ExchangeAccount
from exchange.types import Side
from orders.exchange_data.clock import db_now
from signals.domain.enums import Origin
from signals.domain.faults import Fault
from signals.models import ReplayRun, Strategy, StrategyBar, StrategyEvent
from signals.services import signal_record
from signals.strategy_services import bar_seed, strategy_disable, strategy_enable
from tests.builders import Desk
from tests.unit.orders.operators import BACKEND, SUBMITTED, a_superuser
from tests.unit.signals.strategies.test_process import bars

D = Decimal
NAUGHTY = "tests.unit.signals.strategies.naughty"


@pytest.fixture
def operator(transactional_db: None) -> Client:
    return a_superuser()


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:signals_{name}", args=args)


def asked(desk: Desk, **said: Any) -> dict[str, Any]:
    usual = {
        "name": "swing", "code": "breakout", "accounts": [str(desk.account.pk)], "symbols": "adausdt, btcusdt",
        "timeframe": "5m", "size_kind": "RISK", "size_value": "0.5", "slippage": "0.05", "cooldown_bars": "3",
        "history_bars": "200", "deadline_seconds": "5", "memory_mb": "512",
    }  # fmt: skip
    return usual | said


def a_strategy(desk: Desk, **said: Any) -> Strategy:
    usual: dict[str, Any] = {"name": "swing", "code": "breakout", "symbols": "ADAUSDT", "timeframe": "1m"}
    strategy = Strategy.objects.create(**(usual | said))
    strategy.accounts.set([desk.account])
    return strategy


def test_a_strategy_is_set_up_and_its_parameters_are_checked_by_their_schema(
    desk: Desk, operator: Client
) -> None:
    operator.post(page("strategy_add"), asked(desk))
    strategy = Strategy.objects.get()
    assert (strategy.symbols, strategy.timeframe, strategy.enabled) == ("ADAUSDT,BTCUSDT", "5m", False)

    # Its page has a field for each parameter, with its default and bounds
    change = page("strategy_change", strategy.pk)
    shown = operator.get(change).content.decode()
    assert 'name="parameter_stop_atr"' in shown
    assert "s distance, in ATR (at least 0.1, at most 20)" in shown

    good = asked(
        desk, parameter_bars="30", parameter_atr_bars="14", parameter_stop_atr="1.5", parameter_target_r="3"
    )
    bad = operator.post(change, good | {"parameter_stop_atr": "1,5", "parameter_bars": "1"})
    assert "written with a point" in bad.content.decode()
    assert "bars is at least 2" in bad.content.decode()
    strategy.refresh_from_db()
    assert strategy.parameters == {}

    operator.post(change, good)
    strategy.refresh_from_db()
    assert strategy.parameters == {
        "bars": "30", "atr_bars": "14", "stop_atr": "1.5", "target_r": "3", "shorts": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"code": "os:system"}, "Select a valid choice"),
        ({"code": "nonsense"}, "Select a valid choice"),
        ({"symbols": "NOSUCH"}, "PAPER has no symbol NOSUCH"),
        ({"timeframe": "7m"}, "Select a valid choice"),
        ({"name": "Nice Name"}, "lower-case letters"),
        ({"accounts": []}, "This field is required"),
        ({"size_value": "0"}, "greater than or equal"),
        ({"history_bars": "9999"}, "less than or equal to 1000"),
    ],
)
def test_what_cannot_be_is_said_in_the_form(
    desk: Desk, operator: Client, said: dict[str, Any], words: str
) -> None:
    answer = operator.post(page("strategy_add"), asked(desk, **said))
    assert words in answer.content.decode()
    assert not Strategy.objects.exists()


def test_accounts_of_two_environments_are_refused(desk: Desk, operator: Client) -> None:
    other = ExchangeAccount.objects.create(name="other", environment="TESTNET", key_hash="x")
    answer = operator.post(page("strategy_add"), asked(desk, accounts=[str(desk.account.pk), str(other.pk)]))
    assert "They are of PAPER and TESTNET" in answer.content.decode()


def test_enabling_loads_it_first_and_is_a_post(desk: Desk, operator: Client, settings: Any) -> None:
    settings.STRATEGIES = {**settings.STRATEGIES, "gone": f"{NAUGHTY}:Gone"}
    good, broken = a_strategy(desk), a_strategy(desk, name="broken", code="gone")
    for strategy in (good, broken):
        operator.get(page("strategy_enable", strategy.pk))
        assert not Strategy.objects.filter(pk=strategy.pk, enabled=True).exists()
        operator.post(page("strategy_enable", strategy.pk), SUBMITTED)
    assert list(Strategy.objects.filter(enabled=True)) == [good]
    assert "Its code could not be loaded" in operator.get(page("strategy_change", broken.pk)).content.decode()

    operator.post(page("strategy_disable", good.pk), SUBMITTED)
    assert not Strategy.objects.filter(enabled=True).exists()
    assert [e.kind for e in StrategyEvent.objects.order_by("id")] == ["ENABLED", "STOPPED"]


def test_who_may_only_look_changes_nothing(desk: Desk) -> None:
    strategy = a_strategy(desk)
    user = User.objects.create_user("looker", password="x", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_strategy"))
    looker = Client()
    looker.force_login(user, backend=BACKEND)
    assert looker.get(page("strategy_change", strategy.pk)).status_code == 200
    assert looker.post(page("strategy_enable", strategy.pk), SUBMITTED).status_code == 403
    strategy.refresh_from_db()
    assert not strategy.enabled


def test_its_page_says_what_it_saw_decided_and_why_it_was_disabled(desk: Desk, operator: Client) -> None:
    strategy = a_strategy(desk)
    strategy_enable(strategy.pk, by="me")
    (bar,) = bars(1)
    row = bar_seed(strategy.pk, "ADAUSDT", "1m", bar)
    signal, _ = signal_record(
        origin=Origin.STRATEGY, source="swing", key="1", symbol="ADAUSDT", accounts=[desk.account], side=Side.BUY,
        act_before=db_now() + timedelta(minutes=1), reason="closed above the high of 20 bars",
        figures={"atr": "0.0021"}, timeframe="1m", bar_open_ts=bar.open_time,
    )  # fmt: skip
    StrategyBar.objects.filter(pk=row.pk).update(decision="SIGNAL", signal=signal, bars_count=7)
    strategy_disable(strategy.pk, Fault.RAISED, "RuntimeError: no idea")

    shown = operator.get(page("strategy_change", strategy.pk)).content.decode()

    assert "It raised an error. (RuntimeError: no idea) Its trios stay open" in shown
    for words in (
        "closed above the high of 20 bars",
        "0.0021",
        "1970-01-01 00:02",
        "1 pending",
        "disabled",
        "enabled",
    ):
        assert words in shown
    listed = operator.get(page("strategy_changelist")).content.decode()
    assert "Disabled by a fault" in listed
    assert "Strategy swing was disabled" in operator.get(reverse("admin:index")).content.decode()
    assert "1970-01-01 00:00" in listed


def a_report(net: str) -> dict[str, Any]:
    trio = {
        "number": 1, "symbol": "ADAUSDT", "timeframe": "1m", "signal_bar": 1670889600000, "closed_bar": 1670889660000,
        "side": "BUY", "quantity": "100", "entry": "0.3", "exit": "0.31", "stop": "0.29", "target": "0.31",
        "state": "CLOSED", "result": "TAKE_PROFIT", "net": net, "r": "1", "ambiguous": True,
    }  # fmt: skip
    names = (
        "trios", "won", "lost", "even", "win_rate_percent", "profit_factor", "expectancy", "largest_drawdown",
        "average_r", "best_r", "worst_r",
    )  # fmt: skip
    return {
        "statistics": {**dict.fromkeys(names), "net": net},
        "ledger": {"fees": "1", "funding": "0", "wallet": "10001"},
        "exposure_percent": "5",
        "uncovered_longest_ms": 0,
        "ambiguous_bars": 1,
        "balance": "10000",
        "trios": [trio, {**trio, "number": 2, "closed_bar": None, "result": None, "state": "OPEN"}],
    }


def test_replays_are_looked_at_and_put_side_by_side(operator: Client) -> None:
    runs = [
        ReplayRun.objects.create(
            code="breakout", symbols="ADAUSDT", hash=str(n) * 64, report=a_report(f"{n}.5")
        )
        for n in (1, 2)
    ]
    shown = operator.get(page("replayrun_change", runs[0].pk)).content.decode()
    assert shown.count("<svg") == 1
    assert "stop counted first" in shown
    assert "1" * 16 in shown

    both = operator.get(page("replayrun_change", runs[0].pk) + f"?beside={runs[1].pk}").content.decode()
    assert both.count('role="img"') == 2
    for odd in ("x", "99999999999999999999", "-1", "7"):
        assert operator.get(page("replayrun_change", runs[0].pk) + f"?beside={odd}").status_code == 200
    assert operator.get(page("replayrun_changelist")).status_code == 200
    assert operator.post(page("replayrun_change", runs[0].pk), {}).status_code == 403
