"""Trading rules: one read of exchangeInfo, one upsert, the same the second time."""

from __future__ import annotations

import copy
import gzip
import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

import simulator
from accounts import endpoints
from accounts.errors import AccountsError, ExchangeUnreachable
from accounts.models import ExchangeAccount
from orders.exchange_data import symbol_sync
from orders.exchange_data.clock import db_now
from orders.exchange_data.symbol_sync import DELISTED, symbol_columns, symbols_renew, symbols_sync
from orders.models import Symbol
from tests.unit.accounts.conftest import venue as venue
from tests.unit.accounts.venue import Venue

pytestmark = pytest.mark.django_db
REAL = Path(str(simulator.__path__[0])) / "data" / "exchange_info.json.gz"


@pytest.fixture(scope="module")
def real_info() -> dict[str, Any]:
    """The exchange's own answer of 2025-12-24: 660 symbols."""
    info: dict[str, Any] = json.loads(gzip.decompress(REAL.read_bytes()))
    return info


@pytest.fixture
def listed(venue: Venue, real_info: dict[str, Any]) -> dict[str, Any]:
    venue.exchange_info = copy.deepcopy(real_info)
    return venue.exchange_info


def by_name(info: dict[str, Any], symbol: str) -> dict[str, Any]:
    found: dict[str, Any] = next(item for item in info["symbols"] if item["symbol"] == symbol)
    return found


def test_all_symbols_arrive_in_a_few_statements_and_a_second_time_nothing_changes(
    listed: dict[str, Any], venue: Venue
) -> None:
    # When the real exchangeInfo is synced twice
    with CaptureQueriesContext(connection) as asked:
        first = symbols_sync("PAPER")
    second = symbols_sync("PAPER")

    # Then all are there once, from one request each time
    assert (first.created, first.updated, first.unchanged, first.gone, first.skipped) == (660, 0, 0, 0, 0)
    assert (second.created, second.updated, second.unchanged, second.total) == (0, 0, 660, 660)
    assert Symbol.objects.count() == 660
    assert venue.requests == [("GET", "/fapi/v1/exchangeInfo")] * 2
    assert len(asked) < 20


def test_every_filter_is_a_decimal_column(listed: dict[str, Any]) -> None:
    symbols_sync("PAPER")
    btc = Symbol.objects.get(environment="PAPER", symbol="BTCUSDT")
    assert (btc.tick_size, btc.price_min, btc.price_max) == (
        Decimal("0.1"),
        Decimal("261.1"),
        Decimal(809484),
    )
    assert (btc.step_size, btc.quantity_min, btc.quantity_max) == (
        Decimal("0.001"),
        Decimal("0.001"),
        Decimal(1000),
    )
    assert (btc.market_step_size, btc.market_quantity_max) == (Decimal("0.001"), Decimal(1000))
    assert (btc.notional_min, btc.multiplier_up, btc.multiplier_down) == (
        Decimal(100),
        Decimal("1.05"),
        Decimal("0.95"),
    )
    assert (btc.trigger_protect, btc.market_take_bound, btc.orders_max) == (
        Decimal("0.05"),
        Decimal("0.3"),
        10000,
    )
    assert btc.raw == by_name(listed, "BTCUSDT")
    assert btc.is_trading


def test_every_number_of_every_symbol_is_kept_exactly(listed: dict[str, Any]) -> None:
    symbols_sync("PAPER")
    rows = {row.symbol: row for row in Symbol.objects.all()}
    for item in listed["symbols"]:
        filters = {f["filterType"]: f for f in item["filters"]}
        row = rows[item["symbol"]]
        assert row.tick_size == Decimal(filters["PRICE_FILTER"]["tickSize"])
        assert row.step_size == Decimal(filters["LOT_SIZE"]["stepSize"])
        assert row.notional_min == Decimal(filters["MIN_NOTIONAL"]["notional"])
        assert row.quantity_min == Decimal(filters["LOT_SIZE"]["minQty"])


def test_chinese_names_and_a_tick_of_zero_are_no_obstacle(listed: dict[str, Any]) -> None:
    symbols_sync("PAPER")
    assert [row.symbol for row in Symbol.objects.all() if not row.symbol.isascii()]
    assert Symbol.objects.get(symbol="OPENUSDT").tick_size == 0


def test_only_what_changed_is_written_and_each_environment_has_its_own(listed: dict[str, Any]) -> None:
    # Given symbols of two environments
    symbols_sync("PAPER")
    symbols_sync("TESTNET")
    first_seen = Symbol.objects.get(environment="PAPER", symbol="BTCUSDT").first_seen_at

    # When a rule changes and PAPER is synced again
    lot = next(f for f in by_name(listed, "BTCUSDT")["filters"] if f["filterType"] == "LOT_SIZE")
    lot["minQty"] = "0.002"
    result = symbols_sync("PAPER")

    # Then just that row of that environment follows
    assert (result.created, result.updated, result.unchanged) == (0, 1, 659)
    row = Symbol.objects.get(environment="PAPER", symbol="BTCUSDT")
    assert row.quantity_min == Decimal("0.002")
    assert row.first_seen_at == first_seen
    assert Symbol.objects.get(environment="TESTNET", symbol="BTCUSDT").quantity_min == Decimal("0.001")


