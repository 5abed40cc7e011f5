"""Margin type and leverage brackets, in every spelling."""

from __future__ import annotations

from typing import Any

import pytest

from exchange.binance.mapping.body import parse
from exchange.binance.mapping.symbol_settings import read_leverage_brackets, read_symbol_config
from exchange.types import MarginType
from tests.unit.exchange.samples import D, sample_text


def read(name: str) -> Any:
    return parse(sample_text(f"rest/{name}"))


@pytest.mark.parametrize(
    ("word", "margin"), [("cross", "CROSSED"), ("CROSS", "CROSSED"), ("isolated", "ISOLATED")]
)
def test_margin_types_are_spelled_in_many_ways(word: str, margin: str) -> None:
    row = {**read("symbol_configuration")[0], "marginType": word}
    assert read_symbol_config(row).margin_type is MarginType(margin)


def test_leverage_brackets_as_list_and_as_object() -> None:
    body = read("leverage_bracket_btcusdt")
    for shape in (body, body[0]):
        first = read_leverage_brackets(shape)["BTCUSDT"][0]
        assert first.cap == D(300000)
        assert first.maintenance_rate == D("0.004")


def test_leverage_brackets_of_all_symbols_come_in_one_answer() -> None:
    (btc,) = read("leverage_bracket_btcusdt")
    found = read_leverage_brackets([btc, {**btc, "symbol": "ETHUSDT"}])
    assert found["ETHUSDT"] == found["BTCUSDT"]
