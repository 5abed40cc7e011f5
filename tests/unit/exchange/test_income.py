"""Income is read whole: every line once, though the exchange shows a thousand at a time and a week at most."""

from __future__ import annotations

from decimal import Decimal

import pytest

from exchange.binance.limits import cost_of
from exchange.binance.mapping.body import ForeignShape
from exchange.binance.mapping.income import read_funding_rate, read_income
from exchange.binance.paging import PAGE_MAX, WINDOW_MS, Frame, all_income
from exchange.types import IncomeView

LINE = {
    "symbol": "BTCUSDT",
    "incomeType": "COMMISSION",
    "income": "-0.01000000",
    "asset": "USDT",
    "info": "COMMISSION",
    "time": 1570636800000,
    "tranId": "9689322392",
    "tradeId": "2059192",
}


class Exchange:
    """Holds lines, and answers as the exchange does."""

    def __init__(self, lines: list[IncomeView]) -> None:
        self.lines = lines
        self.asked: list[Frame] = []

    def __call__(self, frame: Frame) -> list[IncomeView]:
        self.asked.append(frame)
        start, end = int(frame["startTime"]), int(frame["endTime"])
        assert start <= end <= start + WINDOW_MS
        assert int(frame["limit"]) <= PAGE_MAX
        assert "page" not in frame  # gone since 2026-10-15
        kind = frame.get("incomeType")
        found = [x for x in self.lines if start <= x.time <= end and kind in (None, x.kind)]
        return sorted(found, key=lambda line: line.time)[: int(frame["limit"])]


def lines_at(*times: int, kind: str = "COMMISSION") -> list[IncomeView]:
    return [
        IncomeView(kind, Decimal(-1), "USDT", time, tran_id=number, symbol="BTCUSDT", trade_id=str(number))
        for number, time in enumerate(times)
    ]


def test_a_line_is_read_as_it_is() -> None:
    line = read_income(LINE)
    assert line.key == (9689322392, "COMMISSION", "BTCUSDT", "2059192")
    assert (line.amount, line.asset, line.time) == (Decimal("-0.01"), "USDT", 1570636800000)
    assert read_income({**LINE, "tradeId": 2059192, "tranId": 9689322392}) == line


def test_a_line_about_no_trade_and_no_symbol_is_read_too() -> None:
    transfer = read_income(
        {**LINE, "incomeType": "TRANSFER", "symbol": "", "tradeId": "", "income": "100", "info": None}
    )
    assert (transfer.symbol, transfer.trade_id, transfer.info) == ("", "", "")


@pytest.mark.parametrize("field", ["incomeType", "income", "asset", "time", "tranId"])
def test_what_a_line_must_have_is_missed(field: str) -> None:
    with pytest.raises(ForeignShape):
        read_income({name: value for name, value in LINE.items() if name != field})


def test_a_funding_rate_has_its_sign() -> None:
    row = {"symbol": "BTCUSDT", "fundingRate": "-0.00010000", "fundingTime": 1570636800000}
    assert read_funding_rate(row).rate == Decimal("-0.0001")


def test_pages_join_without_a_gap_and_without_a_line_twice() -> None:
    exchange = Exchange(lines_at(*(1000 + number // 3 for number in range(2500))))
    found = all_income(exchange, since=0, until=5000)
    assert [line.tran_id for line in found] == list(range(2500))
    assert len(exchange.asked) == 3


def test_a_span_longer_than_a_week_is_asked_for_in_weeks() -> None:
    far = 3 * WINDOW_MS
    exchange = Exchange(lines_at(5, WINDOW_MS, WINDOW_MS + 1, far))
    assert len(all_income(exchange, since=0, until=far)) == 4
    assert len(exchange.asked) == 3


def test_more_than_a_page_in_one_millisecond_is_read_by_kind() -> None:
    kinds = ("COMMISSION", "REALIZED_PNL", "INSURANCE_CLEAR")
    lines = [line for kind in kinds for line in lines_at(*[77] * 700, kind=kind)] + lines_at(
        78, 79, kind="TRANSFER"
    )
    exchange = Exchange(lines)
    found = all_income(exchange, since=0, until=1000)
    assert len(found) == len(lines)
    assert len({line.key for line in found}) == len({line.key for line in lines})


def test_a_reading_costs_what_the_exchange_charges() -> None:
    assert cost_of("GET", "/fapi/v1/income", {}).weight == 30
    assert cost_of("GET", "/fapi/v1/fundingRate", {}).weight == 0