def test_an_answer_that_was_asked_for_earlier_takes_nothing_back(
    listed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given rules that have been read
    symbols_sync("PAPER")

    # When somebody who asked before that is answered only now, with what was true then
    lot = next(f for f in by_name(listed, "BTCUSDT")["filters"] if f["filterType"] == "LOT_SIZE")
    lot["minQty"] = "0.002"
    earlier = db_now() - timedelta(seconds=5)
    with monkeypatch.context() as patched:
        patched.setattr(symbol_sync, "db_now", lambda: earlier)
        symbols_sync("PAPER")

    # Then the newer rules stand; and what a clock dated that was set back since holds up nothing
    assert Symbol.objects.get(environment="PAPER", symbol="BTCUSDT").quantity_min == Decimal("0.001")
    Symbol.objects.update(synced_at=db_now() + timedelta(hours=1))
    symbols_renew("PAPER", asked_since=db_now() - timedelta(minutes=10))
    assert Symbol.objects.get(environment="PAPER", symbol="BTCUSDT").quantity_min == Decimal("0.002")


def test_a_symbol_no_longer_listed_stays_and_trades_no_more(listed: dict[str, Any]) -> None:
    symbols_sync("PAPER")
    gone = by_name(listed, "ETHUSDT")
    listed["symbols"].remove(gone)
    assert symbols_sync("PAPER").gone == 1
    row = Symbol.objects.get(symbol="ETHUSDT")
    assert row.status == DELISTED
    assert not row.is_trading
    assert symbols_sync("PAPER").gone == 0

    # And it is back when it is listed again
    listed["symbols"].append(gone)
    assert symbols_sync("PAPER").updated == 1
    assert Symbol.objects.get(symbol="ETHUSDT").is_trading


def test_missing_filters_are_null_and_nonsense_is_left_out(listed: dict[str, Any]) -> None:
    symbols_sync("PAPER")
    bare = by_name(listed, "BTCUSDT")
    bare["filters"] = [{"filterType": "PRICE_FILTER", "tickSize": None}, {"filterType": "SOMETHING_NEW"}]
    listed["symbols"] += [{"symbol": "BROKEN"}, "not even an object"]
    del by_name(listed, "ETHUSDT")["pricePrecision"]

    result = symbols_sync("PAPER")

    assert result.skipped == 3
    assert result.gone == 0  # unreadable is not gone: ETHUSDT keeps its last known rules
    assert Symbol.objects.get(symbol="ETHUSDT").is_trading
    row = Symbol.objects.get(symbol="BTCUSDT")
    assert row.tick_size is None
    assert row.notional_min is None
    assert row.orders_max is None


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1E+40", "not a number", ""])
def test_no_number_breaks_the_sync(number: str) -> None:
    item = {
        "symbol": "ODDUSDT",
        "status": "TRADING",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": [{"filterType": "LOT_SIZE", "stepSize": number}],
    }
    columns = symbol_columns(item)
    assert columns is not None
    assert columns["step_size"] is None


def test_an_empty_answer_or_none_at_all_keeps_what_we_know(listed: dict[str, Any], venue: Venue) -> None:
    symbols_sync("PAPER")
    venue.exchange_info = {"symbols": []}
    with pytest.raises(ExchangeUnreachable, match="lists no symbols"):
        symbols_sync("PAPER")
    venue.silent = True
    with pytest.raises(ExchangeUnreachable, match="make demo"):
        symbols_sync("PAPER")
    assert Symbol.objects.filter(status="TRADING").count() == 559
    with pytest.raises(AccountsError, match="choose one of PAPER, TESTNET, LIVE"):
        symbols_sync("MOON")


@pytest.mark.django_db(transaction=True, available_apps=["accounts", "orders"])
def test_two_syncs_at_once_do_not_hurt_each_other(listed: dict[str, Any]) -> None:
    def sync() -> None:
        try:
            symbols_sync("PAPER")
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=3) as pool:
        for done in [pool.submit(sync) for _ in range(3)]:
            done.result(timeout=30)
    assert Symbol.objects.count() == 660


def test_the_command_tells_scripts_and_people(listed: dict[str, Any], venue: Venue) -> None:
    out, err = io.StringIO(), io.StringIO()
    call_command("sync_symbols", "--json", stdout=out, stderr=err)
    (told,) = json.loads(out.getvalue())["environments"]
    assert (told["environment"], told["created"], told["total"]) == ("PAPER", 660, 660)

    out = io.StringIO()
    call_command("sync_symbols", "--environment", "paper", stdout=out, stderr=err)
    assert out.getvalue() == "PAPER: 660 symbols, 0 new, 0 changed, 660 unchanged.\n"

    venue.silent = True
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync_symbols", "--json", stdout=out, stderr=err)
    assert ended.value.code == 2
    assert "does not answer" in json.loads(out.getvalue())["error"]


def test_one_exchange_that_does_not_answer_keeps_no_other_stale(listed: dict[str, Any], venue: Venue) -> None:
    # Given accounts in two environments, one of which is down
    for environment in ("PAPER", "TESTNET"):
        ExchangeAccount.objects.create(
            name=environment, environment=environment, position_mode="ONE_WAY", key_hash=environment
        )
    nobody = Venue()
    nobody.silent = True
    endpoints.use_transport("PAPER", nobody)

    # When all are synced
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("sync_symbols", "--json", stdout=out, stderr=err)

    # Then the other one is up to date, and the exit code tells that not all is well
    assert ended.value.code == 2
    paper, testnet = json.loads(out.getvalue())["environments"]
    assert "does not answer" in paper["error"]
    assert testnet["created"] == 660
