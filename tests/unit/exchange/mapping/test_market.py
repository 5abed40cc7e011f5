"""Prices, from REST and from the stream."""

from __future__ import annotations

from typing import Any

from exchange.binance.mapping.body import parse, read_frame
from exchange.binance.mapping.market import read_mark_price, read_price_tick
from exchange.types import PriceKind
from tests.unit.exchange.samples import D, sample_text


def read(name: str) -> Any:
    return parse(sample_text(f"rest/{name}"))


def test_a_mark_price() -> None:
    told = read_mark_price(read("premium_index"))
    assert (told.symbol, told.mark, told.time) == ("BTCUSDT", D("76916.95122464"), 1789478303000)


def test_prices() -> None:
    live = read_price_tick(read_frame(sample_text("ws/mark_price_live")))
    assert live is not None
    assert (live.kind, live.price, live.time) == (PriceKind.MARK, D("76888.10000000"), 1789478345000)
    trade = read_price_tick(read_frame(sample_text("ws/agg_trade_stream")))
    assert trade is not None
    assert (trade.kind, trade.price, trade.time) == (PriceKind.LAST, D("0.001"), 123456785)
    assert read_price_tick({"result": None, "id": 1}) is None
